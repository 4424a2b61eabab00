//! Messages from outside of any call.

use cordboard_core::softphone::Temper;
use cordboard_tests::world::{Setting, World};

/// A request from outside of any call, with this method and To.
fn stranger(method: &str, to: &str, more: &str) -> String {
    format!(
        "{method} sip:cordboard@127.0.0.1:6050 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK{method}{};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@example.com>;tag=1\r\nTo: {to}\r\nCall-ID: {method}{}\r\nCSeq: 1 {method}\r\n{more}Content-Length: 0\r\n\r\n",
        more.len() + to.len(),
        more.len() + to.len()
    )
}

#[test]
fn messages_beyond_the_limits_cost_their_sender_the_answer_and_nobody_else() {
    let setting = Setting { limits: "sip_message = 1300\nsip_headers = 16", ..Setting::default() };
    let mut world = World::new(setting, vec![Temper::default()]);
    let plain = "<sip:cordboard@127.0.0.1>";
    world.send_raw(stranger("OPTIONS", plain, &"X: y\r\n".repeat(12)).as_bytes());
    assert!(world.ladder.last().is_some_and(|(_, _, text)| text.starts_with("SIP/2.0 513 ")));
    let before = world.ladder.len();
    world.send_raw(stranger("OPTIONS", plain, &format!("X: {}\r\n", "y".repeat(1300))).as_bytes());
    assert_eq!(world.ladder.len(), before);
    world.send_raw(stranger("OPTIONS", plain, "").as_bytes());
    assert!(world.ladder.last().is_some_and(|(_, _, text)| text.starts_with("SIP/2.0 200 ")));
    world.expect_nothing_left();
}

#[test]
fn strangers_are_answered_as_the_rfc_says() {
    let mut world = World::new(Setting::default(), vec![Temper::default()]);
    let plain = "<sip:cordboard@127.0.0.1>";
    let inside = "<sip:cordboard@127.0.0.1>;tag=00000000000000000000000000000000";
    for (method, to, more, answer) in [
        ("OPTIONS", plain, "", "SIP/2.0 200"),
        ("INVITE", plain, "", "SIP/2.0 403"),
        ("INVITE", plain, "Require: magic\r\n", "SIP/2.0 420"),
        ("BYE", plain, "", "SIP/2.0 481"),
        ("BYE", inside, "", "SIP/2.0 481"),
        ("NOTIFY", inside, "Event: refer\r\n", "SIP/2.0 481"),
        ("CANCEL", plain, "", "SIP/2.0 481"),
        ("REGISTER", plain, "", "SIP/2.0 405"),
        ("INFO", plain, "", "SIP/2.0 405"),
        ("DANCE", plain, "", "SIP/2.0 501"),
    ] {
        let before = world.ladder.len();
        world.send_raw(stranger(method, to, more).as_bytes());
        let (_, _, text) = &world.ladder[before];
        assert!(text.starts_with(answer), "{method} {more:?}: {text}");
        assert_eq!(world.ladder.len(), before + 1);
    }
    let before = world.ladder.len();
    world.send_raw(stranger("ACK", inside, "").as_bytes());
    world.send_raw(b"\r\n\r\n");
    world.send_raw(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:6050;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n");
    world.send_raw(b"what is this?");
    assert_eq!(world.ladder.len(), before, "nothing of that is answered");
    world.expect_nothing_left();
}
