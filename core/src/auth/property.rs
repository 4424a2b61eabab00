//! Digest, against the formulas of RFC 7616 §3.4 computed here with the plain hashes.

use proptest::prelude::*;
use sha2::Digest as _;

use super::client::{Attempts, Challenger, Session};
use super::digest::{Algorithm, Count, Qop, Verifiers, response};
use super::header::Parameters;
use super::server::{Attempt, Gate, Policy, Verdict};
use crate::Tick;
use crate::io::{ListenerId, WorkerId};
use crate::random::{Consumer, Random, Seed};
use crate::users::{Directory, SipCredentials, User};

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256];

fn hash(algorithm: Algorithm, text: &str) -> String {
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match algorithm {
        Algorithm::Md5 => digits(&md5::Md5::digest(text)),
        Algorithm::Sha256 => digits(&sha2::Sha256::digest(text)),
        Algorithm::Sha512_256 => digits(&sha2::Sha512_256::digest(text)),
    }
}

/// What one side knows of the other.
#[derive(Clone, Debug)]
struct Known<'a> {
    algorithm: Algorithm,
    session: bool,
    user: &'a str,
    realm: &'a str,
    secret: &'a str,
    nonce: &'a str,
    cnonce: &'a str,
    nc: &'a str,
    qop: Option<&'a str>,
}

/// The response to a request, as the RFC has it.
fn expected(known: &Known<'_>, method: &str, uri: &str, body: &str) -> String {
    let Known { user, realm, secret, nonce, cnonce, nc, .. } = known;
    let h = |text: String| hash(known.algorithm, &text);
    let mut ha1 = h(format!("{user}:{realm}:{secret}"));
    if known.session {
        ha1 = h(format!("{ha1}:{nonce}:{cnonce}"));
    }
    let ha2 = match known.qop {
        Some("auth-int") => h(format!("{method}:{uri}:{}", h(body.to_owned()))),
        _ => h(format!("{method}:{uri}")),
    };
    match known.qop {
        Some(qop) => h(format!("{ha1}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}")),
        None => h(format!("{ha1}:{nonce}:{ha2}")),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn qops() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, Some("auth"), Some("auth-int")])
}

