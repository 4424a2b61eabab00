//! Requests within our dialog that have no use there.

use std::time::Duration;

use cordboard_tests::world::World;

use super::{called, scripted};

/// What a request within the dialog needs: the other side's view of it, taken from our REFER.
struct Dialog {
    from: String,
    to: String,
    call_id: String,
}

impl Dialog {
    fn of(world: &World) -> Self {
        let refer = world.sent("REFER").remove(0);
        let field = |name: &str| {
            let line = refer.lines().find_map(|line| line.strip_prefix(name)).expect("a REFER has it");
            line.to_owned()
        };
        Self { from: field("To: "), to: field("From: "), call_id: field("Call-ID: ") }
    }

    fn request(&self, method: &str, cseq: u32, more: &str) -> String {
        let Self { from, to, call_id } = self;
        format!(
            "{method} sip:cordboard@127.0.0.1:6050 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK{cseq}x{method};rport\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{more}\
             Content-Length: 0\r\n\r\n"
        )
    }
}

/// A call whose phone is busy with the REFER for long.
fn watched() -> World {
    let temper = scripted(&[("active;expires=600", Some("SIP/2.0 180 Ringing\r\n"))]);
    let world = called(cordboard_tests::world::Setting::default(), temper);
    assert!(world.sent("BYE").is_empty());
    world
}

#[test]
fn strange_requests_within_a_dialog_are_answered_as_the_rfcs_say_and_do_no_harm() {
    let mut world = watched();
    let dialog = Dialog::of(&world);
    for (cseq, (method, more, answer)) in (100..).zip([
        ("OPTIONS", "", "SIP/2.0 200"),
        ("INFO", "", "SIP/2.0 405"),
        ("MESSAGE", "", "SIP/2.0 405"),
        ("SUBSCRIBE", "Event: dialog\r\n", "SIP/2.0 405"),
        ("REFER", "Refer-To: <sip:x@example.com>\r\n", "SIP/2.0 405"),
        ("DANCE", "", "SIP/2.0 501"),
        ("OPTIONS", "Require: magic\r\n", "SIP/2.0 420"),
        ("NOTIFY", "Event: dialog\r\nSubscription-State: active\r\n", "SIP/2.0 489"),
        ("NOTIFY", "", "SIP/2.0 489"),
        ("UPDATE", "", "SIP/2.0 200"),
    ]) {
        let before = world.ladder.len();
        world.send_raw(dialog.request(method, cseq, more).as_bytes());
        let text = &world.ladder[before].2;
        assert!(text.starts_with(answer), "{method} {more:?}: {text}");
        if answer.ends_with("405") || answer.ends_with("501") {
            assert!(text.contains("\r\nAllow: "), "{text}");
        }
        assert_eq!(world.ladder.len(), before + 1);
    }
    assert_eq!(world.outcome().0, "ringing", "the call is as it was");
    let before = world.ladder.len();
    world.send_raw(dialog.request("OPTIONS", 50, "").as_bytes());
    assert!(
        world.ladder[before].2.starts_with("SIP/2.0 500"),
        "a number lower than the last is out of order"
    );
    world.send_raw(dialog.request("BYE", 200, "").as_bytes());
    world.pass(Duration::from_secs(1));
    let before = world.ladder.len();
    world.send_raw(dialog.request("OPTIONS", 201, "Subject: after the end\r\n").as_bytes());
    let text = &world.ladder[before].2;
    assert!(text.starts_with("SIP/2.0 481") || text.starts_with("SIP/2.0 200"), "{text}");
    world.expect_nothing_left();
}

#[test]
fn a_request_with_the_wrong_tags_is_of_no_dialog() {
    let mut world = watched();
    let mut dialog = Dialog::of(&world);
    dialog.from.push_str("-other");
    for (cseq, method) in (100..).zip(["BYE", "INVITE", "NOTIFY"]) {
        let before = world.ladder.len();
        world.send_raw(dialog.request(method, cseq, "Event: refer\r\n").as_bytes());
        let text = &world.ladder[before].2;
        assert!(text.starts_with("SIP/2.0 481"), "{method}: {text}");
    }
    assert_eq!(world.outcome().0, "ringing");
    world.expect_nothing_left();
}

#[test]
fn a_re_invite_without_an_offer_gets_ours() {
    let mut world = watched();
    let dialog = Dialog::of(&world);
    let before = world.ladder.len();
    let contact = "Contact: <sip:user1@127.0.0.1:7001>\r\n";
    world.send_raw(dialog.request("INVITE", 100, contact).as_bytes());
    let text = world.ladder[before].2.clone();
    assert!(text.starts_with("SIP/2.0 200") && text.contains("m=audio 9 "), "{text}");
    let ack = dialog.request("ACK", 100, "");
    world.send_raw(ack.as_bytes());
    world.pass(Duration::from_secs(40));
    let again = world.sent("SIP/2.0 200").iter().filter(|text| text.contains("CSeq: 100 INVITE")).count();
    assert_eq!(again, 1, "it was acknowledged");
    world.expect_nothing_left();
}
