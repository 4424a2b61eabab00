//! Which connection a message takes, and how many there may be.

use cordboard_tests::bench::{Bench, There, sdp};

use super::{INVITE, OTHER, PEER_TAG, PROXY, SECOND, answer, last_status, options};

#[test]
fn connections_over_the_limit_are_told_so() {
    let mut bench = Bench::new("", "sip_connections = 2");
    let [one, two] = ["127.0.0.9:40001", "127.0.0.9:40002"].map(|from| bench.arrive(from));
    let over = bench.arrive("127.0.0.9:40003");
    bench.say_on(over, options("TCP", "over", "Content-Length: 0\r\n").as_bytes());
    let refusal = bench.next("127.0.0.9:40003", "SIP/2.0 503");
    assert!(refusal.text.contains("Retry-After: "), "{}", refusal.text);
    assert!(bench.is_closed(over));
    for (peer, address) in [(one, "127.0.0.9:40001"), (two, "127.0.0.9:40002")] {
        bench.say_on(peer, options("TCP", address, "Content-Length: 0\r\n").as_bytes());
        bench.next(address, "SIP/2.0 200");
    }
    bench.cut(one);
    let next = bench.arrive("127.0.0.9:40004");
    bench.say_on(next, options("TCP", "next", "Content-Length: 0\r\n").as_bytes());
    bench.next("127.0.0.9:40004", "SIP/2.0 200");
    bench.expect_nothing_left();
}

#[test]
fn who_says_nothing_over_the_limit_is_closed_soon() {
    let mut bench = Bench::new("", "sip_connections = 1\nrequest_time = \"10s\"");
    bench.arrive("127.0.0.9:40001");
    let over = bench.arrive("127.0.0.9:40002");
    bench.pass(11 * SECOND);
    assert!(bench.is_closed(over));
    bench.expect_nothing_left();
}

#[test]
fn thousands_over_the_limit_take_nothing() {
    let mut bench = Bench::new("", "sip_connections = 10");
    for port in 10_000..12_000 {
        bench.arrive(&format!("127.0.0.9:{port}"));
    }
    assert!(bench.census().sip_connections < 40, "{:?}", bench.census());
    bench.expect_nothing_left();
}

/// Users the INVITE between whom is longer than a datagram may be; what has to be escaped counts three times.
fn long_users() -> (String, String) {
    (format!("u{}{}@127.0.0.1:5060", "%5E".repeat(20), "x".repeat(210)), "y".repeat(250))
}

#[test]
fn a_request_that_is_too_long_for_a_datagram_goes_by_tcp() {
    let mut bench = Bench::new("", "");
    bench.put(PROXY, There::Tcp);
    let (user, other) = long_users();
    bench.place(&user, &other, INVITE);
    let invite = bench.next(PROXY, "INVITE");
    assert!(invite.text.len() > 1300, "{} bytes", invite.text.len());
    assert!(invite.field("Via").starts_with("SIP/2.0/TCP "), "{}", invite.field("Via"));
    invite.way.connection();
    assert_eq!(bench.count(PROXY, "INVITE"), 0, "and by nothing else");
    answer(&mut bench, &invite, "486 Busy Here", "");
    bench.expect_nothing_left();
}

#[test]
fn where_there_is_no_tcp_it_goes_by_datagram_after_all() {
    let mut bench = Bench::new("", "");
    let (user, other) = long_users();
    bench.place(&user, &other, INVITE);
    let invite = bench.next(PROXY, "INVITE");
    assert!(invite.field("Via").starts_with("SIP/2.0/UDP "), "{}", invite.field("Via"));
    assert_eq!(bench.opened.len(), 1);
    // That there is no TCP is remembered for a while.
    bench.place(&format!("z{user}"), &other, INVITE);
    let again = bench.next(PROXY, "INVITE sip:z");
    assert!(again.field("Via").starts_with("SIP/2.0/UDP "), "{}", again.field("Via"));
    assert_eq!(bench.opened.len(), 1);
    for mail in [invite, again] {
        answer(&mut bench, &mail, "486 Busy Here", "");
    }
    bench.expect_nothing_left();
}

