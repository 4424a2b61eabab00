//! Connecting one more party: the called one to the calling one, or a transfer's target to the called one.
//!
//! The standing party's dialog is up. The fresh one gets an INVITE without an offer; its offer goes to the standing
//! one in a re-INVITE, and that one's answer in the ACK (RFC 3725 §4.4, flow IV). A fresh party that takes no such
//! INVITE gets an offer which the standing one was asked for (§4.3, flow III).

use std::time::Duration;

use super::{Bridge, Renamed, Stage};
use crate::Tick;
use crate::call::desk::Desk;
use crate::call::inviting::{Wanted, alerting_lines, called_lines};
use crate::call::leg::{Body, Description, Inside, Leg, LegEvent, Offer, Purpose};
use crate::call::order::{Forwarding, Placing, Refusal};
use crate::call::outcome::Outcome;
use crate::call::record::Role;
use crate::ident::Key;
use crate::sip::message::{Method, Name, Response, Status};
use crate::sip::screen::Usage;

/// How often a re-INVITE that met 491 is tried again.
const MAX_RETRIES: u8 = 5;
/// How long the standing party's offer waits for its answer while the fresh party rings: less than the 64*T1 after
/// which a phone gives up a 2xx without ACK (RFC 3261 §13.3.1.4).
const ACK_WITHIN: Duration = Duration::from_secs(20);
/// How long a party in a call may take to answer a re-INVITE: Timer B, and the retries of 491.
const ANSWER_WITHIN: Duration = Duration::from_secs(64);

/// How far the connecting has got.
#[derive(Debug)]
enum Step {
    /// The calling party has not picked up yet.
    Waiting,
    /// The standing party is asked for an offer.
    Soliciting,
    /// The fresh party has an INVITE.
    Ringing(Offered),
    /// Its offer came early and is with the standing party; perhaps it has picked up since.
    EarlyOffering,
    /// Its early offer was answered; it rings.
    EarlyAgreed,
    /// It has picked up, and its description is with the standing party.
    Offering,
    /// The fresh party is gone, and the standing one gets its old media back.
    Restoring,
}

/// What the fresh party was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offered {
    /// Nothing: it is to offer.
    Nothing,
    /// What the standing party offers, whose 2xx is acknowledged with the answer, until then.
    Solicited(Tick),
    /// The same; but it rings so long that the standing party had to get another answer first.
    Answered,
}

/// A re-INVITE to the standing party.
#[derive(Clone, Debug)]
enum Ask {
    Offer(Description),
    Solicit,
    Restore,
}

#[derive(Debug)]
enum Kind {
    First,
    Transfer {
        /// The description that the standing party had before.
        before: Description,
    },
}

/// A party that is being connected.
#[derive(Debug)]
pub(super) struct Joining {
    kind: Kind,
    placing: Box<Placing>,
    standing: Key<Leg>,
    pub(super) fresh: Option<Key<Leg>>,
    step: Step,
    /// When the step is given up.
    until: Option<Tick>,
    ask: Option<Ask>,
    /// When that is asked again.
    again: Option<Tick>,
    retries: u8,
}

impl Joining {
    /// The called party, as soon as the calling one has picked up.
    pub(super) fn waiting(standing: Key<Leg>, until: Tick, placing: Box<Placing>) -> Self {
        Self::new(Kind::First, standing, until, placing)
    }

    /// The target of a transfer.
    pub(super) fn transfer(
        standing: Key<Leg>,
        before: Description,
        until: Tick,
        placing: Box<Placing>,
    ) -> Self {
        Self::new(Kind::Transfer { before }, standing, until, placing)
    }

    fn new(kind: Kind, standing: Key<Leg>, until: Tick, placing: Box<Placing>) -> Self {
        let (step, until) = (Step::Waiting, Some(until));
        Self { kind, placing, standing, fresh: None, step, until, ask: None, again: None, retries: 0 }
    }

    pub(super) fn forwarding(&self) -> Forwarding {
        self.placing.forwarding
    }

