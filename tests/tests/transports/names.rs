//! Servers that are found by name.

use cordboard_tests::bench::{Bench, Mail, There, Zone, a, naptr, srv};

use super::{INVITE, OTHER, PROXY, SECOND, answer, connect, hang_up, last_status};

const BY_NAME: &str = "proxy = \"sip:pbx.test\"";

/// Two servers, the first preferred.
fn two_servers(transport: &str) -> Zone {
    let service = format!("_sip._{transport}.pbx.test");
    Zone::default()
        .with("pbx.test", naptr(1, if transport == "tcp" { "SIP+D2T" } else { "SIP+D2U" }, &service))
        .with(&service, srv(1, 5060, "one.test"))
        .with(&service, srv(2, 5060, "two.test"))
        .with("one.test", a("127.0.0.1"))
        .with("two.test", a("127.0.0.2"))
}

fn bench(zone: Zone) -> Bench {
    let mut bench = Bench::new(BY_NAME, "");
    bench.zone = Some(zone);
    bench
}

fn expect_busy(bench: &mut Bench, invite: &Mail) {
    answer(bench, invite, "486 Busy Here", "");
    bench.pass(SECOND);
    assert_eq!(last_status(bench), Some(486));
    bench.expect_nothing_left();
}

#[test]
fn a_proxy_is_found_by_its_name_once_for_many_requests() {
    let mut bench = bench(two_servers("tcp"));
    bench.put(PROXY, There::Tcp);
    bench.place("user1", "user2", INVITE);
    connect(&mut bench, PROXY, "sip:phone@127.0.0.1:5060;transport=tcp");
    hang_up(&mut bench, PROXY, "user1", "user2");
    let asked: Vec<&str> = bench.asked.iter().map(String::as_str).collect();
    assert_eq!(asked, ["pbx.test NAPTR", "_sip._tcp.pbx.test SRV", "one.test A", "two.test A"]);
    bench.expect_nothing_left();
}

#[test]
fn an_address_asks_nobody() {
    let mut bench = Bench::new("proxy = \"sip:127.0.0.1:5060\"", "");
    bench.place("user1", "user2", INVITE);
    let invite = bench.next(PROXY, "INVITE");
    assert_eq!(bench.asked.len(), 0);
    expect_busy(&mut bench, &invite);
}

#[test]
fn a_silent_server_is_passed_over_long_before_the_request_is_given_up() {
    let mut bench = bench(two_servers("udp"));
    bench.place("user1", "user2", INVITE);
    let first = bench.next(PROXY, "INVITE");
    let second = bench.next_within(6 * SECOND, OTHER, "INVITE");
    assert_ne!(first.branch(), second.branch(), "it is another transaction");
    assert_eq!(first.field("Call-ID"), second.field("Call-ID"));
    answer(&mut bench, &second, "180 Ringing", "sip:x@127.0.0.2:5060");
    // The first one was only slow.
    answer(&mut bench, &first, "180 Ringing", "sip:x@127.0.0.1:5060");
    let cancel = bench.next(PROXY, "CANCEL");
    answer(&mut bench, &cancel, "200 OK", "");
    answer(&mut bench, &first, "487 Request Terminated", "");
    bench.next(PROXY, "ACK");
    expect_busy(&mut bench, &second);
}

#[test]
fn a_server_that_was_passed_over_answers_late_and_is_let_go() {
    let mut bench = bench(two_servers("udp"));
    bench.place("user1", "user2", INVITE);
    let first = bench.next(PROXY, "INVITE");
    let second = bench.next_within(6 * SECOND, OTHER, "INVITE");
    answer(&mut bench, &first, "200 OK", "sip:x@127.0.0.1:5060");
    bench.next(PROXY, "ACK");
    let bye = bench.next(PROXY, "BYE");
    answer(&mut bench, &bye, "200 OK", "");
    expect_busy(&mut bench, &second);
}

#[test]
fn a_server_out_of_service_gets_its_ack_and_the_next_one_the_request() {
    for transport in ["udp", "tcp"] {
        let mut bench = bench(two_servers(transport));
        bench.put(PROXY, There::Tcp);
        bench.put(OTHER, There::Tcp);
        bench.place("user1", "user2", INVITE);
        let first = bench.next(PROXY, "INVITE");
        answer(&mut bench, &first, "503 Service Unavailable", "");
        assert_eq!(bench.next(PROXY, "ACK").branch(), first.branch());
        let second = bench.next(OTHER, "INVITE");
        // The next call knows that already.
        bench.place("user3", "user4", INVITE);
        assert_eq!(bench.count(PROXY, "INVITE"), 0);
        let next = bench.next(OTHER, "INVITE");
        answer(&mut bench, &next, "486 Busy Here", "");
        expect_busy(&mut bench, &second);
    }
}

#[test]
fn when_all_are_out_of_service_that_is_the_answer() {
    let mut bench = bench(two_servers("udp"));
    bench.place("user1", "user2", INVITE);
    for peer in [PROXY, OTHER] {
        let invite = bench.next(peer, "INVITE");
        answer(&mut bench, &invite, "503 Service Unavailable", "");
    }
    bench.pass(SECOND);
    assert_eq!(last_status(&mut bench), Some(503));
    bench.expect_nothing_left();
}

