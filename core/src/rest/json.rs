//! Calls and errors as JSON (RFC 8259; RFC 9457 for errors).

use std::fmt;

use serde::{Serialize, Serializer};

use crate::call::progress::{DialogState, Progress, ShownDialog, Way};
use crate::call::record::{self, Event, EventKind, Role};
use crate::http::Civil;
use crate::ident::Ident;
use crate::{Epoch, Tick};

/// A call with everything that is known of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Call<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    legs: Vec<Leg<'a>>,
    transfers: Vec<Transfer<'a>>,
    events: Vec<Happening<'a>>,
    /// How many were dropped between the first and the latest ones.
    events_dropped: u32,
}

/// A call as a list shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary<'a> {
    id: Text<Ident>,
    state: &'static str,
    agent: &'a str,
    parties: Parties<'a>,
    method: &'static str,
    times: Times,
    outcome: Option<Outcome>,
}

#[derive(Serialize)]
struct Parties<'a> {
    calling: &'a str,
    called: &'a str,
}

#[derive(Serialize)]
struct Times {
    placed: Text<Time>,
    answered: Option<Text<Time>>,
    ended: Option<Text<Time>>,
}

#[derive(Serialize)]
struct Outcome {
    state: &'static str,
    status: Option<u16>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Leg<'a> {
    call_id: Text<Ident>,
    party: &'a str,
    #[serde(flatten)]
    dialog: Option<Dialog<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dialog<'a> {
    local_party: &'a str,
    local_tag: Text<Ident>,
    remote_tag: &'a str,
    state: &'static str,
}

#[derive(Serialize)]
struct Transfer<'a> {
    time: Text<Time>,
    target: &'a str,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
struct Happening<'a> {
    time: Text<Time>,
    party: &'static str,
    method: &'static str,
    status: Option<u16>,
    text: Text<Line<'a>>,
}

/// What went wrong (RFC 9457 §3.1).
#[derive(Serialize)]
pub(super) struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl<'a> Call<'a> {
    pub(super) fn of(call: &Progress<'a>, epoch: Epoch) -> Self {
        Self {
            summary: Summary::of(call, epoch),
            legs: legs(call),
            transfers: call.record.transfers().iter().map(|transfer| Transfer::of(transfer, epoch)).collect(),
            events: call.record.events().iter().map(|event| Happening::of(event, epoch)).collect(),
            events_dropped: call.record.dropped(),
        }
    }
}

impl<'a> Summary<'a> {
    pub(super) fn of(call: &Progress<'a>, epoch: Epoch) -> Self {
        let record = call.record;
        let time = |at: Tick| Text(Time(epoch.unix_millis(at)));
        Self {
            id: Text(call.id),
            state: call.state,
            agent: &call.name.agent,
            parties: Parties { calling: call.name.calling.text(), called: call.name.called.text() },
            method: match call.way {
                Way::Refer { .. } => "REFER",
                Way::Invite { .. } => "INVITE",
            },
            times: Times {
                placed: time(record.placed),
                answered: record.answered.map(time),
                ended: record.ended.map(time),
            },
            outcome: record.outcome.map(Outcome::of),
        }
    }
}

impl Outcome {
    fn of(outcome: crate::call::Outcome) -> Self {
        Self { state: outcome.word(), status: outcome.status().map(|status| status.code()) }
    }
}

impl<'a> Transfer<'a> {
    fn of(transfer: &'a record::Transfer, epoch: Epoch) -> Self {
        let time = Text(Time(epoch.unix_millis(transfer.at)));
        Self { time, target: &transfer.target, outcome: Outcome::of(transfer.outcome) }
    }
}

impl<'a> Happening<'a> {
    fn of(event: &'a Event, epoch: Epoch) -> Self {
        let (method, status) = match &event.kind {
            EventKind::Response(status, _) => ("INVITE", Some(status.code())),
            EventKind::Notified(_) => ("NOTIFY", None),
        };
        let party = match event.party {
            Role::Calling => "calling",
            Role::Called => "called",
            Role::Target => "target",
        };
        let time = Text(Time(epoch.unix_millis(event.at)));
        Self { time, party, method, status, text: Text(Line(&event.kind)) }
    }
}

impl<'a> Problem<'a> {
    pub(super) fn new(status: u16, title: &'static str, detail: &'a str) -> Self {
        Self { r#type: "about:blank", title, status, detail }
    }
}

fn legs<'a>(call: &Progress<'a>) -> Vec<Leg<'a>> {
    let of_dialog = |dialog: &ShownDialog<'a>| Leg {
        call_id: Text(dialog.call_id),
        party: dialog.remote_party,
        dialog: Some(Dialog {
            local_party: dialog.local_party,
            local_tag: Text(dialog.local_tag),
            remote_tag: dialog.remote_tag,
            state: match dialog.state {
                DialogState::Early => "early",
                DialogState::Confirmed => "confirmed",
                DialogState::Terminated => "terminated",
            },
        }),
    };
    match &call.way {
        Way::Refer { call_id: None } => Vec::new(),
        Way::Refer { call_id: Some(id) } => {
            vec![Leg { call_id: Text(*id), party: call.name.calling.uri(), dialog: None }]
        }
        Way::Invite { dialogs } => dialogs.iter().map(of_dialog).collect(),
    }
}

/// Something that is written as a JSON string without one being made first.
struct Text<T>(T);

/// Milliseconds since 1970, shown as RFC 3339 has it, in UTC.
struct Time(u64);

struct Line<'a>(&'a EventKind);

impl Serialize for Text<Ident> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.text().as_str())
    }
}

impl Serialize for Text<Time> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for Text<Line<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.0 {
            EventKind::Response(status, reason) => {
                let reason = reason.as_deref().unwrap_or(status.phrase());
                serializer.collect_str(&format_args!("SIP/2.0 {status} {reason}"))
            }
            EventKind::Notified(body) => serializer.serialize_str(body),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, second, .. } = Civil::from_unix_millis(self.0);
        let (hour, minute, second, millis) = (second / 3600, second / 60 % 60, second % 60, self.0 % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests;
