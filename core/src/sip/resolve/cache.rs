//! What name servers said, for as long as it holds.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::Tick;

/// What is asked: the records of one kind of a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    /// The name, in lower case and without a dot at its end.
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
}

/// A kind of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
    Naptr,
}

/// What is known about a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Addresses, for A and AAAA.
    Addresses(Vec<IpAddr>),
    /// Servers (RFC 2782).
    Servers(Vec<Server>),
    /// Pointers to servers (RFC 3403).
    Pointers(Vec<Pointer>),
    /// It is another name for this one.
    Alias(Box<str>),
    /// There is nothing.
    Nothing,
    /// Nobody answered.
    Silence,
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// Empty where the service is said not to be there (RFC 2782: ".").
    pub(super) name: Box<str>,
}

/// A NAPTR record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) flags: Box<[u8]>,
    pub(super) service: Box<[u8]>,
    pub(super) replacement: Box<str>,
}

/// Records are kept at least for so long: what is asked one after the other has to fit together.
const SHORTEST: Duration = Duration::from_secs(5);
/// And no longer than this.
const LONGEST: Duration = Duration::from_secs(86_400);
/// So many answers are kept; then the oldest go.
const MOST: usize = 4096;

/// The answers that still hold.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: BTreeMap<Question, (Answer, Tick)>,
    /// In the order in which they came.
    order: VecDeque<Question>,
}

impl Cache {
    /// What is known, if that still holds.
    pub(super) fn get(&self, now: Tick, question: &Question) -> Option<&Answer> {
        self.entries.get(question).filter(|(_, until)| now < *until).map(|(answer, _)| answer)
    }

    /// Takes an answer, for so long.
    pub(super) fn learn(&mut self, now: Tick, question: Question, answer: Answer, ttl: Duration) {
        let until = now + ttl.clamp(SHORTEST, LONGEST);
        if self.entries.insert(question.clone(), (answer, until)).is_none() {
            self.order.push_back(question);
        }
        // The oldest go first, and with them what does not hold any more.
        while let Some(oldest) = self.order.front() {
            let over = self.entries.get(oldest).is_none_or(|(_, until)| *until <= now);
            if self.order.len() <= MOST && !over {
                return;
            }
            self.entries.remove(oldest);
            self.order.pop_front();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(number: usize) -> Question {
        Question { name: format!("n{number}").into(), kind: Kind::A }
    }

    #[test]
    fn an_answer_holds_for_its_time_but_not_too_short_or_long() {
        let (mut cache, start) = (Cache::default(), Tick::from_micros(1));
        for (number, ttl, holds) in [(0, 0, 5), (1, 60, 60), (2, 10_000_000, 86_400)] {
            cache.learn(start, question(number), Answer::Nothing, Duration::from_secs(ttl));
            let end = start + Duration::from_secs(holds);
            assert_eq!(
                cache.get(start + Duration::from_secs(holds - 1), &question(number)),
                Some(&Answer::Nothing)
            );
            assert_eq!(cache.get(end, &question(number)), None);
        }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let (mut cache, start) = (Cache::default(), Tick::from_micros(1));
        for number in 0..MOST + 10 {
            cache.learn(start, question(number), Answer::Nothing, LONGEST);
        }
        assert_eq!((cache.len(), cache.order.len()), (MOST, MOST));
        assert!(cache.get(start, &question(9)).is_none() && cache.get(start, &question(10)).is_some());
    }
}
