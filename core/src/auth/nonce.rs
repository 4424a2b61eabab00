//! Nonces that need no table to issue: a time and a number under a keyed MAC. Only those that were used are remembered,
//! with the counts that they were used with, so that no request can be replayed.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::lockout::siphash::Keyed;
use crate::Tick;
use crate::io::{ListenerId, WorkerId};
use crate::random::Random;

/// How many used nonces are remembered at once.
const MAX_USED: usize = 65_536;
/// How far a nonce count may lag behind the highest that was seen: requests on parallel connections overtake each other.
const WINDOW: u32 = 64;
/// The bits of a nonce's number above these are its worker's.
const WORKER_SHIFT: u32 = 56;
const MAC_LENGTH: usize = 16;
const LENGTH: usize = 16 + MAC_LENGTH;

/// A nonce of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Nonce {
    issued: u64,
    number: u64,
}

/// What a nonce is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It may be used; `ageing` once more than half of its life is over.
    Fresh {
        /// Time for a `nextnonce`.
        ageing: bool,
    },
    /// It was ours and is too old: ask again with a new one.
    Stale,
    /// We have never issued it.
    Forged,
}

#[derive(Debug)]
struct Used {
    highest: u32,
    /// Bit n: the count `highest - n` was used.
    seen: u64,
}

/// Issues nonces and watches their counts.
#[derive(Debug)]
pub(crate) struct Nonces {
    /// The MAC that the key begins: what has to be hashed of the key alone is hashed once.
    mac: Hmac<Sha256>,
    lifetime: Duration,
    issued: u64,
    worker: WorkerId,
    used: HashMap<Nonce, Used, Keyed>,
    order: VecDeque<(Tick, Nonce)>,
    /// Nonces issued up to here are stale, since what they were used with was forgotten to bound the memory.
    forgotten: Option<u64>,
}

impl Nonces {
    /// A fresh key; nonces of before count as forged.
    ///
    /// Workers that share the randomness take each other's for theirs; what a nonce was used with only that worker knows
    /// that issued it.
    pub(crate) fn new(random: &mut Random, lifetime: Duration, worker: WorkerId) -> Self {
        let hasher = Keyed::new(random);
        Self {
            mac: keyed(random.bytes()),
            lifetime,
            issued: 0,
            worker,
            used: HashMap::with_hasher(hasher),
            order: VecDeque::new(),
            forgotten: None,
        }
    }

    /// A nonce for one listener, as text.
    pub(crate) fn issue(&mut self, now: Tick, listener: ListenerId) -> String {
        self.issued += 1;
        let number = u64::from(self.worker.0) << WORKER_SHIFT | self.issued;
        let nonce = Nonce { issued: now.as_micros(), number };
        let mut text = String::with_capacity(LENGTH * 2);
        for byte in nonce.bytes().iter().chain(&self.mac(nonce, listener)) {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        text
    }

    /// The worker that a nonce says it was issued by, which only that one can tell to be true.
    pub(crate) fn issuer(text: &str) -> Option<WorkerId> {
        read(text).map(|(nonce, _)| WorkerId((nonce.number >> WORKER_SHIFT) as u8))
    }

    /// Whether a nonce is ours and young enough.
    pub(crate) fn check(&self, now: Tick, listener: ListenerId, text: &str) -> (Option<Nonce>, Freshness) {
        let Some((nonce, mac)) = read(text) else { return (None, Freshness::Forged) };
        if !bool::from(self.mac(nonce, listener).ct_eq(&mac)) {
            return (None, Freshness::Forged);
        }
        let age = now.since(Tick::from_micros(nonce.issued));
        let forgotten =
            self.forgotten.is_some_and(|last| nonce.issued <= last) && !self.used.contains_key(&nonce);
        if age >= self.lifetime || forgotten {
            return (Some(nonce), Freshness::Stale);
        }
        (Some(nonce), Freshness::Fresh { ageing: age * 2 >= self.lifetime })
    }

    /// Notes that a nonce was used with this count; without a count (RFC 2069) it may be used only once.
    /// Whether this is the first such use.
    pub(crate) fn take(&mut self, now: Tick, nonce: Nonce, count: Option<u32>) -> bool {
        self.expire(now);
        if let Some(used) = self.used.get_mut(&nonce) {
            return count.is_some_and(|count| used.take(count));
        }
        if self.used.len() >= MAX_USED {
            self.forget_oldest();
        }
        let used = match count {
            Some(0) => return false,
            Some(count) => Used { highest: count, seen: 1 },
            None => Used { highest: u32::MAX, seen: u64::MAX },
        };
        self.used.insert(nonce, used);
        self.order.push_back((now, nonce));
        true
    }

    fn forget_oldest(&mut self) {
        if let Some((_, nonce)) = self.order.pop_front() {
            self.used.remove(&nonce);
            self.forgotten = self.forgotten.max(Some(nonce.issued));
        }
    }

    /// Forgets nonces that are stale anyway.
    pub(crate) fn expire(&mut self, now: Tick) {
        while let Some((since, nonce)) = self.order.front().copied() {
            if now.since(since) < self.lifetime {
                return;
            }
            self.order.pop_front();
            self.used.remove(&nonce);
        }
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.order.front().map(|(since, _)| *since + self.lifetime)
    }

    /// How many used nonces are remembered.
    pub(crate) fn len(&self) -> usize {
        self.used.len()
    }

    fn mac(&self, nonce: Nonce, listener: ListenerId) -> [u8; MAC_LENGTH] {
        let mut mac = self.mac.clone();
        mac.update(&nonce.bytes());
        mac.update(&listener.0.to_be_bytes());
        let whole = mac.finalize().into_bytes();
        whole.first_chunk().copied().unwrap_or_default()
    }
}

impl Used {
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = if ahead < WINDOW { self.seen << ahead | 1 } else { 1 };
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let bit = if behind < WINDOW { 1u64 << behind } else { return false };
        let first = count > 0 && self.seen & bit == 0;
        self.seen |= bit;
        first
    }
}

