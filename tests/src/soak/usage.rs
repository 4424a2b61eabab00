//! What the server uses, as the kernel tells.

use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub memory: u64,
    /// Processor time so far, its own and the kernel's for it.
    pub processor: Duration,
}

impl Usage {
    /// That of this process.
    pub fn of(process: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the server runs");
        let (_, fields) = stat.rsplit_once(") ").expect("the name is in brackets");
        // utime, stime and rss of proc_pid_stat(5), counted from the state.
        let number = |place: usize| fields.split(' ').nth(place).and_then(|field| field.parse::<u64>().ok());
        let [user, system, pages] = [11, 12, 21].map(|place| number(place).expect("it is a number"));
        let a_second = constant(SysconfVar::CLK_TCK);
        Self {
            memory: pages * constant(SysconfVar::PAGE_SIZE),
            processor: Duration::from_micros((user + system) * 1_000_000 / a_second),
        }
    }
}

fn constant(which: SysconfVar) -> u64 {
    let value = sysconf(which).ok().flatten().expect("the system has a value for it");
    u64::try_from(value).expect("it is positive")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory() {
        let usage = Usage::of(std::process::id());
        assert!(usage.memory > 1 << 20, "{usage:?}");
    }
}
