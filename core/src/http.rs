//! HTTP/1.1 on the server's side (RFC 9112, RFC 9110): plain bytes in, requests out; responses in, plain bytes out.
//!
//! Knows neither TLS nor what the requests mean. A [`Connection`] hands out one request at a time; the next one
//! is read only when that was answered, so that pipelined requests are answered in order. Whoever owns it says
//! how much is still [unsent](Connection::unsent), and no further request is read while that is too much.

mod chunked;
mod connection;
mod date;
pub(crate) mod form;
mod framing;
mod head;
mod refusal;
mod response;
mod scan;
mod target;

use std::time::Duration;

pub(crate) use connection::{Connection, Next, OwnedRequest, Request};
pub(crate) use date::{Civil, Dates};
pub(crate) use head::{Fields, Head};
pub(crate) use refusal::Refusal;
pub(crate) use response::{Header, Persistence, Response, phrase};

/// The header fields that any request may have, whatever is configured: the size of the parser's table.
pub(crate) const MAX_HEADERS: usize = 256;

/// Bytes of answers that may wait to be sent before no further request is read.
pub(crate) const MAX_UNSENT: usize = 256 * 1024;

/// What one connection may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a request's head, its last empty line included; also of all chunk extensions, and of all trailers.
    pub(crate) head: usize,
    /// Bytes of a request's body, its transfer coding undone.
    pub(crate) body: usize,
    /// Header fields, at most [`MAX_HEADERS`].
    pub(crate) headers: usize,
    /// From the first byte of a request to its last.
    pub(crate) request_time: Duration,
    /// Between requests, and for a client that takes nothing of its answers.
    pub(crate) idle_time: Duration,
    /// Answers that may wait to be sent before no further request is read.
    pub(crate) pipelined: usize,
}

impl Limits {
    /// Bytes that a connection holds at most: one request as large as allowed, and some of what is behind it.
    fn held(&self) -> usize {
        self.head.saturating_add(self.body).saturating_add(BEHIND)
    }
}

/// Room behind the largest request, for the framing of its last chunks.
const BEHIND: usize = 4096;
