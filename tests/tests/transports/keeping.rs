//! Connections that rest.

use cordboard_core::io::ConnectionId;
use cordboard_tests::bench::{Bench, There};

use super::{INVITE, PROXY, SECOND, answer, connect, hang_up, options};

const PEER: &str = "127.0.0.9:40001";
const CONTACT: &str = "sip:phone@127.0.0.1:5060;transport=tcp";

/// A call held over a connection that we opened.
fn held() -> (Bench, ConnectionId) {
    let mut bench = Bench::new(
        "proxy = \"sip:127.0.0.1:5060;transport=tcp\"\n[calls]\nsession_expires = \"off\"",
        "sip_idle_time = \"1h\"",
    );
    bench.put(PROXY, There::Tcp);
    bench.place("user1", "user2", INVITE);
    let (one, _) = connect(&mut bench, PROXY, CONTACT);
    (bench, one.way.connection())
}

#[test]
fn a_ping_is_answered_with_a_pong() {
    let mut bench = Bench::new("", "");
    let peer = bench.arrive(PEER);
    bench.say_on(peer, b"\r\n\r\n");
    assert_eq!(bench.pings(peer), (0, 1));
    bench.say_on(peer, b"\r\n");
    bench.say_on(peer, b"\r\n");
    bench.pass(SECOND);
    assert_eq!(bench.pings(peer).0, 0, "we ask nobody who came to us");
}

#[test]
fn a_connection_of_ours_that_rests_is_kept_alive() {
    let (mut bench, connection) = held();
    for minute in 1..10 {
        bench.pass(120 * SECOND);
        let (pings, _) = bench.pings(connection);
        assert!(pings >= minute, "{pings} in {minute} times two minutes");
        bench.say_on(connection, b"\r\n");
    }
    assert!(!bench.is_closed(connection));
    hang_up(&mut bench, PROXY, "user1", "user2");
    assert_eq!(bench.opened.len(), 1);
    bench.expect_nothing_left();
}

#[test]
fn a_peer_that_stops_answering_pings_is_gone_and_the_call_goes_on_over_another_connection() {
    let (mut bench, connection) = held();
    bench.pass(115 * SECOND);
    bench.say_on(connection, b"\r\n");
    // From now on it says nothing any more.
    bench.pass(130 * SECOND);
    assert!(bench.is_closed(connection));
    assert_eq!(bench.call("user1", "user2")["state"], "connected");
    hang_up(&mut bench, PROXY, "user1", "user2");
    assert_eq!(bench.opened.len(), 2);
    bench.expect_nothing_left();
}

#[test]
fn a_peer_that_never_knew_pings_is_not_held_to_them() {
    let (mut bench, connection) = held();
    bench.pass(1000 * SECOND);
    assert!(!bench.is_closed(connection));
    hang_up(&mut bench, PROXY, "user1", "user2");
    assert_eq!(bench.opened.len(), 1);
    bench.expect_nothing_left();
}

#[test]
fn a_connection_that_carries_nothing_is_closed_after_the_idle_time() {
    let mut bench = Bench::new("", "sip_idle_time = \"5m\"");
    let peer = bench.arrive(PEER);
    for n in 0..3 {
        bench.pass(200 * SECOND);
        bench.say_on(peer, options("TCP", &format!("idle{n}"), "Content-Length: 0\r\n").as_bytes());
        bench.next(PEER, "SIP/2.0 200");
    }
    bench.pass(299 * SECOND);
    assert!(!bench.is_closed(peer));
    // Keep-alives show that the peer is there, not that it needs us.
    bench.say_on(peer, b"\r\n\r\n");
    bench.pass(2 * SECOND);
    assert!(bench.is_closed(peer));
    bench.expect_nothing_left();
}

#[test]
fn a_peer_that_was_not_there_is_tried_less_and_less_often() {
    let mut bench = Bench::new("proxy = \"sip:127.0.0.1:5060;transport=tcp\"", "");
    for call in 0..400 {
        bench.place(&format!("user{call}"), "other", INVITE);
        bench.pass(SECOND / 2);
    }
    let tries: Vec<_> = bench.opened.iter().map(|(at, _)| *at).collect();
    assert!(tries.len() < 20, "{} connections in 200 s", tries.len());
    // When it is back it is found again.
    bench.put(PROXY, There::Tcp);
    bench.pass(31 * SECOND);
    bench.place("user1000", "other", INVITE);
    let invite = bench.next(PROXY, "INVITE");
    answer(&mut bench, &invite, "486 Busy Here", "");
    bench.expect_nothing_left();
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_before_it_takes_much_memory() {
    let mut bench = Bench::new("", "");
    let peer = bench.arrive(PEER);
    bench.stop_reading(peer);
    for n in 0..20_000 {
        if bench.is_closed(peer) {
            break;
        }
        bench.say_on(peer, options("TCP", &format!("deaf{n}"), "Content-Length: 0\r\n").as_bytes());
    }
    assert!(bench.is_closed(peer));
    bench.expect_nothing_left();
}
