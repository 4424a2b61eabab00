//! A call as it is shown to whoever asks, in plain values.

use super::order::CallName;
use super::record::Record;
use crate::ident::Ident;

/// One call at one moment.
#[derive(Clone, Copy, Debug)]
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
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    /// The calling party is handed over by REFER.
    Refer {
        /// `Call-ID` of our leg to the calling party, once there is one.
        call_id: Option<Ident>,
    },
    /// We stay in the path, with a dialog for each party.
    #[cfg_attr(not(test), expect(dead_code, reason = "calls that stay in the path are shown so"))]
    Invite {
        /// Those dialogs, the calling party's first.
        dialogs: &'a [ShownDialog<'a>],
    },
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
#[cfg_attr(not(test), expect(dead_code, reason = "calls that stay in the path are shown so"))]
pub(crate) enum DialogState {
    /// A provisional response has come.
    Early,
    /// It stands.
    Confirmed,
    /// It is over.
    Terminated,
}
