//! A call by REFER: ring the calling party, hand it to the called party, watch what comes of it, leave (RFC 3515, RFC 5589).

use crate::mistakes::{self, Mistake};
use std::time::Duration;

use crate::Tick;
use crate::call::bridge::Bridge;
use crate::call::desk::Desk;
use crate::call::flow::Flow;
use crate::call::leg::{Answering, Inside, Leg, LegEvent, ReferSub};
use crate::call::messages::finish_options;
use crate::call::order::{Forwarding, Placing};
use crate::call::outcome::{Observation, Outcome};
use crate::call::record::{Record, Role};
use crate::config::{ReferFallback, ReferHangup};
use crate::ident::{Ident, Key};
use crate::sip::message::{Method, Name, Response, Status, Writer};
use crate::sip::screen::Usage;
use crate::sip::subscription::{Notification, TIMER_N};
use crate::sip::transaction::Reply;

/// How often a REFER that met 491 is tried again.
const MAX_RETRIES: u8 = 5;

/// How far the call has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// INVITE is out.
    Alerting,
    /// The INVITE was given up; its final response is waited for.
    Canceling,
    /// REFER is out.
    Referring,
    /// REFER met 491 and is sent again later.
    Pausing,
    /// REFER was refused, and the parties are connected in the other way.
    FallingBack,
    /// REFER was accepted; NOTIFYs are waited for.
    Watching,
    /// BYE is out.
    Leaving,
    /// The dialog's INVITE usage has ended; the outcome may still be notified (RFC 5057 §5.2).
    Lingering,
    /// Nothing more will happen.
    Over,
}

impl Stage {
    /// How far the call has got, in one word for people and JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Stage::Alerting => "alerting",
            Stage::Canceling => "canceling",
            Stage::Referring | Stage::Pausing | Stage::Watching | Stage::FallingBack => "transferring",
            Stage::Leaving => "leaving",
            Stage::Lingering | Stage::Over => "ended",
        }
    }
}

/// The state machine of one call by REFER.
#[derive(Debug)]
pub(crate) struct Refer {
    pub(crate) stage: Stage,
    /// The leg to the calling party; it is there until everything is over.
    pub(crate) leg: Key<Leg>,
    /// Its `Call-ID`, to be shown.
    pub(crate) call_id: Option<Ident>,
    /// When the stage ends by itself.
    pub(crate) deadline: Option<Tick>,
    /// The order; None once nothing more will happen.
    placing: Option<Box<Placing>>,
    retries: u8,
    /// Whether somebody asked for the end.
    hung_up: bool,
}

impl Refer {
    /// A call whose INVITE is sent now, on this leg.
    pub(crate) fn new(now: Tick, (leg, call_id): (Key<Leg>, Option<Ident>), placing: Box<Placing>) -> Self {
        Self {
            stage: Stage::Alerting,
            leg,
            call_id,
            deadline: Some(now + placing.timeout),
            placing: Some(placing),
            retries: 0,
            hung_up: false,
        }
    }

    /// Whether somebody is or will be in this call.
    pub(crate) fn is_in_progress(&self) -> bool {
        !matches!(self.stage, Stage::Lingering | Stage::Over)
    }

    /// Nothing more will happen: what was to be said is not kept.
    pub(crate) fn settle(&mut self) {
        self.placing = None;
    }

    /// Somebody wants the call to end, whatever its state.
    pub(crate) fn hang_up(&mut self, desk: &mut Desk<'_, '_>) {
        self.hung_up = true;
        match self.stage {
            Stage::Alerting => self.cancel(desk),
            Stage::Referring | Stage::Pausing | Stage::Watching => self.leave(None, desk),
            Stage::Canceling | Stage::FallingBack | Stage::Leaving | Stage::Lingering | Stage::Over => {}
        }
    }

    fn cancel(&mut self, desk: &mut Desk<'_, '_>) {
        self.stage = Stage::Canceling;
        self.deadline = None;
        desk.with(self.leg, |leg, stack| leg.cancel(None, stack));
    }

    /// The deadline has come.
    pub(crate) fn timeout(&mut self, desk: &mut Desk<'_, '_>) {
        self.deadline = None;
        match self.stage {
            Stage::Alerting => self.cancel(desk),
            Stage::Pausing => self.refer(desk),
            Stage::Watching => {
                observe(desk.record, Observation::Silence);
                self.leave(None, desk);
            }
            Stage::Lingering => {
                observe(desk.record, Observation::Silence);
                self.over(desk);
            }
            Stage::Canceling | Stage::Referring | Stage::FallingBack | Stage::Leaving | Stage::Over => {}
        }
    }

