//! The parameters of POST (SPEC 1), from the query and from a form body.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Error;
use crate::call::order::{Answering, Forwarding};
use crate::http::form::pairs;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Place a call.
    Call,
    /// Connect a call to this target.
    Transfer(String),
}

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Hand over and leave.
    Refer,
    /// Stay in the path.
    Invite,
}

/// The parameters, with `None` where a default of the configuration applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) method: Method,
    pub(super) doing: Doing,
    pub(super) timeout: Option<Duration>,
    pub(super) agent: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) forwarding: Forwarding,
    pub(super) cache_time: Option<Duration>,
    pub(super) answering: Answering,
    pub(super) confpin: Option<String>,
    /// Names that mean nothing here, in their order.
    pub(super) ignored: Vec<String>,
}

const NAMES: [&str; 10] = [
    "sipMethod",
    "action",
    "target",
    "timeout",
    "agent",
    "subject",
    "isForwardingAllowed",
    "resultCacheTime",
    "autoAnswer",
    "confpin",
];

const MAX_SUBJECT: usize = 256;
const MAX_CONFPIN: usize = 32;

/// The values by name, each there once.
#[derive(Default)]
struct Given<'a> {
    values: [Option<Cow<'a, str>>; NAMES.len()],
    ignored: Vec<String>,
}

impl<'a> Given<'a> {
    fn read(query: &'a str, form: &'a [u8]) -> Result<Self, Error> {
        let mut given = Self::default();
        for pair in pairs(query.as_bytes()).chain(pairs(form)) {
            let (name, value) = pair.map_err(|fault| Error::BadEncoding("a parameter", fault))?;
            let Some(place) = NAMES.iter().position(|known| *known == name) else {
                given.ignore(&name);
                continue;
            };
            let Some(slot) = given.values.get_mut(place) else { continue };
            if slot.is_some() {
                return Err(Error::Twice(name.into_owned()));
            }
            *slot = Some(value);
        }
        Ok(given)
    }

    /// Notes a name for the answer's header field: short, and with nothing in it that could mean something there.
    fn ignore(&mut self, name: &str) {
        if self.ignored.len() >= 16 {
            return;
        }
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_graphic() && c != ',' && c != '"' { c } else { '?' })
            .take(40)
            .collect();
        if !self.ignored.contains(&name) {
            self.ignored.push(name);
        }
    }

    /// The value of a parameter; empty ones are refused.
    fn take(&mut self, name: &'static str) -> Result<Option<Cow<'a, str>>, Error> {
        let place = NAMES.iter().position(|known| *known == name);
        let value = place.and_then(|place| self.values.get_mut(place)).and_then(Option::take);
        match value {
            Some(value) if value.is_empty() => Err(Error::BadParameter(name, "is empty".to_owned())),
            value => Ok(value),
        }
    }

    fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        let found = choices.iter().find(|(text, _)| text.eq_ignore_ascii_case(&value));
        let names: Vec<&str> = choices.iter().map(|(text, _)| *text).collect();
        let found = found.ok_or_else(|| Error::BadParameter(name, format!("must be {}", names.join(" or "))))?;
        Ok(Some(found.1))
    }

    fn seconds(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Result<Option<Duration>, Error> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse::<u64>().ok().filter(|seconds| digits && range.contains(seconds)) {
            Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
            None => {
                let why = format!("must be a number of seconds from {} to {}", range.start(), range.end());
                Err(Error::BadParameter(name, why))
            }
        }
    }

    fn subject(&mut self) -> Result<Option<String>, Error> {
        let Some(value) = self.take("subject")? else { return Ok(None) };
        if value.len() > MAX_SUBJECT {
            return Err(Error::BadParameter("subject", format!("is longer than {MAX_SUBJECT} bytes")));
        }
        if value.chars().any(char::is_control) {
            return Err(Error::BadParameter("subject", "has control characters in it".to_owned()));
        }
        Ok(Some(value.into_owned()))
    }

    fn confpin(&mut self) -> Result<Option<String>, Error> {
        let Some(value) = self.take("confpin")? else { return Ok(None) };
        if value.len() > MAX_CONFPIN || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::BadParameter("confpin", format!("must be 1 to {MAX_CONFPIN} digits")));
        }
        Ok(Some(value.into_owned()))
    }
}

const BOOLEANS: [(&str, bool); 2] = [("true", true), ("false", false)];

