//! SIP over TLS.

use cordboard_core::io::{ConnectionId, Input};
use cordboard_core::tls::AskClients;
use cordboard_tests::bench::{Bench, Site, There, Zone, a, sip_tls};

use super::{INVITE, SECOND, answer, connect, hang_up, last_status, options};

const PROXY: &str = "127.0.0.1:5061";
const BY_TLS: &str = "proxy = \"sip:127.0.0.1:5061;transport=tls\"";
const CONTACT: &str = "sip:phone@127.0.0.1:5061;transport=tls";
const PEER: &str = "127.0.0.9:40001";

/// A bench with a server that shows what the site made for it.
fn with(there: There, site: &Site) -> Bench {
    let mut bench = Bench::secure(site, BY_TLS, "request_time = \"10s\"");
    bench.put(PROXY, there);
    bench
}

#[test]
fn a_call_over_tls_uses_one_connection_and_says_so_everywhere() {
    for chunk in [0, 1, 5] {
        let site = Site::new("ours");
        let mut bench = with(site.server(&["127.0.0.1"]), &site);
        bench.chunk = chunk;
        bench.place("user1", "user2", INVITE);
        let (one, two) = connect(&mut bench, PROXY, CONTACT);
        assert_eq!(one.way, two.way);
        assert!(one.field("Via").starts_with("SIP/2.0/TLS 127.0.0.1:6051;"), "{}", one.text);
        assert_eq!(one.field("Contact"), "<sip:cordboard@127.0.0.1:6051;transport=tls>");
        hang_up(&mut bench, PROXY, "user1", "user2");
        assert_eq!(bench.opened.len(), 1);
        bench.expect_nothing_left();
    }
}

#[test]
fn a_call_to_a_sips_uri_is_secure_as_a_whole() {
    let site = Site::new("ours");
    let mut bench = Bench::secure(&site, "proxy = \"sips:127.0.0.1\"", "");
    bench.put(PROXY, site.server(&["127.0.0.1"]));
    bench.place("user1", "user2", INVITE);
    let invite = bench.next(PROXY, "INVITE");
    assert_eq!(invite.field("Contact"), "<sip:cordboard@127.0.0.1:6051;transport=tls>");
    assert!(invite.field("Via").starts_with("SIP/2.0/TLS "), "{}", invite.text);
    answer(&mut bench, &invite, "486 Busy Here", "");
    bench.expect_nothing_left();
}

/// No request may reach a server that shows this, and the log says why.
fn assert_refused(there: There, site: &Site, why: &str) {
    let mut bench = with(there, site);
    bench.place("user1", "user2", INVITE);
    bench.pass(8 * SECOND);
    assert_eq!(bench.count(PROXY, ""), 0);
    assert_eq!(last_status(&mut bench), Some(503));
    let told = |line: &&String| line.starts_with("TLS failed peer=127.0.0.1:5061 opened_by=us");
    let line = bench.log.iter().find(told).unwrap_or_else(|| panic!("{:?}", bench.log));
    assert!(line.contains(why), "{line}");
    bench.expect_nothing_left();
}

#[test]
fn a_server_that_cannot_show_who_it_is_gets_nothing() {
    let (site, stranger) = (Site::new("ours"), Site::new("another"));
    assert_refused(site.server(&["127.0.0.2"]), &site, "not valid for name");
    assert_refused(site.server(&["pbx.test", "sip:127.0.0.1"]), &site, "not valid for name");
    assert_refused(site.server_of(&["127.0.0.1"], 2028), &site, "expired");
    assert_refused(site.server_of(&["127.0.0.1"], 2032), &site, "not valid yet");
    assert_refused(stranger.server(&["127.0.0.1"]), &site, "UnknownIssuer");
}

