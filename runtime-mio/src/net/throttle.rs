//! Log lines that could come by the thousand: one a second, with the number of those left out.

use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(1);

/// One kind of line.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    next: Option<Instant>,
    left_out: u64,
}

impl Throttle {
    /// Whether a line about `count` things may be written now, and then how many things it is about with those that were
    /// not written of before.
    pub(super) fn admit(&mut self, now: Instant, count: u64) -> Option<u64> {
        self.left_out += count;
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + INTERVAL);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_in_the_next_line() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.admit(start, 1), Some(1));
        assert_eq!(throttle.admit(start, 2), None);
        assert_eq!(throttle.admit(start + INTERVAL / 2, 3), None);
        assert_eq!(throttle.admit(start + INTERVAL, 4), Some(9));
    }
}
