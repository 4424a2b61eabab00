//! The HTTP paths: what a request asks of the calls, and how their answer reads.
//!
//! [`read`] makes an [`Action`] of a request. The controller lets the calls carry it out, and [`Show`] makes
//! an [`Answer`] of what came of it. Neither side of that keeps any state.

mod accept;
mod access;
mod answer;
mod error;
mod json;
mod names;
mod parameters;
mod route;
#[cfg(test)]
mod sample;
mod xml;

use std::borrow::Cow;

pub(crate) use accept::Format;
pub(crate) use access::Caller;
pub(crate) use answer::{Answer, Listed, Show};
pub(crate) use error::Error;
pub(crate) use parameters::Ignored;

use crate::call::order::{CallName, Connecting, Party, Placing};
use crate::config::Config;
use crate::http::Request;
use crate::ident::Ident;
use crate::users::Directory;
use names::Names;
use parameters::{Doing, Parameters, SipMethod};
use route::{Resource, Verb, route};

/// What a request asks.
#[derive(Debug)]
pub(crate) enum Action {
    /// Place a call; these parameters mean nothing.
    Place(Box<Placing>, Ignored),
    /// Transfer the call of this name; these parameters mean nothing.
    Transfer(CallName, Box<Placing>, Ignored),
    /// Show the progress of the call of this name.
    Progress(CallName),
    /// End the call of this name.
    HangUp(CallName),
    /// Show all calls that the caller may see.
    List,
    /// Show the call with this identifier, if the caller may see it.
    ShowCall(Ident),
    /// End the call with this identifier, if the caller may see it.
    HangUpCall(Ident),
    /// Name the methods that the path takes.
    Options(&'static str),
}

/// What a request is read against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Who asks.
    pub(crate) caller: &'a Caller,
    /// The users.
    pub(crate) users: &'a Directory,
    /// Domain and defaults.
    pub(crate) config: &'a Config,
}

/// Whether a request, if it is sound, can be nothing but an order for a new call: a transfer says so.
pub(crate) fn only_places(request: &Request<'_>) -> bool {
    let orders =
        matches!(route(request.head.method, request.head.path), Ok(route) if route.verb == Verb::Post);
    orders && request.body.is_empty() && !request.head.query.is_some_and(|query| query.contains("action"))
}

/// Reads what a request asks.
pub(crate) fn read(request: &Request<'_>, asked: Asked<'_>) -> Result<Action, Error> {
    let route = route(request.head.method, request.head.path)?;
    let query = request.head.query.unwrap_or_default();
    match (route.verb, route.resource) {
        (Verb::Options, resource) => Ok(Action::Options(resource.allow())),
        (Verb::Post, Resource::Pair { calling, called }) => {
            asked.place(Pair::read(calling, called, asked.names())?, query, form(request)?)
        }
        (Verb::Get, Resource::Pair { calling, called }) => {
            asked.name(Pair::read(calling, called, asked.names())?, query).map(Action::Progress)
        }
        (Verb::Delete, Resource::Pair { calling, called }) => {
            asked.name(Pair::read(calling, called, asked.names())?, query).map(Action::HangUp)
        }
        (Verb::Get, Resource::Calls) => Ok(Action::List),
        (Verb::Get, Resource::Call(id)) => Ident::parse(id).map(Action::ShowCall).ok_or(Error::NoSuchCall),
        (Verb::Delete, Resource::Call(id)) => {
            Ident::parse(id).map(Action::HangUpCall).ok_or(Error::NoSuchCall)
        }
        (_, resource) => Err(Error::MethodNotAllowed(resource.allow())),
    }
}

/// Both users of the path, and the calling one as it was written.
struct Pair<'a> {
    written: Cow<'a, str>,
    calling: Party,
    called: Party,
}

impl<'a> Pair<'a> {
    fn read(calling: &'a str, called: &'a str, names: Names<'_>) -> Result<Self, Error> {
        let written = Names::decode("callingUser", calling)?;
        let calling = names.party("callingUser", &written)?;
        let called = names.party("calledUser", &Names::decode("calledUser", called)?)?;
        Ok(Self { written, calling, called })
    }
}

impl<'a> Asked<'a> {
    fn names(&self) -> Names<'a> {
        Names { directory: self.users, domain: &self.config.sip.domain }
    }

    fn name(&self, pair: Pair<'_>, query: &str) -> Result<CallName, Error> {
        let named = match self.caller {
            Caller::Trusted => parameters::agent(query)?,
            Caller::User(_) => None,
        };
        let agent = self.caller.asking(named.as_deref(), &pair.calling, self.names())?;
        Ok(CallName { agent, calling: pair.calling, called: pair.called })
    }

    fn place(&self, pair: Pair<'_>, query: &str, form: &[u8]) -> Result<Action, Error> {
        let parameters = Parameters::read(query, form)?;
        let target = match &parameters.doing {
            Doing::Call => None,
            Doing::Transfer(target) => Some(self.names().party("target", target)?),
        };
        if target.as_ref() == Some(&pair.called) {
            return Err(Error::BadParameter { name: "target", why: "is the called party itself" });
        }
        let calling = (&*pair.written, &pair.calling);
        let agent = self.caller.placing(parameters.agent.as_deref(), calling, self.names())?;
        let defaults = &self.config.calls;
        let mut placing = Placing {
            connecting: match parameters.method {
                SipMethod::Refer => Connecting::Refer,
                SipMethod::Invite => Connecting::Invite,
            },
            agent,
            calling: pair.calling,
            called: pair.called,
            timeout: parameters.timeout.unwrap_or(defaults.timeout),
            subject: parameters.subject,
            forwarding: parameters.forwarding,
            cache_time: parameters.cache_time.unwrap_or(defaults.result_cache_time),
            answering: parameters.answering,
            confpin: parameters.confpin,
        };
        Ok(match target {
            None => Action::Place(Box::new(placing), parameters.ignored),
            Some(target) => {
                let name = placing.name();
                placing.calling = target;
                Action::Transfer(name, Box::new(placing), parameters.ignored)
            }
        })
    }
}

/// The form in the body; an empty body may be of any type.
fn form<'a>(request: &Request<'a>) -> Result<&'a [u8], Error> {
    let media_type =
        request.head.get("Content-Type").unwrap_or_default().split(';').next().unwrap_or_default();
    let is_form = media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded");
    if is_form || request.body.is_empty() { Ok(request.body) } else { Err(Error::MediaType) }
}

#[cfg(test)]
mod tests;
