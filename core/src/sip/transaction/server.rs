//! The server machines: INVITE (RFC 3261 §17.2.1 with RFC 6026 §7.1) and all others (§17.2.2).

use std::time::Duration;

use super::timers::{TRYING_AFTER, Timer, Timers};

/// What happens to a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The request came again.
    Request,
    /// ACK came: for a failure matched by its branch, for a 2xx told by the transaction user.
    Ack,
    /// The transaction user answers 1xx.
    Provisional,
    /// The transaction user answers 2xx.
    Success,
    /// The transaction user answers 300 or more.
    Failure,
    /// Its timer G, or that of the 2xx (§13.3.1.4), or the time after which 100 is sent.
    Retransmit,
    /// Its timer H, I, J or L, whichever runs.
    Expire,
}

/// What the step asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing.
    Ignore,
    /// Send the response that the transaction user has given.
    Send,
    /// Send the last response again, if there is one.
    Resend,
    /// Send 100 Trying.
    Trying,
    /// Tell the transaction user that no ACK came.
    NoAck,
    /// The transaction user answered twice: its second answer is dropped.
    Refuse,
}

/// What comes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) next: Option<State>,
    pub(super) act: Act,
    pub(super) retransmit: Timer,
    pub(super) expire: Timer,
}

/// The state of a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// INVITE that waits for its final response.
    Proceeding,
    /// INVITE that has failed and waits for ACK.
    InviteCompleted { interval: Duration },
    /// INVITE that has failed and was acknowledged.
    Confirmed,
    /// INVITE with a 2xx that is sent again until ACK comes.
    Accepted { interval: Duration },
    /// INVITE with a 2xx that was acknowledged; later copies of the INVITE are absorbed.
    Acknowledged,
    /// Another request that waits for its final response.
    Trying,
    /// Another request with its final response.
    Completed,
}

impl Step {
    fn stay(state: State, act: Act) -> Self {
        Self { next: Some(state), act, retransmit: Timer::Keep, expire: Timer::Keep }
    }

    fn over(act: Act) -> Self {
        Self { next: None, act, retransmit: Timer::Stop, expire: Timer::Stop }
    }
}

impl State {
    /// The state of a new request, with its two timers.
    pub(super) fn start(invite: bool) -> (State, Timer, Timer) {
        if invite {
            (State::Proceeding, Timer::Start(TRYING_AFTER), Timer::Stop)
        } else {
            (State::Trying, Timer::Stop, Timer::Stop)
        }
    }

    /// Whether the user has given the final response.
    pub(super) fn is_answered(self) -> bool {
        !matches!(self, State::Proceeding | State::Trying)
    }

    /// What `event` does.
    pub(super) fn on(self, event: Event, timers: &Timers, reliable: bool) -> Step {
        match self {
            State::Proceeding => Self::proceeding(event, timers, reliable),
            State::InviteCompleted { interval } => Self::failed(interval, event, timers, reliable),
            State::Accepted { interval } => Self::accepted(interval, event, timers),
            State::Confirmed | State::Acknowledged => match event {
                Event::Expire => Step::over(Act::Ignore),
                Event::Provisional | Event::Success | Event::Failure => Step::stay(self, Act::Refuse),
                Event::Request | Event::Ack | Event::Retransmit => Step::stay(self, Act::Ignore),
            },
            State::Trying => match event {
                Event::Provisional => Step::stay(self, Act::Send),
                Event::Success | Event::Failure => Step {
                    next: Some(State::Completed),
                    act: Act::Send,
                    retransmit: Timer::Stop,
                    expire: Timer::Start(timers.j(reliable)),
                },
                Event::Request => Step::stay(self, Act::Resend),
                Event::Ack | Event::Retransmit | Event::Expire => Step::stay(self, Act::Ignore),
            },
            State::Completed => match event {
                Event::Request => Step::stay(self, Act::Resend),
                Event::Expire => Step::over(Act::Ignore),
                Event::Provisional | Event::Success | Event::Failure => Step::stay(self, Act::Refuse),
                Event::Ack | Event::Retransmit => Step::stay(self, Act::Ignore),
            },
        }
    }

