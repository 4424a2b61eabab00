//! How long the loop lets datagrams come in before it takes them together.

use std::time::{Duration, Instant};

/// So many datagrams are to be taken at once under load: each turn, each system call and each wake-up of a peer serves more
/// of them. More would save little more.
const WANTED: u32 = 64;
/// Nobody waits longer for others. It is little against the 500 ms after which a phone says the same again.
const LONGEST: Duration = Duration::from_millis(1);
/// So many at least have to be expected in that time for the waiting to be worth its own cost.
const WORTH: u32 = 4;
/// Over so long what comes in is counted.
const WINDOW: Duration = Duration::from_millis(4);

/// How much comes in of late.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    inputs: u32,
    /// How long datagrams are let come in.
    gathering: Duration,
}

impl Pace {
    /// Nothing has come in yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, inputs: 0, gathering: Duration::ZERO }
    }

    /// A turn that began then has taken in so much.
    pub(super) fn took(&mut self, inputs: usize, now: Instant) {
        self.inputs = self.inputs.saturating_add(u32::try_from(inputs).unwrap_or(u32::MAX));
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < WINDOW {
            return;
        }
        let each = elapsed / self.inputs.max(1);
        self.gathering = if each * WORTH > LONGEST { Duration::ZERO } else { LONGEST.min(each * WANTED) };
        self.since = now;
        self.inputs = 0;
    }

    /// How long datagrams, which were taken last so long ago, are still let come in; `None` if not at all.
    pub(super) fn gathers(&self, ago: Duration) -> Option<Duration> {
        self.gathering.checked_sub(ago).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Comes to know of so many inputs in each of ten turns, one every so many microseconds.
    fn gathering(inputs: usize, every: u64) -> Option<Duration> {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        (1..=10).for_each(|turn| pace.took(inputs, start + Duration::from_micros(turn * every)));
        pace.gathers(Duration::ZERO)
    }

    #[test]
    fn the_more_comes_the_shorter_datagrams_wait_for_others() {
        assert_eq!(gathering(80, 1_000), Some(Duration::from_micros(800)));
        assert_eq!(gathering(200, 1_000), Some(Duration::from_micros(320)));
        assert_eq!(gathering(8, 1_000), Some(LONGEST));
        assert_eq!(gathering(3, 1_000), None, "who would come meanwhile is not worth it");
        assert_eq!(gathering(0, 1_000), None);
    }

    #[test]
    fn a_single_burst_and_whatever_comes_first_after_a_pause_are_taken_at_once() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::new(start);
        pace.took(1_000, after(1));
        assert_eq!(pace.gathers(Duration::ZERO), None);
        pace.took(1_000, after(5));
        assert!(pace.gathers(Duration::ZERO).is_some());
        assert_eq!(pace.gathers(LONGEST), None, "they have been let come in");
        pace.took(1, after(1_000));
        assert_eq!(pace.gathers(Duration::ZERO), None);
    }
}
