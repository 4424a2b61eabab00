//! Legs whose call is over while a phone may still answer their INVITE: as long as it may (64*T1), they acknowledge what it
//! says and hang it up, with the credentials that its server wants.

use std::collections::{BTreeMap, VecDeque};

use super::leg::Leg;
use super::stack::Stack;
use crate::Tick;
use crate::ident::{Ident, Key};
use crate::sip::message::Response;
use crate::sip::transaction::{Client, Owner};

/// More are not kept; the oldest go first.
const MOST: usize = 4096;

/// All such legs.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    legs: BTreeMap<u64, Leg>,
    order: VecDeque<(Tick, u64)>,
}

impl Departed {
    /// Takes a leg that its call has no use for any more.
    pub(crate) fn take(&mut self, now: Tick, leg: Leg) {
        let Some(until) = leg.may_be_answered_until().filter(|until| *until > now) else { return };
        while self.order.len() >= MOST {
            self.forget_first();
        }
        let owner = leg.owner().0;
        self.order.push_back((until, owner));
        self.legs.insert(owner, leg);
    }

    fn forget_first(&mut self) {
        if let Some((_, owner)) = self.order.pop_front() {
            self.legs.remove(&owner);
        }
    }

    /// When [`expire`](Self::expire) is to be called next.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.order.front().map(|(until, _)| *until)
    }

    /// Forgets what nobody will answer any more.
    pub(crate) fn expire(&mut self, now: Tick) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.legs.len()
    }

    /// A phone has answered after all: it is acknowledged and hung up. Whether a leg was found whose that is.
    pub(crate) fn late_2xx(&mut self, response: &Response<'_>, stack: &mut Stack<'_>) -> bool {
        let Some(ident) = response.from.tag().and_then(Ident::parse) else { return false };
        let leg = self.legs.get_mut(&ident.key::<Leg>().to_bits());
        let Some(leg) = leg.filter(|leg| leg.is(ident, response.call_id)) else { return false };
        leg.let_go(response, stack);
        true
    }

    /// What a request of such a leg was answered.
    pub(crate) fn response(
        &mut self,
        (owner, key): (Owner, Key<Client>),
        response: &Response<'_>,
        stack: &mut Stack<'_>,
    ) {
        if let Some(leg) = self.legs.get_mut(&owner.0) {
            leg.response_outside(key, response, stack);
        }
    }

    /// A request of such a leg knows its way now.
    pub(crate) fn located(
        &mut self,
        (owner, key): (Owner, Key<Client>),
        instead_of: Option<Key<Client>>,
        stack: &mut Stack<'_>,
    ) {
        if let Some(leg) = self.legs.get_mut(&owner.0) {
            leg.located(key, instead_of, stack);
        }
    }
}
