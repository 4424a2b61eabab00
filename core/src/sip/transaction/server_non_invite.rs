//! The machine of a request but INVITE that came to us (RFC 3261 §17.2.2 and its Figure 8, with RFC 4320 §4).

use super::server::{Act, Event};
use super::step::{Step, Timer};
use super::timers::Timers;

/// The states but Terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No response yet.
    Trying,
    /// The user was silent for so long that a 100 had to be sent.
    Proceeding,
    /// The final response was given. Timer J runs.
    Completed,
}

impl State {
    /// The request has come.
    pub(super) fn start(timers: &Timers) -> Step<State, Act> {
        Step::again(State::Trying, Act::Ignore, timers.trying_after_non_invite())
    }

    /// What `event` does.
    ///
    /// The user can give no provisional response: the only one allowed is the 100 that is sent here, and not
    /// before its time (RFC 4320 §4.1).
    pub(super) fn on(self, event: Event, timers: &Timers, reliable: bool) -> Step<State, Act> {
        match (self, event) {
            (State::Trying, Event::Retransmit) => {
                // What is not answered in time is never answered (RFC 4320 §4.2): the peer has given up by then.
                let left = timers.long().saturating_sub(timers.trying_after_non_invite());
                Step::enter(State::Proceeding, Act::Trying, Timer::Start(left))
            }
            (State::Trying | State::Proceeding, Event::Success | Event::Failure) => {
                Step::enter(State::Completed, Act::Send, Timer::Start(timers.j(reliable)))
            }
            (State::Proceeding | State::Completed, Event::Request) => Step::stay(self, Act::Resend),
            (State::Proceeding | State::Completed, Event::Expire) => Step::over(Act::Ignore),
            (_, Event::Provisional | Event::Success | Event::Failure) => Step::stay(self, Act::Refuse),
            (_, Event::Request | Event::Ack | Event::Retransmit | Event::Expire) => {
                Step::stay(self, Act::Ignore)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::server::EVENTS;
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Seen {
        Nothing,
        Trying,
        Final,
    }

    fn expected(seen: Seen, event: Event) -> Act {
        match (seen, event) {
            (Seen::Nothing | Seen::Trying, Event::Success | Event::Failure) => Act::Send,
            (_, Event::Provisional | Event::Success | Event::Failure) => Act::Refuse,
            (Seen::Nothing, Event::Retransmit) => Act::Trying,
            (Seen::Trying | Seen::Final, Event::Request) => Act::Resend,
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
            let seen = match (seen, step.act) {
                (_, Act::Send) => Seen::Final,
                (Seen::Nothing, Act::Trying) => Seen::Trying,
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
            assert!(walk(State::Trying, reliable, 7, Seen::Nothing) > 100_000);
        }
    }

    #[test]
    fn a_user_that_never_answers_makes_one_100_and_is_given_up_64_t1_after_the_request() {
        let timers = Timers::default();
        let start = State::start(&timers);
        assert_eq!(
            (start.retransmit, start.expire),
            (Timer::Start(Duration::from_millis(3500)), Timer::Keep)
        );
        let step = start.next.unwrap().on(Event::Retransmit, &timers, false);
        assert_eq!((step.act, step.retransmit), (Act::Trying, Timer::Stop));
        assert_eq!(step.expire, Timer::Start(Duration::from_millis(28_500)));
        assert_eq!(step.next.unwrap().on(Event::Expire, &timers, false), Step::over(Act::Ignore));
    }

    #[test]
    fn the_final_response_is_kept_for_64_t1_over_an_unreliable_transport_only() {
        let timers = Timers::default();
        let step = State::Trying.on(Event::Success, &timers, false);
        assert_eq!((step.retransmit, step.expire), (Timer::Stop, Timer::Start(Duration::from_secs(32))));
        assert_eq!(State::Trying.on(Event::Failure, &timers, true).expire, Timer::Start(Duration::ZERO));
    }
}
