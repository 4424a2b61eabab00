//! Refusing new calls while there is more to do than can be done, so that those in progress come to their end.
//!
//! A call that is taken brings its work later, when its phones answer: to take all while nothing waits yet, and none
//! afterwards, would let work come in waves. So once calls are refused, the others are taken evenly, at a pace that follows
//! what is behind.

use std::time::Duration;

use crate::Tick;
use crate::io::Outbox;
use crate::report::Report;

/// Nothing refused for so long: the overload is over.
const QUIET: Duration = Duration::from_secs(5);
/// Once calls are refused, the pace gets slower while the runtime is behind by this part of what it took to begin: what
/// waits is not let grow so long again, and whoever is refused is so at once. So much of the pace may come together, too.
const EASED: u32 = 4;
/// How often the pace changes.
const STEP: Duration = Duration::from_millis(10);
/// By what part it gets slower, and by what part faster.
const SLOWER: u32 = 16;
const FASTER: u32 = 64;
/// Over so long the calls are counted from whose number the first pace is made.
const WINDOW: Duration = Duration::from_millis(100);
/// No pace is slower than this.
const SLOWEST: Duration = Duration::from_millis(20);

/// How far behind the runtime is, and what was refused for it.
#[derive(Debug)]
pub(super) struct Overload {
    behind: Duration,
    most: Duration,
    recent: Recent,
    /// How calls are taken while others are refused.
    pace: Option<Pace>,
    refused: u64,
    last: Tick,
}

impl Overload {
    /// New calls are to be refused when the runtime is behind by `most`.
    pub(super) fn new(most: Duration) -> Self {
        let recent = Recent { since: Tick::ZERO, calls: 0, before: 0 };
        Self { behind: Duration::ZERO, most, recent, pace: None, refused: 0, last: Tick::ZERO }
    }

    /// So far behind is the runtime from now on.
    pub(super) fn set(&mut self, behind: Duration) {
        self.behind = behind;
        if let Some(pace) = &mut self.pace {
            pace.worst = pace.worst.max(behind);
        }
    }

    /// Whether a new call is to be refused now.
    pub(super) fn is_on(&mut self, now: Tick) -> bool {
        let eased = self.most / EASED;
        let too_many = self.pace.as_mut().is_some_and(|pace| {
            pace.step(now, self.behind, eased);
            pace.is_full(now, eased)
        });
        too_many || self.behind >= self.most
    }

    /// A new call was taken.
    pub(super) fn take(&mut self, now: Tick) {
        self.recent.take(now);
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
    }

    /// A new call was refused.
    pub(super) fn refuse(&mut self, now: Tick, outbox: &mut Outbox) {
        if self.refused == 0 {
            outbox.report(Report::Overloaded { behind: self.behind });
            self.pace = Some(Pace::new(now, self.recent.each(), self.behind));
        }
        self.refused += 1;
        self.last = now;
    }

    /// When [`timeout`](Self::timeout) is to be called.
    pub(super) fn next(&self) -> Option<Tick> {
        (self.refused > 0).then(|| self.last + QUIET)
    }

    /// Tells how many were refused, once it is over.
    pub(super) fn timeout(&mut self, now: Tick, outbox: &mut Outbox) {
        if self.next().is_some_and(|at| at <= now) {
            outbox.report(Report::Relieved { refused: self.refused });
            self.refused = 0;
            self.pace = None;
        }
    }
}

/// How many calls were taken of late.
#[derive(Debug)]
struct Recent {
    since: Tick,
    calls: u32,
    /// In the window before.
    before: u32,
}

impl Recent {
    fn take(&mut self, now: Tick) {
        let passed = now - self.since;
        if passed >= WINDOW {
            self.before = if passed < 2 * WINDOW { self.calls } else { 0 };
            self.calls = 0;
            self.since = now;
        }
        self.calls += 1;
    }

    /// The time for each of them.
    fn each(&self) -> Duration {
        WINDOW / self.calls.max(self.before).max(1)
    }
}

/// The time that each call is given.
#[derive(Debug)]
struct Pace {
    each: Duration,
    /// So far the time is given away.
    given: Duration,
    changed: Tick,
    /// How far behind the runtime was since then, at most.
    worst: Duration,
    /// Whether calls were refused for the pace since then.
    was_full: bool,
}

impl Pace {
    fn new(now: Tick, each: Duration, behind: Duration) -> Self {
        let each = each.min(SLOWEST);
        Self { each, given: since_start(now), changed: now, worst: behind, was_full: false }
    }

