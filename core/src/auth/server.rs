//! Who may call over HTTP (RFC 7616, RFC 7617): checks credentials, asks for them, slows down who fails.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::digest::{Algorithm, Count, Hex, Qop, Verifiers, response};
use super::header::{Parameters, push_quoted};
use super::lockout::Lockout;
use super::nonce::{Freshness, Nonces};
use crate::Tick;
use crate::io::{ListenerId, WorkerId};
use crate::random::Random;
use crate::users::{Directory, User};

/// What is asked of whoever logs in.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// The protection space.
    pub(crate) realm: String,
    /// What is offered, strongest first.
    pub(crate) algorithms: Vec<Algorithm>,
    /// How long a nonce may be used.
    pub(crate) nonce_lifetime: Duration,
    /// Whether Basic is taken over TLS.
    pub(crate) basic_over_tls: bool,
}

/// A request that somebody has to answer for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    /// The method.
    pub(crate) method: &'a str,
    /// The request target as it was sent.
    pub(crate) target: &'a str,
    /// The body.
    pub(crate) body: &'a [u8],
    /// `Authorization`, if there is one.
    pub(crate) authorization: Option<&'a str>,
    /// Where it came from.
    pub(crate) address: IpAddr,
    /// The listener that took it.
    pub(crate) listener: ListenerId,
    /// Whether it came over TLS.
    pub(crate) tls: bool,
}

/// What becomes of an attempt.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// This user it is; the text is the `Authentication-Info` of the answer, if one is due.
    Known(Arc<str>, Option<String>),
    /// Credentials are missing, wrong or stale: the values of the `WWW-Authenticate` lines.
    Ask(Vec<String>),
    /// As `Ask`, and the failure is worth a line in the log: the name that was claimed.
    Failed(Vec<String>, String),
    /// Too many failures from there: seconds to wait.
    Wait(u32),
    /// The header field cannot be read.
    Unreadable,
}

/// The gate of all listeners.
#[derive(Debug)]
pub(crate) struct Gate {
    policy: Policy,
    nonces: Nonces,
    lockout: Lockout,
    /// What an unknown user's credentials are compared with, so that it takes as long as for a known one.
    decoy: Verifiers,
}

enum Refusal {
    Failed,
    Stale,
    Unreadable,
}

struct Accepted {
    user: Arc<str>,
    info: Option<String>,
}

impl Gate {
    /// A gate of this worker; all that share the randomness take each other's nonces.
    pub(crate) fn new(policy: Policy, random: &mut Random, worker: WorkerId) -> Self {
        let nonces = Nonces::new(random, policy.nonce_lifetime, worker);
        let decoy = Verifiers::of("", &policy.realm, &format!("{:x}", random.bits()));
        Self { nonces, lockout: Lockout::new(random), decoy, policy }
    }

    /// The worker that issued the nonce of these credentials, as far as they can be read.
    pub(crate) fn issuer(authorization: &str) -> Option<WorkerId> {
        let all = Parameters::read_all(authorization).ok()?;
        Nonces::issuer(all.first()?.get("nonce")?)
    }

    /// Another worker has seen a login fail.
    pub(crate) fn failed_elsewhere(&mut self, now: Tick, address: IpAddr) {
        self.lockout.failed(now, address);
    }

    /// Judges one request.
    pub(crate) fn judge(&mut self, now: Tick, attempt: &Attempt<'_>, users: &Directory) -> Verdict {
        self.lockout.expire(now);
        let Some(value) = attempt.authorization else {
            return Verdict::Ask(self.challenges(now, attempt, false));
        };
        if let Some(wait) = self.lockout.wait(now, attempt.address) {
            return Verdict::Wait(wait.as_secs_f64().ceil() as u32);
        }
        let scheme = value.split([' ', '\t']).next().unwrap_or_default();
        let result = if scheme.eq_ignore_ascii_case("Digest") {
            self.digest(now, attempt, value, users)
        } else if scheme.eq_ignore_ascii_case("Basic") && self.policy.basic_over_tls && attempt.tls {
            self.basic(value, users)
        } else {
            // A scheme that was never offered is no guess at a secret.
            return Verdict::Ask(self.challenges(now, attempt, false));
        };
        match result {
            Ok(accepted) => Verdict::Known(accepted.user, accepted.info),
            Err(Refusal::Stale) => Verdict::Ask(self.challenges(now, attempt, true)),
            Err(Refusal::Unreadable) => Verdict::Unreadable,
            Err(Refusal::Failed) => {
                self.lockout.failed(now, attempt.address);
                Verdict::Failed(self.challenges(now, attempt, false), claimed_name(value, users))
            }
        }
    }

