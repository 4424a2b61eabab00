//! How a phone behaves: what real phones were seen to do, and what they should not.

use std::time::Duration;

/// What a phone does with a call that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pickup {
    /// It rings for its time and answers.
    Answer,
    /// It rings for its time and answers with this status (486, 603 …).
    Refuse(u16),
    /// It rings until the call is given up.
    Never,
    /// It answers although the call was given up in the same moment.
    DespiteCancel,
}

/// One NOTIFY of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// `Subscription-State`.
    pub state: String,
    /// The body; none leaves Content-Type away too.
    pub body: Option<Vec<u8>>,
}

impl Notify {
    /// A NOTIFY with this status line as its sipfrag.
    pub fn status(line: &str, state: &str) -> Self {
        Self { state: state.to_owned(), body: Some(format!("{line}\r\n").into_bytes()) }
    }
}

/// What a phone that was referred tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notices {
    /// It calls the target and notifies 100, 180 if `ringing`, and how it went.
    Follow {
        /// Whether 180 is notified: baresip and linphone never do.
        ringing: bool,
    },
    /// It calls nobody and sends these, one after the other.
    Script(Vec<Notify>),
}

/// What becomes of the NOTIFYs when whoever referred the phone hangs up before the last of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenLeft {
    /// They go on: the subscription outlives the call (RFC 5057 §5.2).
    Notifies,
    /// One more tells of a failure, though the new call goes on, as baresip's.
    Reports500,
    /// None comes any more, though the new call goes on, as linphone.
    FallsSilent,
}

/// What a phone does when it is referred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// The status that answers REFER: 202, or 200, or a refusal.
    pub answer: u16,
    /// A status for the first REFER only: 491 as when it overtook the ACK.
    pub first_answer: Option<u16>,
    /// `Refer-Sub: false` in the answer (RFC 4488).
    pub unwatched: bool,
    /// The script's NOTIFYs leave before the answer.
    pub notify_first: bool,
    /// It puts us on hold by re-INVITE after the answer, as linphone does.
    pub hold: bool,
    /// It never acknowledges the answer to that re-INVITE.
    pub never_acknowledges: bool,
    /// It hangs up after its first NOTIFY, and notifies on.
    pub hang_up: bool,
    /// It answers 491 as long as its answer to INVITE is not acknowledged, as linphone.
    pub needs_ack: bool,
    /// It answers and is never heard of again, as linphone after `a=inactive`.
    pub dies: bool,
    /// It sends each NOTIFY twice.
    pub notifies_twice: bool,
    /// It never notifies how the call that it followed to went.
    pub forgets_final: bool,
    /// It notifies a failure with the subscription left `active`, as linphone.
    pub failure_stays_active: bool,
    /// What it does when it is left before its last NOTIFY.
    pub when_left: WhenLeft,
    /// What it notifies.
    pub notices: Notices,
}

impl Default for Referral {
    fn default() -> Self {
        Self {
            answer: 202,
            first_answer: None,
            unwatched: false,
            notify_first: false,
            hold: false,
            never_acknowledges: false,
            hang_up: false,
            needs_ack: false,
            dies: false,
            notifies_twice: false,
            forgets_final: false,
            failure_stays_active: false,
            when_left: WhenLeft::Notifies,
            notices: Notices::Follow { ringing: true },
        }
    }
}

/// How a phone behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Temper {
    /// How long it rings; zero answers at once, without 180.
    pub ring: Duration,
    /// What it does then.
    pub pickup: Pickup,
    /// Directions of an offer that it answers 488 (`sendonly`, `inactive` …; `sendrecv` where none is named).
    pub refuses_offers: Vec<String>,
    /// It says 181 (Call Is Being Forwarded) instead of 180.
    pub forwards: bool,
    /// Its 180 is sent reliably (RFC 3262).
    pub reliable: bool,
    /// It sends its 2xx to an INVITE twice at once.
    pub answers_twice: bool,
    /// It takes no notice of ACKs, so that it sends its 2xx again and again and hangs up in the end.
    pub ignores_acks: bool,
    /// It answers BYE with 481, as if it had forgotten the dialog.
    pub forgets: bool,
    /// It hangs up after so long in a call.
    pub hangs_up_after: Option<Duration>,
    /// Its Contact is a GRUU at the domain, as linphone's.
    pub gruu: bool,
    /// What it does when it is referred.
    pub referral: Referral,
}

impl Default for Temper {
    fn default() -> Self {
        Self {
            ring: Duration::from_millis(300),
            pickup: Pickup::Answer,
            refuses_offers: Vec::new(),
            forwards: false,
            reliable: false,
            answers_twice: false,
            ignores_acks: false,
            forgets: false,
            hangs_up_after: None,
            gruu: false,
            referral: Referral::default(),
        }
    }
}