impl Nonce {
    fn bytes(self) -> [u8; 16] {
        (u128::from(self.issued) << 64 | u128::from(self.number)).to_be_bytes()
    }
}

fn read(text: &str) -> Option<(Nonce, [u8; MAC_LENGTH])> {
    let digits: &[u8; LENGTH * 2] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; LENGTH];
    for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
        *byte = half(*high)? << 4 | half(*low)?;
    }
    let ([issued, number], mac) = (bytes.as_chunks::<8>().0.first_chunk()?, bytes.last_chunk()?);
    Some((Nonce { issued: u64::from_be_bytes(*issued), number: u64::from_be_bytes(*number) }, *mac))
}

fn half(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The MAC of this key, which is filled up to a block of the hash (RFC 2104 §2).
fn keyed(key: [u8; 32]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    if let Some(front) = block.first_chunk_mut() {
        *front = key;
    }
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Consumer, Seed};

    const HERE: ListenerId = ListenerId(0);

    fn nonces() -> Nonces {
        Nonces::new(&mut Random::new(&Seed([7; 32]), Consumer::Nonces), Duration::from_secs(300), WorkerId(0))
    }

    fn at(seconds: u64) -> Tick {
        Tick::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_nonce_is_good_for_its_life_at_its_listener_and_each_count_once() {
        let mut nonces = nonces();
        let text = nonces.issue(at(10), HERE);
        let (nonce, freshness) = nonces.check(at(20), HERE, &text);
        assert_eq!(freshness, Freshness::Fresh { ageing: false });
        assert_eq!(nonces.check(at(200), HERE, &text).1, Freshness::Fresh { ageing: true });
        assert_eq!(nonces.check(at(310), HERE, &text).1, Freshness::Stale);
        assert_eq!(nonces.check(at(20), ListenerId(1), &text).1, Freshness::Forged);
        let nonce = nonce.unwrap();
        let uses = [1, 1, 3, 2, 2, 3, 100, 1, 99, 0].map(|count| nonces.take(at(20), nonce, Some(count)));
        assert_eq!(uses, [true, false, true, true, false, false, true, false, true, false]);
        assert!(!nonces.take(at(20), nonce, None));
    }

    #[test]
    fn a_nonce_without_counts_serves_once() {
        let mut nonces = nonces();
        let text = nonces.issue(at(0), HERE);
        let nonce = nonces.check(at(0), HERE, &text).0.unwrap();
        assert!(nonces.take(at(0), nonce, None));
        assert!(!nonces.take(at(0), nonce, None));
        assert!(!nonces.take(at(0), nonce, Some(5)));
    }

    #[test]
    fn a_forgotten_nonce_cannot_be_replayed() {
        let mut nonces = nonces();
        let text = nonces.issue(at(0), HERE);
        let nonce = nonces.check(at(0), HERE, &text).0.unwrap();
        nonces.take(at(0), nonce, Some(1));
        for n in 1..=MAX_USED as u64 {
            let text = nonces.issue(Tick::from_micros(n), HERE);
            let other = nonces.check(Tick::from_micros(n), HERE, &text).0.unwrap();
            nonces.take(Tick::from_micros(n), other, Some(1));
        }
        assert_eq!(nonces.len(), MAX_USED);
        assert_eq!(nonces.check(at(1), HERE, &text).1, Freshness::Stale);
    }

    #[test]
    fn garbage_is_no_nonce() {
        let nonces = nonces();
        for text in ["", "abc", &"z".repeat(64), &"é".repeat(32), &"0".repeat(64)] {
            assert_eq!(nonces.check(at(0), HERE, text).1, Freshness::Forged);
        }
    }
}