    /// Follows what was seen since the last change.
    fn step(&mut self, now: Tick, behind: Duration, eased: Duration) {
        if now - self.changed < STEP {
            return;
        }
        if self.worst >= eased {
            self.each = (self.each + self.each / SLOWER).min(SLOWEST);
        } else if self.was_full {
            self.each -= self.each / FASTER;
        }
        self.changed = now;
        self.worst = behind;
        self.was_full = false;
    }

    /// Whether calls have come so close together that the next one has to be refused.
    fn is_full(&mut self, now: Tick, together: Duration) -> bool {
        let full = self.given > since_start(now) + together;
        self.was_full |= full;
        full
    }

    fn take(&mut self, now: Tick) {
        self.given = self.given.max(since_start(now)) + self.each;
    }
}

/// Ticks are too long for what a call is given.
fn since_start(now: Tick) -> Duration {
    now - Tick::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// A server that can do so much, by turns: what waits is done as far as the time goes.
    struct Server {
        overload: Overload,
        now: Tick,
        /// Work that has come in and is not yet done.
        waiting: Duration,
        /// What the calls taken in each past turn will bring.
        coming: std::collections::VecDeque<Duration>,
        longest: Duration,
        taken: u64,
    }

    /// What a call costs once its phones answer, when it is ordered, and when it is refused.
    const CALL: Duration = Duration::from_micros(30);
    const ORDER: Duration = Duration::from_micros(10);
    const REFUSAL: Duration = Duration::from_micros(6);

    impl Server {
        /// One whose calls' phones answer after so many milliseconds.
        fn new(delay: usize) -> Self {
            let coming = std::iter::repeat_n(Duration::ZERO, delay).collect();
            let overload = Overload::new(20 * MILLI);
            let (waiting, longest) = (Duration::ZERO, Duration::ZERO);
            Self { overload, now: Tick::ZERO, waiting, coming, longest, taken: 0 }
        }

        /// Lets a millisecond pass in which so many orders come in; how many were refused.
        fn pass(&mut self, orders: u32) -> u32 {
            self.now = self.now + MILLI;
            let mut refused = 0;
            let mut brought = Duration::ZERO;
            self.waiting = self.waiting.saturating_sub(MILLI) + self.coming.pop_front().unwrap_or_default();
            self.overload.set(self.waiting);
            for _ in 0..orders {
                if self.overload.is_on(self.now) {
                    self.overload.refuse(self.now, &mut Outbox::new());
                    self.waiting += REFUSAL;
                    refused += 1;
                } else {
                    self.overload.take(self.now);
                    self.taken += 1;
                    self.waiting += ORDER;
                    brought += CALL;
                }
            }
            self.coming.push_back(brought);
            self.longest = self.longest.max(self.waiting);
            refused
        }
    }

    #[test]
    fn at_twice_what_can_be_done_nearly_all_that_can_be_done_is_and_little_waits() {
        // 25 orders a millisecond keep it busy; of 50 it can take 20 and refuse 30.
        for delay in [0, 1, 5, 20] {
            let mut server = Server::new(delay);
            for _ in 0..500 {
                server.pass(50);
            }
            (server.taken, server.longest) = (0, Duration::ZERO);
            let refused: u32 = (0..2_000).map(|_| server.pass(50)).sum();
            assert!(server.taken > 2_000 * 18, "delay {delay}: {} taken, {refused} refused", server.taken);
            assert!(server.longest < 20 * MILLI, "delay {delay}: {:?}", server.longest);
        }
    }

    #[test]
    fn a_burst_that_is_soon_done_is_taken_whole() {
        let mut server = Server::new(1);
        assert_eq!(server.pass(1_500) + server.pass(0), 0);
    }

    #[test]
    fn when_fewer_come_all_are_taken_and_after_a_while_that_is_told() {
        let mut server = Server::new(5);
        assert!((0..500).map(|_| server.pass(50)).sum::<u32>() > 0);
        for _ in 0..100 {
            server.pass(5);
        }
        assert_eq!((0..1_000).map(|_| server.pass(12)).sum::<u32>(), 0);
        let over = server.overload.next().expect("it is not over yet");
        let mut outbox = Outbox::new();
        server.overload.timeout(over, &mut outbox);
        assert!(!outbox.is_empty());
        assert_eq!(server.overload.next(), None);
    }
}
