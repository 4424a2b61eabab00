//! Why a request is refused before anybody looks at what it asks.

use thiserror::Error;

/// What the client did wrong. The connection closes after the answer to any of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// It breaks the grammar, or two readers could read it differently.
    #[error("the request cannot be read: {0}")]
    Malformed(&'static str),
    /// A TLS handshake came in where plain HTTP is spoken.
    #[error("the client speaks TLS, but this port speaks plain HTTP")]
    Tls,
    /// A request came in by plain HTTP where TLS is spoken.
    #[error("the client speaks plain HTTP, but this port speaks HTTPS")]
    PlainHttp,
    /// It was not complete in time.
    #[error("the request was not complete in time")]
    TooSlow,
    /// The body is longer than this many bytes.
    #[error("the body is longer than {0} bytes")]
    BodyTooLarge(usize),
    /// The request line alone is longer than a head may be.
    #[error("the request target is too long")]
    TargetTooLong,
    /// Request line and header fields, or the trailers, are longer than this many bytes.
    #[error("the header part is longer than {0} bytes")]
    HeadTooLarge(usize),
    /// There are more header fields than this.
    #[error("the request has more than {0} header fields")]
    TooManyHeaders(usize),
    /// `Expect` names something else than 100-continue.
    #[error("the client expects what this server does not know; it knows 100-continue")]
    UnknownExpectation,
    /// `Transfer-Encoding` names something else than chunked.
    #[error("the body comes in a transfer coding that this server does not know; it knows chunked")]
    UnknownCoding,
    /// CONNECT, which asks for a tunnel.
    #[error("the client asks for a tunnel, and this server is no proxy")]
    Tunnel,
    /// Another version than HTTP/1.
    #[error("the client speaks a version of HTTP that this server does not; it speaks HTTP/1.0 and HTTP/1.1")]
    UnknownVersion,
}

impl Refusal {
    /// The status that answers it.
    pub(crate) fn status(self) -> u16 {
        match self {
            Refusal::Malformed(_) | Refusal::Tls | Refusal::PlainHttp => 400,
            Refusal::TooSlow => 408,
            Refusal::BodyTooLarge(_) => 413,
            Refusal::TargetTooLong => 414,
            Refusal::UnknownExpectation => 417,
            Refusal::HeadTooLarge(_) | Refusal::TooManyHeaders(_) => 431,
            Refusal::UnknownCoding | Refusal::Tunnel => 501,
            Refusal::UnknownVersion => 505,
        }
    }
}
