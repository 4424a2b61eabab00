//! A call that stays in the path: both parties' dialogs are ours, and what one says passes to the other
//! (RFC 3725 flow IV and flow III, RFC 7092).

mod joining;
mod leaving;
mod passing;
mod shown;
mod watching;

use crate::Tick;
use crate::call::desk::Desk;
use crate::call::leg::{Inside, Leg, LegEvent, Purpose};
use crate::call::order::{Forwarding, Placing, Refusal};
use crate::call::outcome::Outcome;
use crate::call::progress::Parted;
use crate::call::record::Role;
use crate::ident::{Key, Table};
use crate::sip::message::{Response, Status};
use joining::Joining;
use leaving::Leaving;

/// How far the call has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The calling party is rung.
    Alerting,
    /// It has picked up; the called party is rung and connected.
    Connecting,
    /// Both are connected; a transfer may be under way.
    Connected,
    /// Everybody is let go.
    Leaving,
    /// Nothing more will happen.
    Over,
}

/// The state machine of one call that we stay in.
#[derive(Debug)]
pub(crate) struct Bridge {
    stage: Stage,
    calling: Option<Key<Leg>>,
    called: Option<Key<Leg>>,
    /// The party that is being connected: first the called one, later the targets of transfers.
    joining: Option<Box<Joining>>,
    leaving: Vec<Leaving>,
    /// REFERs that passed: the leg that each came on, its CSeq number there and on the other leg (RFC 3515 §2.4.6).
    referrals: Vec<(Key<Leg>, u32, u32)>,
    /// Dialogs that are over, to be shown.
    parted: Vec<(Role, Parted)>,
    /// A transfer that is done and gives the call another name.
    renamed: Option<Box<Renamed>>,
}

/// What a transfer that is done changes for whoever asks for the call.
#[derive(Debug)]
pub(crate) struct Renamed {
    /// The order.
    pub(crate) placing: Box<Placing>,
    /// The dialog of the party that is not in the call any more.
    pub(crate) parted: Option<Parted>,
}

impl Bridge {
    /// A call whose calling party is rung now.
    pub(crate) fn alerting(now: Tick, calling: Key<Leg>, placing: Box<Placing>) -> Self {
        let joining = Joining::waiting(calling, now + placing.timeout, placing);
        Self {
            stage: Stage::Alerting,
            calling: Some(calling),
            called: None,
            joining: Some(Box::new(joining)),
            leaving: Vec::new(),
            referrals: Vec::new(),
            parted: Vec::new(),
            renamed: None,
        }
    }

    /// A call whose calling party has picked up and refused REFER.
    pub(crate) fn instead_of_refer(
        calling: Key<Leg>,
        placing: Box<Placing>,
        desk: &mut Desk<'_, '_>,
    ) -> Self {
        let mut bridge = Self::alerting(desk.stack.now, calling, placing);
        desk.record.outcome = None;
        bridge.join(desk);
        bridge
    }

    /// What is left to be shown under the old name of a call that was transferred.
    pub(crate) fn left_behind(parted: Option<Parted>) -> Self {
        Self {
            stage: Stage::Over,
            calling: None,
            called: None,
            joining: None,
            leaving: Vec::new(),
            referrals: Vec::new(),
            parted: parted.map(|parted| (Role::Calling, parted)).into_iter().collect(),
            renamed: None,
        }
    }

    /// Whether somebody is or will be in this call.
    pub(crate) fn is_in_progress(&self) -> bool {
        self.stage != Stage::Over
    }

    /// Nothing more will happen: no room is kept for it.
    pub(crate) fn settle(&mut self) {
        self.leaving = Vec::new();
        self.referrals = Vec::new();
        self.parted.shrink_to_fit();
    }

