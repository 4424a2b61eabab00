//! The client machines: INVITE (RFC 3261 §17.1.1 with RFC 6026 §7.2) and all others (§17.1.2).

use std::time::Duration;

use super::timers::{Timer, Timers};

/// What happens to a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A 1xx.
    Provisional,
    /// A 2xx.
    Success,
    /// A final response of 300 or more.
    Failure,
    /// Its timer A or E.
    Retransmit,
    /// Its timer B, D, F, K or M, whichever runs.
    Expire,
}

/// What the step asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing.
    Ignore,
    /// Send the request again.
    Resend,
    /// Hand the response to the transaction user.
    Pass,
    /// Acknowledge the failure, and hand it to the transaction user.
    AckAndPass,
    /// Acknowledge the failure again.
    Ack,
    /// Tell the transaction user that no final response came.
    TimedOut,
}

/// What comes of an event: the state after (none: the transaction is over) and what is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) next: Option<State>,
    pub(super) act: Act,
    pub(super) retransmit: Timer,
    pub(super) expire: Timer,
}

/// The state of a client transaction; intervals are those of the running retransmission timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// INVITE without any response.
    Calling { interval: Duration },
    /// INVITE with a provisional response.
    InviteProceeding,
    /// INVITE with a failure, which is acknowledged as often as it comes.
    InviteCompleted,
    /// INVITE with a 2xx, which is passed on as often as it comes (RFC 6026 §7.2).
    Accepted,
    /// Another request without any response.
    Trying { interval: Duration },
    /// Another request with a provisional response.
    Proceeding,
    /// Another request with its final response.
    Completed,
}

impl Step {
    fn stay(state: State, act: Act) -> Self {
        Self { next: Some(state), act, retransmit: Timer::Keep, expire: Timer::Keep }
    }

    fn to(state: State, act: Act, expire: Timer) -> Self {
        Self { next: Some(state), act, retransmit: Timer::Stop, expire }
    }

    fn over(act: Act) -> Self {
        Self { next: None, act, retransmit: Timer::Stop, expire: Timer::Stop }
    }
}

impl State {
    /// The state after sending, with its two timers; over a reliable transport nothing is retransmitted.
    pub(super) fn start(invite: bool, timers: &Timers, reliable: bool) -> (State, Timer, Timer) {
        let interval = timers.t1;
        let state = if invite { State::Calling { interval } } else { State::Trying { interval } };
        let retransmit = if reliable { Timer::Stop } else { Timer::Start(interval) };
        (state, retransmit, Timer::Start(timers.long()))
    }

    /// Whether the request may still have to be sent again.
    pub(super) fn keeps_request(self) -> bool {
        // A failed INVITE's ACK is made of the INVITE.
        !matches!(self, State::Accepted | State::Completed)
    }

    /// What `event` does.
    pub(super) fn on(self, event: Event, timers: &Timers, reliable: bool) -> Step {
        match self {
            State::Calling { .. } | State::InviteProceeding => self.inviting(event, timers, reliable),
            State::InviteCompleted => match event {
                Event::Failure => Step::stay(self, Act::Ack),
                Event::Expire => Step::over(Act::Ignore),
                Event::Provisional | Event::Success | Event::Retransmit => Step::stay(self, Act::Ignore),
            },
            State::Accepted => match event {
                Event::Success => Step::stay(self, Act::Pass),
                Event::Expire => Step::over(Act::Ignore),
                Event::Provisional | Event::Failure | Event::Retransmit => Step::stay(self, Act::Ignore),
            },
            State::Trying { .. } | State::Proceeding => self.requesting(event, timers, reliable),
            State::Completed => match event {
                Event::Expire => Step::over(Act::Ignore),
                _ => Step::stay(self, Act::Ignore),
            },
        }
    }

    fn inviting(self, event: Event, timers: &Timers, reliable: bool) -> Step {
        match event {
            // Timer B ends with the first provisional; how long it then rings is the user's business.
            Event::Provisional if matches!(self, State::Calling { .. }) => {
                Step::to(State::InviteProceeding, Act::Pass, Timer::Stop)
            }
            Event::Provisional => Step::stay(self, Act::Pass),
            Event::Success => Step::to(State::Accepted, Act::Pass, Timer::Start(timers.long())),
            Event::Failure => Step::to(State::InviteCompleted, Act::AckAndPass, Timer::Start(timers.d(reliable))),
            Event::Retransmit => match self {
                State::Calling { interval } => {
                    let interval = interval * 2;
                    Step {
                        next: Some(State::Calling { interval }),
                        act: Act::Resend,
                        retransmit: Timer::Start(interval),
                        expire: Timer::Keep,
                    }
                }
                _ => Step::stay(self, Act::Ignore),
            },
            Event::Expire => Step::over(Act::TimedOut),
        }
    }

