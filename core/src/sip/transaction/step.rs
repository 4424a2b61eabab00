//! What one event does to a transaction's machine.

use std::time::Duration;

/// What a step does with one of a transaction's two timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// Goes on as it is, running or not.
    Keep,
    /// Ends.
    Stop,
    /// Starts anew.
    Start(Duration),
}

/// What comes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step<S, A> {
    /// The state after; `None` is Terminated.
    pub(super) next: Option<S>,
    /// What is to be done.
    pub(super) act: A,
    /// The timer of retransmissions.
    pub(super) retransmit: Timer,
    /// The timer that ends the state.
    pub(super) expire: Timer,
}

impl<S, A> Step<S, A> {
    /// The state holds on, its timers with it.
    pub(super) fn stay(state: S, act: A) -> Self {
        Self { next: Some(state), act, retransmit: Timer::Keep, expire: Timer::Keep }
    }

    /// The next retransmission is due after `interval`.
    pub(super) fn again(state: S, act: A, interval: Duration) -> Self {
        Self { next: Some(state), act, retransmit: Timer::Start(interval), expire: Timer::Keep }
    }

    /// Another state, without retransmissions.
    pub(super) fn enter(state: S, act: A, expire: Timer) -> Self {
        Self { next: Some(state), act, retransmit: Timer::Stop, expire }
    }

    /// Terminated.
    pub(super) fn over(act: A) -> Self {
        Self { next: None, act, retransmit: Timer::Stop, expire: Timer::Stop }
    }

    /// The same step of a machine that holds this one.
    pub(super) fn map<T>(self, wrap: impl FnOnce(S) -> T) -> Step<T, A> {
        Step { next: self.next.map(wrap), act: self.act, retransmit: self.retransmit, expire: self.expire }
    }
}