    /// How far it has got, in one word.
    pub(crate) fn state(&self) -> &'static str {
        match self.stage {
            Stage::Alerting => "alerting",
            Stage::Connecting => "connecting",
            Stage::Connected if self.joining.is_some() => "transferring",
            Stage::Connected => "connected",
            Stage::Leaving => "leaving",
            Stage::Over => "ended",
        }
    }

    /// A transfer that was done in this turn.
    pub(crate) fn take_renamed(&mut self) -> Option<Box<Renamed>> {
        self.renamed.take()
    }

    /// When something is to be done without anybody asking.
    pub(crate) fn deadline(&self, legs: &Table<Leg>) -> Option<Tick> {
        let parties = [self.calling, self.called].into_iter().flatten();
        let watches = parties.filter_map(|leg| legs.get(leg)?.watch.at());
        let joining = self.joining.as_ref().and_then(|joining| joining.deadline());
        watches.chain(joining).min()
    }

    /// Something is due.
    pub(crate) fn timeout(&mut self, desk: &mut Desk<'_, '_>) {
        self.joining_due(desk);
        self.watches_due(desk);
    }

    /// Somebody asks by our interface that the call ends, whatever its state.
    pub(crate) fn hang_up(&mut self, desk: &mut Desk<'_, '_>) {
        self.part(&[], Status::REQUEST_TERMINATED, desk);
    }

    /// Connects the called party to somebody else in place of the calling one.
    pub(crate) fn transfer(&mut self, placing: Box<Placing>, desk: &mut Desk<'_, '_>) -> Result<(), Refusal> {
        let called = match (self.stage, self.calling, self.called) {
            (Stage::Connected, Some(_), Some(called)) if self.joining.is_none() => called,
            (Stage::Connected, ..) => {
                return Err(Refusal::NotTransferable("a transfer of this call is still in progress"));
            }
            _ => return Err(Refusal::NotTransferable("the parties of this call are not connected yet")),
        };
        let before = desk.legs.get(called).map(|leg| leg.agreed().clone()).unwrap_or_default();
        let deadline = desk.stack.now + placing.timeout;
        self.joining = Some(Box::new(Joining::transfer(called, before, deadline, placing)));
        self.call_target(desk)
    }

    /// Something happened on a leg; `response` is what brought it, unless nothing did.
    pub(crate) fn leg_event(
        &mut self,
        leg: Key<Leg>,
        event: LegEvent,
        response: Option<&Response<'_>>,
        desk: &mut Desk<'_, '_>,
    ) {
        self.note(leg, &event, response, desk);
        if self.leaving.iter().any(|leaving| leaving.leg == leg) {
            self.leaving_event(leg, &event, desk);
        } else if self.fresh() == Some(leg) {
            self.fresh_event(event, response, desk);
        } else if self.stage == Stage::Alerting {
            self.alerted(leg, &event, desk);
        } else {
            self.within(leg, event, response, desk);
        }
    }

    /// The calling party's phone has answered its first INVITE in some way.
    fn alerted(&mut self, leg: Key<Leg>, event: &LegEvent, desk: &mut Desk<'_, '_>) {
        match event {
            LegEvent::Progress(Status::FORWARDED) if self.forwarding() == Forwarding::Forbidden => {
                self.part(&[], Status::FORWARDED, desk);
            }
            LegEvent::Answered => {
                desk.record.answered = Some(desk.stack.now);
                desk.with(leg, |leg, _| leg.forget_early_answer());
                self.join(desk);
            }
            LegEvent::Failed(..) => {
                self.joining = None;
                self.calling = None;
                self.remove(leg, Role::Calling, desk);
                self.stage = Stage::Over;
            }
            _ => {}
        }
    }

    fn forwarding(&self) -> Forwarding {
        self.joining.as_ref().map_or(Forwarding::Allowed, |joining| joining.forwarding())
    }

    /// A request of ours within a standing dialog has got on.
    fn within(
        &mut self,
        leg: Key<Leg>,
        event: LegEvent,
        response: Option<&Response<'_>>,
        desk: &mut Desk<'_, '_>,
    ) {
        match event {
            LegEvent::Passes(passing) => {
                if let Some(response) = response {
                    self.pass_provisional(&passing, response, desk);
                }
            }
            LegEvent::Done(request, status, _) => self.done(leg, request, status, response, desk),
            _ => {}
        }
    }

    fn done(
        &mut self,
        leg: Key<Leg>,
        request: Inside,
        status: Status,
        response: Option<&Response<'_>>,
        desk: &mut Desk<'_, '_>,
    ) {
        // Whom no way leads to any more does not answer either.
        let unreached = response.is_none() && matches!(request.purpose, Purpose::Ping);
        let gone = unreached || matches!(status, Status::NO_SUCH_DIALOG | Status::REQUEST_TIMEOUT);
        match request.purpose {
            Purpose::Pass(passing) => {
                self.pass_back(leg, request.method, &passing, (status, response), desk);
            }
            Purpose::Offer | Purpose::Solicit | Purpose::Restore if !gone => {
                self.asked(leg, &request.purpose, status, response, desk);
            }
            Purpose::Refresh if !gone => self.refreshed(leg, request.method, status, desk),
            Purpose::Offer | Purpose::Solicit | Purpose::Restore | Purpose::Refresh => {}
            Purpose::Ping | Purpose::Plain => {}
        }
        // Whoever knows nothing of the dialog, or is not there any more, is in no call (RFC 3261 §12.2.1.2).
        if gone {
            self.lost(leg, status, desk);
        }
    }

    fn note(
        &self,
        leg: Key<Leg>,
        event: &LegEvent,
        response: Option<&Response<'_>>,
        desk: &mut Desk<'_, '_>,
    ) {
        let (LegEvent::Progress(status)
        | LegEvent::EarlyOffer(status)
        | LegEvent::WantsOffer(status)
        | LegEvent::Failed(status, _)) = event
        else {
            if matches!(event, LegEvent::Answered) {
                let reason = response.map_or(Status::OK.phrase(), |response| response.reason);
                desk.record.response(desk.stack.now, self.role(leg), Status::OK, reason);
            }
            return;
        };
        let reason = response.map_or(status.phrase(), |response| response.reason);
        desk.record.response(desk.stack.now, self.role(leg), *status, reason);
    }

    fn fresh(&self) -> Option<Key<Leg>> {
        self.joining.as_ref()?.fresh
    }

    /// Who the party of a leg is.
    fn role(&self, leg: Key<Leg>) -> Role {
        let leaving = self.leaving.iter().find(|leaving| leaving.leg == leg);
        match leaving {
            Some(leaving) => leaving.role,
            None if self.calling == Some(leg) => Role::Calling,
            None if self.called == Some(leg) => Role::Called,
            None => self.joining.as_ref().map_or(Role::Called, |joining| joining.role()),
        }
    }

    /// The leg of the party that this one is connected to.
    fn partner(&self, leg: Key<Leg>) -> Option<Key<Leg>> {
        if self.stage != Stage::Connected {
            return None;
        }
        match (self.calling, self.called) {
            (Some(calling), called) if calling == leg => called,
            (calling, Some(called)) if called == leg => calling,
            _ => None,
        }
    }

    /// The leg of the party that is connected to this one's, for whoever wants to be connected in its place.
    pub(crate) fn other_side(&self, leg: Key<Leg>) -> Option<Key<Leg>> {
        self.partner(leg)
    }

    fn connecting(&self, outcome: Outcome, desk: &mut Desk<'_, '_>) {
        let role = self.joining.as_ref().map_or(Role::Called, |joining| joining.role());
        desk.record.connecting(role, outcome);
    }
}