    fn requesting(self, event: Event, timers: &Timers, reliable: bool) -> Step {
        match event {
            Event::Provisional => Step::stay(State::Proceeding, Act::Pass),
            Event::Success | Event::Failure => {
                Step::to(State::Completed, Act::Pass, Timer::Start(timers.t4_unless(reliable)))
            }
            Event::Retransmit => {
                let (next, interval) = match self {
                    State::Trying { interval } => {
                        let interval = (interval * 2).min(timers.t2);
                        (State::Trying { interval }, interval)
                    }
                    _ => (self, timers.t2),
                };
                Step {
                    next: Some(next),
                    act: Act::Resend,
                    retransmit: Timer::Start(interval),
                    expire: Timer::Keep,
                }
            }
            Event::Expire => Step::over(Act::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 5] =
        [Event::Provisional, Event::Success, Event::Failure, Event::Retransmit, Event::Expire];

    /// What was seen along one sequence of events.
    #[derive(Clone, Copy, Default)]
    struct Seen {
        finals: u32,
        timeouts: u32,
        success: bool,
    }

    fn walk(state: State, invite: bool, depth: u32, seen: Seen) {
        if depth == 0 {
            return;
        }
        for event in EVENTS {
            let step = state.on(event, &Timers::default(), false);
            let mut seen = seen;
            let is_final = matches!(event, Event::Success | Event::Failure);
            if matches!(step.act, Act::Pass | Act::AckAndPass) && is_final {
                // A 2xx to INVITE is passed up each time, since each fork sends its own (RFC 6026 §8.4).
                if !(invite && seen.success && event == Event::Success) {
                    seen.finals += 1;
                }
                seen.success |= event == Event::Success;
            }
            if step.act == Act::TimedOut {
                seen.timeouts += 1;
                assert_eq!(step.next, None);
            }
            assert!(seen.finals + seen.timeouts <= 1, "{state:?} {event:?}: a second outcome");
            assert!(matches!(step.act, Act::Ack | Act::AckAndPass) <= (invite && event == Event::Failure));
            if event == Event::Failure && matches!(step.next, Some(State::InviteCompleted)) {
                assert!(matches!(step.act, Act::Ack | Act::AckAndPass), "every failure of an INVITE is acknowledged");
            }
            if step.act == Act::Resend {
                assert_eq!(seen.finals, 0, "nothing is sent again after the final response");
                assert!(matches!(step.retransmit, Timer::Start(_)));
            }
            if let Some(next) = step.next {
                walk(next, invite, depth - 1, seen);
            }
        }
    }

    #[test]
    fn every_sequence_of_seven_events_keeps_the_rules() {
        for invite in [true, false] {
            let (state, ..) = State::start(invite, &Timers::default(), false);
            walk(state, invite, 7, Seen::default());
        }
    }

    #[test]
    fn an_invite_is_sent_again_at_doubling_intervals_without_limit() {
        let timers = Timers::default();
        let (mut state, ..) = State::start(true, &timers, false);
        let mut intervals = Vec::new();
        for _ in 0..6 {
            let step = state.on(Event::Retransmit, &timers, false);
            let Timer::Start(interval) = step.retransmit else { panic!("{step:?}") };
            intervals.push(interval.as_millis());
            state = step.next.unwrap();
        }
        assert_eq!(intervals, [1000, 2000, 4000, 8000, 16000, 32000]);
    }

    #[test]
    fn another_request_is_sent_again_at_intervals_up_to_t2() {
        let timers = Timers::default();
        let (mut state, ..) = State::start(false, &timers, false);
        let mut intervals = Vec::new();
        for _ in 0..5 {
            let step = state.on(Event::Retransmit, &timers, false);
            let Timer::Start(interval) = step.retransmit else { panic!("{step:?}") };
            intervals.push(interval.as_millis());
            state = step.next.unwrap();
        }
        assert_eq!(intervals, [1000, 2000, 4000, 4000, 4000]);
    }
}
