//! How long the loop lets datagrams come in before it takes them together.

use std::time::{Duration, Instant};

/// So long datagrams are let come in under load: each turn, each system call and each wake-up of a peer then serves more
/// of them.
const GATHERING: Duration = Duration::from_micros(300);
/// So much has to be expected in that time for the waiting to be worth its own cost.
const WORTH: u128 = 4;
/// Over so long what comes in is counted.
const WINDOW: Duration = Duration::from_millis(2);

/// How much comes in of late.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    inputs: usize,
    busy: bool,
}

impl Pace {
    /// Nothing has come in yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, inputs: 0, busy: false }
    }

    /// A turn that began then has taken in so much.
    pub(super) fn took(&mut self, inputs: usize, now: Instant) {
        self.inputs += inputs;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            self.busy = self.inputs as u128 * GATHERING.as_nanos() >= WORTH * elapsed.as_nanos();
            self.since = now;
            self.inputs = 0;
        }
    }

    /// How long datagrams, which were taken last so long ago, are still let come in; `None` if not at all.
    pub(super) fn gathers(&self, ago: Duration) -> Option<Duration> {
        GATHERING.checked_sub(ago).filter(|left| self.busy && !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_let_come_in_while_many_come_and_not_for_a_single_burst_or_after_a_pause() {
        let start = Instant::now();
        let after = |micros| start + Duration::from_micros(micros);
        let gathers = |pace: &Pace| pace.gathers(Duration::ZERO).is_some();
        let mut pace = Pace::new(start);
        pace.took(1_000, after(500));
        assert!(!gathers(&pace), "one burst is taken as it comes");
        pace.took(0, after(1_000_000));
        assert!(!gathers(&pace));
        for turn in 1..=20 {
            pace.took(8, after(1_000_000 + turn * 200));
        }
        assert_eq!(pace.gathers(Duration::from_micros(100)), Some(GATHERING - Duration::from_micros(100)));
        assert_eq!(pace.gathers(GATHERING), None, "they have been let come in");
        pace.took(8, after(1_900_000));
        assert!(!gathers(&pace), "after a pause whatever comes first is taken at once");
    }
}
