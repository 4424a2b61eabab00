//! What is kept of a call, to be shown: it only ever grows, so that nobody sees it go backwards.

use crate::Tick;
use crate::call::outcome::Outcome;
use crate::sip::message::Status;

/// One thing that happened in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// When.
    pub(crate) at: Tick,
    /// What.
    pub(crate) kind: EventKind,
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

/// The record of one call.
#[derive(Debug)]
pub(crate) struct Record {
    /// When it was asked for.
    pub(crate) placed: Tick,
    /// When the calling party picked up.
    pub(crate) answered: Option<Tick>,
    /// When everything was over.
    pub(crate) ended: Option<Tick>,
    /// What came of the REFER, once it was sent.
    pub(crate) outcome: Option<Outcome>,
    events: Vec<Event>,
    most: usize,
    dropped: u32,
}

impl Record {
    /// The record of a call placed now, with so many events at the most.
    pub(crate) fn new(now: Tick, most: usize) -> Self {
        Self { placed: now, answered: None, ended: None, outcome: None, events: Vec::new(), most, dropped: 0 }
    }

    /// What happened, oldest first.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
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
    pub(crate) fn response(&mut self, now: Tick, status: Status, reason: &str) {
        let reason = (reason != status.phrase()).then(|| limited(reason));
        let kind = EventKind::Response(status, reason);
        if self.events.last().is_none_or(|last| last.kind != kind) {
            self.push(Event { at: now, kind });
        }
    }

    /// Notes the body of a NOTIFY.
    pub(crate) fn notified(&mut self, now: Tick, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        self.push(Event { at: now, kind: EventKind::Notified(limited(text.trim_end())) });
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
