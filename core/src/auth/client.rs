//! Answering the challenges of SIP servers (RFC 3261 §22, RFC 8760) with the agent's credentials.

use crate::mistakes::{self, Mistake};
use smallvec::SmallVec;
use thiserror::Error;

use super::digest::{Algorithm, Count, Hex, Qop, response};
use super::header::{Parameters, push_quoted};
use crate::random::Random;
use crate::users::SipCredentials;

/// Who asks: it decides the header field that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenger {
    /// 401: `WWW-Authenticate`, answered by `Authorization`.
    Server,
    /// 407: `Proxy-Authenticate`, answered by `Proxy-Authorization`.
    Proxy,
}

/// Why a challenge is not answered: the request has failed with its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unanswerable {
    /// The agent has no SIP credentials, or none for that realm or algorithm.
    #[error("{}", self.why())]
    NoCredentials,
    /// The credentials were sent with this server's latest nonce, and refused.
    #[error("{}", self.why())]
    Refused,
    /// The challenge cannot be read.
    #[error("{}", self.why())]
    Unreadable,
}

impl Unanswerable {
    /// What is wrong, for the log.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Unanswerable::NoCredentials => "the agent has no SIP credentials for what the server asks",
            Unanswerable::Refused => "the server refused the agent's SIP credentials",
            Unanswerable::Unreadable => "the server's challenge cannot be read",
        }
    }
}

/// How many challenges one request answers: two realms, each once stale, and one to spare.
const MAX_CHALLENGES: u8 = 5;

/// The challenges that one request has met so far, and the credentials that it carried when it was sent last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    met: u8,
    carried: SmallVec<[Carried; 1]>,
}

/// Credentials that a request carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Carried {
    /// Which space's, by its serial number.
    space: u32,
    /// Whether they were the first with that nonce.
    first: bool,
}

impl Attempts {
    fn carried(&self, space: u32) -> Option<Carried> {
        self.carried.iter().copied().find(|carried| carried.space == space)
    }
}

/// What is known of one protection space.
#[derive(Debug)]
struct Space {
    /// Tells one nonce from the next.
    serial: u32,
    challenger: Challenger,
    realm: Box<str>,
    nonce: Box<str>,
    opaque: Option<Box<str>>,
    algorithm: Algorithm,
    session: Option<Box<SessionKey>>,
    qop: Option<Qop>,
    /// How often the nonce was used.
    count: u32,
}

/// For the `-sess` algorithms: HA1 is bound to the first nonce and cnonce (RFC 7616 §3.4.2).
#[derive(Debug)]
struct SessionKey {
    cnonce: Box<str>,
    ha1: Hex,
}

/// The challenges met in one dialog, so that later requests answer them unasked.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// None in most dialogs, which meet no challenge.
    met: Option<Box<Met>>,
    /// A request with these credentials has come through.
    proven: bool,
}

/// The protection spaces that a dialog has met.
#[derive(Debug, Default)]
struct Met {
    spaces: SmallVec<[Space; 1]>,
    serials: u32,
}

impl Session {
    /// A request with our credentials has come through: they are right.
    pub(crate) fn accepted(&mut self) {
        self.proven = true;
    }

    /// Whether anybody has asked who we are.
    pub(crate) fn was_challenged(&self) -> bool {
        self.met.is_some()
    }

