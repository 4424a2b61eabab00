//! What the system tells of time, processors and memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment by the clock that datagrams are stamped with, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// What the clock says.
    pub fn now() -> Self {
        Self::from_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// So long after the first of January 1970.
    pub fn from_epoch(span: Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }

    /// From an earlier one to this one; nothing if the clock was set back between.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The processor time that each thread of a process has taken, user and system.
#[derive(Clone, Debug, Default)]
pub struct Processor(BTreeMap<u32, Duration>);

/// The processor time between two readings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Of all threads.
    pub total: Duration,
    /// Of the one that took the most.
    pub busiest: Duration,
}

impl Processor {
    /// Reads those of the threads that run. What threads took that have ended since is not told.
    pub fn of(process: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        let read = |entry: fs::DirEntry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            Some((id, scheduled(&fs::read_to_string(entry.path().join("schedstat")).ok()?)?))
        };
        Self(threads.filter_map(read).collect())
    }

    /// What was taken since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Spent {
        let took =
            |(id, now): (&u32, &Duration)| now.saturating_sub(earlier.0.get(id).copied().unwrap_or_default());
        let each = self.0.iter().map(took);
        Spent { total: each.clone().sum(), busiest: each.max().unwrap_or_default() }
    }
}

/// The processor time of the thread that asks.
pub fn own_processor() -> Duration {
    fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| scheduled(&text))
        .unwrap_or_default()
}

/// The first number: nanoseconds on a processor.
fn scheduled(schedstat: &str) -> Option<Duration> {
    Some(Duration::from_nanos(schedstat.split_whitespace().next()?.parse().ok()?))
}

/// The bytes of a process that lie in memory.
pub fn memory(process: u32) -> u64 {
    let kilobytes = |file: &str, name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{process}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    // What `status` says lags behind.
    kilobytes("smaps_rollup", "Rss:").or_else(|| kilobytes("status", "VmRSS:")).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_has_worked_is_told() {
        let before = Processor::of(std::process::id());
        let own = own_processor();
        while own_processor().saturating_sub(own) < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        let spent = Processor::of(std::process::id()).since(&before);
        assert!(spent.total >= spent.busiest && spent.busiest > Duration::ZERO, "{spent:?}");
        assert!(memory(std::process::id()) > 1 << 20);
    }
}
