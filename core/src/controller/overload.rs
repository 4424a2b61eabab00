//! Refusing new calls while there is more to do than can be done, so that those in progress come to their end.

use std::time::Duration;

use crate::Tick;
use crate::io::Outbox;
use crate::report::Report;

/// Nothing refused for so long: the overload is over.
const QUIET: Duration = Duration::from_secs(5);

/// How far behind the runtime is, and what was refused for it.
#[derive(Debug)]
pub(super) struct Overload {
    behind: Duration,
    most: Duration,
    refused: u64,
    last: Tick,
}

impl Overload {
    /// New calls are to be refused when the runtime is behind by `most`.
    pub(super) fn new(most: Duration) -> Self {
        Self { behind: Duration::ZERO, most, refused: 0, last: Tick::ZERO }
    }

    /// So far behind is the runtime from now on.
    pub(super) fn set(&mut self, behind: Duration) {
        self.behind = behind;
    }

    /// Whether new calls are to be refused.
    pub(super) fn is_on(&self) -> bool {
        self.behind >= self.most
    }

    /// A new call was refused.
    pub(super) fn refuse(&mut self, now: Tick, outbox: &mut Outbox) {
        if self.refused == 0 {
            outbox.report(Report::Overloaded { behind: self.behind });
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
        }
    }
}
