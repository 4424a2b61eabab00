//! What phones could not do: remembered for a while, so that the next call takes the way that works (SPEC 3).

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;

use crate::Tick;
use crate::auth::lockout::siphash::Keyed;

/// How long it is remembered.
const MEMORY: Duration = Duration::from_secs(600);
/// Of how many parties; the oldest are forgotten first.
const MOST: usize = 4096;

/// What is known of one party.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Which of the configured first offers it took; those before were refused.
    pub(crate) offer: usize,
    /// It refused an INVITE without an offer, and took one with it.
    pub(crate) wants_offer: bool,
}

/// The memory of one controller, by the URI that was called.
#[derive(Debug)]
pub(crate) struct Contacts {
    known: HashMap<Box<str>, (Tick, Known), Keyed>,
    /// In the order in which they are forgotten; an entry that was renewed stands here more than once.
    ends: VecDeque<(Tick, Box<str>)>,
}

impl Contacts {
    /// Nothing is known.
    pub(crate) fn new(keyed: Keyed) -> Self {
        Self { known: HashMap::with_hasher(keyed), ends: VecDeque::new() }
    }

    /// What is known of a party.
    pub(crate) fn of(&self, uri: &str) -> Known {
        self.known.get(uri).map(|(_, known)| *known).unwrap_or_default()
    }

    /// It refused the offers before this one, and took it.
    pub(crate) fn takes_offer(&mut self, now: Tick, uri: &str, offer: usize) {
        self.note(now, uri, Known { offer, ..self.of(uri) });
    }

    /// It took an INVITE with an offer, having refused one without.
    pub(crate) fn wants_offer(&mut self, now: Tick, uri: &str) {
        self.note(now, uri, Known { wants_offer: true, ..self.of(uri) });
    }

    fn note(&mut self, now: Tick, uri: &str, known: Known) {
        let end = now + MEMORY;
        self.known.insert(uri.into(), (end, known));
        self.ends.push_back((end, uri.into()));
        while self.ends.len() > MOST {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((end, uri)) = self.ends.pop_front() else { return };
        if self.known.get(&uri).is_some_and(|(last, _)| *last == end) {
            self.known.remove(&uri);
        }
    }

    /// When the next is to be forgotten.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.ends.front().map(|(end, _)| *end)
    }

    /// Forgets what is due.
    pub(crate) fn expire(&mut self, now: Tick) {
        while self.next().is_some_and(|end| end <= now) {
            self.forget_oldest();
        }
    }

    /// Of how many parties something is known.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Consumer, Random, Seed};

    #[test]
    fn what_a_phone_could_not_do_is_remembered_for_its_time() {
        let mut random = Random::new(&Seed([1; 32]), Consumer::HashKeys);
        let mut contacts = Contacts::new(Keyed::new(&mut random));
        contacts.wants_offer(Tick::ZERO, "sip:a@b");
        let later = Tick::ZERO + MEMORY / 2;
        contacts.takes_offer(later, "sip:a@b", 1);
        assert_eq!(contacts.of("sip:a@b"), Known { offer: 1, wants_offer: true });
        contacts.expire(Tick::ZERO + MEMORY);
        assert_eq!((contacts.of("sip:a@b").offer, contacts.len()), (1, 1));
        contacts.expire(later + MEMORY);
        assert_eq!((contacts.of("sip:a@b"), contacts.len(), contacts.next()), (Known::default(), 0, None));
    }

    #[test]
    fn it_is_bounded() {
        let mut random = Random::new(&Seed([1; 32]), Consumer::HashKeys);
        let mut contacts = Contacts::new(Keyed::new(&mut random));
        for number in 0..MOST + 10 {
            contacts.wants_offer(Tick::ZERO, &format!("sip:{number}@b"));
        }
        assert_eq!(contacts.len(), MOST);
    }
}