    /// Something happened on the leg; `response` is what brought it, unless nothing did.
    pub(crate) fn leg_event(
        &mut self,
        event: &LegEvent,
        response: Option<&Response<'_>>,
        desk: &mut Desk<'_, '_>,
    ) {
        note(event, response, desk);
        match event {
            LegEvent::Progress(status) | LegEvent::EarlyOffer(status) => {
                let forbids = |placing: &Placing| placing.forwarding == Forwarding::Forbidden;
                let forwarded = *status == Status::FORWARDED && self.placing.as_deref().is_some_and(forbids);
                if forwarded && self.stage == Stage::Alerting {
                    self.cancel(desk);
                }
            }
            LegEvent::Answered => {
                desk.record.answered = Some(desk.stack.now);
                self.answered(desk);
            }
            LegEvent::Failed(..) | LegEvent::WantsOffer(_) => self.over(desk),
            LegEvent::Done(Inside { method: Method::Refer, .. }, status, sub) => {
                self.refer_answered(*status, *sub, desk);
            }
            LegEvent::Done(Inside { method: Method::Bye, .. }, ..) => self.left(desk),
            LegEvent::Done(..) | LegEvent::Passes(_) | LegEvent::Nothing => {}
        }
    }

    fn answered(&mut self, desk: &mut Desk<'_, '_>) {
        match self.stage {
            Stage::Alerting => self.refer(desk),
            // The 2xx has crossed our CANCEL.
            _ => self.leave(None, desk),
        }
    }

    fn refer(&mut self, desk: &mut Desk<'_, '_>) {
        self.stage = Stage::Referring;
        self.deadline = None;
        desk.record.outcome.get_or_insert(Outcome::Requested);
        let lines = self.placing.as_deref().map(refer_lines).unwrap_or_default();
        let refer = Inside::plain(Method::Refer, lines);
        desk.with(self.leg, |leg, stack| leg.request(refer, stack));
    }

    fn refer_answered(&mut self, status: Status, sub: ReferSub, desk: &mut Desk<'_, '_>) {
        if status == Status::REQUEST_PENDING && self.stage == Stage::Referring && self.retries < MAX_RETRIES {
            self.retries += 1;
            self.stage = Stage::Pausing;
            // We own the Call-ID: 2.1 to 4 seconds, in steps of 10 ms (RFC 3261 §14.1).
            let steps = 210 + desk.stack.endpoint.random.below(191);
            self.deadline = Some(desk.stack.now + Duration::from_millis(u64::from(steps) * 10));
            return;
        }
        let before = desk.record.outcome;
        observe(
            desk.record,
            match (status.is_success(), sub) {
                (true, ReferSub::Watched) => Observation::Accepted,
                (true, ReferSub::Unwatched) => Observation::AcceptedUnwatched,
                (false, _) => Observation::Refused(status),
            },
        );
        let is_final = desk.record.outcome.is_some_and(Outcome::is_final);
        let refused = !status.is_success() && before != desk.record.outcome;
        let falls_back = desk.stack.endpoint.config.calls.refer_fallback == ReferFallback::Invite;
        let there = !matches!(status, Status::NO_SUCH_DIALOG | Status::REQUEST_TIMEOUT);
        match self.stage {
            Stage::Referring if refused && there && falls_back && !self.hung_up => {
                self.stage = Stage::FallingBack;
            }
            Stage::Referring if is_final => self.leave(refused.then_some(status), desk),
            Stage::Referring => {
                self.stage = Stage::Watching;
                self.deadline.get_or_insert(desk.stack.now + TIMER_N);
            }
            Stage::Lingering if is_final => self.over(desk),
            _ => {}
        }
    }

    /// A request came in the dialog.
    pub(crate) fn request(&mut self, answering: &Answering<'_>, desk: &mut Desk<'_, '_>) {
        let Answering { key, request, .. } = *answering;
        let plain = |status, desk: &mut Desk<'_, '_>| {
            let transactions = &mut desk.stack.endpoint.transactions;
            transactions.respond_plain(desk.stack.now, key, request, status, desk.stack.outbox);
        };
        match request.method {
            Method::Bye => {
                plain(Status::OK, desk);
                self.peer_hung_up(desk);
            }
            // Of nothing that we have asked for.
            Method::Notify if desk.record.outcome.is_none() => plain(Status::NO_SUCH_DIALOG, desk),
            Method::Notify => match Notification::read(request) {
                Some(notification) => {
                    plain(Status::OK, desk);
                    self.notified(&notification, desk);
                }
                None => plain(Status::BAD_EVENT, desk),
            },
            Method::Invite | Method::Update => {
                desk.with(self.leg, |leg, stack| leg.answer_offer(answering, stack));
            }
            Method::Options => {
                let reply = Reply { status: Status::OK, to_tag: None };
                let transactions = &mut desk.stack.endpoint.transactions;
                transactions.respond(desk.stack.now, key, request, reply, desk.stack.outbox, |writer| {
                    finish_options(writer, Usage::Refer);
                });
            }
            _ => plain(Status::NO_SUCH_DIALOG, desk),
        }
    }

