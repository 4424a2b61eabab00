//! The machine of a request but INVITE that we sent (RFC 3261 §17.1.2 and its Figure 6).

use std::time::Duration;

use super::client::{Act, Event};
use super::step::{Step, Timer};
use super::timers::Timers;

/// The states but Terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No response yet. Timers E, with its interval, and F run.
    Trying {
        /// That of the running Timer E.
        interval: Duration,
    },
    /// A provisional response has come. Timers E, next with T2, and F run.
    Proceeding,
    /// The final response has come. Timer K runs.
    Completed,
}

impl State {
    /// The request was sent.
    pub(super) fn start(timers: &Timers, reliable: bool) -> Step<State, Act> {
        Step {
            next: Some(State::Trying { interval: timers.t1 }),
            act: Act::Ignore,
            retransmit: if reliable { Timer::Stop } else { Timer::Start(timers.t1) },
            expire: Timer::Start(timers.long()),
        }
    }

    /// What `event` does.
    pub(super) fn on(self, event: Event, timers: &Timers, reliable: bool) -> Step<State, Act> {
        match (self, event) {
            (State::Completed, Event::Expire) => Step::over(Act::Ignore),
            (State::Completed, _) | (_, Event::Cancelled) => Step::stay(self, Act::Ignore),
            (_, Event::Provisional) => Step::stay(State::Proceeding, Act::Pass),
            (_, Event::Success | Event::Failure) => {
                Step::enter(State::Completed, Act::Pass, Timer::Start(timers.k(reliable)))
            }
            (State::Trying { interval }, Event::Retransmit) => {
                let interval = timers.up_to_t2(interval);
                Step::again(State::Trying { interval }, Act::Resend, interval)
            }
            (State::Proceeding, Event::Retransmit) => Step::again(self, Act::Resend, timers.t2),
            (_, Event::Expire) => Step::over(Act::TimedOut),
            (_, Event::Unreachable) => Step::over(Act::Failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::EVENTS;
    use super::*;

    fn walk(state: State, reliable: bool, depth: u32, answered: bool) -> u32 {
        let Some(depth) = depth.checked_sub(1) else { return 1 };
        let mut sequences = 0;
        for event in EVENTS {
            let step = state.on(event, &Timers::default(), reliable);
            let is_final = matches!(event, Event::Success | Event::Failure);
            let act = match event {
                Event::Cancelled => Act::Ignore,
                _ if answered => Act::Ignore,
                Event::Provisional | Event::Success | Event::Failure => Act::Pass,
                Event::Retransmit => Act::Resend,
                Event::Expire => Act::TimedOut,
                Event::Unreachable => Act::Failed,
            };
            assert_eq!(step.act, act, "{state:?} {event:?}");
            let ends = event == Event::Expire || (event == Event::Unreachable && !answered);
            assert_eq!(step.next.is_none(), ends, "{state:?} {event:?}");
            sequences += match step.next {
                Some(next) => walk(next, reliable, depth, answered || is_final),
                None => 1,
            };
        }
        sequences
    }

    #[test]
    fn every_sequence_of_seven_events_follows_the_figure() {
        for reliable in [false, true] {
            let start = State::start(&Timers::default(), reliable).next.unwrap();
            assert!(walk(start, reliable, 7, false) > 50_000);
        }
    }

    fn intervals(mut step: Step<State, Act>, times: usize) -> Vec<u128> {
        let mut intervals = Vec::new();
        for _ in 0..times {
            let Timer::Start(interval) = step.retransmit else { panic!("{step:?}") };
            intervals.push(interval.as_millis());
            step = step.next.unwrap().on(Event::Retransmit, &Timers::default(), false);
        }
        intervals
    }

    #[test]
    fn it_is_sent_again_at_intervals_up_to_t2() {
        let start = State::start(&Timers::default(), false);
        assert_eq!(start.expire, Timer::Start(Duration::from_secs(32)));
        assert_eq!(intervals(start, 6), [500, 1000, 2000, 4000, 4000, 4000]);
    }

    #[test]
    fn after_a_provisional_response_it_is_sent_again_every_t2() {
        let timers = Timers::default();
        let proceeding = State::start(&timers, false).next.unwrap().on(Event::Provisional, &timers, false);
        // The running Timer E fires as it was set; only then T2 counts.
        assert_eq!((proceeding.retransmit, proceeding.expire), (Timer::Keep, Timer::Keep));
        let step = proceeding.next.unwrap().on(Event::Retransmit, &timers, false);
        assert_eq!(intervals(step, 3), [4000, 4000, 4000]);
    }

    #[test]
    fn the_final_response_ends_all_retransmission_and_its_copies_are_absorbed_for_t4() {
        let timers = Timers::default();
        let start = State::start(&timers, false).next.unwrap();
        for event in [Event::Success, Event::Failure] {
            let step = start.on(event, &timers, false);
            assert_eq!((step.retransmit, step.expire), (Timer::Stop, Timer::Start(timers.t4)));
            assert_eq!(start.on(event, &timers, true).expire, Timer::Start(Duration::ZERO));
        }
    }
}
