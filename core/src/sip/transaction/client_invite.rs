//! The machine of an INVITE that we sent (RFC 3261 §17.1.1 and its Figure 5 as RFC 6026 replaces it).

use crate::mistakes::{self, Mistake};
use std::time::Duration;

use super::client::{Act, Event};
use super::step::{Step, Timer};
use super::timers::Timers;

/// The states but Terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No response yet. Timers A, with its interval, and B run.
    Calling {
        /// That of the running Timer A.
        interval: Duration,
    },
    /// A provisional response has come; after CANCEL the wait for the final one is bounded.
    Proceeding,
    /// A failure has come and is acknowledged as often as it does. Timer D runs.
    Completed,
    /// A 2xx has come, and each goes to the transaction user. Timer M runs.
    Accepted,
    /// Nobody waits any more; but the peer may have taken the request from the last datagram, and what it says late is
    /// still to be cancelled, or acknowledged and hung up, as long as it may say it (64*T1).
    GivenUp,
}

impl State {
    /// The INVITE was sent.
    pub(super) fn start(timers: &Timers, reliable: bool) -> Step<State, Act> {
        Step {
            next: Some(State::Calling { interval: timers.t1 }),
            act: Act::Ignore,
            retransmit: match reliable {
                true => Timer::Stop,
                false if mistakes::on(Mistake::Hurry) => Timer::Start(timers.t1 / 2),
                false => Timer::Start(timers.t1),
            },
            expire: Timer::Start(timers.long()),
        }
    }

