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

/// The processor time that each thread of a process has taken, user and system, and for how long it waited for a processor.
#[derive(Clone, Debug, Default)]
pub struct Processor(BTreeMap<u32, Scheduled>);

/// What the system's scheduler tells of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// The time that it had a processor.
    pub ran: Duration,
    /// The time that it had something to do and no processor.
    pub waited: Duration,
}

impl Scheduled {
    /// What has passed since an earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        Self { ran: self.ran.saturating_sub(earlier.ran), waited: self.waited.saturating_sub(earlier.waited) }
    }
}

/// The processor time between two readings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Of all threads.
    pub total: Duration,
    /// Of the one that took the most.
    pub busiest: Duration,
    /// How long the one that waited the longest for a processor did.
    pub waited: Duration,
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
        let since = |(id, now): (&u32, &Scheduled)| now.since(earlier.0.get(id).copied().unwrap_or_default());
        let each = self.0.iter().map(since);
        let ran = each.clone().map(|one| one.ran);
        let waited = each.map(|one| one.waited).max().unwrap_or_default();
        Spent { total: ran.clone().sum(), busiest: ran.max().unwrap_or_default(), waited }
    }
}

/// What the scheduler tells of the thread that asks.
pub fn own_processor() -> Scheduled {
    fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| scheduled(&text))
        .unwrap_or_default()
}

/// The first two numbers: nanoseconds on a processor, and waiting for one.
fn scheduled(schedstat: &str) -> Option<Scheduled> {
    let mut numbers = schedstat.split_whitespace().map(|number| number.parse().map(Duration::from_nanos));
    Some(Scheduled { ran: numbers.next()?.ok()?, waited: numbers.next()?.ok()? })
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
        while own_processor().since(own).ran < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        let spent = Processor::of(std::process::id()).since(&before);
        assert!(spent.total >= spent.busiest && spent.busiest > Duration::ZERO, "{spent:?}");
        assert!(memory(std::process::id()) > 1 << 20);
    }
}
