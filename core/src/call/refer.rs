//! A call by REFER: ring the calling party, hand it to the called party, watch what comes of it, leave (RFC 3515, RFC 5589).

use std::time::Duration;

use crate::Tick;
use crate::call::leg::{Inside, Leg, LegEvent, ReferSub};
use crate::call::order::Forwarding;
use crate::call::outcome::{Observation, Outcome};
use crate::call::record::Record;
use crate::call::stack::Stack;
use crate::config::ReferHangup;
use crate::sip::message::{Method, Status};
use crate::sip::subscription::{Notification, TIMER_N};

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
    /// REFER was accepted; NOTIFYs are waited for.
    Watching,
    /// BYE is out.
    Leaving,
    /// The dialog's INVITE usage has ended; the outcome may still be notified (RFC 5057 §5.2).
    Lingering,
    /// Nothing more will happen.
    Over,
}

/// The state machine of one call by REFER.
#[derive(Debug)]
pub(crate) struct Refer {
    pub(crate) stage: Stage,
    /// When the stage ends by itself.
    pub(crate) deadline: Option<Tick>,
    /// Refer-To and Referred-By, each with CR LF.
    lines: Box<[u8]>,
    forwarding: Forwarding,
    retries: u8,
    /// Whether somebody asked for the end.
    hung_up: bool,
}

impl Refer {
    /// A call whose INVITE is sent now.
    pub(crate) fn new(now: Tick, timeout: Duration, forwarding: Forwarding, lines: Box<[u8]>) -> Self {
        Self {
            stage: Stage::Alerting,
            deadline: Some(now + timeout),
            lines,
            forwarding,
            retries: 0,
            hung_up: false,
        }
    }

    /// Whether somebody is or will be in this call.
    pub(crate) fn is_in_progress(&self) -> bool {
        !matches!(self.stage, Stage::Lingering | Stage::Over)
    }

    /// Somebody wants the call to end, whatever its state.
    pub(crate) fn hang_up(&mut self, leg: &mut Leg, stack: &mut Stack<'_>) {
        self.hung_up = true;
        match self.stage {
            Stage::Alerting => self.cancel(leg, stack),
            Stage::Referring | Stage::Pausing | Stage::Watching => self.leave(leg, None, stack),
            Stage::Canceling | Stage::Leaving | Stage::Lingering | Stage::Over => {}
        }
    }

    fn cancel(&mut self, leg: &mut Leg, stack: &mut Stack<'_>) {
        self.stage = Stage::Canceling;
        self.deadline = None;
        leg.cancel(None, stack);
    }

    /// The deadline has come.
    pub(crate) fn timeout(&mut self, leg: &mut Leg, record: &mut Record, stack: &mut Stack<'_>) {
        self.deadline = None;
        match self.stage {
            Stage::Alerting => self.cancel(leg, stack),
            Stage::Pausing => self.refer(leg, record, stack),
            Stage::Watching => {
                observe(record, Observation::Silence);
                self.leave(leg, None, stack);
            }
            Stage::Lingering => {
                observe(record, Observation::Silence);
                self.over(leg);
            }
            Stage::Canceling | Stage::Referring | Stage::Leaving | Stage::Over => {}
        }
    }

    /// Something happened on the leg.
    pub(crate) fn leg_event(
        &mut self,
        event: &LegEvent,
        leg: &mut Leg,
        record: &mut Record,
        stack: &mut Stack<'_>,
    ) {
        match event {
            LegEvent::Nothing => {}
            LegEvent::Progress(status) => {
                let forwarded = *status == Status::FORWARDED && self.forwarding == Forwarding::Forbidden;
                if forwarded && self.stage == Stage::Alerting {
                    self.cancel(leg, stack);
                }
            }
            LegEvent::Answered => {
                record.answered = Some(stack.now);
                self.answered(leg, record, stack);
            }
            LegEvent::Failed(..) => self.over(leg),
            LegEvent::Done(Inside { method: Method::Refer, .. }, status, sub) => {
                self.refer_answered(*status, *sub, leg, record, stack);
            }
            LegEvent::Done(Inside { method: Method::Bye, .. }, ..) => self.left(leg, record, stack.now),
            LegEvent::Done(..) => {}
        }
    }

    fn answered(&mut self, leg: &mut Leg, record: &mut Record, stack: &mut Stack<'_>) {
        match self.stage {
            Stage::Alerting => self.refer(leg, record, stack),
            // The 2xx has crossed our CANCEL.
            _ => self.leave(leg, None, stack),
        }
    }

