//! What an operator wants to read in the log; the runtime writes it there.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::ident::Ident;
use crate::sip::message::{Fault, Status, unescape};

/// One thing that happened. Its `Display` is one line that stays the same from release to release.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// A login failed; fail2ban can match the line.
    LoginFailed {
        /// From where.
        from: IpAddr,
        /// The name that was claimed, made fit for a log line.
        user: String,
    },
    /// A request named parameters that mean nothing here.
    IgnoredParameters(String),
    /// A call has ended.
    CallEnded(CallEnded),
    /// A SIP server asks for credentials that the call's agent does not have, or refuses them.
    Unanswerable {
        /// The call's identifier.
        call: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A SIP message could not be read.
    SipRefused {
        /// From where.
        from: SocketAddr,
        /// What the sender did wrong.
        why: Fault,
    },
    /// A SIP response belongs to no request of ours, or comes too late.
    Stray(SocketAddr),
    /// A connection of SIP was given up, or datagrams do not arrive.
    SipConnection {
        /// With whom.
        peer: SocketAddr,
        /// Who opened it.
        opened: Opened,
        /// Why.
        why: String,
    },
    /// A name to which SIP is to go leads nowhere.
    Unresolved {
        /// The name.
        name: Box<str>,
        /// Why.
        why: String,
    },
    /// There is more to do than can be done: new calls are refused.
    Overloaded {
        /// So long the oldest work has waited.
        behind: Duration,
    },
    /// No call was refused for a while.
    Relieved {
        /// How many were.
        refused: u64,
    },
    /// A client's connection was closed without an answer that says so.
    HttpClosed {
        /// The client.
        peer: SocketAddr,
        /// Why.
        why: &'static str,
    },
    /// A TLS peer did something wrong, or its certificate is not to be trusted.
    Tls {
        /// Who.
        peer: SocketAddr,
        /// Who opened the connection.
        opened: Opened,
        /// What.
        why: String,
    },
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// We did, because a call needed it.
    ByUs,
    /// The peer did; it may be anybody.
    ByPeer,
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Opened::ByUs => "us",
            Opened::ByPeer => "peer",
        })
    }
}

/// How a call has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnded {
    pub(crate) id: Ident,
    /// Who placed it.
    pub agent: Arc<str>,
    /// Who was rung first, by SIP URI.
    pub calling: Arc<str>,
    /// Whom that was to be connected to, by SIP URI.
    pub called: Arc<str>,
    /// What came of it, and the status that says why.
    pub(crate) result: (&'static str, Option<Status>),
    /// From the order to the end.
    pub duration: Duration,
}

/// One line, the parties as people write them.
impl fmt::Display for CallEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let party = |uri| unescape(str::strip_prefix(uri, "sip:").unwrap_or(uri));
        let (id, agent, calling, called) =
            (self.id.text(), &self.agent, party(&self.calling), party(&self.called));
        write!(f, "call ended call={id} agent={agent} calling={calling} called={called} result=\"")?;
        match self.result {
            (word, Some(status)) => write!(f, "{word} {status}")?,
            (word, None) => f.write_str(word)?,
        }
        write!(f, "\" seconds={}.{:03}", self.duration.as_secs(), self.duration.subsec_millis())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::LoginFailed { from, user } => write!(f, "login failed from={from} user=\"{user}\""),
            Report::IgnoredParameters(names) => write!(f, "ignored parameters names=\"{names}\""),
            Report::CallEnded(call) => call.fmt(f),
            Report::Unanswerable { call, why } => write!(f, "SIP login failed call={call} why=\"{why}\""),
            Report::SipRefused { from, why } => write!(f, "unreadable SIP message from={from} why=\"{why}\""),
            Report::Stray(from) => write!(f, "stray SIP response from={from}"),
            Report::SipConnection { peer, opened, why } => {
                write!(f, "SIP connection failed peer={peer} opened_by={opened} why=\"{why}\"")
            }
            Report::Unresolved { name, why } => write!(f, "name not resolved name={name} why=\"{why}\""),
            Report::Overloaded { behind } => {
                write!(f, "overloaded, new calls are refused behind_ms={}", behind.as_millis())
            }
            Report::Relieved { refused } => write!(f, "overload is over refused={refused}"),
            Report::HttpClosed { peer, why } => write!(f, "HTTP connection closed peer={peer} why=\"{why}\""),
            Report::Tls { peer, opened, why } => {
                write!(f, "TLS failed peer={peer} opened_by={opened} why=\"{why}\"")
            }
        }
    }
}
