//! SIP messages, parsed in place and written straight into the buffer that is sent (RFC 3261 §7, §25).
//!
//! [`parse()`] verifies everything that every later layer relies on, so that none checks it again; the rest
//! is parsed where it is asked for.

mod fault;
mod head;
mod host;
mod lines;
mod method;
mod name;
mod name_addr;
mod params;
mod parse;
#[cfg(test)]
mod property;
mod scan;
mod status;
mod uri;
mod via;
mod write;

pub use fault::Fault;
pub use head::Head;
pub use host::Host;
pub use method::Method;
pub use name::Name;
pub use name_addr::NameAddr;
pub use params::Params;
pub use parse::{MAX_HEADERS, MAX_MESSAGE, Rejected, parse};
pub(crate) use scan::{is_token_byte, trim};
pub use status::Status;
pub(crate) use uri::unescape;
pub use uri::{Scheme, Uri, escape_user};
pub use via::Via;
pub use write::Writer;

use std::ops::Deref;

/// A message whose framing and mandatory header fields are sound.
#[derive(Debug)]
pub enum Message<'a> {
    /// A request.
    Request(Request<'a>),
    /// A response.
    Response(Response<'a>),
}

/// `CSeq` (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number.
    pub number: u32,
    /// The method.
    pub method: Method<'a>,
}

/// A request (RFC 3261 §7.1). Derefs to [`Head`].
#[derive(Debug)]
pub struct Request<'a> {
    /// The method; `CSeq` names the same.
    pub method: Method<'a>,
    /// The Request-URI, of any scheme.
    pub uri: Uri<'a>,
    head: Head<'a>,
}

/// A response (RFC 3261 §7.2). Derefs to [`Head`].
#[derive(Debug)]
pub struct Response<'a> {
    /// The status code.
    pub status: Status,
    /// The reason phrase as it was sent, perhaps empty.
    pub reason: &'a str,
    head: Head<'a>,
}

impl<'a> Deref for Request<'a> {
    type Target = Head<'a>;
    fn deref(&self) -> &Head<'a> {
        &self.head
    }
}

impl<'a> Deref for Response<'a> {
    type Target = Head<'a>;
    fn deref(&self) -> &Head<'a> {
        &self.head
    }
}
