//! Deliberate mistakes: what an engineer might get wrong, to be switched on one at a time, so that the simulation can show
//! that it would be noticed. Without the feature `mistakes` nothing of this is in the program.

#[cfg(feature = "mistakes")]
use std::cell::Cell;

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A 2xx to INVITE is not acknowledged.
    SkipAck,
    /// Timer B and Timer F never run: a silent server is waited for without end.
    DropTimer,
    /// A leg stays in the tables when its call has no use for it.
    LeakDialog,
    /// Every BYE has the same branch.
    ReuseBranch,
    /// Nobody is hung up on.
    SkipBye,
    /// A request that comes again is answered otherwise.
    AnswerTwice,
    /// An INVITE is sent again after half of T1.
    Hurry,
    /// NOTIFYs are not answered.
    SkipAnswer,
    /// The outcome starts anew with every NOTIFY.
    ForgetOutcome,
    /// The called party gets another media address than that of the calling one.
    ConfuseMedia,
    /// Requests carry what stands for the password.
    TellSecret,
    /// Content-Length is one too many.
    MiscountBody,
    /// A request is sent again although it was answered.
    IgnoreAnswer,
    /// A 2xx that comes too late is left alone.
    AbandonLate2xx,
    /// Server transactions are kept for ever.
    LeakTransaction,
    /// Records are kept for ever.
    LeakRecord,
}

#[cfg(feature = "mistakes")]
impl Mistake {
    /// All of them.
    pub const ALL: [Mistake; 16] = [
        Mistake::SkipAck,
        Mistake::DropTimer,
        Mistake::LeakDialog,
        Mistake::ReuseBranch,
        Mistake::SkipBye,
        Mistake::AnswerTwice,
        Mistake::Hurry,
        Mistake::SkipAnswer,
        Mistake::ForgetOutcome,
        Mistake::ConfuseMedia,
        Mistake::TellSecret,
        Mistake::MiscountBody,
        Mistake::IgnoreAnswer,
        Mistake::AbandonLate2xx,
        Mistake::LeakTransaction,
        Mistake::LeakRecord,
    ];
}

#[cfg(feature = "mistakes")]
thread_local! {
    static MISTAKE: Cell<Option<Mistake>> = const { Cell::new(None) };
}

/// Switches a mistake on, for everything that runs on this thread; `None` switches it off.
#[cfg(feature = "mistakes")]
pub fn switch(mistake: Option<Mistake>) {
    MISTAKE.with(|known| known.set(mistake));
}

/// Whether a mistake is on.
#[cfg(feature = "mistakes")]
pub(crate) fn on(mistake: Mistake) -> bool {
    MISTAKE.with(Cell::get) == Some(mistake)
}

/// Whether a mistake is on: none is.
#[cfg(not(feature = "mistakes"))]
pub(crate) const fn on(_mistake: Mistake) -> bool {
    false
}
