//! The machine of an INVITE that came to us (RFC 3261 §17.2.1 and its Figure 7 as RFC 6026 replaces it).

use std::time::Duration;

use super::server::{Act, Event};
use super::step::{Step, Timer};
use super::timers::{TRYING_AFTER, Timers};

/// The states but Terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No final response yet; a 100 is sent if the user is silent.
    Proceeding,
    /// It has failed and waits for ACK. Timers G, with its interval, and H run.
    Completed {
        /// That of the running Timer G.
        interval: Duration,
    },
    /// It has failed and ACK has come. Timer I runs.
    Confirmed,
    /// It was answered 2xx, which the user repeats; copies of the INVITE are absorbed. Timer L runs.
    Accepted,
}

impl State {
    /// The INVITE has come.
    pub(super) fn start() -> Step<State, Act> {
        Step::again(State::Proceeding, Act::Ignore, TRYING_AFTER)
    }

    /// What `event` does.
    pub(super) fn on(self, event: Event, timers: &Timers, reliable: bool) -> Step<State, Act> {
        match (self, event) {
            (State::Proceeding, Event::Request) => Step::stay(self, Act::Resend),
            (State::Proceeding, Event::Retransmit) => Step::stay(self, Act::Trying),
            (State::Proceeding, Event::Provisional) => Step::enter(self, Act::Send, Timer::Keep),
            (State::Proceeding, Event::Success) => {
                Step::enter(State::Accepted, Act::Send, Timer::Start(timers.long()))
            }
            (State::Proceeding, Event::Failure) => Step {
                next: Some(State::Completed { interval: timers.t1 }),
                act: Act::Send,
                retransmit: if reliable { Timer::Stop } else { Timer::Start(timers.t1) },
                expire: Timer::Start(timers.long()),
            },
            (State::Completed { .. }, Event::Request) => Step::stay(self, Act::Resend),
            (State::Completed { .. }, Event::Ack) => {
                Step::enter(State::Confirmed, Act::Ignore, Timer::Start(timers.i(reliable)))
            }
            (State::Completed { interval }, Event::Retransmit) => {
                let interval = timers.up_to_t2(interval);
                Step::again(State::Completed { interval }, Act::Resend, interval)
            }
            (State::Completed { .. }, Event::Expire) => Step::over(Act::NoAck),
            (State::Accepted, Event::Ack) => Step::stay(self, Act::PassAck),
            (State::Accepted, Event::Success) => Step::stay(self, Act::Send),
            (State::Confirmed | State::Accepted, Event::Expire) => Step::over(Act::Ignore),
            (_, Event::Provisional | Event::Success | Event::Failure) => Step::stay(self, Act::Refuse),
            (_, _) => Step::stay(self, Act::Ignore),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::EVENTS;
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Seen {
        Nothing,
        Success,
        Failure,
        FailureAndAck,
    }

    fn expected(seen: Seen, event: Event) -> Act {
        match (seen, event) {
            (Seen::Nothing, Event::Provisional | Event::Success | Event::Failure) => Act::Send,
            (Seen::Nothing, Event::Retransmit) => Act::Trying,
            (Seen::Success, Event::Success) => Act::Send,
            (Seen::Success, Event::Ack) => Act::PassAck,
            (_, Event::Provisional | Event::Success | Event::Failure) => Act::Refuse,
            (Seen::Nothing | Seen::Failure, Event::Request) => Act::Resend,
            (Seen::Failure, Event::Retransmit) => Act::Resend,
            (Seen::Failure, Event::Expire) => Act::NoAck,
            (_, _) => Act::Ignore,
        }
    }

    fn walk(state: State, reliable: bool, depth: u32, seen: Seen) -> u32 {
        let Some(depth) = depth.checked_sub(1) else { return 1 };
        let mut sequences = 0;
        for event in EVENTS {
            let step = state.on(event, &Timers::default(), reliable);
            assert_eq!(step.act, expected(seen, event), "{state:?} {event:?}");
            assert_eq!(
                step.next.is_none(),
                event == Event::Expire && seen != Seen::Nothing,
                "{state:?} {event:?}"
            );
            let seen = match (seen, event) {
                (Seen::Nothing, Event::Success) => Seen::Success,
                (Seen::Nothing, Event::Failure) => Seen::Failure,
                (Seen::Failure, Event::Ack) => Seen::FailureAndAck,
                _ => seen,
            };
            sequences += match step.next {
                Some(next) => walk(next, reliable, depth, seen),
                None => 1,
            };
        }
        sequences
    }

    #[test]
    fn every_sequence_of_seven_events_follows_the_figure() {
        for reliable in [false, true] {
            assert!(walk(State::Proceeding, reliable, 7, Seen::Nothing) > 100_000);
        }
    }

    #[test]
    fn a_failure_is_sent_again_at_intervals_up_to_t2_until_64_t1_are_over() {
        let timers = Timers::default();
        let mut step = State::Proceeding.on(Event::Failure, &timers, false);
        assert_eq!(step.expire, Timer::Start(Duration::from_secs(32)));
        let mut intervals = Vec::new();
        for _ in 0..6 {
            let Timer::Start(interval) = step.retransmit else { panic!("{step:?}") };
            intervals.push(interval.as_millis());
            step = step.next.unwrap().on(Event::Retransmit, &timers, false);
        }
        assert_eq!(intervals, [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(step.next.unwrap().on(Event::Expire, &timers, false), Step::over(Act::NoAck));
    }

    #[test]
    fn a_failure_over_a_reliable_transport_is_sent_once_and_still_waits_for_its_ack() {
        let timers = Timers::default();
        let step = State::Proceeding.on(Event::Failure, &timers, true);
        assert_eq!((step.retransmit, step.expire), (Timer::Stop, Timer::Start(Duration::from_secs(32))));
        let step = step.next.unwrap().on(Event::Ack, &timers, true);
        assert_eq!((step.next, step.expire), (Some(State::Confirmed), Timer::Start(Duration::ZERO)));
    }

    #[test]
    fn copies_of_an_ack_are_absorbed_for_t4() {
        let timers = Timers::default();
        let step = State::Completed { interval: timers.t1 }.on(Event::Ack, &timers, false);
        assert_eq!((step.retransmit, step.expire), (Timer::Stop, Timer::Start(timers.t4)));
        assert_eq!(step.next.unwrap().on(Event::Ack, &timers, false).act, Act::Ignore);
    }

    #[test]
    fn a_silent_user_makes_a_100_after_200_ms_but_not_after_it_has_spoken() {
        assert_eq!(State::start().retransmit, Timer::Start(Duration::from_millis(200)));
        let step = State::Proceeding.on(Event::Provisional, &Timers::default(), false);
        assert_eq!((step.next, step.retransmit), (Some(State::Proceeding), Timer::Stop));
    }
}
