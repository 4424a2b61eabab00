//! Which call is found under which name: the latest that was placed or transferred to it.

use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::Call;
use super::order::CallName;
use crate::auth::lockout::siphash::Keyed;
use crate::ident::{Key, Table};

/// All names. They are not kept here but with their calls, which every verb therefore needs.
#[derive(Debug)]
pub(super) struct Names {
    named: HashTable<Named>,
    hasher: Keyed,
}

#[derive(Clone, Copy, Debug)]
struct Named {
    /// Of the name: no call is looked at for the sake of another one, nor when the table grows.
    hash: u64,
    call: Key<Call>,
}

impl Names {
    pub(super) fn new(hasher: Keyed) -> Self {
        Self { named: HashTable::new(), hasher }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.named.len()
    }

    /// The call that has this name now.
    pub(super) fn find(&self, name: &CallName, calls: &Table<Call>) -> Option<Key<Call>> {
        let hash = self.hasher.hash_one(name);
        self.named.find(hash, |named| named.is(hash, name, calls)).map(|named| named.call)
    }

    /// The call with this key is the latest of its name.
    pub(super) fn insert(&mut self, key: Key<Call>, calls: &Table<Call>) {
        let Some(call) = calls.get(key) else { return };
        let hash = self.hasher.hash_one(&call.name);
        match self.named.find_mut(hash, |named| named.is(hash, &call.name, calls)) {
            Some(named) => named.call = key,
            None => {
                self.named.insert_unique(hash, Named { hash, call: key }, |named| named.hash);
            }
        }
    }

    /// The call with this key has this name no more; whether it was the latest.
    pub(super) fn remove(&mut self, name: &CallName, key: Key<Call>) -> bool {
        let hash = self.hasher.hash_one(name);
        self.named.find_entry(hash, |named| named.call == key).map(|entry| entry.remove()).is_ok()
    }

    /// Whether everything that is found has the name that it is found under.
    pub(super) fn are_of(&self, calls: &Table<Call>) -> bool {
        let is_sound = |named: &Named| {
            calls.get(named.call).is_some_and(|call| self.find(&call.name, calls) == Some(named.call))
        };
        self.named.len() <= calls.len() && self.named.iter().all(is_sound)
    }
}

impl Named {
    fn is(self, hash: u64, name: &CallName, calls: &Table<Call>) -> bool {
        self.hash == hash && calls.get(self.call).is_some_and(|call| call.name == *name)
    }
}
