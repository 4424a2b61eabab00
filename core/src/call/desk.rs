//! What a call works with in one turn.

use super::Call;
use super::departed::Departed;
use super::leg::Leg;
use super::record::Record;
use super::stack::Stack;
use crate::ident::{Key, Table};
use crate::mistakes::{self, Mistake};

/// The legs, the record and the SIP side, for one call.
#[derive(Debug)]
pub(crate) struct Desk<'a, 'b> {
    /// The call.
    pub(crate) call: Key<Call>,
    /// All legs there are.
    pub(crate) legs: &'a mut Table<Leg>,
    /// Legs that no call has any use for.
    pub(crate) departed: &'a mut Departed,
    /// What is kept of the call.
    pub(crate) record: &'a mut Record,
    /// What is sent with.
    pub(crate) stack: &'a mut Stack<'b>,
}

impl Desk<'_, '_> {
    /// Lets a leg do something; `None` if it is not there any more.
    pub(crate) fn with<T>(
        &mut self,
        leg: Key<Leg>,
        act: impl FnOnce(&mut Leg, &mut Stack<'_>) -> T,
    ) -> Option<T> {
        self.legs.get_mut(leg).map(|leg| act(leg, self.stack))
    }

    /// The call has no use for a leg any more.
    pub(crate) fn dismiss(&mut self, leg: Key<Leg>) {
        if mistakes::on(Mistake::LeakDialog) {
            return;
        }
        if let Some(mut leg) = self.legs.remove(leg) {
            leg.abandon(self.stack);
            self.departed.take(self.stack.now, leg);
        }
    }
}
