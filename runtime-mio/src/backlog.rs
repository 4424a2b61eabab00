//! How long what comes in waits because of what came before.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Behind fewer nobody waits for others.
const FEW: usize = 64;
/// How exactly it is told, and what is not worth to look at the thread's clock for.
const STEP: Duration = Duration::from_millis(1);

/// What has been taken in since nothing waited.
///
/// What the thread has worked counts, not what it has waited for a processor: on a machine that is busy with other things
/// that says nothing of how much there is to do.
#[derive(Debug)]
pub(crate) struct Backlog {
    since: Instant,
    inputs: usize,
    /// The thread's clock, when there first was something to tell.
    worked: Option<Duration>,
    told: Duration,
}

impl Backlog {
    /// Nothing waits.
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, inputs: 0, worked: None, told: Duration::ZERO }
    }

    /// All that came before is done, and this is when something else came in.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.since = now;
        self.inputs = 0;
        self.worked = None;
    }

    /// So much more was taken in.
    pub(crate) fn took(&mut self, inputs: usize) {
        self.inputs += inputs;
    }

    /// All is done; whether the machine was told that it is behind.
    pub(crate) fn rest(&mut self) -> bool {
        !std::mem::take(&mut self.told).is_zero()
    }

    /// How far behind the machine is to be told that we are, if that is news.
    pub(crate) fn news(&mut self, now: Instant) -> Option<Duration> {
        self.news_by(now, thread_clock)
    }

    fn news_by(&mut self, now: Instant, worked: impl Fn() -> Duration) -> Option<Duration> {
        let behind = if self.inputs < FEW || now.saturating_duration_since(self.since) < STEP {
            Duration::ZERO
        } else {
            let worked = worked();
            let before = *self.worked.get_or_insert(worked);
            let steps = 1 + worked.saturating_sub(before).as_millis() / STEP.as_millis();
            STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
        };
        (std::mem::replace(&mut self.told, behind) != behind).then_some(behind)
    }
}

/// How long this thread has worked.
fn thread_clock() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn it_is_told_when_there_was_always_more_to_do_and_when_all_is_done() {
        let start = Instant::now();
        let mut backlog = Backlog::new(start);
        let after = |backlog: &mut Backlog, passed, worked| {
            backlog.news_by(start + millis(passed), || millis(worked))
        };
        backlog.took(FEW - 1);
        assert_eq!(after(&mut backlog, 500, 400), None, "so few do not wait for each other");
        backlog.took(1);
        assert_eq!(after(&mut backlog, 505, 405), Some(millis(1)));
        assert_eq!(after(&mut backlog, 506, 405), None);
        assert_eq!(
            after(&mut backlog, 600, 410),
            Some(millis(6)),
            "who waits for the processor is not behind"
        );
        backlog.begin(start + millis(601));
        assert_eq!(after(&mut backlog, 601, 500), Some(millis(0)));
        assert_eq!(after(&mut backlog, 900, 500), None);
    }

    #[test]
    fn whoever_rests_tells_once_that_nothing_waits_any_more() {
        let start = Instant::now();
        let mut backlog = Backlog::new(start);
        backlog.took(FEW);
        assert_eq!(backlog.news_by(start + millis(5), || millis(5)), Some(millis(1)));
        assert!(backlog.rest());
        assert!(!backlog.rest());
    }

    #[test]
    fn the_clock_of_a_thread_runs_while_it_works() {
        let before = thread_clock();
        while thread_clock() < before + millis(2) {
            std::hint::spin_loop();
        }
    }
}