impl Parameters {
    /// Reads the parameters of a POST.
    pub(super) fn read(query: &str, form: &[u8]) -> Result<Self, Error> {
        let mut given = Given::read(query, form)?;
        let method = given.choice("sipMethod", &[("REFER", Method::Refer), ("INVITE", Method::Invite)])?;
        let transfers = given.choice("action", &[("call", false), ("transfer", true)])?.unwrap_or(false);
        let target = given.take("target")?;
        let doing = match (transfers, target) {
            (true, Some(target)) => Doing::Transfer(target.into_owned()),
            (true, None) => return Err(Error::BadParameter("target", "is needed with action=transfer".to_owned())),
            (false, Some(_)) => {
                given.ignore("target");
                Doing::Call
            }
            (false, None) => Doing::Call,
        };
        let forwarded = given.choice("isForwardingAllowed", &BOOLEANS)?.unwrap_or(false);
        let automatic = given.choice("autoAnswer", &BOOLEANS)?.unwrap_or(false);
        Ok(Self {
            method: method.unwrap_or(Method::Refer),
            doing,
            timeout: given.seconds("timeout", 1..=3600)?,
            agent: given.take("agent")?.map(Cow::into_owned),
            subject: given.subject()?,
            forwarding: if forwarded { Forwarding::Allowed } else { Forwarding::Forbidden },
            cache_time: given.seconds("resultCacheTime", 0..=86_400)?,
            answering: if automatic { Answering::Auto } else { Answering::Manual },
            confpin: given.confpin()?,
            ignored: given.ignored,
        })
    }

    /// The `agent` parameter of a GET or DELETE; all others are ignored there.
    pub(super) fn agent_only(query: &str) -> Option<String> {
        pairs(query.as_bytes()).filter_map(Result::ok).find(|(name, _)| name == "agent").map(|(_, v)| v.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Parameters, Error> {
        Parameters::read(query, b"")
    }

    fn error(query: &str) -> String {
        read(query).unwrap_err().to_string()
    }

    #[test]
    fn all_parameters_are_read_and_have_defaults() {
        let none = read("").unwrap();
        assert_eq!((none.method, none.doing.clone(), none.timeout), (Method::Refer, Doing::Call, None));
        assert_eq!((none.forwarding, none.answering), (Forwarding::Forbidden, Answering::Manual));
        let all = read("sipMethod=invite&action=CALL&timeout=3600&agent=a&subject=H%C3%B6r+mal&isForwardingAllowed=TRUE&resultCacheTime=0&autoAnswer=true&confpin=0042").unwrap();
        assert_eq!((all.method, all.timeout, all.cache_time), (Method::Invite, Some(Duration::from_secs(3600)), Some(Duration::ZERO)));
        assert_eq!((all.subject.as_deref(), all.confpin.as_deref(), all.agent.as_deref()), (Some("Hör mal"), Some("0042"), Some("a")));
        assert_eq!((all.forwarding, all.answering), (Forwarding::Allowed, Answering::Auto));
        assert_eq!(read("action=transfer&target=user3").unwrap().doing, Doing::Transfer("user3".into()));
        assert_eq!(Parameters::read("timeout=5", b"subject=x").unwrap().subject.as_deref(), Some("x"));
    }

    #[test]
    fn a_bad_value_names_its_parameter() {
        for (query, parameter) in [
            ("sipMethod=BYE", "sipMethod"),
            ("sipMethod=", "sipMethod"),
            ("action=dial", "action"),
            ("action=transfer", "target"),
            ("timeout=0", "timeout"),
            ("timeout=3601", "timeout"),
            ("timeout=+5", "timeout"),
            ("timeout=5s", "timeout"),
            ("timeout=99999999999999999999", "timeout"),
            ("timeout=", "timeout"),
            ("resultCacheTime=86401", "resultCacheTime"),
            ("resultCacheTime=-1", "resultCacheTime"),
            ("isForwardingAllowed=yes", "isForwardingAllowed"),
            ("autoAnswer=1", "autoAnswer"),
            ("confpin=12a", "confpin"),
            ("confpin=", "confpin"),
            ("subject=a%0d%0aX:+y", "subject"),
            ("subject=", "subject"),
            ("agent=", "agent"),
        ] {
            assert!(error(query).contains(parameter), "{query}: {}", error(query));
        }
        assert!(error("timeout=5&timeout=5").contains("timeout is given more than once"));
        assert!(Parameters::read("timeout=5", b"timeout=6").is_err());
        assert!(error("timeout=%zz").contains('%'));
    }

    #[test]
    fn unknown_parameters_are_named_but_do_no_harm() {
        let read = read("foo=1&foo=2&b%2C%0d=x&target=y").unwrap();
        assert_eq!(read.ignored, ["foo", "b??", "target"]);
    }
}
