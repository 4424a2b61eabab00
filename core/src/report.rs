//! What an operator wants to read in the log; the runtime writes it there.

use std::net::{IpAddr, SocketAddr};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// A login failed: one stable line that fail2ban can match.
    LoginFailed {
        /// From where.
        from: IpAddr,
    },
    /// A SIP message was refused or dropped.
    SipRefused {
        /// From where.
        from: SocketAddr,
        /// What the sender did.
        why: String,
    },
}
