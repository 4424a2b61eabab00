//! The first INVITE to a party: who is seen to call, what it says, which way it goes.

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
    pub(crate) lines: Box<[u8]>,
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
        let mut target = self.party.uri().to_owned();
        if forbidden && config.sip.dialect == Dialect::Sipx {
            target.push_str(";sipx-noroute=Voicemail;sipx-userforward=false");
        }
        let hop = endpoint.hop(&target).ok_or(Refusal::NoTransport)?;
        let local = match config.calls.identity {
            Identity::Agent => name_addr(self.agent),
            Identity::Party => format!("<{}>", self.other.uri()).into(),
        };
        let between = Between {
            local,
            remote: format!("<{}>", self.party.uri()).into(),
            credentials: self.agent.credentials.clone(),
            usage: self.usage,
        };
        let invitation = Invitation {
            target: target.into(),
            hop,
            lines: self.lines,
            asserted: config.calls.asserted_identity.then(|| self.agent.party.uri().into()),
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
pub(crate) fn alerting_lines(placing: &Placing, domain: &str) -> Box<[u8]> {
    let mut lines = Vec::new();
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
    lines.into()
}

/// The header lines of the INVITE to the called party.
pub(crate) fn called_lines(placing: &Placing) -> Box<[u8]> {
    let mut lines = Vec::new();
    if let Some(pin) = &placing.confpin {
        Writer::lines_only(&mut lines).other("X-ConfPin", pin);
    }
    lines.into()
}

/// The agent's name-addr.
fn name_addr(agent: &Agent) -> Box<str> {
    let uri = agent.party.uri();
    if agent.display.is_empty() {
        return format!("<{uri}>").into();
    }
    let display: String = agent.display.chars().filter(|c| !c.is_control()).collect();
    format!("\"{}\" <{uri}>", display.replace('\\', "\\\\").replace('"', "\\\"")).into()
}