#[test]
fn an_answer_that_is_no_failure_of_the_server_is_an_answer() {
    for status in ["486 Busy Here", "603 Decline", "500 Server Internal Error", "404 Not Found"] {
        let mut bench = bench(two_servers("udp"));
        bench.place("user1", "user2", INVITE);
        let invite = bench.next(PROXY, "INVITE");
        answer(&mut bench, &invite, status, "");
        bench.pass(10 * SECOND);
        assert_eq!(bench.count(OTHER, "INVITE"), 0, "{status}");
        assert_eq!(last_status(&mut bench).map(|code| code.to_string()).as_deref(), status.split(' ').next());
        bench.expect_nothing_left();
    }
}

#[test]
fn a_server_that_is_not_there_is_passed_over_at_once() {
    let mut by_tcp = bench(two_servers("tcp"));
    by_tcp.put(OTHER, There::Tcp);
    let mut by_udp = bench(two_servers("udp"));
    by_udp.unreachable.push(PROXY.parse().expect("an address"));
    for mut bench in [by_tcp, by_udp] {
        bench.place("user1", "user2", INVITE);
        let invite = bench.next_within(SECOND / 10, OTHER, "INVITE");
        expect_busy(&mut bench, &invite);
    }
}

#[test]
fn one_failure_does_not_poison_the_server_for_ever() {
    let mut bench = bench(two_servers("udp"));
    bench.place("user1", "user2", INVITE);
    let first = bench.next(PROXY, "INVITE");
    answer(&mut bench, &first, "503 Service Unavailable", "");
    let second = bench.next(OTHER, "INVITE");
    answer(&mut bench, &second, "486 Busy Here", "");
    bench.pass(120 * SECOND);
    bench.place("user3", "user4", INVITE);
    let again = bench.next(PROXY, "INVITE");
    answer(&mut bench, &again, "486 Busy Here", "");
    bench.expect_nothing_left();
}

#[test]
fn a_call_that_is_deleted_while_its_name_is_looked_up_sends_nothing() {
    let mut bench = Bench::new(BY_NAME, "");
    bench.place("user1", "user2", INVITE);
    assert!(bench.census().queries > 0);
    assert_eq!(bench.ask("DELETE", "/callcontroller/user1/user2").0, 204);
    bench.pass(SECOND);
    assert_eq!(bench.call("user1", "user2")["state"], "ended");
    bench.zone = Some(two_servers("udp"));
    bench.pass(60 * SECOND);
    assert_eq!(bench.count(PROXY, "INVITE") + bench.count(OTHER, "INVITE"), 0);
    bench.expect_nothing_left();
}

#[test]
fn a_name_server_that_is_silent_at_first_is_asked_again() {
    let mut bench = Bench::new(BY_NAME, "");
    bench.place("user1", "user2", INVITE);
    bench.pass(SECOND);
    bench.zone = Some(two_servers("udp"));
    let invite = bench.next_within(4 * SECOND, PROXY, "INVITE");
    expect_busy(&mut bench, &invite);
}

#[test]
fn a_name_that_leads_nowhere_fails_the_call_and_the_log_says_why() {
    for (zone, why) in [(Some(Zone::default()), "knows no SIP server"), (None, "no name server answers")] {
        let mut bench = Bench::new(BY_NAME, "");
        bench.zone = zone;
        bench.place("user1", "user2", INVITE);
        bench.pass(30 * SECOND);
        assert_eq!(last_status(&mut bench), Some(503));
        let line = bench.log.iter().find(|line| line.starts_with("name not resolved name=pbx.test"));
        assert!(line.is_some_and(|line| line.contains(why)), "{:?}", bench.log);
        bench.expect_nothing_left();
    }
}

#[test]
fn a_dialog_whose_contact_is_a_name_goes_the_way_that_its_name_leads() {
    let mut bench = Bench::new("proxy = \"sip:127.0.0.1:5060\"", "");
    bench.zone = Some(Zone::default().with("phone.test", a("127.0.0.2")));
    bench.place("user1", "user2", INVITE);
    let one = bench.next(PROXY, "INVITE");
    answer(&mut bench, &one, "200 OK", "sip:phone@phone.test:5060");
    bench.next(OTHER, "ACK");
    let two = bench.next(PROXY, "INVITE");
    answer(&mut bench, &two, "486 Busy Here", "");
    let bye = bench.next(OTHER, "BYE");
    answer(&mut bench, &bye, "200 OK", "");
    bench.expect_nothing_left();
}

#[test]
fn a_dialog_whose_contact_leads_nowhere_goes_the_way_that_it_was_made_by() {
    let mut bench = Bench::new("proxy = \"sip:127.0.0.1:5060\"", "");
    bench.zone = Some(Zone::default());
    bench.place("user1", "user2", INVITE);
    let one = bench.next(PROXY, "INVITE");
    answer(&mut bench, &one, "200 OK", "sip:phone@only-inside.test:5060");
    bench.next(PROXY, "ACK");
    let two = bench.next(PROXY, "INVITE");
    answer(&mut bench, &two, "486 Busy Here", "");
    let bye = bench.next(PROXY, "BYE");
    answer(&mut bench, &bye, "200 OK", "");
    bench.expect_nothing_left();
}
