//! What is to be done later, in the order of its time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

/// What is to be done later.
#[derive(Debug)]
pub struct Agenda<T> {
    order: BinaryHeap<Reverse<(Duration, u64)>>,
    what: HashMap<u64, T>,
    next: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { order: BinaryHeap::new(), what: HashMap::new(), next: 0 }
    }
}

impl<T> Agenda<T> {
    /// Notes something for this time; of one time, what was noted first comes first.
    pub fn note(&mut self, at: Duration, what: T) {
        self.order.push(Reverse((at, self.next)));
        self.what.insert(self.next, what);
        self.next += 1;
    }

    /// The next thing whose time has come.
    pub fn due(&mut self, now: Duration) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, key)) = self.order.pop()?;
        self.what.remove(&key)
    }

    /// When the next thing is to be done.
    pub fn next(&self) -> Option<Duration> {
        self.order.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_the_order_of_its_time() {
        let mut agenda = Agenda::default();
        let at = Duration::from_millis;
        agenda.note(at(20), "third");
        agenda.note(at(10), "first");
        agenda.note(at(10), "second");
        assert_eq!((agenda.due(at(9)), agenda.next()), (None, Some(at(10))));
        assert_eq!(
            [agenda.due(at(30)), agenda.due(at(30)), agenda.due(at(30))].map(Option::unwrap),
            ["first", "second", "third"]
        );
        assert_eq!((agenda.due(at(30)), agenda.next()), (None, None));
    }
}
