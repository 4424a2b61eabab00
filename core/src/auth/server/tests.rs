use super::*;
use crate::random::{Consumer, Seed};

const REALM: &str = "example.com";
const TARGET: &str = "/callcontroller/user1/user2?timeout=5";

struct World {
    gate: Gate,
    users: Directory,
    now: Tick,
}

#[derive(Clone, Copy)]
struct Login<'a> {
    user: &'a str,
    pin: &'a str,
    algorithm: Algorithm,
    qop: Option<Qop>,
    nc: u32,
}

const GOOD: Login<'_> =
    Login { user: "J\u{e4}s\u{f8}n", pin: "123", algorithm: Algorithm::Sha256, qop: Some(Qop::Auth), nc: 1 };

impl World {
    fn new() -> Self {
        let policy = Policy {
            realm: REALM.into(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5],
            nonce_lifetime: Duration::from_secs(300),
            basic_over_tls: true,
        };
        let mut random = Random::new(&Seed([5; 32]), Consumer::Nonces);
        let users = Directory::new(vec![User::new(GOOD.user, REALM, GOOD.pin)], REALM).unwrap();
        Self { gate: Gate::new(policy, &mut random, WorkerId(0)), users, now: Tick::from_micros(1_000_000) }
    }

    fn judge(&mut self, authorization: Option<&str>, tls: bool) -> Verdict {
        let attempt = Attempt {
            method: "POST",
            target: TARGET,
            body: b"a=b",
            authorization,
            address: "192.0.2.7".parse().unwrap(),
            listener: ListenerId(0),
            tls,
        };
        self.gate.judge(self.now, &attempt, &self.users)
    }

    fn nonce(&mut self) -> String {
        let Verdict::Ask(lines) = self.judge(None, false) else { panic!("not asked") };
        lines[0].split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    fn login(&mut self, login: Login<'_>, nonce: &str) -> Verdict {
        let value = credentials(login, nonce, TARGET);
        self.judge(Some(&value), false)
    }
}

fn credentials(login: Login<'_>, nonce: &str, uri: &str) -> String {
    let ha1 = login.algorithm.ha1(login.user, REALM, login.pin);
    let nc = format!("{:08x}", login.nc);
    let count = login.qop.map(|qop| Count { qop, nc: &nc, cnonce: "c" });
    let response = response(login.algorithm, &ha1, nonce, count, ("POST", uri, b"a=b"));
    let qop = login.qop.map(|qop| format!(", qop={}, nc={nc}, cnonce=\"c\"", qop.name())).unwrap_or_default();
    format!(
        "Digest username=\"{}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", algorithm={}, response=\"{}\"{qop}",
        login.user,
        login.algorithm.name(),
        response.as_str()
    )
}

#[test]
fn each_algorithm_and_quality_logs_in() {
    let mut world = World::new();
    for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256] {
        for qop in [None, Some(Qop::Auth), Some(Qop::AuthInt)] {
            let nonce = world.nonce();
            let verdict = world.login(Login { algorithm, qop, ..GOOD }, &nonce);
            assert!(matches!(&verdict, Verdict::Known(name, _) if **name == *GOOD.user), "{verdict:?}");
        }
    }
}

#[test]
fn the_challenges_name_each_algorithm_strongest_first() {
    let Verdict::Ask(lines) = World::new().judge(None, false) else { panic!("not asked") };
    let algorithms: Vec<_> =
        lines.iter().map(|l| l.split("algorithm=").nth(1).unwrap().split(',').next().unwrap()).collect();
    assert_eq!(algorithms, ["SHA-256", "SHA-512-256", "MD5"]);
    assert!(lines[0].starts_with("Digest realm=\"example.com\", nonce=\""));
    assert!(!lines[0].contains("stale"));
}

#[test]
fn a_recorded_request_never_logs_in_again() {
    let mut world = World::new();
    for qop in [None, Some(Qop::Auth)] {
        let nonce = world.nonce();
        assert!(matches!(world.login(Login { qop, ..GOOD }, &nonce), Verdict::Known(..)));
        let Verdict::Ask(lines) = world.login(Login { qop, ..GOOD }, &nonce) else { panic!("replayed") };
        assert!(lines[0].ends_with("stale=true"));
    }
}

#[test]
fn an_old_nonce_is_stale_and_a_half_old_one_names_the_next() {
    let mut world = World::new();
    let nonce = world.nonce();
    world.now = world.now + Duration::from_secs(151);
    let Verdict::Known(_, Some(info)) = world.login(GOOD, &nonce) else { panic!("refused") };
    assert!(info.contains("nextnonce=\"") && info.contains("rspauth=\""), "{info}");
    world.now = world.now + Duration::from_secs(150);
    assert!(
        matches!(world.login(Login { nc: 2, ..GOOD }, &nonce), Verdict::Ask(l) if l[0].contains("stale=true"))
    );
}

