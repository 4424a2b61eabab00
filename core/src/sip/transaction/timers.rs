//! The timers of RFC 3261 §17 (table in §Appendix A) with those of RFC 6026.

use std::time::Duration;

/// The three values that every timer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timers {
    /// T1: the round-trip time estimate.
    pub(crate) t1: Duration,
    /// T2: the longest interval between retransmissions of a non-INVITE request or a response to INVITE.
    pub(crate) t2: Duration,
    /// T4: how long a message may stay in the network.
    pub(crate) t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

/// How long a server transaction waits for its user before it sends 100 by itself (§17.2.1).
pub(crate) const TRYING_AFTER: Duration = Duration::from_millis(200);

impl Timers {
    /// 64*T1: Timers B, F, H, J, L, M.
    pub(crate) fn long(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: how long an INVITE's failure is acknowledged anew.
    pub(super) fn d(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.long().max(Duration::from_secs(32)) }
    }

    /// Timers I and K.
    pub(super) fn t4_unless(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.t4 }
    }

    /// Timer J.
    pub(super) fn j(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.long() }
    }
}

/// What a step does with one of a transaction's two timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Timer {
    /// Goes on as it is.
    #[default]
    Keep,
    /// Ends.
    Stop,
    /// Starts anew.
    Start(Duration),
}
