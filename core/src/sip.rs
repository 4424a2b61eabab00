//! SIP: messages, transactions, dialogs, subscriptions and the UDP transport's rules (RFC 3261). Knows nothing of HTTP.

pub(crate) mod dialog;
pub mod message;
pub mod resolve;
pub(crate) mod screen;
pub(crate) mod sdp;
pub(crate) mod session_timer;
pub(crate) mod subscription;
pub(crate) mod transaction;
pub(crate) mod transport;