    /// Forgets what is too old to matter.
    pub(crate) fn expire(&mut self, now: Tick) {
        self.lockout.expire(now);
        self.nonces.expire(now);
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn next(&self) -> Option<Tick> {
        [self.lockout.next(), self.nonces.next()].into_iter().flatten().min()
    }

    /// How many addresses and used nonces are remembered.
    pub(crate) fn count(&self) -> usize {
        self.lockout.len() + self.nonces.len()
    }

    fn challenges(&mut self, now: Tick, attempt: &Attempt<'_>, stale: bool) -> Vec<String> {
        let nonce = self.nonces.issue(now, attempt.listener);
        let realm = quoted(&self.policy.realm);
        let stale = if stale { ", stale=true" } else { "" };
        let digest = |algorithm: &Algorithm| {
            format!(
                "Digest realm={realm}, nonce=\"{nonce}\", algorithm={}, qop=\"auth, auth-int\", charset=UTF-8, userhash=true{stale}",
                algorithm.name()
            )
        };
        let mut all: Vec<String> = self.policy.algorithms.iter().map(digest).collect();
        if self.policy.basic_over_tls && attempt.tls {
            all.push(format!("Basic realm={realm}, charset=\"UTF-8\""));
        }
        all
    }

    fn basic(&self, value: &str, users: &Directory) -> Result<Accepted, Refusal> {
        let token = value.get(5..).unwrap_or_default().trim();
        let bytes = BASE64_STANDARD.decode(token).map_err(|_| Refusal::Unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| Refusal::Unreadable)?;
        let (name, pin) = text.split_once(':').ok_or(Refusal::Unreadable)?;
        let user = users.get(name);
        let algorithm = Algorithm::Sha256;
        let stored = user.map_or(&self.decoy, User::pin);
        let claimed =
            stored.get(algorithm).map(|ha1| algorithm.ha1(name, &self.policy.realm, pin) == *ha1).or_else(
                || Some(Algorithm::Md5.ha1(name, &self.policy.realm, pin) == *stored.get(Algorithm::Md5)?),
            );
        match user {
            Some(user) if claimed == Some(true) => Ok(Accepted { user: user.agent(), info: None }),
            _ => Err(Refusal::Failed),
        }
    }

    fn digest(
        &mut self,
        now: Tick,
        attempt: &Attempt<'_>,
        value: &str,
        users: &Directory,
    ) -> Result<Accepted, Refusal> {
        let all = Parameters::read_all(value).map_err(|_| Refusal::Unreadable)?;
        let [credentials] = all.as_slice() else { return Err(Refusal::Unreadable) };
        let claim = Claim::read(credentials).ok_or(Refusal::Unreadable)?;
        if !self.policy.algorithms.contains(&claim.algorithm) || claim.realm != self.policy.realm {
            return Err(Refusal::Failed);
        }
        // A URI that is not the request's is a replay against another resource (RFC 7616 §3.4.6).
        if !same_target(claim.uri, attempt.target) {
            return Err(Refusal::Unreadable);
        }
        let (nonce, freshness) = self.nonces.check(now, attempt.listener, claim.nonce);
        let user = claim.user(users);
        let stored = user.map_or(&self.decoy, User::pin).get(claim.algorithm);
        let request = (attempt.method, claim.uri, attempt.body);
        let expected = stored.map(|ha1| response(claim.algorithm, ha1, claim.nonce, claim.count, request));
        let right = expected.is_some_and(|expected| expected == claim.response);
        let (Some(user), true) = (user, right) else {
            // Whoever does not know the secret learns nothing from how old the nonce is.
            return Err(Refusal::Failed);
        };
        let (Some(nonce), Freshness::Fresh { ageing }) = (nonce, freshness) else {
            return Err(Refusal::Stale);
        };
        if !self.nonces.take(now, nonce, claim.number) {
            return Err(Refusal::Stale);
        }
        let info = self.info(now, attempt, &claim, user, ageing);
        Ok(Accepted { user: user.agent(), info })
    }

    /// `Authentication-Info` (RFC 7616 §3.5); its `rspauth` never covers a body, which is not written yet.
    fn info(
        &mut self,
        now: Tick,
        attempt: &Attempt<'_>,
        claim: &Claim<'_>,
        user: &User,
        ageing: bool,
    ) -> Option<String> {
        let ha1 = user.pin().get(claim.algorithm)?;
        let next = ageing.then(|| self.nonces.issue(now, attempt.listener));
        let Some(count) = claim.count else {
            return next.map(|next| format!("nextnonce=\"{next}\""));
        };
        let covered = Count { qop: Qop::Auth, ..count };
        let rspauth = response(claim.algorithm, ha1, claim.nonce, Some(covered), ("", claim.uri, b""));
        let mut info = Vec::with_capacity(256);
        info.extend_from_slice(b"qop=auth, rspauth=");
        push_quoted(&mut info, rspauth.as_str());
        info.extend_from_slice(b", cnonce=");
        push_quoted(&mut info, count.cnonce);
        info.extend_from_slice(b", nc=");
        info.extend_from_slice(count.nc.as_bytes());
        if let Some(next) = next {
            info.extend_from_slice(b", nextnonce=");
            push_quoted(&mut info, &next);
        }
        String::from_utf8(info).ok()
    }
}

/// The credentials that a client claims.
struct Claim<'a> {
    algorithm: Algorithm,
    username: Username<'a>,
    realm: &'a str,
    nonce: &'a str,
    uri: &'a str,
    response: Hex,
    count: Option<Count<'a>>,
    number: Option<u32>,
}

