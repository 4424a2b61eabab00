//! Randomness: one seed, a stream of its own for each consumer, so that one more draw here shifts nothing there.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::io::WorkerId;

/// What all randomness of a controller comes from: 32 bytes that nobody can guess in production, any in a test.
#[derive(Clone)]
pub struct Seed(pub [u8; 32]);

impl Seed {
    /// The seed of one worker among those that share this one: no two draw the same.
    pub(crate) fn of_worker(&self, worker: WorkerId) -> Self {
        if worker == WorkerId(0) {
            return self.clone();
        }
        let mut rng = ChaCha12Rng::from_seed(self.0);
        rng.set_stream(WORKERS + u64::from(worker.0));
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self(seed)
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// The streams that the seeds of workers are drawn from lie behind those of consumers.
const WORKERS: u64 = 1 << 32;

/// Who draws; each has its own stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Consumer {
    Transactions = 1,
    Calls = 2,
    Nonces = 3,
    HashKeys = 4,
    StreamKeys = 5,
    Owners = 8,
    Resolver = 7,
    #[cfg(any(test, feature = "softphone"))]
    Phones = 6,
}

/// A stream of unguessable numbers.
#[derive(Clone)]
pub(crate) struct Random(ChaCha12Rng);

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(..)")
    }
}

impl Random {
    /// The stream of one consumer.
    pub(crate) fn new(seed: &Seed, consumer: Consumer) -> Self {
        let mut rng = ChaCha12Rng::from_seed(seed.0);
        rng.set_stream(consumer as u64);
        Self(rng)
    }

    /// 64 fresh bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 16 fresh bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// A number below `bound` (0 for a bound of 0); the bias is below 2^-32 for the bounds used here.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_never_printed() {
        let seed = Seed([77; 32]);
        let printed = format!("{seed:?} {:?}", Random::new(&seed, Consumer::Nonces));
        assert_eq!(printed, "Seed(..) Random(..)");
    }

    #[test]
    fn each_consumer_has_a_stream_of_its_own_that_its_seed_gives_again() {
        let first = |byte, consumer| Random::new(&Seed([byte; 32]), consumer).bits();
        assert_eq!(first(1, Consumer::Calls), first(1, Consumer::Calls));
        assert_ne!(first(1, Consumer::Calls), first(1, Consumer::Nonces));
        assert_ne!(first(1, Consumer::Calls), first(2, Consumer::Calls));
    }
}
