//! The parameters of POST, from the query and from a form in the body; and the one of GET and DELETE.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::Error;
use crate::call::order::{Answering, Forwarding};
use crate::http::form::pairs;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing<'a> {
    /// Place a call.
    Call,
    /// Connect the ongoing call to this target.
    Transfer(Cow<'a, str>),
}

/// How the parties are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SipMethod {
    /// Hand over and leave.
    Refer,
    /// Stay in the path.
    Invite,
}

/// The parameters of POST; `None` where a default applies that is not the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameters<'a> {
    pub(super) method: SipMethod,
    pub(super) doing: Doing<'a>,
    pub(super) timeout: Option<Duration>,
    pub(super) agent: Option<Cow<'a, str>>,
    pub(super) subject: Option<Box<str>>,
    pub(super) forwarding: Forwarding,
    pub(super) cache_time: Option<Duration>,
    pub(super) answering: Answering,
    pub(super) confpin: Option<Box<str>>,
    /// What was given and means nothing here.
    pub(super) ignored: Ignored,
}

/// Names of parameters that mean nothing here, fit for a header field and a log line: a few, short, of
/// harmless characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ignored {
    names: String,
    count: usize,
}

const MAX_IGNORED: usize = 16;
const MAX_IGNORED_NAME: usize = 40;
/// In bytes of UTF-8: what fits an INVITE in one datagram.
const MAX_SUBJECT: usize = 256;
const MAX_CONFPIN: usize = 32;

impl Ignored {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, name: &str) {
        if self.count > MAX_IGNORED {
            return;
        }
        let name: String = match name {
            _ if self.count == MAX_IGNORED => "...".to_owned(),
            "" => "_".to_owned(),
            name => name.chars().take(MAX_IGNORED_NAME).map(harmless).collect(),
        };
        if self.names.split(", ").any(|known| known == name) {
            return;
        }
        if !self.is_empty() {
            self.names.push_str(", ");
        }
        self.names.push_str(&name);
        self.count += 1;
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names)
    }
}

/// What may stand in a token (RFC 9110 §5.6.2) and cannot be taken for a separator by anybody; `_` for the
/// rest.
fn harmless(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '*' | '+') { c } else { '_' }
}

/// The values of the known parameters.
#[derive(Default)]
struct Given<'a> {
    sip_method: Option<Cow<'a, str>>,
    action: Option<Cow<'a, str>>,
    target: Option<Cow<'a, str>>,
    timeout: Option<Cow<'a, str>>,
    agent: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    forwarding: Option<Cow<'a, str>>,
    cache_time: Option<Cow<'a, str>>,
    auto_answer: Option<Cow<'a, str>>,
    confpin: Option<Cow<'a, str>>,
    ignored: Ignored,
}

impl<'a> Given<'a> {
    fn slot(&mut self, name: &str) -> Option<(&'static str, &mut Option<Cow<'a, str>>)> {
        Some(match name {
            "sipMethod" => ("sipMethod", &mut self.sip_method),
            "action" => ("action", &mut self.action),
            "target" => ("target", &mut self.target),
            "timeout" => ("timeout", &mut self.timeout),
            "agent" => ("agent", &mut self.agent),
            "subject" => ("subject", &mut self.subject),
            "isForwardingAllowed" => ("isForwardingAllowed", &mut self.forwarding),
            "resultCacheTime" => ("resultCacheTime", &mut self.cache_time),
            "autoAnswer" => ("autoAnswer", &mut self.auto_answer),
            "confpin" => ("confpin", &mut self.confpin),
            _ => return None,
        })
    }

    /// Adds the pairs of the query or of the body.
    fn read(&mut self, what: &'static str, encoded: &'a [u8]) -> Result<(), Error> {
        for pair in pairs(encoded) {
            let (name, value) = pair.map_err(|fault| Error::BadEncoding { what, fault })?;
            let Some((name, slot)) = self.slot(&name) else {
                self.ignored.add(&name);
                continue;
            };
            if slot.is_some() {
                return Err(Error::Twice(name));
            }
            *slot = Some(not_empty(name, value)?);
        }
        Ok(())
    }
}

