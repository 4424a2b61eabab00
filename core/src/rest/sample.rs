//! Calls for the tests of this room to show.

use crate::Tick;
use crate::call::Outcome;
use crate::call::order::{CallName, Party};
use crate::call::progress::{DialogState, Progress, ShownDialog, Way};
use crate::call::record::{Record, Role};
use crate::ident::Ident;
use crate::sip::message::Status;

/// A call by REFER that the called party has declined, and the identifiers in it.
pub(super) struct Sample {
    pub(super) id: Ident,
    pub(super) leg: Ident,
    pub(super) name: CallName,
    pub(super) record: Record,
}

pub(super) fn ident(last: u8) -> Ident {
    Ident::parse(&format!("0123456789abcdef0123456789abcd{last:02x}")).unwrap()
}

fn at(millis: u64) -> Tick {
    Tick::from_micros(millis * 1000)
}

impl Sample {
    /// With this text as the body of the last NOTIFY.
    pub(super) fn notified(text: &str) -> Self {
        let party = |name| Party::new(name, "example.com").unwrap();
        let name = CallName { agent: "user1".into(), calling: party("user1"), called: party("o'b&b") };
        let mut record = Record::new(Tick::ZERO, 64);
        record.response(at(5), Role::Calling, Status::RINGING, "Ringing");
        record.response(at(1005), Role::Calling, Status::OK, "Here <I> am");
        record.answered = Some(at(1005));
        record.notified(at(1010), b"SIP/2.0 100 Trying\r\n");
        record.notified(at(2010), text.as_bytes());
        record.outcome = Some(Outcome::Failed(Status::DECLINE));
        record.ended = Some(at(2020));
        Self { id: ident(1), leg: ident(2), name, record }
    }

    pub(super) fn by_refer(&self) -> Progress<'_> {
        self.by(Way::Refer { call_id: Some(self.leg) })
    }

    pub(super) fn by<'a>(&'a self, way: Way<'a>) -> Progress<'a> {
        Progress { id: self.id, name: &self.name, state: "ended", record: &self.record, way }
    }
}

/// The dialogs of a call that we stay in.
pub(super) fn dialogs() -> [ShownDialog<'static>; 2] {
    let dialog = |number, remote_tag, remote_party, state| ShownDialog {
        call_id: ident(number),
        local_tag: ident(number + 1),
        remote_tag,
        local_party: "sip:user1@example.com",
        remote_party,
        state,
    };
    [
        dialog(16, "a<b", "sip:user1@example.com", DialogState::Confirmed),
        dialog(32, "", "sip:o'b&b@example.com", DialogState::Early),
    ]
}