#[test]
fn a_wildcard_names_nobody() {
    let site = Site::new("ours");
    for (shown, good) in [("pbx.voice.test", true), ("*.voice.test", false)] {
        let mut bench = Bench::secure(&site, "proxy = \"sip:pbx.voice.test:5061;transport=tls\"", "");
        bench.zone = Some(Zone::default().with("pbx.voice.test", a("127.0.0.1")));
        bench.put(PROXY, site.server(&[shown]));
        bench.place("user1", "user2", INVITE);
        bench.pass(8 * SECOND);
        assert_eq!(bench.count(PROXY, "INVITE") > 0, good, "{shown}: {:?}", bench.log);
        assert_eq!(
            bench.log.iter().any(|line| line.contains("not valid for name")),
            !good,
            "{:?}",
            bench.log
        );
    }
}

#[test]
fn a_server_that_speaks_no_tls_gets_nothing() {
    let site = Site::new("ours");
    let mut bench = with(There::Tcp, &site);
    bench.place("user1", "user2", INVITE);
    let (_, address) = bench.opened[0];
    assert_eq!(address.to_string(), PROXY);
    let connection = bench.open_connections()[0];
    bench.say_raw(connection, b"SIP/2.0 400 Speak TLS\r\n\r\n");
    assert!(bench.is_closed(connection));
    assert!(bench.log.iter().any(|line| line.contains("without TLS")), "{:?}", bench.log);
    bench.pass(40 * SECOND);
    assert_eq!(last_status(&mut bench), Some(503));
    bench.expect_nothing_left();
}

#[test]
fn a_server_that_stops_in_the_handshake_is_given_up() {
    let site = Site::new("ours");
    // It takes what is said and never answers.
    let mut bench = with(There::Tcp, &site);
    bench.place("user1", "user2", INVITE);
    bench.pass(60 * SECOND);
    assert!(matches!(last_status(&mut bench), Some(503 | 408)));
    assert!(bench.log.iter().any(|line| line.contains("could not be opened in time")), "{:?}", bench.log);
    bench.expect_nothing_left();
}

#[test]
fn a_server_may_ask_who_we_are() {
    let site = Site::new("ours");
    let mut bench = with(site.strict_server(&["127.0.0.1"]), &site);
    bench.place("user1", "user2", INVITE);
    connect(&mut bench, PROXY, CONTACT);
    hang_up(&mut bench, PROXY, "user1", "user2");
    bench.expect_nothing_left();
}

#[test]
fn a_client_is_served_over_tls() {
    let site = Site::new("ours");
    let mut bench = with(There::Silence, &site);
    for (number, shows) in [None, Some("client.test")].into_iter().enumerate() {
        let from = format!("127.0.0.9:4000{number}");
        let peer = bench.arrive_secure(&from, &site, shows);
        bench.say_on(peer, options("TLS", "served", "Content-Length: 0\r\n").as_bytes());
        let ok = bench.next(&from, "SIP/2.0 200");
        assert_eq!(ok.way.connection(), peer);
    }
    bench.expect_nothing_left();
}

#[test]
fn a_client_with_a_strange_certificate_is_not_served() {
    let (site, stranger) = (Site::new("ours"), Site::new("another"));
    let mut bench = with(There::Silence, &site);
    // It trusts us, but we do not trust it.
    bench.hand(Input::SipTls(Box::new(site.tls_that_trusts(&[&site]))));
    let peer = bench.arrive_secure_as(PEER, &site, &stranger, "client.test");
    bench.say_on(peer, options("TLS", "strange", "Content-Length: 0\r\n").as_bytes());
    bench.pass(SECOND);
    assert!(bench.is_closed(peer));
    assert_eq!(bench.count(PEER, ""), 0);
    assert!(bench.log.iter().any(|line| line.contains("UnknownIssuer")), "{:?}", bench.log);
    bench.expect_nothing_left();
}

