//! From method, path and parameters to what is asked.

use std::time::Duration;

use super::access::agent;
use super::params::{Doing, Method, Parameters};
use super::{Caller, Error};
use crate::call::order::{CallName, Party, Placing};
use crate::config::Config;
use crate::http::Request;
use crate::http::form::segment;
use crate::users::Directory;

/// What a request asks.
#[derive(Debug)]
pub(crate) enum Action {
    /// Place a call; these parameters mean nothing.
    Place(Box<Placing>, Vec<String>),
    /// Show the progress of the call of this name.
    Progress(CallName),
    /// End the call of this name.
    HangUp(CallName),
    /// Show all calls that the caller may see.
    List,
    /// Show the call with this identifier.
    ShowCall(String),
    /// End the call with this identifier.
    HangUpCall(String),
    /// Name the methods that the path takes.
    Options(&'static str),
}

/// Where a request is directed.
enum Resource<'a> {
    /// `/callcontroller/{callingUser}/{calledUser}`
    Pair(&'a str, &'a str),
    /// `/calls`
    Calls,
    /// `/calls/{id}`
    Call(&'a str),
    /// `*`: the server.
    Server,
}

impl Resource<'_> {
    fn of(path: &str) -> Result<Resource<'_>, Error> {
        if path == "*" {
            return Ok(Resource::Server);
        }
        let mut segments = path.trim_start_matches('/').split('/');
        let found = (segments.next(), segments.next(), segments.next(), segments.next());
        match found {
            (Some("callcontroller"), Some(calling), Some(called), None) => Ok(Resource::Pair(calling, called)),
            (Some("calls"), None, ..) => Ok(Resource::Calls),
            (Some("calls"), Some(id), None, _) if !id.is_empty() => Ok(Resource::Call(id)),
            _ => Err(Error::NoSuchPath),
        }
    }

    fn allow(&self) -> &'static str {
        match self {
            Resource::Pair(..) => "GET, HEAD, POST, DELETE, OPTIONS",
            Resource::Calls => "GET, HEAD, OPTIONS",
            Resource::Call(_) => "GET, HEAD, DELETE, OPTIONS",
            Resource::Server => "GET, HEAD, POST, DELETE, OPTIONS",
        }
    }
}

/// What a request is read against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Who asks.
    pub(crate) caller: &'a Caller,
    /// The users.
    pub(crate) users: &'a Directory,
    /// The configuration.
    pub(crate) config: &'a Config,
}

/// Reads what a request asks.
pub(crate) fn read(request: &Request<'_>, asked: Asked<'_>) -> Result<Action, Error> {
    let (path, query) = path_and_query(request.head.target);
    let resource = Resource::of(path)?;
    let allow = resource.allow();
    match (request.head.method, resource) {
        ("OPTIONS", _) => Ok(Action::Options(allow)),
        ("GET" | "HEAD", Resource::Pair(calling, called)) => {
            Ok(Action::Progress(asked.name(calling, called, query)?))
        }
        ("DELETE", Resource::Pair(calling, called)) => Ok(Action::HangUp(asked.name(calling, called, query)?)),
        ("POST", Resource::Pair(calling, called)) => asked.post(calling, called, query, request),
        ("GET" | "HEAD", Resource::Calls) => Ok(Action::List),
        ("GET" | "HEAD", Resource::Call(id)) => Ok(Action::ShowCall(id.to_owned())),
        ("DELETE", Resource::Call(id)) => Ok(Action::HangUpCall(id.to_owned())),
        ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "TRACE" | "CONNECT", _) => {
            Err(Error::MethodNotAllowed(allow))
        }
        _ => Err(Error::UnknownMethod),
    }
}

/// Path and query of a target in origin or absolute form.
fn path_and_query(target: &str) -> (&str, &str) {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/")
        }
        _ => target,
    };
    target.split_once('?').unwrap_or((target, ""))
}

impl Asked<'_> {
    fn party(&self, what: &'static str, name: &str) -> Result<Party, Error> {
        let domain = &self.config.sip.domain;
        // An alias stands for its user, also with our own domain behind it.
        let local = name.strip_suffix(domain.as_str()).and_then(|name| name.strip_suffix('@')).unwrap_or(name);
        let name = self.users.get_any(local).map_or(name, |user| user.name());
        Party::new(name, domain).map_err(|fault| Error::BadUser(what, fault))
    }

    /// Both users of the path, and the calling one as it was written.
    fn pair(&self, calling: &str, called: &str) -> Result<(Party, Party, String), Error> {
        let decode = |what, text| segment(text).map_err(|fault| Error::BadEncoding(what, fault));
        let written = decode("callingUser", calling)?.into_owned();
        let calling = self.party("callingUser", &written)?;
        let called = self.party("calledUser", &decode("calledUser", called)?)?;
        Ok((calling, called, written))
    }

    /// The user name of the agent: as named, else the caller itself where that is known, else the calling user.
    fn name(&self, calling: &str, called: &str, query: &str) -> Result<CallName, Error> {
        let (calling, called, written) = self.pair(calling, called)?;
        let named = match self.caller {
            Caller::Trusted => Parameters::agent_only(query),
            Caller::User(principal) => Some(principal.clone()),
        };
        let agent = match &named {
            Some(named) => self.caller.agent(self.without_domain(named), self.users)?.name(),
            // Nobody is named: a user that is not known has no calls, which is no offence.
            None => {
                let local = self.without_domain(&written);
                self.users.get_any(local).map_or(local, |user| user.name())
            }
        };
        Ok(CallName { agent: agent.into(), calling, called })
    }

    fn without_domain<'n>(&self, name: &'n str) -> &'n str {
        name.strip_suffix(self.config.sip.domain.as_str()).and_then(|name| name.strip_suffix('@')).unwrap_or(name)
    }

    fn post(&self, calling: &str, called: &str, query: &str, request: &Request<'_>) -> Result<Action, Error> {
        let (calling, called, written) = self.pair(calling, called)?;
        let parameters = Parameters::read(query, form(request)?)?;
        let named = parameters.agent.as_deref().unwrap_or(&written);
        let user = self.caller.agent(self.without_domain(named), self.users)?;
        if let Doing::Transfer(target) = &parameters.doing {
            self.party("target", target)?;
            return Err(Error::NotYet("action=transfer"));
        }
        if parameters.method == Method::Invite {
            return Err(Error::NotYet("sipMethod=INVITE"));
        }
        let or = |given: Option<Duration>, default| given.unwrap_or(default);
        let placing = Placing {
            agent: agent(user, &self.config.sip.domain)?,
            calling,
            called,
            timeout: or(parameters.timeout, self.config.calls.timeout),
            subject: parameters.subject.map(Into::into),
            forwarding: parameters.forwarding,
            cache_time: or(parameters.cache_time, self.config.calls.result_cache_time),
            answering: parameters.answering,
            confpin: parameters.confpin.map(Into::into),
        };
        Ok(Action::Place(Box::new(placing), parameters.ignored))
    }
}

/// The form in a request's body; an empty body may be of any type.
fn form<'a>(request: &Request<'a>) -> Result<&'a [u8], Error> {
    if request.body.is_empty() {
        return Ok(&[]);
    }
    let kind = request.head.get("Content-Type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(request.body)
    } else {
        Err(Error::MediaType)
    }
}