    /// What `event` does.
    pub(super) fn on(self, event: Event, timers: &Timers, reliable: bool) -> Step<State, Act> {
        match (self, event) {
            (State::Calling { .. } | State::Proceeding, Event::Success) => {
                Step::enter(State::Accepted, Act::Pass, Timer::Start(timers.long()))
            }
            (State::Calling { .. } | State::Proceeding | State::GivenUp, Event::Failure) => {
                Step::enter(State::Completed, Act::AcknowledgeAndPass, Timer::Start(timers.d(reliable)))
            }
            (State::Calling { .. } | State::Proceeding, Event::Expire) => {
                Step::enter(State::GivenUp, Act::TimedOut, Timer::Start(timers.long()))
            }
            (State::GivenUp, Event::Provisional | Event::Success) => Step::stay(self, Act::Pass),
            // Once a provisional has come nothing is sent by this way, and the final response may find another.
            (State::Calling { .. }, Event::Unreachable) => Step::over(Act::Failed),
            // Timer B ends with the first provisional: how long it then rings is the user's business.
            (State::Calling { .. }, Event::Provisional) => {
                Step::enter(State::Proceeding, Act::Pass, Timer::Stop)
            }
            (State::Calling { interval }, Event::Retransmit) => {
                let interval = interval.saturating_mul(2);
                Step::again(State::Calling { interval }, Act::Resend, interval)
            }
            (State::Proceeding, Event::Provisional) => Step::stay(self, Act::Pass),
            (State::Proceeding, Event::Cancelled) => {
                Step::enter(self, Act::Ignore, Timer::Start(timers.long()))
            }
            (State::Completed, Event::Failure) => Step::stay(self, Act::Acknowledge),
            (State::Accepted, Event::Success) => Step::stay(self, Act::Pass),
            (State::Completed | State::Accepted | State::GivenUp, Event::Expire) => Step::over(Act::Ignore),
            (_, _) => Step::stay(self, Act::Ignore),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::EVENTS;
    use super::*;

    /// What was seen along one sequence of events.
    #[derive(Clone, Copy, Default)]
    struct Seen {
        success: bool,
        failure: bool,
        provisional: bool,
        given_up: bool,
    }

    fn check(state: State, event: Event, reliable: bool, seen: &mut Seen) -> Option<State> {
        let step = state.on(event, &Timers::default(), reliable);
        let told = matches!(step.act, Act::Pass | Act::AcknowledgeAndPass);
        let acknowledged = matches!(step.act, Act::Acknowledge | Act::AcknowledgeAndPass);
        let settled = seen.success || seen.failure;
        match event {
            Event::Provisional => assert_eq!(told, !settled, "{state:?}"),
            Event::Success => {
                assert_eq!(told, !seen.failure, "{state:?}: each 2xx is passed, but not after a failure")
            }
            Event::Failure => {
                assert_eq!(told, !settled, "{state:?}: one failure is passed");
                assert_eq!(acknowledged, !seen.success, "{state:?}: every failure is acknowledged");
            }
            Event::Retransmit => {
                assert_eq!(
                    step.act == Act::Resend,
                    !settled && !seen.provisional && !seen.given_up,
                    "{state:?}: sent again while calling"
                );
            }
            Event::Expire => assert_eq!(step.act == Act::TimedOut, !settled && !seen.given_up, "{state:?}"),
            Event::Unreachable => {
                let waits = !settled && !seen.provisional && !seen.given_up;
                assert_eq!(step.act == Act::Failed, waits, "{state:?}")
            }
            Event::Cancelled => assert_eq!(step.act, Act::Ignore, "{state:?}"),
        }
        assert!(!acknowledged || event == Event::Failure);
        assert_eq!(
            step.next.is_none(),
            (event == Event::Expire && (settled || seen.given_up)) || step.act == Act::Failed,
            "{state:?} {event:?}"
        );
        // Behind a 2xx that came too late a failure may still be told: nobody listens.
        seen.success |= told && event == Event::Success && !seen.given_up;
        seen.failure |= told && event == Event::Failure;
        seen.given_up |= step.act == Act::TimedOut;
        seen.provisional |= event == Event::Provisional && !settled;
        step.next
    }

    fn walk(state: State, reliable: bool, depth: u32, seen: Seen) -> u32 {
        let Some(depth) = depth.checked_sub(1) else { return 1 };
        let mut sequences = 0;
        for event in EVENTS {
            let mut seen = seen;
            sequences += match check(state, event, reliable, &mut seen) {
                Some(next) => walk(next, reliable, depth, seen),
                None => 1,
            };
        }
        sequences
    }

    #[test]
    fn every_sequence_of_seven_events_follows_the_figure() {
        for reliable in [false, true] {
            let start = State::start(&Timers::default(), reliable).next.unwrap();
            assert!(walk(start, reliable, 7, Seen::default()) > 100_000);
        }
    }

    #[test]
    fn it_is_sent_again_at_doubling_intervals_and_given_up_after_64_t1() {
        let timers = Timers::default();
        let mut step = State::start(&timers, false);
        assert_eq!(step.expire, Timer::Start(Duration::from_secs(32)));
        let mut intervals = Vec::new();
        for _ in 0..7 {
            let Timer::Start(interval) = step.retransmit else { panic!("{step:?}") };
            intervals.push(interval.as_millis());
            step = step.next.unwrap().on(Event::Retransmit, &timers, false);
            assert_eq!((step.act, step.expire), (Act::Resend, Timer::Keep));
        }
        assert_eq!(intervals, [500, 1000, 2000, 4000, 8000, 16000, 32000]);
        check_given_up(step.next.unwrap());
    }

    /// It is told once that nobody answers, and what comes then is waited for as long again.
    fn check_given_up(state: State) {
        let timers = Timers::default();
        let step = state.on(Event::Expire, &timers, false);
        assert_eq!(step, Step::enter(State::GivenUp, Act::TimedOut, Timer::Start(Duration::from_secs(32))));
        assert_eq!(State::GivenUp.on(Event::Expire, &timers, false), Step::over(Act::Ignore));
    }

    #[test]
    fn over_a_reliable_transport_it_is_sent_once_and_a_failure_ends_it() {
        let timers = Timers::default();
        let step = State::start(&timers, true);
        assert_eq!(step.retransmit, Timer::Stop);
        let failed = step.next.unwrap().on(Event::Failure, &timers, true);
        assert_eq!((failed.next, failed.expire), (Some(State::Completed), Timer::Start(Duration::ZERO)));
    }

    #[test]
    fn a_cancelled_one_waits_for_its_final_response_for_64_t1_whatever_provisionals_come() {
        let timers = Timers::default();
        let step = State::Proceeding.on(Event::Cancelled, &timers, false);
        assert_eq!(step.expire, Timer::Start(Duration::from_secs(32)));
        let step = step.next.unwrap().on(Event::Provisional, &timers, false);
        assert_eq!(step.expire, Timer::Keep);
        check_given_up(step.next.unwrap());
    }

    #[test]
    fn a_2xx_is_passed_on_for_64_t1_and_a_failure_acknowledged_for_timer_d() {
        let timers = Timers { t1: Duration::from_secs(1), ..Timers::default() };
        for state in [State::Proceeding, State::Calling { interval: timers.t1 }] {
            let step = state.on(Event::Success, &timers, false);
            assert_eq!((step.retransmit, step.expire), (Timer::Stop, Timer::Start(Duration::from_secs(64))));
            let step = state.on(Event::Failure, &timers, false);
            assert_eq!((step.retransmit, step.expire), (Timer::Stop, Timer::Start(Duration::from_secs(64))));
        }
    }
}