    /// A NOTIFY of the subscription came, and was answered.
    fn notified(&mut self, notification: &Notification<'_>, desk: &mut Desk<'_, '_>) {
        let now = desk.stack.now;
        desk.record.notified(now, notification.body);
        observe(desk.record, Observation::of(notification));
        let outcome = desk.record.outcome.unwrap_or(Outcome::Requested);
        let leaves_early = desk.stack.endpoint.config.calls.refer_hangup == ReferHangup::Ringing;
        let rings = leaves_early && outcome == Outcome::Ringing;
        match self.stage {
            Stage::Referring | Stage::Pausing | Stage::Watching if outcome.is_final() || rings => {
                self.deadline = notification.deadline(now);
                self.leave(None, desk);
            }
            Stage::Referring | Stage::Watching | Stage::Lingering if !outcome.is_final() => {
                self.deadline = notification.deadline(now);
            }
            Stage::Lingering => self.over(desk),
            _ => {}
        }
    }

    /// The peer has hung up, and was answered.
    fn peer_hung_up(&mut self, desk: &mut Desk<'_, '_>) {
        match self.stage {
            // A called party ends an early dialog by its answer, not by BYE (§15); it is taken for one all the same.
            Stage::Alerting => self.cancel(desk),
            // The INVITE's answer, or that to our own BYE, ends the call.
            Stage::Canceling | Stage::Leaving => {}
            _ => self.linger(desk),
        }
    }

    fn leave(&mut self, refused: Option<Status>, desk: &mut Desk<'_, '_>) {
        self.stage = Stage::Leaving;
        let lines = refused
            .map(|status| format!("Reason: SIP;cause={status};text=\"{}\"\r\n", status.phrase()))
            .unwrap_or_default();
        desk.with(self.leg, |leg, stack| leg.hang_up(lines.as_bytes(), stack));
    }

    /// Our BYE has its answer: what it says does not matter (§15.1.1).
    fn left(&mut self, desk: &mut Desk<'_, '_>) {
        if self.stage == Stage::Leaving {
            self.linger(desk);
        }
    }

    /// Waits for what may still be notified, unless everything is known already.
    fn linger(&mut self, desk: &mut Desk<'_, '_>) {
        if desk.record.outcome.is_none_or(Outcome::is_final) {
            self.over(desk);
            return;
        }
        self.stage = Stage::Lingering;
        let most = desk.stack.now + TIMER_N;
        // Whoever hung up by our interface is not interested for longer than that.
        let deadline = self.deadline.filter(|deadline| !self.hung_up || *deadline < most);
        self.deadline = Some(deadline.unwrap_or(most));
    }

    fn over(&mut self, desk: &mut Desk<'_, '_>) {
        self.stage = Stage::Over;
        self.deadline = None;
        desk.dismiss(self.leg);
    }
}

impl Flow {
    /// Goes on in the other way, if a refused REFER asks for that.
    pub(crate) fn fall_back(&mut self, desk: &mut Desk<'_, '_>) {
        let Flow::Refer(refer) = self else { return };
        if refer.stage != Stage::FallingBack {
            return;
        }
        let (leg, Some(placing)) = (refer.leg, refer.placing.take()) else { return };
        desk.with(leg, |leg, _| leg.usage = Usage::Bridge);
        *self = Flow::Bridge(Bridge::instead_of_refer(leg, placing, desk));
    }
}

/// Refer-To (RFC 3515 §2.1), with the PIN as a header of its URI, and Referred-By (RFC 3892 §3), each with CR LF.
fn refer_lines(placing: &Placing) -> Vec<u8> {
    let mut lines = Vec::with_capacity(160);
    let mut writer = Writer::lines_only(&mut lines);
    let called = placing.called.uri();
    match &placing.confpin {
        Some(pin) => writer.field_parts(Name::ReferTo, &["<", called, "?X-ConfPin=", pin, ">"]),
        None => writer.field_parts(Name::ReferTo, &["<", called, ">"]),
    };
    writer.field_parts(Name::ReferredBy, &["<", placing.agent.party.uri(), ">"]);
    lines
}

/// Notes what the record shows of an event on the leg.
fn note(event: &LegEvent, response: Option<&Response<'_>>, desk: &mut Desk<'_, '_>) {
    let status = match event {
        LegEvent::Progress(status) | LegEvent::Failed(status, _) => *status,
        LegEvent::Answered => Status::OK,
        _ => return,
    };
    let reason = response.map_or(status.phrase(), |response| response.reason);
    desk.record.response(desk.stack.now, Role::Calling, status, reason);
}

fn observe(record: &mut Record, observation: Observation) {
    let before = record.outcome.unwrap_or(Outcome::Requested);
    let after = before.after(observation);
    record.outcome = Some(if mistakes::on(Mistake::ForgetOutcome) { Outcome::Requested } else { after });
}
