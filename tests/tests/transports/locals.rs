//! Which of our own addresses a peer is told.

use cordboard_tests::bench::{Bench, Way};

use super::{INVITE, answer, connect, hang_up, options};

const BOTH: &str =
    "listen = [\"udp:127.0.0.1:6050\", \"tcp:127.0.0.1:6050\", \"udp:[::1]:6050\", \"tcp:[::1]:6050\"]";
const V4: &str = "127.0.0.1:5060";
const V6: &str = "[::1]:5060";

fn dual(lines: &str) -> Bench {
    Bench::configured(&format!("{BOTH}\n{lines}"), "")
}

#[test]
fn each_family_is_told_an_address_that_it_can_reach() {
    for (peer, via, contact) in [
        (V4, "SIP/2.0/UDP 127.0.0.1:6050;", "<sip:cordboard@127.0.0.1:6050>"),
        (V6, "SIP/2.0/UDP [::1]:6050;", "<sip:cordboard@[::1]:6050>"),
    ] {
        let mut bench = dual(&format!("proxy = \"sip:{peer}\""));
        bench.place("user1", "user2", INVITE);
        let (one, _) = connect(&mut bench, peer, &format!("sip:phone@{peer}"));
        assert!(one.field("Via").starts_with(via), "{}", one.text);
        assert_eq!(one.field("Contact"), contact);
        let family = if peer == V6 { "c=IN IP6 ::1" } else { "c=IN IP4 127.0.0.1" };
        assert!(one.body().contains(family) || one.body().contains("0.0.0.0"), "{}", one.body());
        hang_up(&mut bench, peer, "user1", "user2");
        bench.expect_nothing_left();
    }
}

#[test]
fn one_call_may_have_a_party_of_each_family() {
    let mut bench = dual("");
    let (calling, called) = ("user1@127.0.0.1:5060", "user2@[::1]:5060");
    bench.place(calling, called, INVITE);
    let one = bench.next(V4, "INVITE");
    answer(&mut bench, &one, "200 OK", "sip:phone@127.0.0.1:5060");
    bench.next(V4, "ACK");
    let two = bench.next(V6, "INVITE");
    assert_eq!(two.field("Contact"), "<sip:cordboard@[::1]:6050>");
    answer(&mut bench, &two, "200 OK", "sip:phone@[::1]:5060");
    let offer = bench.next(V4, "INVITE");
    assert_eq!(offer.field("Contact"), "<sip:cordboard@127.0.0.1:6050>");
    answer(&mut bench, &offer, "200 OK", "sip:phone@127.0.0.1:5060");
    bench.next(V4, "ACK");
    bench.next(V6, "ACK");
    assert_eq!(bench.ask("DELETE", &format!("/callcontroller/{calling}/{called}")).0, 204);
    for peer in [V4, V6] {
        let bye = bench.next(peer, "BYE");
        answer(&mut bench, &bye, "200 OK", "");
    }
    bench.expect_nothing_left();
}

#[test]
fn behind_nat_the_address_outside_is_told_and_answers_to_it_are_ours() {
    let mut bench = dual("advertise = [\"192.0.2.1\", \"2001:db8::1\"]\nproxy = \"sip:[::1]:5060\"");
    bench.place("user1", "user2", INVITE);
    let (one, _) = connect(&mut bench, V6, "sip:phone@[::1]:5060");
    assert!(one.field("Via").starts_with("SIP/2.0/UDP [2001:db8::1]:6050;"), "{}", one.text);
    assert_eq!(one.field("Contact"), "<sip:cordboard@[2001:db8::1]:6050>");
    hang_up(&mut bench, V6, "user1", "user2");
    bench.expect_nothing_left();
}

#[test]
fn an_address_of_a_family_that_we_do_not_have_cannot_be_called() {
    let mut bench = Bench::configured("listen = [\"udp:127.0.0.1:6050\"]", "");
    let (status, body) = bench.ask("POST", "/callcontroller/user1@[::1]:5060/user2?agent=agent");
    assert_eq!(status, 503);
    assert!(body.contains("no address of its family"), "{body}");
    bench.expect_nothing_left();
}

#[test]
fn a_request_is_answered_where_it_came_from_and_told_where_that_was() {
    let mut bench = dual("");
    let from = "127.0.0.77:41234";
    bench.say(
        Way::datagrams(from),
        &options("UDP", "nat", "Content-Length: 0\r\n").replace("branch", "rport;branch"),
    );
    let ok = bench.next(from, "SIP/2.0 200");
    assert!(
        ok.field("Via").contains("received=127.0.0.77") && ok.field("Via").contains("rport=41234"),
        "{}",
        ok.text
    );
    // Without rport the port is the Via's (RFC 3261 §18.2.2).
    bench.say(Way::datagrams(from), &options("UDP", "old", "Content-Length: 0\r\n"));
    let ok = bench.next("127.0.0.77:5062", "SIP/2.0 200");
    assert!(ok.field("Via").contains("received=127.0.0.77"), "{}", ok.text);
}
