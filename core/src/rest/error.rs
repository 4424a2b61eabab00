//! Every error of the interface, with its status, its text and its header fields in one place.

use thiserror::Error;

use crate::call::order::{PartyFault, Refusal};
use crate::http::Header;
use crate::http::form::FormFault;

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Error {
    /// A parameter's value cannot be used.
    #[error("parameter {name}: {why}")]
    BadParameter {
        /// Which.
        name: &'static str,
        /// What is allowed.
        why: &'static str,
    },
    /// A parameter must be there.
    #[error("parameter {0} is missing: action=transfer needs it")]
    Missing(&'static str),
    /// A parameter was given twice, in the query, the body or both.
    #[error("parameter {0} is given twice")]
    Twice(&'static str),
    /// A text of the path or of a parameter names nobody who could be called.
    #[error("{what} {fault}")]
    BadUser {
        /// The path's part or the parameter.
        what: &'static str,
        /// What is wrong.
        fault: PartyFault,
    },
    /// An encoded text cannot be decoded.
    #[error("{what} cannot be decoded: {fault}")]
    BadEncoding {
        /// The path's part, the query or the body.
        what: &'static str,
        /// What is wrong.
        fault: FormFault,
    },
    /// Nobody has logged in yet, or with wrong credentials: the challenges.
    #[error("log in with a user name and its PIN")]
    NotLoggedIn(Vec<String>),
    /// The credentials make no sense.
    #[error("the Authorization field cannot be read, or was made for another request target")]
    BadAuthorization,
    /// A trusted host named an agent that is not in the directory.
    #[error("there is no user {0} who could be the agent")]
    UnknownAgent(String),
    /// The principal is not the agent, nor may it act for it.
    #[error("{principal} may not act as agent {agent}")]
    NotYourAgent {
        /// Who has logged in.
        principal: String,
        /// The agent, as the request named it.
        agent: String,
    },
    /// There is no such path.
    #[error("there is nothing at this path")]
    NoSuchPath,
    /// There is no such call.
    #[error("there is no such call")]
    NoSuchCall,
    /// The path does not take this method, but these.
    #[error("this path takes only {0}")]
    MethodNotAllowed(&'static str),
    /// The body is of a type that cannot be read.
    #[error("a body must be of type application/x-www-form-urlencoded")]
    MediaType,
    /// Too many logins from there have failed: seconds to wait.
    #[error("too many logins from this address have failed: wait {0} s")]
    TooManyFailures(u32),
    /// Nobody knows this method.
    #[error("this method is not known here")]
    UnknownMethod,
    /// The calls did not take the order.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The request was refused before anybody looked at what it asks.
    #[error(transparent)]
    Http(#[from] crate::http::Refusal),
    /// No more connections are taken.
    #[error("too many connections are open")]
    TooManyConnections,
    /// There is more to do than can be done.
    #[error("there is more to do than can be done: no new call is taken at this moment")]
    Overloaded,
}

/// Seconds after which it is worth asking again when a limit was met.
const RETRY_AFTER_LIMIT: u32 = 5;
/// Seconds after which a burst may be over.
const RETRY_AFTER_OVERLOAD: u32 = 1;
/// Seconds after which a service that is shutting down may be back.
const RETRY_AFTER_DRAIN: u32 = 30;

impl Error {
    /// The HTTP status (RFC 9110 §15.5, §15.6).
    pub(crate) fn status(&self) -> u16 {
        match self {
            Error::BadParameter { .. } | Error::Missing(_) | Error::Twice(_) => 400,
            Error::BadUser { .. } | Error::BadEncoding { .. } | Error::BadAuthorization => 400,
            Error::NotLoggedIn(_) => 401,
            Error::UnknownAgent(_) | Error::NotYourAgent { .. } => 403,
            Error::NoSuchPath | Error::NoSuchCall => 404,
            Error::MethodNotAllowed(_) => 405,
            Error::Refused(Refusal::NoSuchCall) => 404,
            Error::Refused(Refusal::InProgress | Refusal::NotTransferable(_)) => 409,
            Error::MediaType => 415,
            Error::TooManyFailures(_) => 429,
            Error::UnknownMethod => 501,
            Error::Refused(Refusal::TooMany | Refusal::Draining | Refusal::NoTransport) => 503,
            Error::TooManyConnections | Error::Overloaded => 503,
            Error::Http(refusal) => refusal.status(),
        }
    }

    /// Appends the header fields that go with the status.
    pub(super) fn headers(&self, headers: &mut impl Extend<Header>) {
        match self {
            Error::NotLoggedIn(challenges) => {
                headers.extend(
                    challenges.iter().map(|challenge| ("WWW-Authenticate", challenge.clone().into())),
                );
            }
            Error::MethodNotAllowed(allow) => headers.extend([("Allow", (*allow).into())]),
            // RFC 9110 §15.5.16
            Error::MediaType => headers.extend([("Accept", "application/x-www-form-urlencoded".into())]),
            _ => {}
        }
        if let Some(seconds) = self.retry_after() {
            headers.extend([("Retry-After", seconds.to_string().into())]);
        }
    }

    fn retry_after(&self) -> Option<u32> {
        match self {
            Error::TooManyFailures(seconds) => Some(*seconds),
            Error::Refused(Refusal::Draining) => Some(RETRY_AFTER_DRAIN),
            Error::Overloaded => Some(RETRY_AFTER_OVERLOAD),
            Error::Refused(Refusal::TooMany | Refusal::NoTransport) | Error::TooManyConnections => {
                Some(RETRY_AFTER_LIMIT)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Refusal as Http;

    #[test]
    fn every_error_has_its_status_its_header_fields_and_a_text_that_names_it() {
        let bad_user = Error::BadUser { what: "calledUser", fault: PartyFault::Empty };
        let bad_encoding = Error::BadEncoding { what: "calledUser", fault: FormFault::BadEscape };
        let foreign = Error::NotYourAgent { principal: "user1".to_owned(), agent: "user2".to_owned() };
        for (error, status, header, text) in [
            (Error::BadParameter { name: "timeout", why: "must be …" }, 400, None, "timeout"),
            (Error::Missing("target"), 400, None, "target"),
            (Error::Twice("agent"), 400, None, "agent"),
            (bad_user, 400, None, "calledUser is empty"),
            (bad_encoding, 400, None, "calledUser"),
            (Error::BadAuthorization, 400, None, "Authorization"),
            (Error::NotLoggedIn(vec!["Digest a".to_owned()]), 401, Some("WWW-Authenticate: Digest a"), "PIN"),
            (Error::UnknownAgent("x".to_owned()), 403, None, "user x"),
            (foreign, 403, None, "user1 may not act as agent user2"),
            (Error::NoSuchPath, 404, None, "path"),
            (Error::NoSuchCall, 404, None, "call"),
            (Error::MethodNotAllowed("GET"), 405, Some("Allow: GET"), "GET"),
            (Http::TooSlow.into(), 408, None, "time"),
            (Refusal::InProgress.into(), 409, None, "in progress"),
            (Http::BodyTooLarge(9).into(), 413, None, "9"),
            (Http::TargetTooLong.into(), 414, None, "target"),
            (Error::MediaType, 415, Some("Accept: application/x-www-form-urlencoded"), "type"),
            (Error::TooManyFailures(7), 429, Some("Retry-After: 7"), "7 s"),
            (Http::HeadTooLarge(9).into(), 431, None, "9"),
            (Error::UnknownMethod, 501, None, "method"),
            (Error::Refused(Refusal::NoSuchCall), 404, None, "no such call"),
            (Error::Refused(Refusal::NotTransferable("it rings")), 409, None, "it rings"),
            (Refusal::TooMany.into(), 503, Some("Retry-After: 5"), "limit"),
            (Refusal::Draining.into(), 503, Some("Retry-After: 30"), "shutting down"),
            (Refusal::NoTransport.into(), 503, Some("Retry-After: 5"), "transport"),
            (Error::TooManyConnections, 503, Some("Retry-After: 5"), "connections"),
            (Error::Overloaded, 503, Some("Retry-After: 1"), "more to do"),
            (Http::UnknownVersion.into(), 505, None, "HTTP"),
        ] {
            assert_eq!(error.status(), status, "{error}");
            assert!(error.to_string().contains(text), "{error}");
            let mut headers = Vec::new();
            error.headers(&mut headers);
            let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            assert_eq!(lines.first().map(String::as_str), header, "{error}");
        }
    }
}
