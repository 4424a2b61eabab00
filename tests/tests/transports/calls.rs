//! Whole calls over connections.

use cordboard_tests::bench::{Bench, There, sdp};

use super::{INVITE, PEER_TAG, PROXY, SECOND, answer, connect, hang_up, last_status};

const BY_TCP: &str = "proxy = \"sip:127.0.0.1:5060;transport=tcp\"";
const CONTACT: &str = "sip:phone@127.0.0.1:5060;transport=tcp";

fn bench() -> Bench {
    let mut bench = Bench::new(BY_TCP, "");
    bench.put(PROXY, There::Tcp);
    bench
}

#[test]
fn a_call_over_tcp_uses_one_connection_and_says_so_everywhere() {
    let mut bench = bench();
    bench.place("user1", "user2", INVITE);
    let (one, two) = connect(&mut bench, PROXY, CONTACT);
    assert_eq!(one.way, two.way);
    assert!(one.field("Via").starts_with("SIP/2.0/TCP 127.0.0.1:6050;"), "{}", one.text);
    assert_eq!(one.field("Contact"), "<sip:cordboard@127.0.0.1:6050;transport=tcp>");
    hang_up(&mut bench, PROXY, "user1", "user2");
    assert_eq!(bench.opened.len(), 1);
    bench.expect_nothing_left();
}

#[test]
fn nothing_is_sent_twice_over_tcp() {
    let mut bench = bench();
    bench.place("user1", "user2", INVITE);
    let invite = bench.next(PROXY, "INVITE");
    bench.pass(10 * SECOND);
    assert_eq!(bench.count(PROXY, "INVITE"), 0);
    answer(&mut bench, &invite, "486 Busy Here", "");
    bench.next(PROXY, "ACK");
    bench.pass(SECOND);
    assert_eq!(last_status(&mut bench), Some(486));
    bench.expect_nothing_left();
}

#[test]
fn a_peer_that_never_answers_over_tcp_is_given_up_after_32_seconds() {
    let mut bench = bench();
    bench.place("user1", "user2", INVITE);
    bench.next(PROXY, "INVITE");
    bench.pass(31 * SECOND);
    assert_eq!(last_status(&mut bench), None);
    bench.pass(2 * SECOND);
    assert_eq!(last_status(&mut bench), Some(408));
    bench.expect_nothing_left();
}

#[test]
fn a_peer_that_is_not_there_fails_the_call_as_a_transport_error() {
    let mut bench = Bench::new(BY_TCP, "");
    bench.place("user1", "user2", INVITE);
    bench.pass(6 * SECOND);
    assert_eq!(last_status(&mut bench), Some(503));
    assert!(bench.log.iter().any(|line| line.contains("SIP connection failed")), "{:?}", bench.log);
    bench.expect_nothing_left();
}

#[test]
fn a_connection_that_nobody_answers_is_given_up() {
    let mut bench = Bench::new(BY_TCP, "");
    bench.put(PROXY, There::Silence);
    bench.place("user1", "user2", INVITE);
    bench.pass(60 * SECOND);
    assert!(matches!(last_status(&mut bench), Some(503 | 408)));
    bench.expect_nothing_left();
}

#[test]
fn a_response_over_tcp_comes_back_on_the_connection_of_the_request() {
    let mut bench = bench();
    bench.place("user1", "user2", INVITE);
    let (one, _) = connect(&mut bench, PROXY, CONTACT);
    let from_party = bench.arrive("127.0.0.1:33333");
    let bye = one.request("TCP 127.0.0.1:5060", (1, "BYE"), "");
    bench.say_on(from_party, bye.as_bytes());
    let ok = bench.next("127.0.0.1:33333", "SIP/2.0 200");
    assert_eq!(ok.way.connection(), from_party);
    let other = bench.next(PROXY, "BYE");
    answer(&mut bench, &other, "200 OK", "");
    bench.expect_nothing_left();
}

#[test]
fn the_final_response_of_a_lost_connection_goes_by_a_new_one_to_where_the_via_says() {
    let mut bench = bench();
    bench.place("user1", "user2", INVITE);
    let (one, _) = connect(&mut bench, PROXY, CONTACT);
    // A hold: it is answered when the other side has answered it.
    let from_party = bench.arrive("127.0.0.1:33333");
    let hold = one.request(
        "TCP 127.0.0.1:5070",
        (1, "INVITE"),
        "Contact: <sip:phone@127.0.0.1:5060;transport=tcp>\r\n",
    );
    let body = sdp(4000);
    let hold = hold.replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    bench.say_on(from_party, hold.as_bytes());
    let passed_on = bench.next(PROXY, "INVITE");
    bench.cut(from_party);
    bench.put("127.0.0.1:5070", There::Tcp);
    answer(&mut bench, &passed_on, "200 OK", CONTACT);
    let ok = bench.next("127.0.0.1:5070", "SIP/2.0 200");
    let ack = one.request("TCP 127.0.0.1:5070", (1, "ACK"), "");
    bench.say(ok.way, &ack);
    hang_up(&mut bench, PROXY, "user1", "user2");
    bench.expect_nothing_left();
}

#[test]
fn a_connection_lost_in_the_middle_of_a_call_is_opened_again_when_it_is_needed() {
    let mut bench = bench();
    bench.place("user1", "user2", INVITE);
    let (one, _) = connect(&mut bench, PROXY, CONTACT);
    bench.cut(one.way.connection());
    bench.pass(60 * SECOND);
    assert_eq!(bench.call("user1", "user2")["state"], "connected");
    hang_up(&mut bench, PROXY, "user1", "user2");
    assert_eq!(bench.opened.len(), 2);
    bench.expect_nothing_left();
}

