//! What a leg waits for, and what its peer waits for: nothing of all this while a call is at rest.

use smallvec::SmallVec;

use super::{Description, Inside, Leg};
use crate::auth::client::Attempts;
use crate::ident::Key;
use crate::sip::dialog::Dialog;
use crate::sip::transaction::{Client, Server};

/// What is not answered yet.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Our requests within the dialog.
    within: SmallVec<[Outstanding; 1]>,
    /// Those in other dialogs.
    outside: SmallVec<[Box<Outside>; 1]>,
    /// The peer's INVITE within the dialog, until it has its ACK or a failure.
    invited: Option<Invited>,
    /// The answer to our first offer, if it came before the 2xx, until somebody asks for it.
    early_answer: Option<Description>,
}

/// In which dialog a request of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The leg's own.
    Within,
    /// Another one.
    Outside,
}

/// An INVITE of the peer's within the dialog.
#[derive(Clone, Copy, Debug)]
pub(super) struct Invited {
    pub(super) server: Key<Server>,
    pub(super) cseq: u32,
    /// Our 2xx holds an offer of this leg's party, whose answer comes in the ACK (§13.2.1).
    pub(super) answers: Option<Key<Leg>>,
}

/// A request of ours within the dialog that has no final response yet.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) key: Key<Client>,
    pub(super) cseq: u32,
    pub(super) credentials: Box<[u8]>,
    pub(super) request: Inside,
    pub(super) attempts: Attempts,
}

/// A request of ours in another dialog of the same call, an early one or a fork's, that has no final response yet.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) key: Key<Client>,
    pub(super) cseq: u32,
    pub(super) dialog: Dialog,
    pub(super) request: Inside,
    pub(super) attempts: Attempts,
}

impl Pending {
    fn is_empty(&self) -> bool {
        let Self { within, outside, invited, early_answer } = self;
        within.is_empty() && outside.is_empty() && invited.is_none() && early_answer.is_none()
    }

    /// A request of ours goes on in another transaction; in which dialog it is, if it is one.
    pub(super) fn goes_on(&mut self, former: Key<Client>, key: Key<Client>) -> Option<Which> {
        if let Some(outstanding) = self.within.iter_mut().find(|outstanding| outstanding.key == former) {
            outstanding.key = key;
            return Some(Which::Within);
        }
        let outside = self.outside.iter_mut().find(|outside| outside.key == former)?;
        outside.key = key;
        Some(Which::Outside)
    }
}

impl Leg {
    /// Our requests within the dialog that wait for their answers.
    pub(super) fn outstanding(&self) -> impl Iterator<Item = &Outstanding> {
        self.pending.iter().flat_map(|pending| &pending.within)
    }

    /// Those in other dialogs.
    pub(super) fn outside(&self) -> impl Iterator<Item = &Outside> {
        self.pending.iter().flat_map(|pending| pending.outside.iter().map(|outside| &**outside))
    }

    /// The peer's INVITE within the dialog, until it has its ACK or a failure.
    pub(super) fn invited(&self) -> Option<Invited> {
        self.pending.as_ref()?.invited
    }

    /// A request of ours within the dialog waits for its answer.
    pub(super) fn await_within(&mut self, outstanding: Outstanding) {
        self.pending.get_or_insert_default().within.push(outstanding);
    }

    /// One in another dialog does.
    pub(super) fn await_outside(&mut self, outside: Box<Outside>) {
        self.pending.get_or_insert_default().outside.push(outside);
    }

    /// The peer's INVITE waits for its ACK, or for none any more.
    pub(super) fn set_invited(&mut self, invited: Option<Invited>) {
        self.pending.get_or_insert_default().invited = invited;
        self.rest();
    }

    /// The answer to our first offer has come early, or not.
    pub(super) fn set_early_answer(&mut self, answer: Option<Description>) {
        if answer.is_some() {
            self.pending.get_or_insert_default().early_answer = answer;
        }
    }

    /// The answer to our first offer, if it came early and nobody has asked for it.
    pub(super) fn take_early_answer(&mut self) -> Option<Description> {
        let answer = self.pending.as_mut()?.early_answer.take();
        self.rest();
        answer
    }

    /// Takes a request within the dialog out, if that is one.
    pub(super) fn take_outstanding(&mut self, key: Key<Client>) -> Option<Outstanding> {
        let within = &mut self.pending.as_mut()?.within;
        let at = within.iter().position(|outstanding| outstanding.key == key)?;
        let outstanding = within.remove(at);
        self.rest();
        Some(outstanding)
    }

    /// Takes a request in another dialog out, if that is one: it has its answer, or will have none.
    pub(super) fn take_outside(&mut self, key: Key<Client>) -> Option<Box<Outside>> {
        let outside = &mut self.pending.as_mut()?.outside;
        let at = outside.iter().position(|outside| outside.key == key)?;
        let taken = outside.remove(at);
        self.rest();
        Some(taken)
    }

    /// Keeps nothing for what is not there.
    fn rest(&mut self) {
        self.pending.take_if(|pending| pending.is_empty());
    }
}
