//! What came of a REFER: a state machine of its own, because a 2xx to REFER is not success (RFC 3515 §2.4.4).

use crate::sip::message::Status;
use crate::sip::subscription::{Notification, SubscriptionState};

/// How far the referred party's own call has got, as far as we know. Exactly one final state is reached, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// REFER is out.
    Requested,
    /// A 2xx, or a NOTIFY that overtook it, says that the phone will try.
    Accepted,
    /// `100` was notified.
    Trying,
    /// Another provisional status was notified.
    Ringing,
    /// Final: a 2xx was notified.
    Connected,
    /// Final: a status of 300 or more was notified.
    Failed(Status),
    /// Final: the REFER itself was answered with this status.
    Refused(Status),
    /// Final: nothing more will be heard of it.
    Unknown,
}

/// Something that bears on the outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Observation {
    /// The REFER was answered 2xx.
    Accepted,
    /// The REFER was answered 2xx with `Refer-Sub: false` (RFC 4488 §4): no NOTIFY will come.
    AcceptedUnwatched,
    /// The REFER was answered with a final status of 300 or more, or with none (408).
    Refused(Status),
    /// A NOTIFY came: the status of its sipfrag if it had a readable one, and whether it was the last.
    Notified {
        /// The status in the sipfrag.
        status: Option<Status>,
        /// `Subscription-State: terminated`.
        last: bool,
    },
    /// No NOTIFY came in time, the subscription ran out, or the dialog is gone.
    Silence,
}

impl Observation {
    /// What a NOTIFY tells.
    pub(crate) fn of(notification: &Notification<'_>) -> Self {
        Observation::Notified {
            status: notification.status,
            last: matches!(notification.state, SubscriptionState::Terminated),
        }
    }
}

impl Outcome {
    /// Whether nothing can change it any more.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Outcome::Requested | Outcome::Accepted | Outcome::Trying | Outcome::Ringing => false,
            Outcome::Connected | Outcome::Failed(_) | Outcome::Refused(_) | Outcome::Unknown => true,
        }
    }

    /// The outcome after `observation`. A final one stays, and none steps back to an earlier one.
    #[must_use]
    pub(crate) fn after(self, observation: Observation) -> Self {
        if self.is_final() {
            return self;
        }
        match observation {
            Observation::Accepted => self.at_least(Outcome::Accepted),
            Observation::AcceptedUnwatched | Observation::Silence => Outcome::Unknown,
            // A phone that has notified progress has accepted, whatever its answer to the REFER then says.
            Observation::Refused(status) if self == Outcome::Requested => Outcome::Refused(status),
            Observation::Refused(_) => self,
            Observation::Notified { status, last } => self.notified(status, last),
        }
    }

    fn notified(self, status: Option<Status>, last: bool) -> Self {
        match status {
            Some(status) if status.is_success() => Outcome::Connected,
            Some(status) if status.is_final() => Outcome::Failed(status),
            _ if last => Outcome::Unknown,
            Some(status) if status.code() == 100 => self.at_least(Outcome::Trying),
            Some(_) => self.at_least(Outcome::Ringing),
            None => self.at_least(Outcome::Accepted),
        }
    }

    fn at_least(self, other: Outcome) -> Outcome {
        if other.progress() > self.progress() { other } else { self }
    }

    fn progress(self) -> u8 {
        match self {
            Outcome::Requested => 0,
            Outcome::Accepted => 1,
            Outcome::Trying => 2,
            Outcome::Ringing => 3,
            Outcome::Connected | Outcome::Failed(_) | Outcome::Refused(_) | Outcome::Unknown => 4,
        }
    }

    /// The outcome as one word, for people and for JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Outcome::Requested => "requested",
            Outcome::Accepted => "accepted",
            Outcome::Trying => "trying",
            Outcome::Ringing => "ringing",
            Outcome::Connected => "connected",
            Outcome::Failed(_) => "failed",
            Outcome::Refused(_) => "refused",
            Outcome::Unknown => "unknown",
        }
    }

    /// The status that the referred call failed with, or that the REFER was refused with.
    pub(crate) fn status(self) -> Option<Status> {
        match self {
            Outcome::Failed(status) | Outcome::Refused(status) => Some(status),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> Status {
        Status::new(code).unwrap()
    }

    fn notified(code: u16, last: bool) -> Observation {
        Observation::Notified { status: Some(status(code)), last }
    }

    fn every_observation() -> Vec<Observation> {
        vec![
            Observation::Accepted,
            Observation::AcceptedUnwatched,
            Observation::Refused(status(603)),
            notified(100, false),
            notified(180, false),
            notified(180, true),
            notified(200, false),
            notified(200, true),
            notified(486, false),
            notified(486, true),
            Observation::Notified { status: None, last: false },
            Observation::Notified { status: None, last: true },
            Observation::Silence,
        ]
    }

    /// All sequences of four observations: a final outcome never changes, and progress never goes back.
    #[test]
    fn a_final_outcome_stays_and_no_outcome_steps_back() {
        let all = every_observation();
        let mut paths = vec![Outcome::Requested];
        for _ in 0..4 {
            let mut longer = Vec::new();
            for before in paths {
                for observation in &all {
                    let after = before.after(*observation);
                    assert!(after.progress() >= before.progress(), "{before:?} {observation:?} {after:?}");
                    assert!(!before.is_final() || after == before, "{before:?} {observation:?} {after:?}");
                    longer.push(after);
                }
            }
            paths = longer;
        }
    }

    #[test]
    fn a_final_sipfrag_ends_the_waiting_even_when_the_subscription_stays_active() {
        assert_eq!(Outcome::Trying.after(notified(486, false)), Outcome::Failed(status(486)));
    }

    #[test]
    fn a_notify_that_overtakes_the_2xx_counts() {
        let overtaken = Outcome::Requested.after(notified(100, false)).after(Observation::Accepted);
        assert_eq!(overtaken, Outcome::Trying);
    }

    #[test]
    fn the_end_of_the_subscription_without_a_final_status_leaves_the_outcome_unknown() {
        assert_eq!(Outcome::Trying.after(notified(180, true)), Outcome::Unknown);
        assert_eq!(
            Outcome::Accepted.after(Observation::Notified { status: None, last: true }),
            Outcome::Unknown
        );
    }

    #[test]
    fn a_refused_refer_keeps_its_status() {
        assert_eq!(
            Outcome::Requested.after(Observation::Refused(status(603))),
            Outcome::Refused(status(603))
        );
    }
}