impl<'a> Parameters<'a> {
    /// Reads the parameters of POST.
    pub(super) fn read(query: &'a str, form: &'a [u8]) -> Result<Self, Error> {
        let mut given = Given::default();
        given.read("the query", query.as_bytes())?;
        given.read("the body", form)?;
        let doing = doing(given.action.as_deref(), given.target.take(), &mut given.ignored)?;
        Ok(Self {
            method: sip_method(given.sip_method.as_deref())?,
            doing,
            timeout: seconds("timeout", TIMEOUT, given.timeout.as_deref())?,
            agent: given.agent,
            subject: given.subject.as_deref().map(subject).transpose()?,
            forwarding: match flag("isForwardingAllowed", given.forwarding.as_deref())? {
                true => Forwarding::Allowed,
                false => Forwarding::Forbidden,
            },
            cache_time: seconds("resultCacheTime", CACHE_TIME, given.cache_time.as_deref())?,
            answering: match flag("autoAnswer", given.auto_answer.as_deref())? {
                true => Answering::Auto,
                false => Answering::Manual,
            },
            confpin: given.confpin.as_deref().map(confpin).transpose()?,
            ignored: given.ignored,
        })
    }
}

/// The `agent` in the query of GET and DELETE. All else that stands there is ignored, readable or not.
pub(super) fn agent(query: &str) -> Result<Option<Cow<'_, str>>, Error> {
    let mut agents = pairs(query.as_bytes()).flatten().filter(|(name, _)| name == "agent");
    let first = agents.next().map(|(_, value)| not_empty("agent", value)).transpose()?;
    if agents.next().is_some() { Err(Error::Twice("agent")) } else { Ok(first) }
}

fn not_empty<'a>(name: &'static str, value: Cow<'a, str>) -> Result<Cow<'a, str>, Error> {
    if value.trim().is_empty() { Err(Error::BadParameter { name, why: "is empty" }) } else { Ok(value) }
}

fn sip_method(value: Option<&str>) -> Result<SipMethod, Error> {
    match value {
        None => Ok(SipMethod::Refer),
        Some(value) if value.eq_ignore_ascii_case("REFER") => Ok(SipMethod::Refer),
        Some(value) if value.eq_ignore_ascii_case("INVITE") => Ok(SipMethod::Invite),
        Some(_) => Err(Error::BadParameter { name: "sipMethod", why: "must be REFER or INVITE" }),
    }
}

fn doing<'a>(
    action: Option<&str>,
    target: Option<Cow<'a, str>>,
    ignored: &mut Ignored,
) -> Result<Doing<'a>, Error> {
    match action {
        Some(action) if action.eq_ignore_ascii_case("transfer") => {
            target.map(Doing::Transfer).ok_or(Error::Missing("target"))
        }
        Some(action) if !action.eq_ignore_ascii_case("call") => {
            Err(Error::BadParameter { name: "action", why: "must be call or transfer" })
        }
        _ => {
            if target.is_some() {
                ignored.add("target");
            }
            Ok(Doing::Call)
        }
    }
}

/// A range of seconds and how it is told.
type Seconds = (RangeInclusive<u64>, &'static str);
const TIMEOUT: Seconds = (1..=3600, "must be a whole number of seconds from 1 to 3600");
const CACHE_TIME: Seconds = (0..=86_400, "must be a whole number of seconds from 0 to 86400");

fn seconds(
    name: &'static str,
    (range, why): Seconds,
    value: Option<&str>,
) -> Result<Option<Duration>, Error> {
    let Some(value) = value else { return Ok(None) };
    // `parse` would also take a sign.
    let number = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten();
    match number.filter(|number| range.contains(number)) {
        Some(number) => Ok(Some(Duration::from_secs(number))),
        None => Err(Error::BadParameter { name, why }),
    }
}

fn flag(name: &'static str, value: Option<&str>) -> Result<bool, Error> {
    match value {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(Error::BadParameter { name, why: "must be true or false" }),
    }
}

fn subject(value: &str) -> Result<Box<str>, Error> {
    let refuse = |why| Err(Error::BadParameter { name: "subject", why });
    // What ends a line would begin a header field of the client's own making.
    if value.chars().any(char::is_control) {
        return refuse("must not have line ends or other control characters in it");
    }
    let value = value.trim();
    if value.len() > MAX_SUBJECT {
        return refuse("must not be longer than 256 bytes");
    }
    Ok(value.into())
}

fn confpin(value: &str) -> Result<Box<str>, Error> {
    if value.len() <= MAX_CONFPIN && value.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(value.into())
    } else {
        Err(Error::BadParameter { name: "confpin", why: "must be 1 to 32 digits" })
    }
}

#[cfg(test)]
mod tests;