#[test]
fn a_request_whose_connection_breaks_before_an_answer_is_sent_once_more_on_another() {
    let mut bench = bench();
    bench.place("user1", "user2", INVITE);
    let first = bench.next(PROXY, "INVITE");
    bench.cut(first.way.connection());
    let again = bench.next(PROXY, "INVITE");
    assert_eq!((again.branch(), again.text == first.text), (first.branch(), true));
    assert_ne!(again.way, first.way);
    answer(&mut bench, &again, "486 Busy Here", "");
    bench.pass(SECOND);
    assert_eq!(last_status(&mut bench), Some(486));
    bench.expect_nothing_left();
}

#[test]
fn a_server_that_breaks_off_whatever_is_sent_is_given_up() {
    let mut bench = bench();
    bench.place("user1", "user2", INVITE);
    let mut tries = 0;
    while let Some(invite) = bench.try_next(SECOND, PROXY, "INVITE") {
        bench.cut(invite.way.connection());
        tries += 1;
    }
    assert!((2..10).contains(&tries), "{tries}");
    bench.pass(SECOND);
    assert_eq!(last_status(&mut bench), Some(503));
    bench.expect_nothing_left();
}

#[test]
fn a_ringing_call_outlives_its_connection() {
    let mut bench = bench();
    bench.place("user1", "user2", INVITE);
    let invite = bench.next(PROXY, "INVITE");
    answer(&mut bench, &invite, "180 Ringing", CONTACT);
    bench.cut(invite.way.connection());
    bench.pass(5 * SECOND);
    assert_eq!(bench.count(PROXY, "INVITE"), 0, "it has arrived");
    // The phone's own connection brings the answer (RFC 3261 §18.2.2).
    let back = bench.arrive("127.0.0.1:44444");
    let body = sdp(4000);
    bench.say_on(back, invite.answer("200 OK", (PEER_TAG, CONTACT), "", &body).as_bytes());
    bench.next(PROXY, "ACK");
    let two = bench.next(PROXY, "INVITE");
    answer(&mut bench, &two, "486 Busy Here", "");
    bench.next(PROXY, "ACK");
    let bye = bench.next(PROXY, "BYE");
    answer(&mut bench, &bye, "200 OK", "");
    bench.expect_nothing_left();
}

#[test]
fn a_delete_before_the_connection_stands_leaves_nothing_behind() {
    let mut bench = Bench::new(BY_TCP, "");
    bench.put(PROXY, There::Silence);
    bench.place("user1", "user2", INVITE);
    assert_eq!(bench.ask("DELETE", "/callcontroller/user1/user2").0, 204);
    bench.expect_nothing_left();
}

#[test]
fn a_cancel_that_was_answered_is_not_sent_again_when_its_connection_breaks() {
    let mut bench = bench();
    bench.place("user1", "user2", INVITE);
    let invite = bench.next(PROXY, "INVITE");
    answer(&mut bench, &invite, "180 Ringing", CONTACT);
    assert_eq!(bench.ask("DELETE", "/callcontroller/user1/user2").0, 204);
    let cancel = bench.next(PROXY, "CANCEL");
    // The INVITE's answer may come first.
    answer(&mut bench, &invite, "487 Request Terminated", "");
    bench.next(PROXY, "ACK");
    answer(&mut bench, &cancel, "200 OK", "");
    bench.cut(invite.way.connection());
    bench.pass(40 * SECOND);
    assert_eq!(bench.count(PROXY, "CANCEL"), 0);
    bench.expect_nothing_left();
}

/// The phone gets the last of the INVITEs, and answers when the call has been given up; its server wants to know who
/// hangs it up.
#[test]
fn a_phone_that_answers_when_nobody_waits_any_more_is_let_go_with_credentials() {
    let mut bench = Bench::new("proxy = \"sip:127.0.0.1:5060\"", "");
    bench.place("user1", "user2", INVITE);
    let first = bench.next(PROXY, "INVITE");
    let challenge =
        "Proxy-Authenticate: Digest realm=\"example.com\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\n";
    bench.say(first.way, &first.answer("407 Proxy Authentication Required", (PEER_TAG, ""), challenge, ""));
    bench.next(PROXY, "ACK");
    let invite = bench.next(PROXY, "INVITE");
    bench.pass(33 * SECOND);
    assert_eq!(last_status(&mut bench), Some(408));
    answer(&mut bench, &invite, "200 OK", "sip:phone@127.0.0.1:5060");
    bench.next(PROXY, "ACK");
    let bye = bench.next(PROXY, "BYE");
    let again = challenge.replace("n1", "n2");
    bench.say(bye.way, &bye.answer("407 Proxy Authentication Required", (PEER_TAG, ""), &again, ""));
    let bye = bench.next(PROXY, "BYE");
    assert!(bye.field("Proxy-Authorization").contains("nonce=\"n2\""), "{}", bye.text);
    answer(&mut bench, &bye, "200 OK", "");
    bench.expect_nothing_left();
}

#[test]
fn a_phone_that_rings_when_nobody_waits_any_more_is_cancelled() {
    let mut bench = Bench::new("proxy = \"sip:127.0.0.1:5060\"", "");
    bench.place("user1", "user2", INVITE);
    let invite = bench.next(PROXY, "INVITE");
    bench.pass(33 * SECOND);
    answer(&mut bench, &invite, "180 Ringing", "sip:phone@127.0.0.1:5060");
    let cancel = bench.next(PROXY, "CANCEL");
    answer(&mut bench, &cancel, "200 OK", "");
    answer(&mut bench, &invite, "487 Request Terminated", "");
    bench.next(PROXY, "ACK");
    bench.expect_nothing_left();
}