#[test]
fn a_short_request_stays_a_datagram() {
    let mut bench = Bench::new("", "");
    bench.put(PROXY, There::Tcp);
    bench.place("user1@127.0.0.1:5060", "user2", INVITE);
    let invite = bench.next(PROXY, "INVITE");
    assert!(invite.field("Via").starts_with("SIP/2.0/UDP "), "{}", invite.field("Via"));
    assert_eq!(bench.opened.len(), 0);
    answer(&mut bench, &invite, "486 Busy Here", "");
    bench.expect_nothing_left();
}

#[test]
fn the_ack_and_cancel_of_a_request_take_its_way() {
    let mut bench = Bench::new("", "");
    bench.put(PROXY, There::Tcp);
    let (user, other) = long_users();
    bench.place(&user, &other, INVITE);
    let invite = bench.next(PROXY, "INVITE");
    answer(&mut bench, &invite, "180 Ringing", "sip:x@127.0.0.1:5060");
    assert_eq!(bench.ask("DELETE", &format!("/callcontroller/{user}/{other}")).0, 204);
    let cancel = bench.next(PROXY, "CANCEL");
    assert_eq!((cancel.way, cancel.field("Via")), (invite.way, invite.field("Via")));
    answer(&mut bench, &cancel, "200 OK", "");
    answer(&mut bench, &invite, "487 Request Terminated", "");
    let ack = bench.next(PROXY, "ACK");
    assert_eq!((ack.way, ack.field("Via")), (invite.way, invite.field("Via")));
    bench.expect_nothing_left();
}

#[test]
fn a_datagram_that_does_not_arrive_fails_the_request_soon() {
    let mut bench = Bench::new("proxy = \"sip:127.0.0.1:5060\"", "");
    bench.unreachable.push(PROXY.parse().expect("an address"));
    bench.place("user1", "user2", INVITE);
    bench.pass(10 * SECOND);
    assert_eq!(last_status(&mut bench), Some(503));
    assert!(bench.log.iter().any(|line| line.contains("do not arrive there")), "{:?}", bench.log);
    bench.expect_nothing_left();
}

#[test]
fn a_server_that_starts_again_is_reached_by_the_retransmissions() {
    let mut bench = Bench::new("proxy = \"sip:127.0.0.1:5060\"", "");
    bench.unreachable.push(PROXY.parse().expect("an address"));
    bench.place("user1", "user2", INVITE);
    bench.pass(SECOND);
    bench.unreachable.clear();
    let invite = bench.next(PROXY, "INVITE");
    answer(&mut bench, &invite, "486 Busy Here", "");
    bench.pass(SECOND);
    assert_eq!(last_status(&mut bench), Some(486));
    bench.expect_nothing_left();
}

#[test]
fn a_contact_decides_the_way_of_what_follows_in_its_dialog() {
    let mut bench = Bench::new("proxy = \"sip:127.0.0.1:5060\"", "");
    bench.put(OTHER, There::Tcp);
    bench.place("user1", "user2", INVITE);
    let one = bench.next(PROXY, "INVITE");
    bench.say(
        one.way,
        &one.answer("200 OK", (PEER_TAG, "sip:phone@127.0.0.2:5060;transport=tcp"), "", &sdp(4000)),
    );
    let ack = bench.next(OTHER, "ACK");
    assert!(ack.field("Via").starts_with("SIP/2.0/TCP "), "{}", ack.field("Via"));
    let two = bench.next(PROXY, "INVITE");
    answer(&mut bench, &two, "486 Busy Here", "");
    let bye = bench.next(OTHER, "BYE");
    assert_eq!(bye.way, ack.way);
    answer(&mut bench, &bye, "200 OK", "");
    bench.expect_nothing_left();
}
