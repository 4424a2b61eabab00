//! Calls to phones that SIPp plays: each keeps to a scenario of `tests/peers/sipp`, and so has the controller to.

use std::time::Duration;

use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::sipp::Sipp;
use cordboard_tests::wait_up_to;
use serde_json::{Value, json};

/// The call after its end, and what the server has logged.
struct Played {
    call: Value,
    log: String,
}

impl Played {
    fn outcome(&self) -> &Value {
        &self.call["outcome"]
    }

    #[track_caller]
    fn assert_texts(&self, expected: &[&str]) {
        assert_eq!(Cordboard::texts(&self.call), expected, "{}", self.call);
    }
}

/// Calls the phone that keeps to this scenario and waits for the end of both.
fn play(scenario: &str, parameters: &str) -> Played {
    play_for(Duration::from_secs(30), scenario, parameters)
}

fn play_for(patience: Duration, scenario: &str, parameters: &str) -> Played {
    let server = Cordboard::start("example.com", "", "", &[("user1", "1", &[])]);
    let phone = Sipp::play(scenario);
    let path = format!("/callcontroller/{}/user2?agent=user1{parameters}", phone.user());
    let reply = server.trusted("POST", &path);
    assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{reply:?}");
    wait_up_to(patience, "the end of the call", || {
        server.process.said().contains("call ended").then_some(())
    });
    phone.finish();
    Played { call: server.ended(&path), log: server.process.said() }
}

#[test]
fn a_phone_that_follows_the_refer_is_connected() {
    let played = play("refer-ok", "");
    assert_eq!(*played.outcome(), json!({"state": "connected", "status": null}));
    played.assert_texts(&[
        "SIP/2.0 180 Ringing",
        "SIP/2.0 200 OK",
        "SIP/2.0 100 Trying",
        "SIP/2.0 180 Ringing",
        "SIP/2.0 200 OK",
    ]);
    assert!(played.log.contains("result=\"connected\""), "{}", played.log);
}

#[test]
fn a_called_party_that_is_busy_is_told() {
    let played = play("refer-failed", "");
    assert_eq!(*played.outcome(), json!({"state": "failed", "status": 486}));
    played.assert_texts(&[
        "SIP/2.0 180 Ringing",
        "SIP/2.0 200 OK",
        "SIP/2.0 100 Trying",
        "SIP/2.0 486 Busy Here",
    ]);
    assert!(played.log.contains("result=\"failed 486\""), "{}", played.log);
}

#[test]
fn a_failure_ends_the_waiting_though_the_subscription_stays_active() {
    let played = play("refer-failed-active", "");
    assert_eq!(*played.outcome(), json!({"state": "failed", "status": 486}));
}

#[test]
fn a_phone_that_declines_the_refer_is_left_with_the_reason() {
    let played = play("refer-declined", "");
    assert_eq!(*played.outcome(), json!({"state": "refused", "status": 603}));
    played.assert_texts(&["SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]);
}

#[test]
fn a_refer_that_came_too_early_is_sent_again() {
    let played = play("refer-491", "");
    assert_eq!(*played.outcome(), json!({"state": "connected", "status": null}));
}

#[test]
fn a_phone_that_never_tells_what_came_of_the_refer_is_left_after_32_seconds() {
    let played = play_for(Duration::from_secs(50), "refer-silent", "");
    assert_eq!(*played.outcome(), json!({"state": "unknown", "status": null}));
    let seconds = played.log.split("seconds=").nth(1).and_then(|rest| rest.split_whitespace().next());
    let seconds: f64 = seconds.and_then(|text| text.parse().ok()).expect("the log tells how long it took");
    assert!((32.0..40.0).contains(&seconds), "{seconds}");
}

#[test]
fn a_phone_may_put_us_on_hold_before_it_follows() {
    let played = play("refer-hold", "");
    assert_eq!(*played.outcome(), json!({"state": "connected", "status": null}));
}

#[test]
fn what_a_phone_tells_after_it_has_hung_up_still_counts() {
    let played = play("refer-hangup", "");
    assert_eq!(*played.outcome(), json!({"state": "connected", "status": null}));
    played.assert_texts(&["SIP/2.0 180 Ringing", "SIP/2.0 200 OK", "SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
}

#[test]
fn notifications_may_overtake_the_answer_to_the_refer() {
    let played = play("refer-notify-first", "");
    assert_eq!(*played.outcome(), json!({"state": "connected", "status": null}));
}

#[test]
fn a_calling_party_that_is_busy_is_told() {
    let played = play("busy", "");
    assert_eq!(*played.outcome(), Value::Null);
    played.assert_texts(&["SIP/2.0 486 Busy Here"]);
    assert!(played.log.contains("result=\"not reached 486\""), "{}", played.log);
}

#[test]
fn a_phone_that_is_not_picked_up_in_time_is_let_go() {
    let played = play("no-answer", "&timeout=1");
    assert_eq!(*played.outcome(), Value::Null);
    played.assert_texts(&["SIP/2.0 180 Ringing", "SIP/2.0 487 Request Terminated"]);
}

#[test]
fn a_phone_that_is_picked_up_while_it_is_let_go_is_hung_up() {
    let played = play("cancel-race", "&timeout=1");
    assert_eq!(*played.outcome(), Value::Null);
    played.assert_texts(&["SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]);
}
