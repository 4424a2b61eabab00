//! Slowing down whoever fails to log in again and again.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::Tick;
use crate::random::Random;

/// So many failures are free.
const FREE_FAILURES: u32 = 5;
/// After this long without a failure an address is forgotten.
const MEMORY: Duration = Duration::from_secs(60);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How many addresses are remembered; beyond, the one that failed first is forgotten.
const MAX_ADDRESSES: usize = 4096;

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Tick,
}

/// The addresses from which logins failed. An IPv6 address counts as its /64.
#[derive(Debug)]
pub(crate) struct Lockout {
    failures: HashMap<IpAddr, Failures, siphash::Keyed>,
    /// Addresses in the order in which they were entered or looked over last.
    order: VecDeque<(Tick, IpAddr)>,
}

impl Lockout {
    /// Nobody has failed yet.
    pub(crate) fn new(random: &mut Random) -> Self {
        Self { failures: HashMap::with_hasher(siphash::Keyed::new(random)), order: VecDeque::new() }
    }

    /// How long this address still has to wait; `None` when it need not.
    pub(crate) fn wait(&self, now: Tick, address: IpAddr) -> Option<Duration> {
        let failures = self.failures.get(&network(address))?;
        let over = failures.count.checked_sub(FREE_FAILURES)?;
        let wait = Duration::from_secs(1 << over.min(6)).min(LONGEST_WAIT);
        let left = (failures.last + wait).since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A login from this address has failed.
    pub(crate) fn failed(&mut self, now: Tick, address: IpAddr) {
        let address = network(address);
        if self.failures.len() >= MAX_ADDRESSES && !self.failures.contains_key(&address) {
            while let Some((_, oldest)) = self.order.pop_front() {
                if self.failures.remove(&oldest).is_some() {
                    break;
                }
            }
        }
        match self.failures.entry(address) {
            Entry::Occupied(mut entry) => {
                let failures = entry.get_mut();
                let forgotten = now.since(failures.last) >= MEMORY;
                failures.count = if forgotten { 1 } else { failures.count.saturating_add(1) };
                failures.last = now;
            }
            Entry::Vacant(entry) => {
                entry.insert(Failures { count: 1, last: now });
                self.order.push_back((now, address));
            }
        }
    }

    /// Forgets whom there is no need to remember.
    pub(crate) fn expire(&mut self, now: Tick) {
        while let Some((since, address)) = self.order.front().copied() {
            if now.since(since) < MEMORY {
                return;
            }
            self.order.pop_front();
            match self.failures.get(&address).map(|failures| failures.last) {
                Some(last) if now.since(last) < MEMORY => self.order.push_back((last, address)),
                Some(_) => {
                    self.failures.remove(&address);
                }
                None => {}
            }
        }
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.order.front().map(|(since, _)| *since + MEMORY)
    }

    /// How many addresses are remembered.
    pub(crate) fn len(&self) -> usize {
        self.failures.len()
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A keyed hasher, so that nobody can choose addresses that collide.
pub(crate) mod siphash {
    use std::hash::BuildHasher;

    use siphasher::sip::SipHasher13;

    use crate::random::Random;

    /// Builds hashers with one key.
    #[derive(Clone, Debug)]
    pub(crate) struct Keyed(u64, u64);

    impl Keyed {
        /// A key that is drawn.
        pub(crate) fn new(random: &mut Random) -> Self {
            Self(random.bits(), random.bits())
        }
    }

    impl BuildHasher for Keyed {
        type Hasher = SipHasher13;
        fn build_hasher(&self) -> SipHasher13 {
            SipHasher13::new_with_keys(self.0, self.1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Consumer, Seed};

    fn lockout() -> Lockout {
        Lockout::new(&mut Random::new(&Seed([1; 32]), Consumer::HashKeys))
    }

    fn at(seconds: u64) -> Tick {
        Tick::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_wait_doubles_with_each_failure_beyond_the_free_ones() {
        let mut lockout = lockout();
        let address = "192.0.2.1".parse().unwrap();
        for _ in 0..4 {
            lockout.failed(at(0), address);
            assert_eq!(lockout.wait(at(0), address), None);
        }
        lockout.failed(at(0), address);
        assert_eq!(lockout.wait(at(0), address), Some(Duration::from_secs(1)));
        lockout.failed(at(1), address);
        assert_eq!(lockout.wait(at(1), address), Some(Duration::from_secs(2)));
        assert_eq!(lockout.wait(at(3), address), None);
        for _ in 0..20 {
            lockout.failed(at(3), address);
        }
        assert_eq!(lockout.wait(at(3), address), Some(LONGEST_WAIT));
        assert_eq!(lockout.wait(at(3), "192.0.2.2".parse().unwrap()), None);
    }

    #[test]
    fn an_address_that_stays_quiet_is_forgotten_and_nothing_is_left() {
        let mut lockout = lockout();
        lockout.failed(at(0), "2001:db8::1".parse().unwrap());
        lockout.failed(at(30), "2001:db8::2".parse().unwrap());
        assert_eq!(lockout.len(), 1, "both are of one /64");
        lockout.expire(at(60));
        assert_eq!(lockout.next(), Some(at(90)));
        lockout.expire(at(90));
        assert_eq!((lockout.len(), lockout.next()), (0, None));
    }

    #[test]
    fn many_addresses_take_bounded_memory() {
        let mut lockout = lockout();
        for n in 0..10_000u32 {
            lockout.failed(at(0), IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(lockout.len(), MAX_ADDRESSES);
    }
}
