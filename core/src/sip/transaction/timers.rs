//! The timers of RFC 3261 §17 (a table of them is its Appendix A) with those of RFC 6026, and the delays before a 100.

use std::time::Duration;

/// The three values that every timer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timers {
    /// T1: the estimate of a round trip (§17.1.1.1).
    pub(crate) t1: Duration,
    /// T2: the longest interval between retransmissions, but of an INVITE (§17.1.2.2).
    pub(crate) t2: Duration,
    /// T4: how long a message may stay in the network (§17.1.2.2).
    pub(crate) t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

/// How long the user of an INVITE server transaction may be silent before a 100 is sent (§17.2.1).
pub(super) const TRYING_AFTER: Duration = Duration::from_millis(200);

/// The least of Timer D: the peer's T1 is not known (§17.1.1.2).
const LEAST_D: Duration = Duration::from_secs(32);

impl Timers {
    /// 64*T1: Timers B (§17.1.1.2), F (§17.1.2.2), H (§17.2.1), L (RFC 6026 §7.1) and M (RFC 6026 §7.2), the wait
    /// for the final response after CANCEL (§9.1) and that for the ACK of a 2xx (§13.3.1.4).
    pub(crate) fn long(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// Timer D: how long the failure of an INVITE is acknowledged anew (§17.1.1.2).
    pub(super) fn d(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.long().max(LEAST_D) }
    }

    /// Timer I: how long copies of an ACK are absorbed (§17.2.1).
    pub(super) fn i(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.t4 }
    }

    /// Timer J: how long copies of a request are answered (§17.2.2).
    pub(super) fn j(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.long() }
    }

    /// Timer K: how long copies of a final response are absorbed (§17.1.2.2).
    pub(super) fn k(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.t4 }
    }

    /// The interval of Timers E and G, and of the 2xx, after one of `interval`.
    pub(super) fn up_to_t2(&self, interval: Duration) -> Duration {
        interval.saturating_mul(2).min(self.t2)
    }

    /// The time that a peer's Timer E takes to be reset to T2: before it no request but INVITE is answered 100, at
    /// it each is (RFC 4320 §4.1).
    pub(super) fn trying_after_non_invite(&self) -> Duration {
        let (mut interval, mut after) = (self.t1, self.t1);
        // Enough doublings for any T2 in use; the bound is for a T1 of zero.
        for _ in 0..32 {
            interval = self.up_to_t2(interval);
            if interval >= self.t2 {
                break;
            }
            after = after.saturating_add(interval);
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_are_those_of_the_rfcs_table() {
        let timers = Timers::default();
        assert_eq!(timers.long(), Duration::from_secs(32));
        assert_eq!((timers.d(false), timers.d(true)), (Duration::from_secs(32), Duration::ZERO));
        assert_eq!((timers.i(false), timers.i(true)), (Duration::from_secs(5), Duration::ZERO));
        assert_eq!((timers.j(false), timers.j(true)), (Duration::from_secs(32), Duration::ZERO));
        assert_eq!((timers.k(false), timers.k(true)), (Duration::from_secs(5), Duration::ZERO));
    }

    #[test]
    fn a_short_t1_does_not_shorten_timer_d() {
        let timers = Timers { t1: Duration::from_millis(10), ..Timers::default() };
        assert_eq!((timers.long(), timers.d(false)), (Duration::from_millis(640), Duration::from_secs(32)));
    }

    #[test]
    fn timer_e_reaches_t2_after_three_retransmissions() {
        assert_eq!(Timers::default().trying_after_non_invite(), Duration::from_millis(500 + 1000 + 2000));
        let zero = Timers { t1: Duration::ZERO, ..Timers::default() };
        assert_eq!(zero.trying_after_non_invite(), Duration::ZERO);
    }
}