#[test]
fn a_client_that_stops_in_the_handshake_is_closed_after_the_request_time() {
    let site = Site::new("ours");
    let mut bench = with(There::Silence, &site);
    let [mute, plain] = [PEER, "127.0.0.9:40002"].map(|from| bench.arrive_mute(from));
    bench.say_raw(plain, b"OPTIONS sip:127.0.0.1 SIP/2.0\r\n\r\n");
    assert!(bench.is_closed(plain), "this is no handshake");
    bench.pass(9 * SECOND);
    assert!(!bench.is_closed(mute));
    // The head of a record that never comes.
    bench.say_raw(mute, &[22, 3, 1, 2, 0, 1]);
    bench.pass(2 * SECOND);
    assert!(bench.is_closed(mute));
    bench.expect_nothing_left();
}

#[test]
fn without_a_certificate_nobody_is_served_over_tls() {
    let site = Site::new("ours");
    let mut bench = Bench::new(BY_TLS, "");
    bench.hand(Input::SipTls(Box::new(sip_tls(&[&site], None, AskClients::No))));
    let peer = bench.arrive_mute(PEER);
    assert!(bench.is_closed(peer));
    bench.expect_nothing_left();
}

#[test]
fn a_new_certificate_is_for_new_connections_and_calls_go_on() {
    let site = Site::new("ours");
    let mut bench = with(site.server(&["127.0.0.1"]), &site);
    bench.place("user1", "user2", INVITE);
    connect(&mut bench, PROXY, CONTACT);
    let peer = bench.arrive_secure(PEER, &site, None);
    let renewed = Site::new("renewed");
    bench.hand(Input::SipTls(Box::new(renewed.tls_that_trusts(&[&renewed, &site]))));
    // Who is there stays, who comes sees the new one.
    bench.say_on(peer, options("TLS", "before", "Content-Length: 0\r\n").as_bytes());
    bench.next(PEER, "SIP/2.0 200");
    let from = "127.0.0.9:40002";
    let next = bench.arrive_secure(from, &renewed, None);
    bench.say_on(next, options("TLS", "after", "Content-Length: 0\r\n").as_bytes());
    bench.next(from, "SIP/2.0 200");
    let old = bench.arrive_secure("127.0.0.9:40003", &site, None);
    assert!(bench.fault(old).is_some_and(|fault| fault.contains("UnknownIssuer")));
    hang_up(&mut bench, PROXY, "user1", "user2");
    assert_eq!(bench.opened.len(), 1);
    bench.expect_nothing_left();
}

/// A client connects, shows who it is, and says in its Via that it wants to be reached on this connection.
fn with_alias(bench: &mut Bench, site: &Site, shows: &str) -> ConnectionId {
    let peer = bench.arrive_secure("127.0.0.1:40001", site, Some(shows));
    let asks = options("TLS", "alias", "Content-Length: 0\r\n");
    let asks = asks.replace("127.0.0.9:5062;branch", "127.0.0.1:5061;alias;branch");
    bench.say_on(peer, asks.as_bytes());
    bench.next("127.0.0.1:40001", "SIP/2.0 200");
    peer
}

#[test]
fn a_peer_that_shows_who_it_is_is_reached_on_the_connection_that_it_opened() {
    let site = Site::new("ours");
    let mut bench = with(There::Silence, &site);
    let peer = with_alias(&mut bench, &site, "127.0.0.1");
    bench.place("user1", "user2", INVITE);
    let invite = bench.next("127.0.0.1:40001", "INVITE");
    assert_eq!(invite.way.connection(), peer);
    assert_eq!(bench.opened.len(), 0);
    answer(&mut bench, &invite, "486 Busy Here", "");
    bench.expect_nothing_left();
}

#[test]
fn who_cannot_show_that_it_is_the_proxy_gets_none_of_its_requests() {
    let site = Site::new("ours");
    let mut bench = with(site.server(&["127.0.0.1"]), &site);
    with_alias(&mut bench, &site, "somebody.test");
    bench.place("user1", "user2", INVITE);
    let invite = bench.next(PROXY, "INVITE");
    answer(&mut bench, &invite, "486 Busy Here", "");
    assert_eq!(bench.opened.len(), 1);
    bench.expect_nothing_left();
}
