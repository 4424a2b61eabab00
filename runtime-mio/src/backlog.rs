//! How long what comes in waits because of what came before.

use std::time::{Duration, Instant};

/// Behind fewer nobody waits for others, but perhaps for the processor.
const FEW: usize = 64;
/// How exactly it is told.
const STEP: Duration = Duration::from_millis(1);

/// What has been taken in since nothing waited.
#[derive(Debug)]
pub(crate) struct Backlog {
    since: Instant,
    inputs: usize,
    told: Duration,
}

impl Backlog {
    /// Nothing waits.
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, inputs: 0, told: Duration::ZERO }
    }

    /// All that came before is done, and this is when something else came in.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.since = now;
        self.inputs = 0;
    }

    /// So much more was taken in.
    pub(crate) fn took(&mut self, inputs: usize) {
        self.inputs += inputs;
    }

    /// How far behind the machine is to be told that we are, if that is news.
    pub(crate) fn news(&mut self, now: Instant) -> Option<Duration> {
        let waited = now.saturating_duration_since(self.since).as_millis() / STEP.as_millis();
        let steps = if self.inputs < FEW { 0 } else { u32::try_from(waited).unwrap_or(u32::MAX) };
        let behind = STEP.saturating_mul(steps);
        (std::mem::replace(&mut self.told, behind) != behind).then_some(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_there_was_always_more_to_do_and_when_all_is_done() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut backlog = Backlog::new(start);
        backlog.took(FEW - 1);
        assert_eq!(backlog.news(after(500)), None, "who waits for the processor is not behind");
        backlog.took(1);
        let half = Duration::from_micros(500);
        assert_eq!(backlog.news(after(505) + half), Some(Duration::from_millis(505)));
        assert_eq!(backlog.news(after(506) - half / 2), None);
        assert_eq!(backlog.news(after(506)), Some(Duration::from_millis(506)));
        backlog.begin(after(511));
        assert_eq!(backlog.news(after(600)), Some(Duration::ZERO));
        assert_eq!(backlog.news(after(601)), None);
    }
}