    pub(super) fn role(&self) -> Role {
        match self.kind {
            Kind::First => Role::Called,
            Kind::Transfer { .. } => Role::Target,
        }
    }

    pub(super) fn is_standing(&self, leg: Key<Leg>) -> bool {
        self.standing == leg
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        let answer = match self.step {
            Step::Ringing(Offered::Solicited(until)) => Some(until),
            _ => None,
        };
        [self.until, self.again, answer].into_iter().flatten().min()
    }

    fn wanted(&self, offer: Offer, domain: &str) -> Wanted<'_> {
        let placing = &*self.placing;
        let (party, other, lines) = match self.kind {
            Kind::First => (&placing.called, &placing.calling, called_lines(placing)),
            Kind::Transfer { .. } => (&placing.calling, &placing.called, alerting_lines(placing, domain)),
        };
        let (agent, forwarding, usage) = (&placing.agent, placing.forwarding, Usage::Bridge);
        Wanted { agent, party, other, forwarding, lines, offer, usage }
    }

    /// The URI of the party that is called.
    fn uri(&self) -> &str {
        match self.kind {
            Kind::First => self.placing.called.uri(),
            Kind::Transfer { .. } => self.placing.calling.uri(),
        }
    }
}

impl Bridge {
    /// The calling party has picked up: the called one is called.
    pub(super) fn join(&mut self, desk: &mut Desk<'_, '_>) {
        self.stage = Stage::Connecting;
        desk.record.connecting(Role::Called, Outcome::Requested);
        if let Some(joining) = &mut self.joining {
            joining.until = Some(desk.stack.now + joining.placing.timeout);
        }
        if self.call_fresh(desk).is_err() {
            self.fail(Status::UNAVAILABLE, desk);
        }
    }

    /// A transfer begins.
    pub(super) fn call_target(&mut self, desk: &mut Desk<'_, '_>) -> Result<(), Refusal> {
        let called = self.call_fresh(desk);
        match (&called, &self.joining) {
            (Ok(()), Some(joining)) => {
                desk.record.transfer(desk.stack.now, joining.placing.calling.text());
            }
            _ => self.joining = None,
        }
        called
    }

    /// Calls the fresh party, in the way that it is known to take.
    fn call_fresh(&mut self, desk: &mut Desk<'_, '_>) -> Result<(), Refusal> {
        let Some(joining) = &mut self.joining else { return Ok(()) };
        if desk.stack.endpoint.contacts.of(joining.uri()).wants_offer {
            desk.stack.endpoint.hop(joining.uri()).ok_or(Refusal::NoTransport)?;
            joining.step = Step::Soliciting;
            self.ask(Ask::Solicit, desk);
            return Ok(());
        }
        let wanted = joining.wanted(Offer::Wanted, &desk.stack.endpoint.config.sip.domain);
        joining.fresh = Some(wanted.call(desk)?);
        joining.step = Step::Ringing(Offered::Nothing);
        Ok(())
    }

    /// Sends the standing party a re-INVITE, which it has to answer in time.
    fn ask(&mut self, ask: Ask, desk: &mut Desk<'_, '_>) {
        if let Some(joining) = &mut self.joining
            && matches!(joining.step, Step::Soliciting | Step::Offering | Step::Restoring)
        {
            joining.until = Some(desk.stack.now + ANSWER_WITHIN);
        }
        self.ask_if_allowed(ask, desk);
    }