proptest! {
    #[test]
    fn the_arithmetic_is_that_of_the_rfc(
        algorithm in prop::sample::select(ALGORITHMS.to_vec()),
        (user, realm, secret) in (".{0,20}", ".{0,20}", ".{0,20}"),
        (nonce, cnonce, nc) in ("[!-~]{1,20}", "[!-~]{0,20}", "[0-9a-f]{8}"),
        (method, uri, body) in ("[A-Z]{0,8}", "[!-~]{0,20}", ".{0,40}"),
        qop in qops(),
    ) {
        let known = Known {
            algorithm, session: false, user: &user, realm: &realm, secret: &secret,
            nonce: &nonce, cnonce: &cnonce, nc: &nc, qop,
        };
        let ha1 = algorithm.ha1(&user, &realm, &secret);
        let count = qop.map(|qop| Count { qop: Qop::of(qop).unwrap(), nc: &nc, cnonce: &cnonce });
        let ours = response(algorithm, &ha1, &nonce, count, (&method, &uri, body.as_bytes()));
        let right = expected(&known, &method, &uri, &body);
        prop_assert_eq!(ours.as_str(), right);
    }

    #[test]
    fn every_challenge_of_a_server_is_answered_by_the_formula(
        algorithm in prop::sample::select(ALGORITHMS.to_vec()), session: bool,
        (user, realm, secret) in ("[^\\x00-\\x1f\\x7f]{1,20}", "[^\\x00-\\x1f\\x7f]{1,20}", ".{0,20}"),
        nonce in "[ !-~]{1,20}", (uri, body) in ("sip:[a-z;=@]{1,20}", ".{0,40}"),
        qop in qops(), times in 1usize..4,
    ) {
        let credentials = SipCredentials {
            username: user.clone(), realm: realm.clone(), verifiers: Verifiers::of(&user, &realm, &secret),
        };
        let sess = if session { "-sess" } else { "" };
        let offer = qop.map(|qop| format!(", qop=\"{qop}\"")).unwrap_or_default();
        let challenge = format!(
            "Digest realm={}, nonce={}, algorithm={}{sess}{offer}", quoted(&realm), quoted(&nonce), algorithm.name()
        );
        let (mut met, mut attempts) = (Session::default(), Attempts::default());
        let mut random = Random::new(&Seed([6; 32]), Consumer::Phones);
        let taken = met.take(
            Challenger::Server, [challenge.as_str()].into_iter(), Some(&credentials), &mut attempts, &mut random,
        );
        prop_assert_eq!(taken, Ok(()));
        for time in 1..=times {
            let mut out = Vec::new();
            met.write(("REFER", &uri, body.as_bytes()), Some(&credentials), &mut attempts, &mut random, &mut out);
            let line = String::from_utf8(out).unwrap();
            let all = Parameters::read_all(line.trim_end().split_once(": ").unwrap().1).unwrap();
            let get = |name: &str| all[0].get(name);
            prop_assert_eq!((get("username"), get("realm")), (Some(user.as_str()), Some(realm.as_str())));
            prop_assert_eq!((get("nonce"), get("uri"), get("qop")), (Some(nonce.as_str()), Some(uri.as_str()), qop));
            let nc = format!("{time:08x}");
            prop_assert_eq!(get("nc"), qop.map(|_| nc.as_str()));
            // Without qop there is no cnonce; a session then has one that nobody is told.
            if let (Some(cnonce), _) | (None, Some(cnonce)) = (get("cnonce"), (!session).then_some("")) {
                let known = Known {
                    algorithm, session, user: &user, realm: &realm, secret: &secret, nonce: &nonce, cnonce, nc: &nc, qop,
                };
                let right = expected(&known, "REFER", &uri, &body);
                prop_assert_eq!(get("response"), Some(right.as_str()), "{}", line);
            }
        }
    }

    #[test]
    fn the_gate_opens_to_the_formula_and_to_nothing_else(
        algorithm in prop::sample::select(ALGORITHMS.to_vec()),
        name in "[a-z\u{e4}-\u{f6}][a-z0-9._\u{e4}-\u{f6}-]{0,12}",
        (pin, cnonce, body) in ("[0-9]{1,8}", "[!#-~&&[^\\\\]]{1,20}", "[a-z]{0,20}"),
        qop in qops(), spoil in prop::option::of(0usize..32),
    ) {
        prop_assume!(crate::users::is_name(&name));
        let policy = Policy {
            realm: "r".into(),
            algorithms: ALGORITHMS.to_vec(),
            nonce_lifetime: std::time::Duration::from_secs(300),
            basic_over_tls: false,
        };
        let mut gate = Gate::new(policy, &mut Random::new(&Seed([5; 32]), Consumer::Nonces), WorkerId(0));
        let users = Directory::new(vec![User::new(&name, "r", &pin)], "r").unwrap();
        let mut judge = |authorization: Option<&str>| {
            let attempt = Attempt {
                method: "POST", target: "/x?y=z", body: body.as_bytes(), authorization,
                address: "192.0.2.7".parse().unwrap(), listener: ListenerId(0), tls: false,
            };
            gate.judge(Tick::from_micros(1_000_000), &attempt, &users)
        };
        let Verdict::Ask(lines) = judge(None) else { panic!("it does not ask") };
        let all = Parameters::read_all(&lines[0]).unwrap();
        let nonce = all[0].get("nonce").unwrap().to_owned();
        let known = Known {
            algorithm, session: false, user: &name, realm: "r", secret: &pin,
            nonce: &nonce, cnonce: &cnonce, nc: "00000001", qop,
        };
        let mut answer = expected(&known, "POST", "/x?y=z", &body);
        if let Some(at) = spoil {
            let other = if answer.as_bytes()[at] == b'0' { "1" } else { "0" };
            answer.replace_range(at..=at, other);
        }
        let count = qop.map(|qop| format!(", qop={qop}, nc=00000001, cnonce=\"{cnonce}\"")).unwrap_or_default();
        let line = format!(
            "Digest username=\"{name}\", realm=\"r\", nonce=\"{nonce}\", uri=\"/x?y=z\", algorithm={}, response=\"{answer}\"{count}",
            algorithm.name()
        );
        let verdict = judge(Some(&line));
        prop_assert_eq!(matches!(&verdict, Verdict::Known(user, _) if **user == *name), spoil.is_none(), "{} {:?}", line, verdict);
    }
}
