//! The end of a call in every state, and what is shown of it.

use std::time::Duration;

use cordboard_core::softphone::{PhoneState, Pickup, Referral, Temper, WhenLeft};
use cordboard_tests::hand::{Hand, sdp};
use cordboard_tests::world::{Setting, World};

use super::{expect, referred};

fn deleted(temper: Temper, parameters: &str, after: Duration) -> World {
    let mut world = World::new(Setting::default(), vec![temper, Temper::default()]);
    world.place(parameters);
    world.pass(after);
    let (status, _, body) = world.ask("DELETE", "/callcontroller/user1/user2", "");
    assert_eq!(status, 204, "{body}");
    world.pass(Duration::from_secs(100));
    assert_eq!(world.call()["state"], "ended");
    world
}

#[test]
fn delete_ends_a_call_whose_refer_waits_to_be_sent_again() {
    let referral = Referral { answer: 491, ..Referral::default() };
    let mut world = deleted(referred(referral), "", Duration::from_millis(1500));
    assert_eq!((world.sent("REFER").len(), world.sent("BYE").len()), (1, 1));
    assert_eq!(world.phone(1), PhoneState::Idle);
    world.expect_nothing_left();
}

#[test]
fn delete_ends_a_call_that_is_being_canceled_or_left() {
    let mut world = deleted(
        Temper { pickup: Pickup::Never, ..Temper::default() },
        "timeout=1",
        Duration::from_millis(1003),
    );
    assert_eq!((world.sent("CANCEL").len(), world.phone(1)), (1, PhoneState::Idle));
    world.expect_nothing_left();
    let dead = referred(Referral { dies: true, ..Referral::default() });
    let mut world = deleted(dead, "", Duration::from_secs(34));
    assert_eq!(world.outcome().0, "unknown");
    world.expect_nothing_left();
}

#[test]
fn delete_while_the_called_party_rings_leaves_the_new_call_to_the_phones() {
    let referral = Referral { when_left: WhenLeft::FallsSilent, ..Referral::default() };
    let mut world = deleted(referred(referral), "", Duration::from_millis(500));
    assert_eq!((world.outcome().0.as_str(), world.sent("BYE").len()), ("unknown", 1));
    world.expect_nothing_left();
}

#[test]
fn a_refer_that_always_meets_491_is_given_up() {
    let referral = Referral { answer: 491, ..Referral::default() };
    let mut world = expect(referred(referral), "refused", Some(491));
    assert_eq!((world.sent("REFER").len(), world.sent("BYE").len()), (6, 1));
    world.expect_nothing_left();
}

#[test]
fn the_status_document_tells_the_whole_call() {
    let mut world = expect(Temper::default(), "connected", None);
    let (status, head, body) = world.ask("GET", "/callcontroller/user1/user2?timeout=bad", "");
    assert_eq!(status, 200);
    assert!(head.contains("Content-Type: text/xml"), "{head}");
    let lines: Vec<&str> = body
        .lines()
        .filter_map(|line| line.trim().strip_prefix("<status-line>")?.strip_suffix("</status-line>"))
        .collect();
    let expected =
        ["180 Ringing", "200 OK", "100 Trying", "180 Ringing", "200 OK"].map(|s| format!("SIP/2.0 {s}"));
    assert_eq!(lines, expected);
    let methods = |method: &str| body.matches(&format!("<method>{method}</method>")).count();
    assert_eq!((methods("INVITE"), methods("NOTIFY")), (2, 3));
    let call_id =
        world.sent("INVITE")[0].lines().find_map(|l| l.strip_prefix("Call-ID: ").map(str::to_owned));
    assert_eq!(body.matches(&format!("<call-id>{}</call-id>", call_id.unwrap())).count(), 5);
    assert!(body.contains("<timestamp>12692683"), "{body}");
    world.expect_nothing_left();
}

#[test]
fn no_more_calls_wait_for_what_may_still_be_notified_than_there_may_be_calls() {
    let setting = Setting { calls: "max_calls = 1", ..Setting::default() };
    let mut world = World::new(setting, Vec::new());
    // Each is referred, and hangs up without telling what comes of it.
    let vanish = |world: &mut World, port| {
        let phone = Hand::new(world, port);
        let path = format!("/callcontroller/{}/two", phone.user());
        assert_eq!(world.ask("POST", &format!("{path}?agent=agent"), "").0, 200);
        let invite = phone.next(world, "INVITE");
        phone.reply(world, &invite, "200 OK", "", &sdp(4001, 1, "sendrecv"));
        let refer = phone.next(world, "REFER");
        phone.reply(world, &refer, "202 Accepted", "", "");
        phone.request(world, &invite, "BYE", "", "");
        phone.next(world, "SIP/2.0 200");
        path
    };
    let outcome = |world: &mut World, path: &str| {
        let (_, _, body) = world.ask("GET", path, "Accept: application/json\r\n");
        let call: serde_json::Value = serde_json::from_str(&body).expect("it is JSON");
        call["outcome"]["state"].as_str().unwrap_or("none").to_owned()
    };
    let first = vanish(&mut world, 7101);
    let second = vanish(&mut world, 7102);
    assert_eq!(outcome(&mut world, &first), "accepted", "a NOTIFY may still tell");
    assert_eq!(outcome(&mut world, &second), "unknown", "it has no room to wait for one");
    world.pass(Duration::from_secs(40));
    assert_eq!(outcome(&mut world, &first), "unknown");
    world.expect_nothing_left();
}