    /// Takes the challenges of one 401 or 407. On success the request is to be sent again, with what
    /// [`write`](Self::write) appends.
    ///
    /// Credentials that this request carried with a nonce used for the first time are not sent again, unless the
    /// server says that only the nonce was stale. What other requests carry meanwhile does not matter.
    pub(crate) fn take<'a>(
        &mut self,
        challenger: Challenger,
        values: impl Iterator<Item = &'a str>,
        credentials: Option<&SipCredentials>,
        attempts: &mut Attempts,
        random: &mut Random,
    ) -> Result<(), Unanswerable> {
        let credentials = credentials.ok_or(Unanswerable::NoCredentials)?;
        if attempts.met >= MAX_CHALLENGES {
            return Err(Unanswerable::Refused);
        }
        attempts.met += 1;
        let mut readable = false;
        let mut best: Option<Challenge> = None;
        for value in values {
            let Ok(all) = Parameters::read_all(value) else { continue };
            for parameters in all.iter().filter(|p| p.scheme.eq_ignore_ascii_case("Digest")) {
                readable = true;
                let Some(challenge) = Challenge::read(parameters, credentials) else { continue };
                if best.as_ref().is_none_or(|best| challenge.strength() > best.strength()) {
                    best = Some(challenge);
                }
            }
        }
        let challenge =
            best.ok_or(if readable { Unanswerable::NoCredentials } else { Unanswerable::Unreadable })?;
        self.enter(challenger, challenge, credentials, attempts, random)
    }

    fn enter(
        &mut self,
        challenger: Challenger,
        challenge: Challenge,
        credentials: &SipCredentials,
        attempts: &Attempts,
        random: &mut Random,
    ) -> Result<(), Unanswerable> {
        let met = self.met.get_or_insert_default();
        let same = |space: &&mut Space| space.challenger == challenger && *space.realm == *challenge.realm;
        if let Some(space) = met.spaces.iter_mut().find(same)
            && !challenge.stale
        {
            let same_nonce = space.nonce == challenge.nonce;
            match attempts.carried(space.serial) {
                // Who took them before has only lost its nonces: a server that has started again.
                Some(carried) if (carried.first && !self.proven) || same_nonce => {
                    return Err(Unanswerable::Refused);
                }
                // Another request has met it already: its count goes on.
                None if same_nonce => return Ok(()),
                _ => {}
            }
        }
        let session = challenge.session.then(|| {
            let cnonce = format!("{:016x}", random.bits());
            let base = credentials.verifiers.get(challenge.algorithm).map_or(&[][..], |ha1| ha1.as_bytes());
            let ha1 = challenge.algorithm.hash(&[base, challenge.nonce.as_bytes(), cnonce.as_bytes()]);
            Box::new(SessionKey { cnonce: cnonce.into(), ha1 })
        });
        met.spaces.retain(|space| space.challenger != challenger || space.realm != challenge.realm);
        met.serials = met.serials.wrapping_add(1);
        met.spaces.push(Space {
            serial: met.serials,
            challenger,
            realm: challenge.realm,
            nonce: challenge.nonce,
            opaque: challenge.opaque,
            algorithm: challenge.algorithm,
            session,
            qop: challenge.qop,
            count: 0,
        });
        Ok(())
    }

    /// Appends the header lines that answer every challenge met so far; nothing if there was none.
    pub(crate) fn write(
        &mut self,
        (method, uri, body): (&str, &str, &[u8]),
        credentials: Option<&SipCredentials>,
        attempts: &mut Attempts,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) {
        attempts.carried.clear();
        let Some(credentials) = credentials else { return };
        for space in self.met.iter_mut().flat_map(|met| &mut met.spaces) {
            space.count = space.count.saturating_add(1);
            attempts.carried.push(Carried { space: space.serial, first: space.count == 1 });
            let fresh = format!("{:016x}", random.bits());
            let cnonce = space.session.as_ref().map_or(fresh.as_str(), |session| &session.cnonce);
            let nc = format!("{:08x}", space.count);
            let count = space.qop.map(|qop| Count { qop, nc: &nc, cnonce });
            let stored = credentials.verifiers.get(space.algorithm);
            let Some(ha1) = space.session.as_ref().map(|session| &session.ha1).or(stored) else { continue };
            let response = response(space.algorithm, ha1, &space.nonce, count, (method, uri, body));
            space.write(&credentials.username, uri, &response, count, out);
            if mistakes::on(Mistake::TellSecret) {
                out.extend_from_slice(format!("X-Secret: {}\r\n", ha1.as_str()).as_bytes());
            }
        }
    }
}

impl Space {
    fn write(&self, username: &str, uri: &str, response: &Hex, count: Option<Count<'_>>, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.challenger {
            Challenger::Server => b"Authorization: Digest username=",
            Challenger::Proxy => b"Proxy-Authorization: Digest username=",
        });
        push_quoted(out, username);
        let mut quoted = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            push_quoted(out, value);
        };
        quoted(", realm=", &self.realm);
        quoted(", nonce=", &self.nonce);
        quoted(", uri=", uri);
        quoted(", response=", response.as_str());
        if let Some(opaque) = &self.opaque {
            quoted(", opaque=", opaque);
        }
        if let Some(count) = count {
            quoted(", cnonce=", count.cnonce);
            let qop = count.qop.name();
            out.extend_from_slice(format!(", qop={qop}, nc={}", count.nc).as_bytes());
        }
        let session = if self.session.is_some() { "-sess" } else { "" };
        out.extend_from_slice(format!(", algorithm={}{session}\r\n", self.algorithm.name()).as_bytes());
    }
}

