//! What a call is asked to be, in plain values: whoever asks knows nothing of SIP messages.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use thiserror::Error;

use crate::sip::message::{Uri, escape_user};
use crate::users::SipCredentials;

/// What every URI of a party begins with.
const SCHEME: &str = "sip:";

/// Somebody who can be called: a user part and the host that it lies at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Party {
    /// The SIP URI.
    uri: Arc<str>,
    /// `user@host`, unescaped, as people write it, where it is not what stands in the URI.
    text: Option<Arc<str>>,
}

/// Of the URI alone, which tells all parties apart.
impl Hash for Party {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uri.hash(state);
    }
}

/// A text that names nobody who could be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum PartyFault {
    #[error("is empty")]
    Empty,
    #[error("is longer than 256 bytes")]
    TooLong,
    #[error("has white space or control characters in it")]
    BadCharacter,
    #[error("has no host, or a bad one, behind its @")]
    BadHost,
}

impl Party {
    /// Reads `user` or `user@host[:port]`; without a host, `domain` is taken.
    pub(crate) fn new(text: &str, domain: &str) -> Result<Self, PartyFault> {
        if text.is_empty() {
            return Err(PartyFault::Empty);
        }
        if text.len() > 256 {
            return Err(PartyFault::TooLong);
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(PartyFault::BadCharacter);
        }
        let (user, host) = text.rsplit_once('@').unwrap_or((text, domain));
        if user.is_empty() {
            return Err(PartyFault::Empty);
        }
        let escaped = escape_user(user);
        let uri = joined([SCHEME, &escaped, "@", host]);
        let fits = Uri::parse(&uri).is_ok_and(|uri| uri.params.raw().is_empty() && uri.headers.is_none());
        if !fits {
            return Err(PartyFault::BadHost);
        }
        let differs = matches!(escaped, Cow::Owned(_));
        Ok(Self { uri, text: differs.then(|| joined([user, "@", host])) })
    }

    /// `user@host`.
    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or(self.uri.strip_prefix(SCHEME).unwrap_or(&self.uri))
    }

    /// The SIP URI.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// The same, shared with whatever needs it for longer.
    pub(crate) fn shared_uri(&self) -> Arc<str> {
        self.uri.clone()
    }

    /// The name-addr that is nothing but the URI.
    pub(crate) fn name_addr(&self) -> Box<str> {
        ["<", self.uri(), ">"].concat().into()
    }
}

/// These texts in one, which is allocated once.
fn joined<const N: usize>(pieces: [&str; N]) -> Arc<str> {
    let mut text = SmallVec::<[u8; 128]>::new();
    for piece in pieces {
        text.extend_from_slice(piece.as_bytes());
    }
    // Texts make a text.
    std::str::from_utf8(&text).unwrap_or_default().into()
}

/// The user in whose name a call is placed.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// The user name, which is the key of its calls.
    pub(crate) name: Arc<str>,
    /// The name for people, perhaps empty.
    pub(crate) display: Box<str>,
    /// Whom phones see.
    pub(crate) party: Party,
    /// What SIP challenges are answered with.
    pub(crate) credentials: Option<Arc<SipCredentials>>,
}

/// What identifies a call to whoever placed it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallName {
    /// The agent's user name.
    pub(crate) agent: Arc<str>,
    /// The party that is rung first.
    pub(crate) calling: Party,
    /// The party that it is connected to.
    pub(crate) called: Party,
}

/// Whether the first INVITE may be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarding {
    /// Redirections are followed.
    Allowed,
    /// Servers are asked not to forward, and a call that is forwarded ends.
    Forbidden,
}

/// Whether the calling party's phone is asked to pick up by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answering {
    /// The user picks up.
    Manual,
    /// The phone does (RFC 5373 and what phones understand besides).
    Auto,
}

/// How the parties of a call are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connecting {
    /// The calling party is handed over by REFER.
    Refer,
    /// We stay in the path (RFC 3725 flow IV).
    Invite,
}

/// A call to be placed, or a party to be connected to an ongoing call's called party in place of the calling one.
#[derive(Clone, Debug)]
pub(crate) struct Placing {
    /// How.
    pub(crate) connecting: Connecting,
    /// The agent.
    pub(crate) agent: Agent,
    /// The party that is rung first.
    pub(crate) calling: Party,
    /// The party that it is connected to.
    pub(crate) called: Party,
    /// How long the calling party is alerted.
    pub(crate) timeout: Duration,
    /// `Subject` of the first INVITE.
    pub(crate) subject: Option<Box<str>>,
    /// Whether the first INVITE may be forwarded.
    pub(crate) forwarding: Forwarding,
    /// How long the record is kept after the end.
    pub(crate) cache_time: Duration,
    /// Whether the phone picks up by itself.
    pub(crate) answering: Answering,
    /// Digits for the conference, sent as X-ConfPin in Refer-To.
    pub(crate) confpin: Option<Box<str>>,
}

impl Placing {
    /// The name that the call will have.
    pub(crate) fn name(&self) -> CallName {
        CallName {
            agent: self.agent.name.clone(),
            calling: self.calling.clone(),
            called: self.called.clone(),
        }
    }
}

/// Why a call cannot be placed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// The same agent already connects the same two.
    #[error("a call of this agent between these two is still in progress")]
    InProgress,
    /// The call is not one that could be transferred now.
    #[error("{0}")]
    NotTransferable(&'static str),
    /// There is no call to be transferred.
    #[error("there is no such call")]
    NoSuchCall,
    /// `max_calls` are there.
    #[error("the limit of calls is reached")]
    TooMany,
    /// The service is about to end.
    #[error("the service is shutting down")]
    Draining,
    /// There is no way to the calling party.
    #[error("there is no SIP transport to the party: sip.listen has no address of its family")]
    NoTransport,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_gets_the_domain_it_lacks_and_a_safe_uri() {
        let party = |text| Party::new(text, "example.com");
        let one = party("user1").unwrap();
        assert_eq!((one.text(), one.uri()), ("user1@example.com", "sip:user1@example.com"));
        assert_eq!(party("anyone@127.0.0.1:15301").unwrap().uri(), "sip:anyone@127.0.0.1:15301");
        assert_eq!(party("+49#1").unwrap().uri(), "sip:+49%231@example.com");
        assert_eq!(party("a>b@c").unwrap().uri(), "sip:a%3Eb@c");
        assert_eq!(party(""), Err(PartyFault::Empty));
        assert_eq!(party("a b"), Err(PartyFault::BadCharacter));
        assert_eq!(party("a\r\nX: y"), Err(PartyFault::BadCharacter));
        assert_eq!(party("a@b?Route=x"), Err(PartyFault::BadHost));
        assert_eq!(party("a@b;transport=tcp"), Err(PartyFault::BadHost));
        assert_eq!(party("a@"), Err(PartyFault::BadHost));
        assert_eq!(party("@b"), Err(PartyFault::Empty));
        assert_eq!(party(&"a".repeat(300)), Err(PartyFault::TooLong));
    }
}
