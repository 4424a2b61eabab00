//! Placing a call: from the order to the first INVITE; and transferring one.

use super::bridge::Bridge;
use super::desk::Desk;
use super::flow::Flow;
use super::inviting::{Wanted, alerting_lines};
use super::leg::{Between, Invitation, Leg, Offer};
use super::order::{CallName, Connecting, Placing, Refusal};
use super::record::Record;
use super::refer::Refer;
use super::stack::Stack;
use super::{Call, Calls, sequence};
use crate::Tick;
use crate::ident::{Ident, Key};
use crate::io::Outbox;
use crate::sip::screen::Usage;

impl Calls {
    /// Places a call: its INVITE goes out now. Returns the call's identifier.
    pub(crate) fn place(
        &mut self,
        now: Tick,
        placing: Box<Placing>,
        outbox: &mut Outbox,
    ) -> Result<Ident, Refusal> {
        if self.draining {
            return Err(Refusal::Draining);
        }
        if self.find(&placing.name()).is_some_and(Call::is_in_progress) {
            return Err(Refusal::InProgress);
        }
        if self.in_progress >= self.permits {
            return Err(Refusal::TooMany);
        }
        let (between, invitation) = self.wanted(&placing).prepare(&self.endpoint)?;
        Ok(self.enter(now, placing, (between, invitation), outbox))
    }

    fn wanted<'a>(&self, placing: &'a Placing) -> Wanted<'a> {
        let known = self.endpoint.contacts.of(placing.calling.uri());
        // The list may have become shorter since.
        let most = self.endpoint.config.calls.hold_sdp.len().saturating_sub(1);
        Wanted {
            agent: &placing.agent,
            party: &placing.calling,
            other: &placing.called,
            forwarding: placing.forwarding,
            lines: alerting_lines(placing, &self.endpoint.config.sip.domain),
            offer: Offer::Hold(known.offer.min(most)),
            usage: match placing.connecting {
                Connecting::Refer => Usage::Refer,
                Connecting::Invite => Usage::Bridge,
            },
        }
    }

    fn enter(
        &mut self,
        now: Tick,
        placing: Box<Placing>,
        (between, invitation): (Between, Invitation),
        outbox: &mut Outbox,
    ) -> Ident {
        let secret = self.endpoint.random.bits();
        let most = self.endpoint.config.limits.record_events;
        let (legs, endpoint) = (&mut self.legs, &mut self.endpoint);
        let said = outbox.len();
        let call = self.calls.insert_with(|key| {
            let mut stack = Stack { now, outbox: &mut *outbox, endpoint };
            let leg = legs.insert_with(|leg| Leg::invite(leg, key, between, invitation, &mut stack));
            let (name, cache_time) = (placing.name(), placing.cache_time);
            let flow = match placing.connecting {
                Connecting::Refer => {
                    let leg = (leg, legs.get(leg).map(Leg::call_id));
                    Flow::Refer(Refer::new(now, leg, placing))
                }
                Connecting::Invite => Flow::Bridge(Bridge::alerting(now, leg, placing)),
            };
            Call {
                ident: Ident::new(key, secret),
                name,
                flow,
                record: Record::new(now, most),
                cache_time,
                timer: None,
            }
        });
        self.names.insert(call, &self.calls);
        self.in_progress += 1;
        outbox.enter_since(said, sequence(call));
        self.turn(now, call, outbox, |_, _| {});
        self.calls.get(call).map_or(Ident::new(call, secret), Call::id)
    }

    /// Connects the called party of the call of this name to another one, `placing.calling`, instead of the calling
    /// one; that is rung now. Returns the call's identifier.
    pub(crate) fn transfer(
        &mut self,
        now: Tick,
        name: &CallName,
        placing: Box<Placing>,
        outbox: &mut Outbox,
    ) -> Result<Ident, Refusal> {
        let call = self.find(name).filter(|call| call.is_in_progress()).ok_or(Refusal::NoSuchCall)?;
        let (key, ident): (Key<Call>, _) = (call.ident.key(), call.ident);
        if matches!(call.flow, Flow::Refer(_)) {
            return Err(Refusal::NotTransferable("this call was placed by REFER: it cannot be transferred"));
        }
        if self.find(&placing.name()).is_some_and(Call::is_in_progress) {
            return Err(Refusal::InProgress);
        }
        let mut done = Err(Refusal::NoSuchCall);
        self.turn(now, key, outbox, |flow: &mut Flow, desk: &mut Desk<'_, '_>| {
            if let Flow::Bridge(bridge) = flow {
                done = bridge.transfer(placing, desk);
            }
        });
        done.map(|()| ident)
    }
}
