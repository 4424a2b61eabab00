//! What can be wrong with a message.

use thiserror::Error;

use super::Status;

/// What the sender of a message did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Fault {
    #[error("the message has {has} bytes, more than {most}")]
    TooLong { has: usize, most: usize },
    #[error("the message has more than {0} header fields")]
    TooManyHeaders(usize),
    #[error("the header part is not UTF-8")]
    NotUtf8,
    #[error("the header part does not end with an empty line")]
    NoEnd,
    #[error("a line ends without CR LF, or a control character stands in it")]
    BadLine,
    #[error("the start line is neither a request line nor a status line")]
    BadStartLine,
    #[error("the SIP version is not 2.0")]
    BadVersion,
    #[error("the status code is not between 100 and 699")]
    BadStatus,
    #[error("the Request-URI cannot be read")]
    BadRequestUri,
    #[error("a header line has no name or no colon")]
    BadHeader,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is there more than once")]
    Twice(&'static str),
    #[error("{0} cannot be read")]
    Malformed(&'static str),
    #[error("CSeq names another method than the request line")]
    MethodMismatch,
    #[error("the method is not known, and CSeq names another one")]
    UnknownMethod,
    #[error("Content-Length says {says}, the datagram has {has} bytes left")]
    BodyTooShort { says: usize, has: usize },
    #[error("a URI cannot be read")]
    BadUri,
    #[error("a name-addr cannot be read")]
    BadNameAddr,
    #[error("a parameter cannot be read")]
    BadParameter,
}

impl Fault {
    /// The status that a request with this fault is answered with.
    pub fn status(self) -> Status {
        match self {
            // Of the two that RFC 4475 §3.1.2.18 allows, the one that says more.
            Fault::UnknownMethod => Status::NOT_IMPLEMENTED,
            Fault::BadVersion => Status::VERSION_NOT_SUPPORTED,
            Fault::TooLong { .. } | Fault::TooManyHeaders(_) => Status::MESSAGE_TOO_LARGE,
            _ => Status::BAD_REQUEST,
        }
    }
}
