//! Readers that only core itself uses, as functions over bytes: for the fuzz targets, and nobody else.

use std::time::Duration;

use crate::auth::client::{Attempts, Challenger, Session};
use crate::auth::header::Parameters;
use crate::auth::server::{Attempt, Gate, Policy, Verdict};
use crate::config::Config;
use crate::http::{Connection, Dates, Limits, Next, Persistence, Request};
use crate::io::{ListenerId, WorkerId};
use crate::random::{Consumer, Random, Seed};
use crate::rest::{self, Asked, Caller, Error, Format, Show};
use crate::sip::sdp::{self, Origin};
use crate::sip::transport::framing::{Framer, Piece};
use crate::users::{Directory, SipCredentials};
use crate::{Epoch, Tick};

pub use crate::sip::resolve::fuzzing::{dns_answer, dns_question};

/// What every number that a target needs is drawn from.
const SEED: Seed = Seed([11; 32]);
/// Nothing of these targets depends on the wall clock.
const EPOCH: Epoch = Epoch::from_unix_millis(1_269_268_319_000);
/// Low, so that short inputs reach them.
const LIMITS: Limits = Limits {
    head: 1024,
    body: 2048,
    headers: 24,
    request_time: Duration::from_secs(10),
    idle_time: Duration::from_secs(75),
    pipelined: 64,
};
/// What the buffer of one HTTP connection may have grown to: what [`LIMITS`] allow, and as much again by doubling.
const MOST_HELD: usize = 2 * (1024 + 2048 + 4096);
/// Longer SIP messages are not waited for.
const MOST_SIP: usize = 2048;

/// What one step of reading HTTP requests gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A request was read.
    Request {
        /// Method, target, path and query, and the header fields.
        head: String,
        /// The body, its transfer coding undone.
        body: Vec<u8>,
        /// What it asks of the calls, if whoever asks is trusted.
        asks: String,
    },
    /// Something was refused.
    Refused(String),
    /// The connection was closed without a word.
    Closed,
}

/// Reads pipelined requests that come in these pieces, each answered at once. Returns what was heard, and all bytes that
/// were written.
///
/// # Panics
/// If the connection keeps more than its limits allow.
#[expect(clippy::panic, reason = "it is a test's assertion")]
pub fn http_requests<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    config: &Config,
    users: &Directory,
) -> (Vec<Heard>, Vec<u8>) {
    let (mut connection, mut dates) = (Connection::new(Tick::ZERO), Dates::new(EPOCH));
    let (mut heard, mut written) = (Vec::new(), Vec::new());
    for mut fresh in pieces {
        loop {
            match connection.poll(Tick::ZERO, &mut fresh, &LIMITS, &mut written) {
                Next::Request(request) => heard.push(told(&request, config, users)),
                Next::Refused { refusal, fields } => {
                    let format = Format::of("", fields.all("Accept"));
                    heard.push(Heard::Refused(format!("{refusal}, as {format:?}")));
                }
                Next::Nothing => break,
                Next::Close => {
                    heard.push(Heard::Closed);
                    return (heard, written);
                }
            }
            let answer = Show { format: Format::Json, epoch: EPOCH }.error(&Error::NoSuchCall);
            let keep = Persistence::KeepAlive;
            let goes_on = connection.respond(Tick::ZERO, &answer.response(), &mut dates, keep, &mut written);
            connection.unsent(Tick::ZERO, 0);
            if goes_on == Persistence::Close {
                return (heard, written);
            }
        }
        if connection.held() > MOST_HELD {
            panic!("{} bytes are held", connection.held());
        }
    }
    (heard, written)
}

fn told(request: &Request<'_>, config: &Config, users: &Directory) -> Heard {
    let head = request.head;
    let asked = Asked { caller: &Caller::Trusted, users, config };
    Heard::Request {
        head: format!("{} {} {} {:?} {:?}", head.method, head.target, head.path, head.query, head.fields),
        body: request.body.to_vec(),
        asks: match rest::read(request, asked) {
            Ok(action) => format!("{action:?}"),
            Err(error) => error.to_string(),
        },
    }
}

/// The messages, pings and faults in a stream of SIP that comes in these pieces, and how many bytes are kept at its end.
pub fn sip_stream<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, usize) {
    let (mut framer, mut all) = (Framer::default(), Vec::new());
    for piece in pieces {
        framer.take(piece, MOST_SIP, |piece| {
            all.push(match piece {
                Piece::Message(bytes) => bytes.to_vec(),
                Piece::Ping => b"\r\n\r\n".to_vec(),
                Piece::Endless { head, why } => [head, why.to_string().as_bytes()].concat(),
            });
        });
    }
    (all, framer.held())
}

/// The value of one parameter in each of the challenges or credentials of a header field; `None` if it cannot be read.
pub fn authentication(value: &str, parameter: &str) -> Option<Vec<Option<String>>> {
    let all = Parameters::read_all(value).ok()?;
    Some(all.iter().map(|one| one.get(parameter).map(str::to_owned)).collect())
}

/// The header line that answers a SIP server's challenge to INVITE sip:a@b with these credentials; `None` if none does.
pub fn answer_challenge(challenge: &str, credentials: &SipCredentials) -> Option<Vec<u8>> {
    let (mut session, mut attempts) = (Session::default(), Attempts::default());
    let mut random = Random::new(&SEED, Consumer::Calls);
    let values = [challenge].into_iter();
    session.take(Challenger::Proxy, values, Some(credentials), &mut attempts, &mut random).ok()?;
    let (mut line, request) = (Vec::new(), ("INVITE", "sip:a@b", &b"v=0\r\n"[..]));
    session.write(request, Some(credentials), &mut attempts, &mut random, &mut line);
    Some(line)
}

/// Who somebody is that sends this `Authorization` with GET /calls over TLS, where Basic is taken; or the challenges
/// that answer it.
pub fn log_in(authorization: &str, users: &Directory, realm: &str) -> Result<String, Vec<String>> {
    use crate::auth::digest::Algorithm::{Md5, Sha256, Sha512_256};
    let policy = Policy {
        realm: realm.to_owned(),
        algorithms: vec![Sha256, Sha512_256, Md5],
        nonce_lifetime: Duration::from_secs(300),
        basic_over_tls: true,
    };
    let attempt = Attempt {
        method: "GET",
        target: "/calls",
        body: b"",
        authorization: Some(authorization),
        address: [127, 0, 0, 1].into(),
        listener: ListenerId(0),
        tls: true,
    };
    let mut gate = Gate::new(policy, &mut Random::new(&SEED, Consumer::Nonces), WorkerId(0));
    match gate.judge(Tick::ZERO, &attempt, users) {
        Verdict::Known(user, _) => Ok(user.to_string()),
        Verdict::Ask(challenges) | Verdict::Failed(challenges, _) => Err(challenges),
        Verdict::Wait(_) | Verdict::Unreadable => Err(Vec::new()),
    }
}

/// What the SDP functions make of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Our answer to it, if it is an offer.
    pub answer: Option<Vec<u8>>,
    /// The same under our own origin.
    pub ours: Vec<u8>,
    /// Whether both are the same but for the origin.
    pub same: bool,
}

/// Answers a description and puts it under our own origin at `host`, an IP address.
pub fn describe(description: &[u8], host: &str) -> Described {
    let origin = Origin { session: 7, version: 2 };
    let mut answer = Vec::new();
    let answered = sdp::write_answer(&mut answer, description, host, origin);
    let ours = sdp::with_origin(description, host, origin);
    let same = sdp::is_same_but_origin(description, &ours);
    Described { answer: answered.map(|()| answer), ours, same }
}
