//! Calls and errors as JSON (SPEC 4; RFC 9457 for errors).

use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::call::record::EventKind;
use crate::http::Civil;
use crate::{Epoch, Tick};

/// A call with everything that happened in it.
pub(super) fn call(call: &Call, epoch: Epoch) -> Value {
    let record = call.record();
    let name = call.name();
    let time = |tick: Tick| time(epoch, tick);
    let mut all = Map::new();
    let mut set = |key: &str, value: Value| all.insert(key.to_owned(), value);
    set("id", call.id().text().as_str().into());
    set("state", call.state().into());
    set("method", "REFER".into());
    set("agent", (*name.agent).into());
    set("calling", name.calling.text().into());
    set("called", name.called.text().into());
    set("placed", time(record.placed));
    set("answered", record.answered.map_or(Value::Null, time));
    set("ended", record.ended.map_or(Value::Null, time));
    let outcome = record.outcome.map(|outcome| {
        json!({ "state": outcome.word(), "status": outcome.status().map(|status| status.code()) })
    });
    set("outcome", outcome.unwrap_or(Value::Null));
    let call_id = call.leg_call_id().map(|id| id.text().as_str().to_owned());
    set("legs", json!([{ "party": name.calling.text(), "callId": call_id }]));
    let events = record.events().iter().map(|event| {
        let (method, text) = match &event.kind {
            EventKind::Response(status, reason) => {
                ("INVITE", format!("SIP/2.0 {status} {}", reason.as_deref().unwrap_or(status.phrase())))
            }
            EventKind::Notified(body) => ("NOTIFY", body.to_string()),
        };
        json!({ "time": time(event.at), "method": method, "text": text })
    });
    set("events", events.collect::<Vec<_>>().into());
    set("eventsDropped", record.dropped().into());
    Value::Object(all)
}

/// A problem (RFC 9457 §3).
pub(super) fn problem(status: u16, title: &str, detail: &str) -> Value {
    json!({ "type": "about:blank", "title": title, "status": status, "detail": detail })
}

/// A point in time as RFC 3339 has it, UTC, to the millisecond.
fn time(epoch: Epoch, tick: Tick) -> Value {
    let millis = epoch.unix_millis(tick);
    let Civil { year, month, day, second, .. } = Civil::from_unix_millis(millis);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z", second % 60, millis % 1000).into()
}