#[test]
fn wrong_pin_unknown_user_and_forged_nonce_look_the_same() {
    let mut world = World::new();
    let nonce = world.nonce();
    let forged = "0".repeat(64);
    for (login, nonce) in [
        (Login { pin: "124", ..GOOD }, &nonce),
        (Login { user: "nobody", ..GOOD }, &nonce),
        (Login { pin: "9", ..GOOD }, &forged),
    ] {
        let verdict = world.login(login, nonce);
        let Verdict::Failed(lines, name) = verdict else { panic!("{verdict:?}") };
        assert!(!lines[0].contains("stale"));
        assert_eq!(name, login.user);
    }
}

#[test]
fn a_failed_login_is_logged_under_the_name_that_a_hash_stands_for() {
    let mut world = World::new();
    let plain = format!("username=\"{}\"", GOOD.user);
    let hash = |user: &str| GOOD.algorithm.hash(&[user.as_bytes(), REALM.as_bytes()]).as_str().to_owned();
    for (user, logged) in [(GOOD.user, GOOD.user), ("nobody", "-")] {
        let nonce = world.nonce();
        let hashed = format!("username=\"{}\", userhash=true", hash(user));
        let value = credentials(Login { pin: "0", ..GOOD }, &nonce, TARGET).replace(&plain, &hashed);
        let verdict = world.judge(Some(&value), false);
        assert!(matches!(&verdict, Verdict::Failed(_, name) if name == logged), "{verdict:?}");
    }
}

#[test]
fn too_many_failures_are_slowed_down() {
    let mut world = World::new();
    let nonce = world.nonce();
    for _ in 0..5 {
        assert!(matches!(world.login(Login { pin: "0", ..GOOD }, &nonce), Verdict::Failed(..)));
    }
    assert!(matches!(world.login(GOOD, &nonce), Verdict::Wait(1)));
    world.now = world.now + Duration::from_secs(1);
    assert!(matches!(world.login(GOOD, &nonce), Verdict::Known(..)));
}

#[test]
fn a_response_for_another_uri_is_refused() {
    let mut world = World::new();
    let nonce = world.nonce();
    let value = credentials(GOOD, &nonce, "/callcontroller/user1/user3");
    assert!(matches!(world.judge(Some(&value), false), Verdict::Unreadable));
    let value = credentials(GOOD, &nonce, &format!("https://host:6666{TARGET}"));
    assert!(matches!(world.judge(Some(&value), false), Verdict::Known(..)));
}

#[test]
fn hashed_and_extended_user_names_are_understood() {
    let mut world = World::new();
    let hash = GOOD.algorithm.hash(&[GOOD.user.as_bytes(), REALM.as_bytes()]);
    let plain = format!("username=\"{}\"", GOOD.user);
    let forms = [
        format!("username=\"{}\", userhash=true", hash.as_str()),
        "username*=UTF-8''J%C3%A4s%C3%B8n".to_owned(),
    ];
    for form in forms {
        let nonce = world.nonce();
        let value = credentials(GOOD, &nonce, TARGET).replace(&plain, &form);
        let verdict = world.judge(Some(&value), false);
        assert!(matches!(verdict, Verdict::Known(..)), "{form}: {verdict:?}");
    }
}

#[test]
fn basic_is_taken_over_tls_only() {
    let mut world = World::new();
    let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", GOOD.user, GOOD.pin)));
    assert!(matches!(world.judge(Some(&value), true), Verdict::Known(..)));
    assert!(matches!(world.judge(Some(&value), false), Verdict::Ask(lines) if lines.len() == 3));
    let wrong = format!("Basic {}", BASE64_STANDARD.encode(format!("{}:x", GOOD.user)));
    assert!(matches!(world.judge(Some(&wrong), true), Verdict::Failed(..)));
}

#[test]
fn nothing_is_remembered_for_ever() {
    let mut world = World::new();
    let nonce = world.nonce();
    drop(world.login(GOOD, &nonce));
    drop(world.login(Login { pin: "0", ..GOOD }, &nonce));
    assert_eq!(world.gate.count(), 2);
    let next = world.gate.next().unwrap();
    assert!(next > world.now);
    world.gate.expire(world.now + Duration::from_secs(300));
    assert_eq!((world.gate.count(), world.gate.next()), (0, None));
}
