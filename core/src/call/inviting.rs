//! The first INVITE to a party: who is seen to call, what it says, which way it goes.

use std::borrow::Cow;

use super::desk::Desk;
use super::leg::{Between, Invitation, Leg, Offer};
use super::order::{Agent, Answering, Forwarding, Party, Placing, Refusal};
use super::stack::{Endpoint, Stack};
use crate::config::{Dialect, Identity};
use crate::ident::Key;
use crate::sip::message::{Name, Writer};
use crate::sip::screen::Usage;

/// A party that is to be called.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// In whose name.
    pub(crate) agent: &'a Agent,
    /// Whom.
    pub(crate) party: &'a Party,
    /// Whom it will be connected to.
    pub(crate) other: &'a Party,
    /// Whether the call may be forwarded.
    pub(crate) forwarding: Forwarding,
    /// Header lines of its own, each with CR LF.
    pub(crate) lines: Vec<u8>,
    /// What is offered.
    pub(crate) offer: Offer,
    /// What the leg is for.
    pub(crate) usage: Usage,
}

impl Wanted<'_> {
    /// Who the leg is between, and its invitation.
    pub(crate) fn prepare(self, endpoint: &Endpoint) -> Result<(Between, Invitation), Refusal> {
        let config = &endpoint.config;
        let forbidden = self.forwarding == Forwarding::Forbidden;
        let target = if forbidden && config.sip.dialect == Dialect::Sipx {
            [self.party.uri(), ";sipx-noroute=Voicemail;sipx-userforward=false"].concat().into()
        } else {
            self.party.shared_uri()
        };
        let hop = endpoint.hop(&target).ok_or(Refusal::NoTransport)?;
        let local = match config.calls.identity {
            Identity::Agent => name_addr(self.agent),
            Identity::Party => self.other.name_addr(),
        };
        let between = Between {
            local,
            remote: self.party.name_addr(),
            credentials: self.agent.credentials.clone(),
            usage: self.usage,
        };
        let invitation = Invitation {
            target,
            hop,
            lines: self.lines,
            asserted: config.calls.asserted_identity.then(|| self.agent.party.shared_uri()),
            offer: self.offer,
            redirections: (!forbidden).then(Default::default),
        };
        Ok((between, invitation))
    }

    /// Calls the party: a new leg sends its INVITE.
    pub(crate) fn call(self, desk: &mut Desk<'_, '_>) -> Result<Key<Leg>, Refusal> {
        let (between, invitation) = self.prepare(desk.stack.endpoint)?;
        let call = desk.call;
        let stack: &mut Stack<'_> = desk.stack;
        Ok(desk.legs.insert_with(|key| Leg::invite(key, call, between, invitation, stack)))
    }
}

/// The header lines of the INVITE that rings the calling party, or the target of a transfer.
pub(crate) fn alerting_lines(placing: &Placing, domain: &str) -> Vec<u8> {
    let subject = placing.subject.as_ref().map_or(0, |subject| subject.len());
    let mut lines = Vec::with_capacity(64 + subject);
    let mut writer = Writer::lines_only(&mut lines);
    if let Some(subject) = &placing.subject {
        writer.field(Name::Subject, subject);
    }
    if placing.forwarding == Forwarding::Forbidden {
        // RFC 3841 §9.1
        writer.field(Name::RequestDisposition, "no-recurse");
    }
    if placing.answering == Answering::Auto {
        writer.field(Name::AnswerMode, "Auto");
        writer.field_parts(Name::CallInfo, &["<sip:", domain, ">;answer-after=0"]);
        writer.field_parts(Name::AlertInfo, &["<http://", domain, ">;info=alert-autoanswer"]);
    }
    lines
}

/// The header lines of the INVITE to the called party.
pub(crate) fn called_lines(placing: &Placing) -> Vec<u8> {
    let mut lines = Vec::new();
    if let Some(pin) = &placing.confpin {
        Writer::lines_only(&mut lines).other("X-ConfPin", pin);
    }
    lines
}

/// The agent's name-addr.
fn name_addr(agent: &Agent) -> Box<str> {
    if agent.display.is_empty() {
        return agent.party.name_addr();
    }
    let quotable = |c: char| !c.is_control() && c != '\\' && c != '"';
    let display = if agent.display.chars().all(quotable) {
        Cow::Borrowed(&*agent.display)
    } else {
        let shown = agent.display.chars().filter(|c| !c.is_control());
        Cow::Owned(shown.flat_map(|c| (!quotable(c)).then_some('\\').into_iter().chain([c])).collect())
    };
    ["\"", &display, "\" <", agent.party.uri(), ">"].concat().into()
}
