//! Digest authentication (RFC 7616, RFC 2617, RFC 8760): the arithmetic, the server's side for HTTP, the client's side for SIP.

pub(crate) mod client;
pub mod digest;
pub(crate) mod header;
pub(crate) mod lockout;
pub(crate) mod nonce;
#[cfg(test)]
mod property;
pub(crate) mod server;
