//! Proxies and domains found by their names (RFC 3263), and what happens when the first server does not serve.

use cordboard_tests::baresip::{Answer, Baresip};
use cordboard_tests::certificates::Authority;
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::kamailio::{DOMAIN, Kamailio, Tls};
use cordboard_tests::nameserver::{NameServer, Zone};
use cordboard_tests::ports;

use crate::{PROXY, assert_came_by, controller, fail_to_place, hand_over, routed};

const HOST: [u8; 4] = [127, 0, 0, 1];

/// Two phones at a proxy.
fn phones(proxy: &Kamailio) -> [Baresip; 2] {
    ["user1", "user2"].map(|user| Baresip::start(proxy, user, Answer::Auto))
}

/// The zone of a proxy that is reached by one transport, `udp` or `tcp`, at these ports of this machine, in this order.
fn zone(transport: &str, in_order: &[u16]) -> Zone {
    let service = format!("_sip._{transport}.{PROXY}");
    let way = if transport == "udp" { "SIP+D2U" } else { "SIP+D2T" };
    let mut zone = Zone::new().naptr(PROXY, 10, way, &service);
    for (priority, port) in (1..).zip(in_order) {
        let host = format!("server{priority}.{PROXY}");
        zone = zone.host(&host, HOST).srv(&service, &host, *port, priority);
    }
    zone
}

/// A server whose proxy is a mere name.
fn by_name(names: &NameServer) -> Cordboard {
    let sip = format!("proxy = \"sip:{PROXY}\"\n{}", names.config());
    controller(&Authority::new("Test Authority"), &sip)
}

/// A call comes about though nobody listens where the first record points to.
fn a_dead_server_is_passed_over(transport: &str) {
    let proxy = Kamailio::start(&[]);
    let names = NameServer::start(&zone(transport, &[ports::free(), proxy.port]));
    let [one, two] = phones(&proxy);
    let server = by_name(&names);
    hand_over(&server, &one, &two);
    assert_came_by(&proxy, transport);
    assert_eq!(names.asked("NAPTR", PROXY), 1, "{}", names.said());
    assert_eq!(names.asked("SRV", &format!("_sip._{transport}.{PROXY}")), 1, "{}", names.said());
}

#[test]
fn a_server_that_is_dead_is_passed_over_by_udp() {
    a_dead_server_is_passed_over("udp");
}

#[test]
fn a_server_that_is_dead_is_passed_over_by_tcp() {
    a_dead_server_is_passed_over("tcp");
}

/// A call comes about though the first server answers 503.
fn a_busy_server_is_passed_over(transport: &str) {
    let (busy, proxy) = (Kamailio::start(&["OUT_OF_SERVICE"]), Kamailio::start(&[]));
    let names = NameServer::start(&zone(transport, &[busy.port, proxy.port]));
    let [one, two] = phones(&proxy);
    let server = by_name(&names);
    hand_over(&server, &one, &two);
    assert_came_by(&proxy, transport);
    let said = busy.said();
    let asked = routed(&said, "INVITE");
    assert!(!asked.is_empty() && asked.iter().all(|way| *way == transport), "it is asked first: {said}");
}

#[test]
fn a_server_that_is_out_of_service_is_passed_over_by_udp() {
    a_busy_server_is_passed_over("udp");
}

#[test]
fn a_server_that_is_out_of_service_is_passed_over_by_tcp() {
    a_busy_server_is_passed_over("tcp");
}

#[test]
fn a_call_fails_when_no_server_is_left() {
    let names = NameServer::start(&zone("tcp", &[ports::free(), ports::free()]));
    let server = by_name(&names);
    fail_to_place(&server);
}

#[test]
fn a_call_fails_when_the_name_is_unknown() {
    let names = NameServer::start(&Zone::new().host("other.test", HOST));
    let server = by_name(&names);
    fail_to_place(&server);
    assert!(names.asked("NAPTR", PROXY) > 0, "{}", names.said());
}

#[test]
fn a_domain_says_itself_where_its_users_are() {
    let proxy = Kamailio::start(&[]);
    let service = format!("_sip._tcp.{DOMAIN}");
    let zone = Zone::new()
        .naptr(DOMAIN, 10, "SIP+D2T", &service)
        .srv(&service, "registrar.test", proxy.port, 1)
        .host("registrar.test", HOST);
    let names = NameServer::start(&zone);
    let [one, two] = phones(&proxy);
    let server = controller(&Authority::new("Test Authority"), &names.config());
    hand_over(&server, &one, &two);
    assert_came_by(&proxy, "tcp");
}

#[test]
fn a_domain_without_naptr_is_found_by_its_srv_records() {
    let proxy = Kamailio::start(&[]);
    let service = format!("_sip._tcp.{DOMAIN}");
    let zone = Zone::new().srv(&service, "registrar.test", proxy.port, 1).host("registrar.test", HOST);
    let names = NameServer::start(&zone);
    let [one, two] = phones(&proxy);
    let server = controller(&Authority::new("Test Authority"), &names.config());
    hand_over(&server, &one, &two);
    assert_came_by(&proxy, "tcp");
}

#[test]
fn a_domain_that_prefers_tls_is_spoken_to_by_tls_and_has_to_prove_its_own_name() {
    let authority = Authority::new("Test Authority");
    let (wanted, service) = (format!("_sip._tcp.{DOMAIN}"), format!("_sips._tcp.{DOMAIN}"));
    // The name of the host is worth nothing: it was found in records that nobody has signed (RFC 5922 §4).
    for (name, good) in [(DOMAIN, true), ("registrar.test", false)] {
        let shown = authority.issue(&[name, "127.0.0.1"]);
        let proxy = Kamailio::secure(&[], &Tls::new(&authority, shown));
        let zone = Zone::new()
            .naptr(DOMAIN, 10, "SIPS+D2T", &service)
            .srv(&service, "registrar.test", proxy.tls_port(), 1)
            .naptr(DOMAIN, 20, "SIP+D2T", &wanted)
            .host("registrar.test", HOST);
        let names = NameServer::start(&zone);
        let [one, two] = phones(&proxy);
        let server = controller(&authority, &names.config());
        if good {
            hand_over(&server, &one, &two);
            assert_came_by(&proxy, "tls");
        } else {
            fail_to_place(&server);
            let log = server.process.said();
            assert!(log.contains("not valid for name"), "{log}");
            let said = proxy.said();
            assert_eq!(routed(&said, "INVITE"), Vec::<&str>::new(), "{said}");
        }
    }
}

#[test]
fn records_that_do_not_fit_into_a_datagram_are_all_heeded() {
    let proxy = Kamailio::start(&[]);
    let service = format!("_sip._tcp.{PROXY}");
    // The one that counts has the best priority; behind the others nobody listens.
    let zone = zone("tcp", &[proxy.port]).crowd(&service, HOST, ports::free(), 2);
    let names = NameServer::start(&zone);
    let [one, two] = phones(&proxy);
    let server = by_name(&names);
    hand_over(&server, &one, &two);
    assert_came_by(&proxy, "tcp");
    assert!(names.asked("SRV", &service) >= 2, "it is asked again where all fit: {}", names.said());
}
