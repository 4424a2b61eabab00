//! Every error of the interface, with its status and its text in one place.

use thiserror::Error;

use crate::call::order::{PartyFault, Refusal};
use crate::http::form::FormFault;

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Error {
    #[error("parameter {0}: {1}")]
    BadParameter(&'static str, String),
    #[error("parameter {0} is given more than once")]
    Twice(String),
    #[error("{0}: the name {1}")]
    BadUser(&'static str, PartyFault),
    #[error("{0}: {1}")]
    BadEncoding(&'static str, FormFault),
    #[error("the request cannot be read: {0}")]
    Unreadable(String),
    #[error("log in with the name and PIN of a user")]
    NotLoggedIn(Vec<String>),
    #[error("the Authorization header field cannot be read, or is meant for another URI")]
    BadAuthorization,
    #[error("the agent {0} is not known")]
    UnknownAgent(String),
    #[error("you may not act for this agent")]
    NotYourAgent,
    #[error("there is nothing at this path")]
    NoSuchPath,
    #[error("there is no such call")]
    NoSuchCall,
    #[error("this path takes {0} only")]
    MethodNotAllowed(&'static str),
    #[error("the method is not known")]
    UnknownMethod,
    #[error("the body must be application/x-www-form-urlencoded")]
    MediaType,
    #[error("too many failed logins from this address; wait {0} s")]
    TooManyFailures(u32),
    #[error("{0} is not served by this release yet")]
    NotYet(&'static str),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Http(#[from] crate::http::Refusal),
    #[error("too many connections")]
    TooManyConnections,
}

/// When a caller who met a limit should ask again, in seconds.
const RETRY_AFTER: u32 = 5;

impl Error {
    /// The HTTP status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Error::BadParameter(..) | Error::Twice(_) | Error::BadUser(..) | Error::BadEncoding(..) => 400,
            Error::Unreadable(_) | Error::BadAuthorization => 400,
            Error::NotLoggedIn(_) => 401,
            Error::UnknownAgent(_) | Error::NotYourAgent => 403,
            Error::NoSuchPath | Error::NoSuchCall => 404,
            Error::MethodNotAllowed(_) => 405,
            Error::MediaType => 415,
            Error::TooManyFailures(_) => 429,
            Error::UnknownMethod | Error::NotYet(_) => 501,
            Error::Refused(Refusal::InProgress) => 409,
            Error::Refused(Refusal::TooMany | Refusal::Draining | Refusal::NoTransport) => 503,
            Error::TooManyConnections => 503,
            Error::Http(refusal) => refusal.status(),
        }
    }

    /// Header fields that go with it.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        match self {
            Error::NotLoggedIn(challenges) => {
                challenges.iter().map(|challenge| ("WWW-Authenticate", challenge.clone())).collect()
            }
            Error::MethodNotAllowed(allow) => vec![("Allow", (*allow).to_owned())],
            Error::TooManyFailures(wait) => vec![("Retry-After", wait.to_string())],
            _ if self.status() == 503 => vec![("Retry-After", RETRY_AFTER.to_string())],
            _ => Vec::new(),
        }
    }
}
