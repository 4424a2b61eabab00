//! Where messages begin and end on a connection.

use cordboard_tests::bench::{Bench, There};

use super::{INVITE, PROXY, SECOND, connect, hang_up, options};

const PEER: &str = "127.0.0.9:40001";

#[test]
fn a_call_is_the_same_however_its_bytes_are_cut() {
    for chunk in [0, 1, 2, 3, 7, 64, 1000] {
        let mut bench = Bench::new("proxy = \"sip:127.0.0.1:5060;transport=tcp\"", "");
        bench.chunk = chunk;
        bench.put(PROXY, There::Tcp);
        bench.place("user1", "user2", INVITE);
        connect(&mut bench, PROXY, "sip:phone@127.0.0.1:5060;transport=tcp");
        hang_up(&mut bench, PROXY, "user1", "user2");
        bench.expect_nothing_left();
    }
}

#[test]
fn messages_that_come_together_are_all_answered() {
    let mut bench = Bench::new("", "");
    let peer = bench.arrive(PEER);
    let all: String =
        (0..5).map(|n| options("TCP", &format!("together{n}"), "Content-Length: 0\r\n")).collect();
    bench.say_on(peer, format!("\r\n\r\n{all}\r\n").as_bytes());
    for n in 0..5 {
        let ok = bench.next(PEER, "SIP/2.0 200");
        assert_eq!(ok.field("Call-ID"), format!("together{n}"));
    }
}

#[test]
fn half_a_message_is_not_waited_for_for_ever() {
    let mut bench = Bench::new("", "request_time = \"10s\"");
    let peer = bench.arrive(PEER);
    let message = options("TCP", "half", "Content-Length: 0\r\n");
    bench.say_on(peer, &message.as_bytes()[..100]);
    bench.pass(9 * SECOND);
    assert!(!bench.is_closed(peer));
    bench.pass(2 * SECOND);
    assert!(bench.is_closed(peer));
    bench.expect_nothing_left();
}

#[test]
fn a_message_that_drips_byte_by_byte_is_not_waited_for_for_ever() {
    let mut bench = Bench::new("", "request_time = \"10s\"");
    let peer = bench.arrive(PEER);
    let message = options("TCP", "drip", "Content-Length: 0\r\n");
    for byte in message.as_bytes().chunks(1) {
        bench.say_on(peer, byte);
        bench.pass(SECOND / 4);
    }
    assert!(bench.is_closed(peer));
    assert_eq!(bench.count(PEER, ""), 0);
    bench.expect_nothing_left();
}

#[test]
fn what_has_no_end_is_refused_and_the_connection_closed() {
    let long = format!("Content-Length: {}\r\n", 100_000_000);
    for (lines, status) in [
        ("", "400"),
        ("Content-Length: -1\r\n", "400"),
        ("Content-Length: many\r\n", "400"),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", "400"),
        ("Content-Length: 99999999999999999999999\r\n", "400"),
        (long.as_str(), "513"),
    ] {
        let mut bench = Bench::new("", "");
        let peer = bench.arrive(PEER);
        bench.say_on(peer, options("TCP", "endless", lines).as_bytes());
        let refusal = bench.next(PEER, "SIP/2.0 ");
        assert!(refusal.start().starts_with(&format!("SIP/2.0 {status} ")), "{lines:?}: {}", refusal.start());
        assert!(bench.is_closed(peer), "{lines:?}");
        // That harms nobody else.
        let other = bench.arrive("127.0.0.9:40002");
        bench.say_on(other, options("TCP", "fine", "Content-Length: 0\r\n").as_bytes());
        bench.next("127.0.0.9:40002", "SIP/2.0 200");
        bench.expect_nothing_left();
    }
}

#[test]
fn a_head_without_end_takes_no_memory_without_end() {
    let mut bench = Bench::new("", "");
    let peer = bench.arrive(PEER);
    let line = format!("X-More: {}\r\n", "x".repeat(1000));
    bench.say_on(peer, b"OPTIONS sip:127.0.0.1:6050 SIP/2.0\r\n");
    for _ in 0..1000 {
        bench.say_on(peer, line.as_bytes());
        assert!(bench.census().bytes_held < 200_000, "{:?}", bench.census());
    }
    assert!(bench.is_closed(peer));
    bench.expect_nothing_left();
}

#[test]
fn what_is_no_sip_closes_the_connection() {
    for garbage in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u{1}\u{2}\u{3}\r\n\r\n", "x\r\n\r\n"] {
        let mut bench = Bench::new("", "");
        let peer = bench.arrive(PEER);
        bench.say_on(peer, garbage.as_bytes());
        bench.pass(60 * SECOND);
        assert!(bench.is_closed(peer), "{garbage:?}");
        bench.expect_nothing_left();
    }
}
