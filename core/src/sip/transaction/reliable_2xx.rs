//! The repetition of a 2xx to INVITE until ACK comes, which is its user's work and not the transaction's
//! (RFC 3261 §13.3.1.4, RFC 6026 §7.1).

use std::time::Duration;

use super::timers::Timers;

/// A 2xx without ACK. It is sent again over reliable transports too, since the hops behind the next may be others.
///
/// Its wait for ACK is as long as Timer L, whose firing ends both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unacknowledged {
    interval: Duration,
}

impl Unacknowledged {
    /// The 2xx was sent.
    pub(super) fn start(timers: &Timers) -> Self {
        Self { interval: timers.t1 }
    }

    /// The 2xx was sent again.
    pub(super) fn again(self, timers: &Timers) -> Self {
        Self { interval: timers.up_to_t2(self.interval) }
    }

    /// When it is sent next.
    pub(super) fn interval(self) -> Duration {
        self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_intervals_double_up_to_t2() {
        let timers = Timers::default();
        let first = Unacknowledged::start(&timers);
        let intervals = std::iter::successors(Some(first), |last| Some(last.again(&timers)));
        let millis: Vec<_> = intervals.take(6).map(|one| one.interval().as_millis()).collect();
        assert_eq!(millis, [500, 1000, 2000, 4000, 4000, 4000]);
    }
}
