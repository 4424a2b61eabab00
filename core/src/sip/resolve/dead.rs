//! Servers that failed: for a while they are tried behind the others, and never left out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Target;
use crate::Tick;

/// How long a server stays behind the others after its first failure; each further one in a row doubles it.
const FIRST: Duration = Duration::from_secs(30);
/// The longest.
const LONGEST: Duration = Duration::from_secs(300);
/// Of so many it is remembered.
const MOST: usize = 1024;

/// The memory of servers that failed.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    failed: BTreeMap<Target, Failed>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    until: Tick,
}

impl Dead {
    /// A server failed.
    pub(crate) fn failed(&mut self, now: Tick, target: Target) {
        if self.failed.len() >= MOST && !self.failed.contains_key(&target) {
            let soonest =
                self.failed.iter().min_by_key(|(_, failed)| failed.until).map(|(target, _)| *target);
            soonest.and_then(|target| self.failed.remove(&target));
        }
        let failed = self.failed.entry(target).or_insert(Failed { times: 0, until: now });
        let behind = FIRST.saturating_mul(1 << failed.times.min(8)).min(LONGEST);
        *failed = Failed { times: failed.times.saturating_add(1), until: now + behind };
    }

    /// A server works.
    pub(crate) fn worked(&mut self, target: Target) {
        if !self.failed.is_empty() {
            self.failed.remove(&target);
        }
    }

    /// Puts those that failed of late behind the others, and leaves the order as it is apart from that.
    pub(crate) fn order(&self, now: Tick, targets: &mut [Target]) {
        if !self.failed.is_empty() {
            targets.sort_by_key(|target| self.failed.get(target).is_some_and(|failed| now < failed.until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SipTransport;

    fn target(port: u16) -> Target {
        Target { transport: SipTransport::Udp, address: ([192, 0, 2, 1], port).into() }
    }

    fn ports(dead: &Dead, now: Tick) -> Vec<u16> {
        let mut targets = [1, 2, 3].map(target);
        dead.order(now, &mut targets);
        targets.iter().map(|target| target.address.port()).collect()
    }

    #[test]
    fn what_failed_stays_behind_for_a_while_that_doubles() {
        let (mut dead, start) = (Dead::default(), Tick::from_micros(5));
        dead.failed(start, target(1));
        assert_eq!(ports(&dead, start), [2, 3, 1]);
        assert_eq!(ports(&dead, start + FIRST), [1, 2, 3]);
        dead.failed(start + FIRST, target(1));
        assert_eq!(ports(&dead, start + FIRST * 2), [2, 3, 1], "the second time twice as long");
        assert_eq!(ports(&dead, start + FIRST * 3), [1, 2, 3]);
        (0..20).for_each(|_| dead.failed(start, target(1)));
        assert_eq!(ports(&dead, start + LONGEST), [1, 2, 3]);
    }

    #[test]
    fn one_failure_does_not_poison_the_rest() {
        let (mut dead, start) = (Dead::default(), Tick::from_micros(5));
        (1..=3).for_each(|port| dead.failed(start, target(port)));
        assert_eq!(ports(&dead, start), [1, 2, 3], "all are tried all the same");
        dead.worked(target(2));
        assert_eq!(ports(&dead, start), [2, 1, 3]);
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut dead = Dead::default();
        for number in 0..3000u16 {
            dead.failed(Tick::from_micros(u64::from(number)), target(number));
        }
        assert_eq!(dead.failed.len(), MOST);
        assert!(dead.failed.contains_key(&target(2999)) && !dead.failed.contains_key(&target(0)));
    }
}
