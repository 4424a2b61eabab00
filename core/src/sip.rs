//! SIP: messages, transactions, dialogs, subscriptions and the UDP transport's rules (RFC 3261). Knows nothing of HTTP.

pub mod message;