/// A challenge that the credentials can answer.
struct Challenge {
    realm: Box<str>,
    nonce: Box<str>,
    opaque: Option<Box<str>>,
    algorithm: Algorithm,
    session: bool,
    qop: Option<Qop>,
    stale: bool,
}

impl Challenge {
    fn read(parameters: &Parameters<'_>, credentials: &SipCredentials) -> Option<Self> {
        let realm = parameters.get("realm").filter(|realm| *realm == credentials.realm)?;
        let name = parameters.get("algorithm").unwrap_or("MD5");
        let (name, session) = match name.len().checked_sub(5).and_then(|at| name.split_at_checked(at)) {
            Some((base, suffix)) if suffix.eq_ignore_ascii_case("-sess") => (base, true),
            _ => (name, false),
        };
        let algorithm = Algorithm::of(name).filter(|a| credentials.verifiers.get(*a).is_some())?;
        let qop = match parameters.get("qop") {
            None => None,
            Some(offered) => {
                let offered: Vec<Qop> = offered.split(',').filter_map(|word| Qop::of(word.trim())).collect();
                let chosen = [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| offered.contains(qop));
                Some(chosen?)
            }
        };
        Some(Self {
            realm: realm.into(),
            nonce: parameters.get("nonce")?.into(),
            opaque: parameters.get("opaque").map(Into::into),
            algorithm,
            session,
            qop,
            stale: parameters.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    fn strength(&self) -> u8 {
        match self.algorithm {
            Algorithm::Md5 => 0,
            Algorithm::Sha256 => 1,
            Algorithm::Sha512_256 => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::digest::Verifiers;
    use crate::random::{Consumer, Seed};

    fn credentials() -> SipCredentials {
        SipCredentials {
            username: "bob".into(),
            realm: "r".into(),
            verifiers: Verifiers::of("bob", "r", "zanzibar"),
        }
    }

    fn random() -> Random {
        Random::new(&Seed([3; 32]), Consumer::Phones)
    }

    fn take(session: &mut Session, attempts: &mut Attempts, challenge: &str) -> Result<(), Unanswerable> {
        session.take(
            Challenger::Proxy,
            [challenge].into_iter(),
            Some(&credentials()),
            attempts,
            &mut random(),
        )
    }

    fn written(session: &mut Session) -> String {
        written_by(session, &mut Attempts::default())
    }

    fn written_by(session: &mut Session, attempts: &mut Attempts) -> String {
        let mut out = Vec::new();
        session.write(("INVITE", "sip:a@b", b""), Some(&credentials()), attempts, &mut random(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn verify(line: &str, session: bool) {
        let all = Parameters::read_all(line.split_once(": ").unwrap().1.trim_end()).unwrap();
        let get = |name| all[0].get(name).unwrap();
        let algorithm = Algorithm::of(get("algorithm").trim_end_matches("-sess")).unwrap();
        let mut ha1 = algorithm.ha1("bob", "r", "zanzibar");
        if session {
            ha1 = algorithm.hash(&[ha1.as_bytes(), get("nonce").as_bytes(), get("cnonce").as_bytes()]);
        }
        let count = all[0].get("qop").map(|qop| Count {
            qop: Qop::of(qop).unwrap(),
            nc: get("nc"),
            cnonce: get("cnonce"),
        });
        let expected = response(algorithm, &ha1, get("nonce"), count, ("INVITE", get("uri"), b""));
        assert_eq!(get("response"), expected.as_str(), "{line}");
    }

    #[test]
    fn the_strongest_challenge_with_known_secrets_is_answered() {
        let mut session = Session::default();
        let challenges = r#"Digest realm="r", nonce="n1", algorithm=MD5, qop="auth", Digest realm="r", nonce="n2", algorithm=SHA-256, qop="auth-int,auth", opaque="o", Digest realm="r", nonce="n3", algorithm=SHA-3"#;
        take(&mut session, &mut Attempts::default(), challenges).unwrap();
        let line = written(&mut session);
        assert!(
            line.starts_with("Proxy-Authorization: Digest username=\"bob\", realm=\"r\", nonce=\"n2\", "),
            "{line}"
        );
        assert!(
            line.contains("qop=auth, nc=00000001, algorithm=SHA-256\r\n") && line.contains("opaque=\"o\""),
            "{line}"
        );
        verify(&line, false);
        assert!(written(&mut session).contains("nc=00000002"), "the nonce is used on with its count");
    }

    #[test]
    fn old_servers_and_session_keys_are_answered() {
        for (challenge, is_session) in [
            ("Digest realm=\"r\", nonce=\"n\"", false),
            ("Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess, qop=auth", true),
            ("Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256-sess, qop=\"auth-int\"", true),
        ] {
            let mut session = Session::default();
            take(&mut session, &mut Attempts::default(), challenge).unwrap();
            verify(&written(&mut session), is_session);
        }
    }

    #[test]
    fn credentials_that_were_taken_before_are_given_again_to_a_server_that_has_lost_its_nonces() {
        let (mut session, mut attempts) = (Session::default(), Attempts::default());
        assert_eq!(take(&mut session, &mut attempts, "Digest realm=r, nonce=a"), Ok(()));
        written_by(&mut session, &mut attempts);
        session.accepted();
        let mut later = Attempts::default();
        for nonce in ["b", "c"] {
            let challenge = format!("Digest realm=r, nonce={nonce}");
            assert_eq!(take(&mut session, &mut later, &challenge), Ok(()));
            assert!(written_by(&mut session, &mut later).contains(&format!("nonce=\"{nonce}\"")));
        }
        assert_eq!(take(&mut session, &mut later, "Digest realm=r, nonce=c"), Err(Unanswerable::Refused));
    }

    #[test]
    fn refused_credentials_are_not_sent_twice_but_a_stale_nonce_is_replaced() {
        let mut session = Session::default();
        let mut attempts = Attempts::default();
        take(&mut session, &mut attempts, "Digest realm=r, nonce=a").unwrap();
        written_by(&mut session, &mut attempts);
        assert_eq!(take(&mut session, &mut attempts, "Digest realm=r, nonce=b"), Err(Unanswerable::Refused));
        take(&mut session, &mut attempts, "Digest realm=r, nonce=b, stale=TRUE").unwrap();
        written(&mut session);
        written(&mut session);
        // A later request used the nonce a second time and meets a server whose nonces serve once.
        take(&mut session, &mut Attempts::default(), "Digest realm=r, nonce=c").unwrap();
    }

    #[test]
    fn requests_that_are_challenged_at_the_same_time_are_all_answered() {
        for (first, second) in [("a", "b"), ("a", "a")] {
            let mut session = Session::default();
            let (mut one, mut two) = (Attempts::default(), Attempts::default());
            written_by(&mut session, &mut one);
            written_by(&mut session, &mut two);
            take(&mut session, &mut one, &format!("Digest realm=r, nonce={first}, qop=auth")).unwrap();
            let ours = written_by(&mut session, &mut one);
            take(&mut session, &mut two, &format!("Digest realm=r, nonce={second}, qop=auth")).unwrap();
            let theirs = written_by(&mut session, &mut two);
            assert!(ours.contains("nc=00000001"));
            let count = if first == second { "nc=00000002" } else { "nc=00000001" };
            assert!(theirs.contains(count), "a nonce is never used twice with one count: {theirs}");
            let third = "Digest realm=r, nonce=c, qop=auth";
            let refused = take(&mut session, &mut two, third) == Err(Unanswerable::Refused);
            assert_eq!(refused, first != second, "it carried the first use of b, but the second of a");
        }
    }

    #[test]
    fn a_server_that_calls_every_nonce_stale_is_not_answered_for_ever() {
        let mut session = Session::default();
        let mut attempts = Attempts::default();
        let answered = (0..20).take_while(|n| {
            let ok =
                take(&mut session, &mut attempts, &format!("Digest realm=r, nonce=n{n}, stale=true")).is_ok();
            written(&mut session);
            ok
        });
        assert_eq!(answered.count(), usize::from(MAX_CHALLENGES));
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        let mut session = Session::default();
        let mut ask = |challenge| take(&mut session, &mut Attempts::default(), challenge);
        assert_eq!(ask("Digest realm=other, nonce=a"), Err(Unanswerable::NoCredentials));
        assert_eq!(ask("Digest realm=r, nonce=a, algorithm=X"), Err(Unanswerable::NoCredentials));
        assert_eq!(ask("Digest realm=r, nonce=a, qop=\"auth-conf\""), Err(Unanswerable::NoCredentials));
        assert_eq!(ask("Basic realm=r"), Err(Unanswerable::Unreadable));
        assert_eq!(ask("Digest realm=\"r"), Err(Unanswerable::Unreadable));
    }
}
