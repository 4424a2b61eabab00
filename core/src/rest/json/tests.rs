use serde_json::{Value, json};

use super::super::sample::{Sample, dialogs};
use super::*;
use crate::call::Outcome;
use crate::sip::message::Status;

/// 2010-03-22T14:31:59Z
const EPOCH: Epoch = Epoch::from_unix_millis(1_269_268_319_000);

fn read_back(value: &impl Serialize) -> Value {
    serde_json::from_slice(&serde_json::to_vec(value).unwrap()).unwrap()
}

#[test]
fn a_call_is_shown_with_everything_that_happened_in_it() {
    let mut sample = Sample::notified("SIP/2.0 603 \"No\"\u{0}");
    sample.record.transfer(Tick::from_micros(1_007_000), "user3@example.com");
    sample.record.connecting(Role::Target, Outcome::Failed(Status::BUSY_HERE));
    let events = json!([
        { "time": "2010-03-22T14:31:59.005Z", "party": "calling", "method": "INVITE", "status": 180, "text": "SIP/2.0 180 Ringing" },
        { "time": "2010-03-22T14:32:00.005Z", "party": "calling", "method": "INVITE", "status": 200, "text": "SIP/2.0 200 Here <I> am" },
        { "time": "2010-03-22T14:32:00.010Z", "party": "calling", "method": "NOTIFY", "status": null, "text": "SIP/2.0 100 Trying" },
        { "time": "2010-03-22T14:32:01.010Z", "party": "calling", "method": "NOTIFY", "status": null, "text": "SIP/2.0 603 \"No\"\u{0}" },
    ]);
    let expected = json!({
        "id": "0123456789abcdef0123456789abcd01",
        "state": "ended",
        "agent": "user1",
        "parties": { "calling": "user1@example.com", "called": "o'b&b@example.com" },
        "method": "REFER",
        "times": {
            "placed": "2010-03-22T14:31:59.000Z",
            "answered": "2010-03-22T14:32:00.005Z",
            "ended": "2010-03-22T14:32:01.020Z",
        },
        "outcome": { "state": "failed", "status": 603 },
        "legs": [{ "callId": "0123456789abcdef0123456789abcd02", "party": "sip:user1@example.com" }],
        "transfers": [
            { "time": "2010-03-22T14:32:00.007Z", "target": "user3@example.com", "state": "failed", "status": 486 },
        ],
        "events": events,
        "eventsDropped": 0,
    });
    assert_eq!(read_back(&Call::of(&sample.by_refer(), EPOCH)), expected);
}

#[test]
fn a_call_that_has_just_been_placed_leaves_open_what_is_not_known() {
    let mut sample = Sample::notified("");
    sample.record = crate::call::record::Record::new(Tick::ZERO, 64);
    let call = read_back(&Call::of(&sample.by(Way::Refer { call_id: None }), EPOCH));
    assert_eq!(call["times"]["answered"], Value::Null);
    assert_eq!(call["times"]["ended"], Value::Null);
    assert_eq!(call["outcome"], Value::Null);
    assert_eq!((&call["legs"], &call["events"]), (&json!([]), &json!([])));
}

#[test]
fn a_call_that_we_stay_in_is_shown_with_its_dialogs() {
    let (sample, dialogs) = (Sample::notified(""), dialogs());
    let call = read_back(&Call::of(&sample.by(Way::Invite { dialogs: dialogs.to_vec() }), EPOCH));
    assert_eq!(call["method"], "INVITE");
    let first = json!({
        "callId": "0123456789abcdef0123456789abcd10",
        "party": "sip:user1@example.com",
        "localParty": "sip:user1@example.com",
        "localTag": "0123456789abcdef0123456789abcd11",
        "remoteTag": "a<b",
        "state": "confirmed",
    });
    assert_eq!(call["legs"][0], first);
    assert_eq!(call["legs"][1]["state"], "early");
}

#[test]
fn how_many_events_were_dropped_is_told() {
    let mut sample = Sample::notified("");
    sample.record = crate::call::record::Record::new(Tick::ZERO, 4);
    for number in 0..10u64 {
        sample.record.notified(Tick::from_micros(number), number.to_string().as_bytes());
    }
    let call = read_back(&Call::of(&sample.by_refer(), EPOCH));
    assert_eq!(call["eventsDropped"], 6);
    assert_eq!(call["events"].as_array().map(Vec::len), Some(4));
    assert_eq!((&call["events"][0]["text"], &call["events"][3]["text"]), (&json!("0"), &json!("9")));
}

#[test]
fn a_problem_says_what_went_wrong() {
    let problem = read_back(&Problem::new(404, "Not Found", "there is \"nothing\""));
    let expected = json!({ "type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is \"nothing\"" });
    assert_eq!(problem, expected);
}

#[test]
fn times_are_written_with_all_their_digits() {
    assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00.000Z");
    assert_eq!(Time(951_782_399_987).to_string(), "2000-02-28T23:59:59.987Z");
}
