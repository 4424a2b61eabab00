//! What is kept of a call, to be shown: it only ever grows, so that nobody sees it go backwards.

use crate::Tick;
use crate::call::outcome::Outcome;
use crate::sip::message::Status;

/// One thing that happened in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// When.
    pub(crate) at: Tick,
    /// Whose phone it was.
    pub(crate) party: Role,
    /// What.
    pub(crate) kind: EventKind,
}

/// Who somebody is in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// The party that was rung first.
    Calling,
    /// The party that it is connected to.
    Called,
    /// The party that the call is transferred to.
    Target,
}

/// An attempt to transfer the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// When it was asked for.
    pub(crate) at: Tick,
    /// To whom: `user@host`.
    pub(crate) target: Box<str>,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// Our INVITE was answered, or counts as answered when nothing came; the phrase only where it is not the usual one.
    Response(Status, Option<Box<str>>),
    /// A NOTIFY came; its body, uninterpreted, as text.
    Notified(Box<str>),
}

/// How much of a NOTIFY's body is kept.
const MAX_NOTIFY_TEXT: usize = 1024;

/// How many transfers are kept; then the oldest go.
const MAX_TRANSFERS: usize = 16;

/// The record of one call.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// When it was asked for.
    pub(crate) placed: Tick,
    /// When the calling party picked up.
    pub(crate) answered: Option<Tick>,
    /// When everything was over.
    pub(crate) ended: Option<Tick>,
    /// What came of connecting the called party, once that was begun: by REFER, or by its INVITE.
    pub(crate) outcome: Option<Outcome>,
    transfers: Vec<Transfer>,
    events: Vec<Event>,
    most: usize,
    dropped: u32,
}

impl Record {
    /// The record of a call placed now, with so many events at the most.
    pub(crate) fn new(now: Tick, most: usize) -> Self {
        Self {
            placed: now,
            answered: None,
            ended: None,
            outcome: None,
            transfers: Vec::new(),
            events: Vec::new(),
            most,
            dropped: 0,
        }
    }

    /// What happened, oldest first.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// The attempts to transfer it, oldest first.
    pub(crate) fn transfers(&self) -> &[Transfer] {
        &self.transfers
    }

    /// Notes that a transfer to this party begins.
    pub(crate) fn transfer(&mut self, now: Tick, target: &str) {
        if self.transfers.len() >= MAX_TRANSFERS {
            self.transfers.remove(0);
        }
        self.transfers.push(Transfer { at: now, target: target.into(), outcome: Outcome::Requested });
    }

    /// Notes how far connecting a party has got: the called one, or the target of the latest transfer.
    pub(crate) fn connecting(&mut self, party: Role, outcome: Outcome) {
        let known = match party {
            Role::Target => self.transfers.last_mut().map(|transfer| &mut transfer.outcome),
            Role::Calling | Role::Called => Some(self.outcome.get_or_insert(Outcome::Requested)),
        };
        if let Some(known) = known.filter(|known| !known.is_final()) {
            *known = outcome;
        }
    }

    /// How many events were dropped to keep the record small.
    pub(crate) fn dropped(&self) -> u32 {
        self.dropped
    }

    /// The status of the latest response to INVITE.
    pub(crate) fn last_status(&self) -> Option<Status> {
        self.events.iter().rev().find_map(|event| match event.kind {
            EventKind::Response(status, _) => Some(status),
            EventKind::Notified(_) => None,
        })
    }

    /// Notes a response to INVITE; one that only repeats the last is not noted again.
    pub(crate) fn response(&mut self, now: Tick, party: Role, status: Status, reason: &str) {
        let reason = (reason != status.phrase()).then(|| limited(reason));
        let kind = EventKind::Response(status, reason);
        if self.events.last().is_none_or(|last| last.kind != kind || last.party != party) {
            self.push(Event { at: now, party, kind });
        }
    }

    /// Notes the body of a NOTIFY.
    pub(crate) fn notified(&mut self, now: Tick, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        let kind = EventKind::Notified(limited(text.trim_end()));
        self.push(Event { at: now, party: Role::Calling, kind });
    }

    /// Nothing more will happen: no room is kept for it.
    pub(crate) fn settle(&mut self) {
        self.events.shrink_to_fit();
        self.transfers.shrink_to_fit();
    }

    /// The beginning and the latest matter most, so the oldest of what lies between is dropped.
    fn push(&mut self, event: Event) {
        if self.events.len() >= self.most {
            let oldest_middle = self.most / 4;
            if oldest_middle < self.events.len() {
                self.events.remove(oldest_middle);
                self.dropped += 1;
            }
        }
        self.events.push(event);
    }
}

fn limited(text: &str) -> Box<str> {
    let mut end = text.len().min(MAX_NOTIFY_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_record_keeps_its_beginning_and_its_end() {
        let mut record = Record::new(Tick::ZERO, 8);
        for n in 0..20u64 {
            record.notified(Tick::from_micros(n), format!("{n}").as_bytes());
        }
        let kept: Vec<_> = record.events().iter().map(|event| event.at.as_micros()).collect();
        assert_eq!(kept, [0, 1, 14, 15, 16, 17, 18, 19]);
        assert_eq!(record.dropped(), 12);
    }

    #[test]
    fn long_and_broken_bodies_are_kept_short_and_readable() {
        let mut record = Record::new(Tick::ZERO, 8);
        record.notified(Tick::ZERO, &"é".repeat(5000).into_bytes());
        record.notified(Tick::ZERO, b"\xff\r\n\r\n");
        let [Event { kind: EventKind::Notified(long), .. }, Event { kind: EventKind::Notified(broken), .. }] =
            record.events()
        else {
            panic!()
        };
        assert_eq!(long.len(), MAX_NOTIFY_TEXT);
        assert_eq!(&**broken, "\u{fffd}");
    }
}