enum Username<'a> {
    Plain(std::borrow::Cow<'a, str>),
    Hashed(&'a str),
}

impl<'a> Claim<'a> {
    fn read(parameters: &'a Parameters<'_>) -> Option<Self> {
        let get = |name| parameters.get(name);
        let algorithm = Algorithm::of(get("algorithm").unwrap_or("MD5"))?;
        let hashed = get("userhash").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let username = match (get("username"), get("username*")) {
            (Some(name), None) if hashed => Username::Hashed(name),
            (Some(name), None) => Username::Plain(name.into()),
            (None, Some(extended)) if !hashed => Username::Plain(extended_value(extended)?.into()),
            _ => return None,
        };
        let count = match get("qop") {
            Some(qop) => Some(Count { qop: Qop::of(qop)?, nc: get("nc")?, cnonce: get("cnonce")? }),
            None => None,
        };
        let number = match count {
            Some(Count { nc, .. }) if nc.len() == 8 => Some(u32::from_str_radix(nc, 16).ok()?),
            Some(_) => return None,
            None => None,
        };
        Some(Self {
            algorithm,
            username,
            realm: get("realm")?,
            nonce: get("nonce")?,
            uri: get("uri")?,
            response: Hex::parse(algorithm, get("response")?)?,
            count,
            number,
        })
    }

    fn user<'u>(&self, users: &'u Directory) -> Option<&'u User> {
        match &self.username {
            Username::Plain(name) => users.get(name),
            Username::Hashed(hash) => users.by_hash(self.algorithm, hash),
        }
    }
}

/// `UTF-8''%41…` (RFC 5987 §3.2).
fn extended_value(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, text) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("UTF-8") {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte == b'%' {
            let hex = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = behind.get(2..)?;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether both name the same resource: one may be in absolute form.
fn same_target(claimed: &str, target: &str) -> bool {
    fn origin(target: &str) -> &str {
        let Some((scheme, rest)) = target.split_once("://") else { return target };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return target;
        }
        rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/")
    }
    claimed == target || origin(claimed) == origin(target)
}

fn quoted(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len() + 2);
    push_quoted(&mut out, value);
    String::from_utf8(out).unwrap_or_default()
}

/// The user name that a failed login claimed, fit for a log line: printable, short, without quotes.
///
/// A hashed name is resolved where it is a user's, for an operator can do nothing with a hash.
fn claimed_name(value: &str, users: &Directory) -> String {
    let all = Parameters::read_all(value).unwrap_or_default();
    let get = |name| all.first().and_then(|parameters: &Parameters<'_>| parameters.get(name));
    let hashed = get("userhash").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let name = match get("username").or_else(|| get("username*")).unwrap_or("-") {
        hash if hashed => {
            let algorithm = get("algorithm").and_then(Algorithm::of);
            algorithm.and_then(|algorithm| users.by_hash(algorithm, hash)).map_or("-", User::name)
        }
        name => name,
    };
    name.chars().map(|c| if c.is_control() || c == '"' || c == '\\' { '?' } else { c }).take(64).collect()
}

#[cfg(test)]
mod tests;