    /// Sends it, or waits until that is allowed (RFC 3261 §14.1).
    fn ask_if_allowed(&mut self, ask: Ask, desk: &mut Desk<'_, '_>) {
        let Some(joining) = &mut self.joining else { return };
        let standing = joining.standing;
        joining.again = None;
        joining.ask = Some(ask.clone());
        let kept = match &joining.kind {
            Kind::First => &[][..],
            Kind::Transfer { before } => before,
        };
        if desk.legs.get(standing).is_some_and(Leg::is_negotiating) {
            self.ask_again(desk);
            return;
        }
        let sent = |leg: &mut Leg, stack: &mut crate::call::stack::Stack<'_>| {
            let (purpose, body) = match ask {
                Ask::Offer(description) => (Purpose::Offer, Some(leg.describe(&description, stack))),
                Ask::Solicit => (Purpose::Solicit, None),
                Ask::Restore => (Purpose::Restore, Some(leg.describe(kept, stack))),
            };
            let body = body.map(Body::sdp);
            leg.request(Inside { method: Method::Invite, lines: Vec::new(), body, purpose }, stack);
        };
        desk.with(standing, sent);
    }

    fn ask_again(&mut self, desk: &mut Desk<'_, '_>) {
        let Some(joining) = &mut self.joining else { return };
        // We own the Call-ID: 2.1 to 4 seconds, in steps of 10 ms (RFC 3261 §14.1).
        let steps = 210 + desk.stack.endpoint.random.below(191);
        joining.again = Some(desk.stack.now + Duration::from_millis(u64::from(steps) * 10));
    }

    /// What is due of the connecting.
    pub(super) fn joining_due(&mut self, desk: &mut Desk<'_, '_>) {
        let now = desk.stack.now;
        let is_due = |at: Option<Tick>| at.is_some_and(|at| at <= now);
        let Some(joining) = &mut self.joining else { return };
        if is_due(joining.until) {
            joining.until = None;
            match joining.step {
                Step::Waiting => self.part(&[], Status::REQUEST_TIMEOUT, desk),
                Step::Restoring => self.stop_asking(desk),
                _ => self.fail(Status::REQUEST_TIMEOUT, desk),
            }
            return;
        }
        if is_due(joining.again)
            && let Some(ask) = joining.ask.take()
        {
            self.ask_if_allowed(ask, desk);
            return;
        }
        if let Step::Ringing(Offered::Solicited(until)) = joining.step
            && until <= now
        {
            joining.step = Step::Ringing(Offered::Answered);
            self.answer_solicited(desk);
        }
    }

    /// The standing party has not answered for long: it is asked no more. Should it take what it was offered all the
    /// same, its media are restored then.
    fn stop_asking(&mut self, desk: &mut Desk<'_, '_>) {
        let standing = self.joining.as_ref().map(|joining| joining.standing);
        if standing.and_then(|leg| desk.with(leg, Leg::cancel_offer)) != Some(true) {
            self.joining = None;
        }
    }

    /// Acknowledges the standing party's 2xx without the fresh party's answer: its media stay as they were.
    fn answer_solicited(&mut self, desk: &mut Desk<'_, '_>) {
        let Some(joining) = &self.joining else { return };
        let before = match &joining.kind {
            Kind::First => None,
            Kind::Transfer { before } => Some(&**before),
        };
        desk.with(joining.standing, |leg, stack| {
            let Some(offer) = leg.unanswered_offer().map(<[u8]>::to_vec) else { return };
            let answer = match before {
                _ if offer.is_empty() => None,
                Some(before) => Some(leg.describe(before, stack)),
                None => leg.hold_answer(&offer, stack),
            };
            leg.acknowledge(answer, stack);
        });
    }

    /// The fresh party's first INVITE has got on.
    pub(super) fn fresh_event(
        &mut self,
        event: LegEvent,
        response: Option<&Response<'_>>,
        desk: &mut Desk<'_, '_>,
    ) {
        match event {
            LegEvent::Progress(status) => self.rings(status, desk),
            LegEvent::EarlyOffer(status) => {
                self.rings(status, desk);
                if let (Some(joining), Some(response)) = (&mut self.joining, response) {
                    joining.step = Step::EarlyOffering;
                    self.ask(Ask::Offer(response.body.into()), desk);
                }
            }
            LegEvent::Answered => {
                if let Some(response) = response {
                    self.picked_up(response, desk);
                }
            }
            LegEvent::WantsOffer(_) => {
                if let Some(joining) = &mut self.joining {
                    joining.step = Step::Soliciting;
                    self.ask(Ask::Solicit, desk);
                }
            }
            LegEvent::Failed(status, _) => {
                if let Some(fresh) = self.joining.as_mut().and_then(|joining| joining.fresh.take()) {
                    let role = self.role(fresh);
                    self.remove(fresh, role, desk);
                }
                self.fail(status, desk);
            }
            LegEvent::Passes(_) | LegEvent::Done(..) | LegEvent::Nothing => {}
        }
    }

    fn rings(&mut self, status: Status, desk: &mut Desk<'_, '_>) {
        if status == Status::TRYING {
            self.connecting(Outcome::Trying, desk);
        } else {
            self.connecting(Outcome::Ringing, desk);
        }
    }

    /// The fresh party has picked up; its 2xx waits for our ACK unless we have offered.
    fn picked_up(&mut self, response: &Response<'_>, desk: &mut Desk<'_, '_>) {
        let Some(joining) = &mut self.joining else { return };
        let (Some(fresh), standing) = (joining.fresh, joining.standing) else { return };
        let waits = desk.legs.get(fresh).is_some_and(Leg::is_unacknowledged);
        let answer = desk.with(fresh, |leg, _| leg.answer_in(response)).flatten();
        if let Step::Ringing(Offered::Solicited(_) | Offered::Answered) = joining.step {
            desk.stack.endpoint.contacts.wants_offer(desk.stack.now, joining.uri());
        }
        match (&joining.step, answer) {
            (Step::EarlyAgreed, _) if !waits => self.joined(desk),
            (Step::EarlyOffering, None) => {}
            (Step::Ringing(Offered::Solicited(_)), Some(answer)) => {
                desk.with(standing, |leg, stack| {
                    let answer = leg.describe(&answer, stack);
                    leg.acknowledge(Some(answer), stack);
                });
                self.joined(desk);
            }
            (Step::Ringing(_) | Step::EarlyAgreed | Step::EarlyOffering, Some(description)) => {
                joining.step = Step::Offering;
                self.ask(Ask::Offer(description), desk);
            }
            // It names no media, and nothing can be said to the standing party.
            _ => self.fail(Status::NOT_ACCEPTABLE_HERE, desk),
        }
    }

    /// The standing party has answered a re-INVITE that was sent for the fresh one.
    pub(super) fn asked(
        &mut self,
        leg: Key<Leg>,
        purpose: &Purpose,
        status: Status,
        response: Option<&Response<'_>>,
        desk: &mut Desk<'_, '_>,
    ) {
        let Some(joining) = self.joining.as_mut().filter(|joining| joining.standing == leg) else {
            // Whatever it offers, nobody is there to answer.
            desk.with(leg, Leg::decline_offer);
            return;
        };
        // Another INVITE is not done with yet, from either side (RFC 3261 §14.1, §14.2).
        let busy = status == Status::REQUEST_PENDING
            || (status == Status::SERVER_ERROR
                && response.is_some_and(|response| response.first(Name::RetryAfter).is_some()));
        if busy && joining.retries < MAX_RETRIES {
            joining.retries += 1;
            self.ask_again(desk);
            return;
        }
        joining.ask = None;
        let restoring = matches!(joining.step, Step::Restoring);
        let body = response.filter(|response| response.is_sdp()).map(|response| response.body);
        match (purpose, body.filter(|_| status.is_success())) {
            (Purpose::Restore, _) => self.joining = None,
            (Purpose::Offer, _) if restoring && status.is_success() => self.ask(Ask::Restore, desk),
            (Purpose::Offer, _) if restoring => self.joining = None,
            (Purpose::Solicit, _) if restoring => {
                self.answer_solicited(desk);
                self.joining = None;
            }
            (Purpose::Offer, Some(answer)) => self.answered(answer, desk),
            (Purpose::Solicit, Some(offer)) => self.offer_to_fresh(offer, desk),
            _ if status.is_success() => self.fail(Status::NOT_ACCEPTABLE_HERE, desk),
            _ => self.fail(status, desk),
        }
    }

    /// The standing party has answered the fresh one's offer.
    fn answered(&mut self, answer: &[u8], desk: &mut Desk<'_, '_>) {
        let Some(joining) = &mut self.joining else { return };
        let Some(fresh) = joining.fresh else { return };
        if matches!(joining.step, Step::EarlyOffering) {
            let rings = desk.with(fresh, |leg, stack| {
                let answer = leg.describe(answer, stack);
                if leg.is_inviting() {
                    leg.prack(answer, stack);
                    return true;
                }
                // It has picked up before the PRACK, which it should not (RFC 3262 §3).
                leg.acknowledge(Some(answer), stack);
                false
            });
            joining.step = Step::EarlyAgreed;
            if rings == Some(false) {
                self.joined(desk);
            }
            return;
        }
        desk.with(fresh, |leg, stack| {
            if leg.is_unacknowledged() {
                let answer = leg.describe(answer, stack);
                leg.acknowledge(Some(answer), stack);
            }
        });
        self.joined(desk);
    }

    /// The standing party offers: the fresh one gets that in its INVITE.
    fn offer_to_fresh(&mut self, offer: &[u8], desk: &mut Desk<'_, '_>) {
        let Some(joining) = &mut self.joining else { return };
        let now = desk.stack.now;
        joining.step = Step::Ringing(Offered::Solicited(now + ACK_WITHIN));
        joining.until = Some(now + joining.placing.timeout);
        if let Some(fresh) = joining.fresh {
            desk.with(fresh, |leg, stack| leg.offer(offer, stack));
            return;
        }
        let wanted = joining.wanted(Offer::Given(offer.into()), &desk.stack.endpoint.config.sip.domain);
        match wanted.call(desk) {
            Ok(fresh) => joining.fresh = Some(fresh),
            Err(_) => self.fail(Status::UNAVAILABLE, desk),
        }
    }

    /// The fresh party is in the call.
    fn joined(&mut self, desk: &mut Desk<'_, '_>) {
        self.connecting(Outcome::Connected, desk);
        let Some(joining) = self.joining.take() else { return };
        self.stage = Stage::Connected;
        if matches!(joining.kind, Kind::First) {
            self.called = joining.fresh;
            return;
        }
        let old = std::mem::replace(&mut self.calling, joining.fresh);
        let parted = old.and_then(|old| self.let_go(old, desk));
        self.renamed = Some(Box::new(Renamed { placing: joining.placing, parted }));
    }

    /// The fresh party cannot be connected: a first one ends the call, a target leaves it as it was.
    pub(super) fn fail(&mut self, status: Status, desk: &mut Desk<'_, '_>) {
        self.connecting(Outcome::Failed(status), desk);
        let reason = super::leaving::reason(status);
        if let Some(fresh) = self.joining.as_mut().and_then(|joining| joining.fresh.take()) {
            let role = self.joining.as_ref().map_or(Role::Called, |joining| joining.role());
            self.leave(fresh, role, &reason, desk);
        }
        self.answer_solicited(desk);
        let Some(joining) = &mut self.joining else { return };
        let standing = joining.standing;
        let Kind::Transfer { before } = &joining.kind else {
            self.part(&reason, status, desk);
            return;
        };
        let Some(leg) = desk.legs.get(standing) else { return };
        let changed = !crate::sip::sdp::is_same_but_origin(leg.agreed(), before);
        let asked = joining.ask.take().is_some() && leg.has_offer_out();
        joining.again = None;
        joining.step = Step::Restoring;
        joining.until = Some(desk.stack.now + ANSWER_WITHIN);
        if self.calling.is_none() {
            // Whoever it was connected to has left meanwhile.
            self.part(&reason, status, desk);
        } else if changed && !asked {
            self.ask(Ask::Restore, desk);
        } else if !asked {
            self.joining = None;
        }
    }
}
