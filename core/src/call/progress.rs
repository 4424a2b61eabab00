//! A call as it is shown to whoever asks, in plain values.

use super::order::CallName;
use super::record::Record;
use crate::ident::Ident;

/// One call at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Progress<'a> {
    /// The identifier by which anybody may ask for it.
    pub(crate) id: Ident,
    /// Agent, calling and called party.
    pub(crate) name: &'a CallName,
    /// How far it has got, in one word.
    pub(crate) state: &'static str,
    /// What happened so far.
    pub(crate) record: &'a Record,
    /// How its parties are connected.
    pub(crate) way: Way<'a>,
}

/// How the parties of a call are connected.
#[derive(Clone, Debug)]
pub(crate) enum Way<'a> {
    /// The calling party is handed over by REFER.
    Refer {
        /// `Call-ID` of our leg to the calling party, once there is one.
        call_id: Option<Ident>,
    },
    /// We stay in the path, with a dialog for each party.
    Invite {
        /// Those dialogs, the calling party's first.
        dialogs: Vec<ShownDialog<'a>>,
    },
}

/// A dialog that is over, kept to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Parted {
    call_id: Ident,
    local_tag: Ident,
    /// The party's tag, our URI and the party's, one behind the other.
    text: Box<str>,
    ends: (usize, usize),
}

impl Parted {
    /// What was shown last, as over.
    pub(crate) fn of(dialog: &ShownDialog<'_>) -> Self {
        let ShownDialog { call_id, local_tag, remote_tag, local_party, remote_party, .. } = *dialog;
        let text = [remote_tag, local_party, remote_party].concat().into();
        let ends = (remote_tag.len(), remote_tag.len() + local_party.len());
        Self { call_id, local_tag, text, ends }
    }

    /// As it is shown.
    pub(crate) fn shown(&self) -> ShownDialog<'_> {
        let (tag, local) = self.ends;
        let part = |range: std::ops::Range<usize>| self.text.get(range).unwrap_or_default();
        ShownDialog {
            call_id: self.call_id,
            local_tag: self.local_tag,
            remote_tag: part(0..tag),
            local_party: part(tag..local),
            remote_party: part(local..self.text.len()),
            state: DialogState::Terminated,
        }
    }
}

/// A dialog of ours (RFC 3261 §12).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownDialog<'a> {
    /// `Call-ID`.
    pub(crate) call_id: Ident,
    /// Our tag.
    pub(crate) local_tag: Ident,
    /// The party's tag; empty as long as it has sent none.
    pub(crate) remote_tag: &'a str,
    /// Our URI.
    pub(crate) local_party: &'a str,
    /// The party's URI.
    pub(crate) remote_party: &'a str,
    /// How far it has got.
    pub(crate) state: DialogState,
}

/// How far a dialog has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DialogState {
    /// A provisional response has come.
    Early,
    /// It stands.
    Confirmed,
    /// It is over.
    Terminated,
}