    fn refer(&mut self, leg: &mut Leg, record: &mut Record, stack: &mut Stack<'_>) {
        self.stage = Stage::Referring;
        self.deadline = None;
        record.outcome.get_or_insert(Outcome::Requested);
        leg.request(Inside { method: Method::Refer, lines: self.lines.clone() }, stack);
    }

    fn refer_answered(
        &mut self,
        status: Status,
        sub: ReferSub,
        leg: &mut Leg,
        record: &mut Record,
        stack: &mut Stack<'_>,
    ) {
        if status == Status::REQUEST_PENDING && self.stage == Stage::Referring && self.retries < MAX_RETRIES {
            self.retries += 1;
            self.stage = Stage::Pausing;
            // We own the Call-ID: 2.1 to 4 seconds, in steps of 10 ms (RFC 3261 §14.1).
            let steps = 210 + stack.endpoint.random.below(191);
            self.deadline = Some(stack.now + Duration::from_millis(u64::from(steps) * 10));
            return;
        }
        let before = record.outcome;
        observe(
            record,
            match (status.is_success(), sub) {
                (true, ReferSub::Watched) => Observation::Accepted,
                (true, ReferSub::Unwatched) => Observation::AcceptedUnwatched,
                (false, _) => Observation::Refused(status),
            },
        );
        let is_final = record.outcome.is_some_and(Outcome::is_final);
        match self.stage {
            Stage::Referring if is_final => {
                let refused = !status.is_success() && before != record.outcome;
                let reason = refused.then(|| format!("SIP;cause={status};text=\"{}\"", status.phrase()));
                self.leave(leg, reason.as_deref(), stack);
            }
            Stage::Referring => {
                self.stage = Stage::Watching;
                self.deadline.get_or_insert(stack.now + TIMER_N);
            }
            Stage::Lingering if is_final => self.over(leg),
            _ => {}
        }
    }

    /// A NOTIFY of the subscription came, and was answered.
    pub(crate) fn notified(
        &mut self,
        notification: &Notification<'_>,
        leg: &mut Leg,
        record: &mut Record,
        stack: &mut Stack<'_>,
    ) {
        record.notified(stack.now, notification.body);
        observe(record, Observation::of(notification));
        let outcome = record.outcome.unwrap_or(Outcome::Requested);
        let rings =
            stack.endpoint.config.calls.refer_hangup == ReferHangup::Ringing && outcome == Outcome::Ringing;
        match self.stage {
            Stage::Referring | Stage::Pausing | Stage::Watching if outcome.is_final() || rings => {
                self.deadline = notification.deadline(stack.now);
                self.leave(leg, None, stack);
            }
            Stage::Referring | Stage::Watching | Stage::Lingering if !outcome.is_final() => {
                self.deadline = notification.deadline(stack.now);
            }
            Stage::Lingering => self.over(leg),
            _ => {}
        }
    }

    /// The peer has hung up, and was answered.
    pub(crate) fn peer_hung_up(&mut self, leg: &mut Leg, record: &mut Record, now: Tick) {
        if self.stage == Stage::Leaving {
            // Both BYEs have crossed; ours will be answered, by 200 or by 481.
            return;
        }
        self.linger(leg, record, now);
    }

    fn leave(&mut self, leg: &mut Leg, reason: Option<&str>, stack: &mut Stack<'_>) {
        self.stage = Stage::Leaving;
        leg.hang_up(reason, stack);
    }

    /// Our BYE has its answer: what it says does not matter (§15.1.1).
    fn left(&mut self, leg: &mut Leg, record: &mut Record, now: Tick) {
        if self.stage == Stage::Leaving {
            self.linger(leg, record, now);
        }
    }

    /// Waits for what may still be notified, unless everything is known already.
    fn linger(&mut self, leg: &mut Leg, record: &mut Record, now: Tick) {
        if record.outcome.is_none_or(Outcome::is_final) {
            self.over(leg);
            return;
        }
        self.stage = Stage::Lingering;
        let most = now + TIMER_N;
        // Whoever hung up by our interface is not interested for longer than that.
        let deadline = self.deadline.filter(|deadline| !self.hung_up || *deadline < most);
        self.deadline = Some(deadline.unwrap_or(most));
    }

    fn over(&mut self, leg: &mut Leg) {
        self.stage = Stage::Over;
        self.deadline = None;
        leg.end();
    }
}

fn observe(record: &mut Record, observation: Observation) {
    let before = record.outcome.unwrap_or(Outcome::Requested);
    record.outcome = Some(before.after(observation));
}
