//! Placing a call: from the order to the first INVITE.

use super::leg::{Between, Invitation, Leg};
use super::order::{Answering, CallName, Forwarding, Party, Placing, Refusal};
use super::record::Record;
use super::refer::Refer;
use super::stack::Stack;
use super::{Call, Calls, name_addr};
use crate::Tick;
use crate::config::{Dialect, Identity};
use crate::ident::Ident;
use crate::io::Outbox;
use crate::sip::message::{Name, Writer};

impl Calls {
    /// Places a call by REFER: its INVITE goes out now. Returns the call's identifier.
    pub(crate) fn place(
        &mut self,
        now: Tick,
        placing: Placing,
        outbox: &mut Outbox,
    ) -> Result<Ident, Refusal> {
        let name = placing.name();
        if self.draining {
            return Err(Refusal::Draining);
        }
        if self.find(&name).is_some_and(Call::is_in_progress) {
            return Err(Refusal::InProgress);
        }
        if self.in_progress >= self.endpoint.config.calls.max_calls {
            return Err(Refusal::TooMany);
        }
        let invitation = self.invitation(&placing);
        let flow = self.endpoint.route(&invitation.target).ok_or(Refusal::NoTransport)?;
        let seen = match self.endpoint.config.calls.identity {
            Identity::Agent => name_addr(&placing.agent),
            Identity::Party => format!("<{}>", placing.called.uri()).into(),
        };
        let between = Between {
            local: seen,
            remote: format!("<{}>", placing.calling.uri()).into(),
            credentials: placing.agent.credentials.clone(),
            flow,
        };
        Ok(self.enter(now, name, placing, between, invitation, outbox))
    }

    fn enter(
        &mut self,
        now: Tick,
        name: CallName,
        placing: Placing,
        between: Between,
        invitation: Invitation,
        outbox: &mut Outbox,
    ) -> Ident {
        let lines = refer_lines(&placing);
        let secret = self.endpoint.random.bits();
        let most = self.endpoint.config.limits.record_events;
        let call = self.calls.insert_with(|key| Call {
            ident: Ident::new(key, secret),
            name: name.clone(),
            leg: None,
            leg_call_id: None,
            flow: Refer::new(now, placing.timeout, placing.forwarding, lines),
            record: Record::new(now, most),
            cache_time: placing.cache_time,
            timer: None,
        });
        let mut stack = Stack { now, outbox: &mut *outbox, endpoint: &mut self.endpoint };
        let leg = self.legs.insert_with(|key| Leg::invite(key, call, between, invitation, &mut stack));
        self.names.insert(name, call);
        self.in_progress += 1;
        let leg_call_id = self.legs.get(leg).map(Leg::call_id);
        if let Some(call) = self.calls.get_mut(call) {
            call.leg = Some(leg);
            call.leg_call_id = leg_call_id;
        }
        self.turn(now, call, outbox, |_, _, _| {});
        self.calls.get(call).map_or(Ident::new(call, secret), Call::id)
    }

    fn invitation(&self, placing: &Placing) -> Invitation {
        let config = &self.endpoint.config;
        let forbidden = placing.forwarding == Forwarding::Forbidden;
        let mut target = placing.calling.uri().to_owned();
        if forbidden && config.sip.dialect == Dialect::Sipx {
            target.push_str(";sipx-noroute=Voicemail;sipx-userforward=false");
        }
        let mut lines = Vec::new();
        let mut writer = Writer::lines_only(&mut lines);
        if let Some(subject) = &placing.subject {
            writer.field(Name::Subject, subject);
        }
        if forbidden {
            // RFC 3841 §9.1
            writer.field(Name::RequestDisposition, "no-recurse");
        }
        if placing.answering == Answering::Auto {
            let domain = &config.sip.domain;
            writer.field(Name::AnswerMode, "Auto");
            writer.field_parts(Name::CallInfo, &["<sip:", domain, ">;answer-after=0"]);
            writer.field_parts(Name::AlertInfo, &["<http://", domain, ">;info=alert-autoanswer"]);
        }
        Invitation {
            target: target.into(),
            lines: lines.into(),
            asserted: config.calls.asserted_identity.then(|| placing.agent.party.uri().into()),
            offer: 0,
            redirections: (!forbidden).then(Default::default),
        }
    }
}

/// Refer-To (RFC 3515 §2.1), with the PIN as a header of its URI, and Referred-By (RFC 3892 §3).
fn refer_lines(placing: &Placing) -> Box<[u8]> {
    let mut lines = Vec::new();
    let mut writer = Writer::lines_only(&mut lines);
    let called: &Party = &placing.called;
    match &placing.confpin {
        Some(pin) => writer.field_parts(Name::ReferTo, &["<", called.uri(), "?X-ConfPin=", pin, ">"]),
        None => writer.field_parts(Name::ReferTo, &["<", called.uri(), ">"]),
    };
    writer.field_parts(Name::ReferredBy, &["<", placing.agent.party.uri(), ">"]);
    lines.into()
}
