//! Time as plain numbers: [`Tick`] and [`Epoch`], and the timer [`wheel`].

pub(crate) mod wheel;

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time: microseconds since an arbitrary start that the runtime chose. It never runs backwards inside core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tick(u64);

impl Tick {
    /// The arbitrary start.
    pub const ZERO: Tick = Tick(0);

    /// The tick so many microseconds after the start.
    pub const fn from_micros(micros: u64) -> Tick {
        Tick(micros)
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this one; zero if it lies after.
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Tick {
    type Output = Tick;
    fn add(self, duration: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Tick> for Tick {
    type Output = Duration;
    fn sub(self, earlier: Tick) -> Duration {
        self.since(earlier)
    }
}

/// What the wall clock said at [`Tick::ZERO`]: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch at which [`Tick::ZERO`] was so many milliseconds after 1970-01-01 UTC.
    pub const fn from_unix_millis(millis: u64) -> Epoch {
        Epoch(millis)
    }

    /// The wall clock's time at `tick`, in milliseconds since 1970-01-01 UTC.
    pub const fn unix_millis(self, tick: Tick) -> u64 {
        self.0.saturating_add(tick.0 / 1000)
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