    fn proceeding(event: Event, timers: &Timers, reliable: bool) -> Step {
        let again = if reliable { Timer::Stop } else { Timer::Start(timers.t1) };
        let expire = Timer::Start(timers.long());
        match event {
            Event::Request => Step::stay(State::Proceeding, Act::Resend),
            Event::Provisional => {
                Step { next: Some(State::Proceeding), act: Act::Send, retransmit: Timer::Stop, expire: Timer::Keep }
            }
            // A 2xx crosses proxies hop by hop over whatever they speak, so it is sent again in any case (§13.3.1.4).
            Event::Success => Step {
                next: Some(State::Accepted { interval: timers.t1 }),
                act: Act::Send,
                retransmit: Timer::Start(timers.t1),
                expire,
            },
            Event::Failure => Step {
                next: Some(State::InviteCompleted { interval: timers.t1 }),
                act: Act::Send,
                retransmit: again,
                expire,
            },
            Event::Retransmit => Step::stay(State::Proceeding, Act::Trying),
            Event::Ack | Event::Expire => Step::stay(State::Proceeding, Act::Ignore),
        }
    }

    fn failed(interval: Duration, event: Event, timers: &Timers, reliable: bool) -> Step {
        let state = State::InviteCompleted { interval };
        match event {
            Event::Request => Step::stay(state, Act::Resend),
            Event::Ack => Step {
                next: Some(State::Confirmed),
                act: Act::Ignore,
                retransmit: Timer::Stop,
                expire: Timer::Start(timers.t4_unless(reliable)),
            },
            Event::Retransmit => {
                let interval = (interval * 2).min(timers.t2);
                Step {
                    next: Some(State::InviteCompleted { interval }),
                    act: Act::Resend,
                    retransmit: Timer::Start(interval),
                    expire: Timer::Keep,
                }
            }
            Event::Expire => Step::over(Act::NoAck),
            Event::Provisional | Event::Success | Event::Failure => Step::stay(state, Act::Refuse),
        }
    }

    fn accepted(interval: Duration, event: Event, timers: &Timers) -> Step {
        let state = State::Accepted { interval };
        match event {
            Event::Request => Step::stay(state, Act::Ignore),
            Event::Ack => Step {
                next: Some(State::Acknowledged),
                act: Act::Ignore,
                retransmit: Timer::Stop,
                expire: Timer::Keep,
            },
            Event::Retransmit => {
                let interval = (interval * 2).min(timers.t2);
                Step {
                    next: Some(State::Accepted { interval }),
                    act: Act::Resend,
                    retransmit: Timer::Start(interval),
                    expire: Timer::Keep,
                }
            }
            Event::Expire => Step::over(Act::NoAck),
            Event::Provisional | Event::Success | Event::Failure => Step::stay(state, Act::Refuse),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 7] = [
        Event::Request,
        Event::Ack,
        Event::Provisional,
        Event::Success,
        Event::Failure,
        Event::Retransmit,
        Event::Expire,
    ];

    fn walk(state: State, depth: u32, finals: u32, acked: bool) {
        if depth == 0 {
            return;
        }
        for event in EVENTS {
            let step = state.on(event, &Timers::default(), false);
            let mut finals = finals;
            if step.act == Act::Send && matches!(event, Event::Success | Event::Failure) {
                finals += 1;
            }
            assert!(finals <= 1, "{state:?} {event:?}: a second final response");
            assert!(step.act != Act::NoAck || (finals == 1 && !acked), "{state:?} {event:?}");
            let acked = acked || (event == Event::Ack && finals == 1);
            if acked && event == Event::Retransmit {
                assert_eq!(step.act, Act::Ignore, "{state:?}: nothing is sent again after ACK");
            }
            if let Some(next) = step.next {
                walk(next, depth - 1, finals, acked);
            }
        }
    }

    #[test]
    fn every_sequence_of_six_events_keeps_the_rules() {
        for invite in [true, false] {
            walk(State::start(invite).0, 6, 0, false);
        }
    }

    #[test]
    fn an_unacknowledged_2xx_is_sent_again_at_intervals_up_to_t2() {
        let timers = Timers::default();
        let mut state = State::Proceeding.on(Event::Success, &timers, true).next.unwrap();
        let mut intervals = Vec::new();
        for _ in 0..5 {
            let step = state.on(Event::Retransmit, &timers, true);
            let Timer::Start(interval) = step.retransmit else { panic!("{step:?}") };
            intervals.push(interval.as_millis());
            state = step.next.unwrap();
        }
        assert_eq!(intervals, [1000, 2000, 4000, 4000, 4000]);
        assert_eq!(state.on(Event::Expire, &timers, true).act, Act::NoAck);
    }
}
