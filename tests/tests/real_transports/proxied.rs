//! Whole calls through a proxy over TCP and TLS.

use cordboard_tests::baresip::{Answer, Baresip, Way};
use cordboard_tests::certificates::{Authority, Identity};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::kamailio::{Kamailio, Tls};
use cordboard_tests::nameserver::{NameServer, Zone};

use crate::{
    AFTER_TRANSFER, CALL, PROXY, assert_came_by, connect, controller, expect_over, hand_over, transfer,
};

/// A proxy that speaks TLS under its name, and who is needed for that.
struct Secure {
    proxy: Kamailio,
    names: NameServer,
    authority: Authority,
    phones: Identity,
}

impl Secure {
    fn start() -> Self {
        let authority = Authority::new("Test Authority");
        // By its name it is found, and by its address it asks to be kept in the route.
        let own = authority.issue(&[PROXY, "127.0.0.1"]);
        let proxy = Kamailio::secure(&[], &Tls::new(&authority, own));
        let names = NameServer::start(&Zone::new().host(PROXY, [127, 0, 0, 1]));
        let phones = authority.issue(&["phone.test", "127.0.0.1"]);
        Self { proxy, names, authority, phones }
    }

    /// A phone that is registered over TLS.
    fn phone(&self, user: &str) -> Baresip {
        let trusted = self.authority.file();
        let way = Way::Tls { own: &self.phones, trusted: &trusted };
        Baresip::start_by(way, &self.proxy, user, Answer::Auto)
    }

    /// A server whose proxy this is, by this URI.
    fn controller(&self, uri: &str) -> Cordboard {
        controller(&self.authority, &format!("proxy = \"{uri}\"\n{}", self.names.config()))
    }

    /// As `sips:`.
    fn as_sips(&self) -> String {
        format!("sips:{PROXY}:{}", self.proxy.tls_port())
    }

    /// As `sip:`, but by TLS.
    fn by_tls(&self) -> String {
        format!("sip:{PROXY}:{};transport=tls", self.proxy.tls_port())
    }
}

/// A server whose proxy is reached by TCP.
fn by_tcp(proxy: &Kamailio) -> Cordboard {
    controller(&Authority::new("Test Authority"), &format!("proxy = \"{}\"", proxy.tcp_uri()))
}

#[test]
fn two_phones_are_connected_through_a_proxy_over_tcp() {
    let proxy = Kamailio::start(&[]);
    let one = Baresip::start(&proxy, "user1", Answer::Auto);
    let two = Baresip::start_by(Way::Tcp, &proxy, "user2", Answer::Auto);
    let server = by_tcp(&proxy);
    hand_over(&server, &one, &two);
    assert_came_by(&proxy, "tcp");
}

#[test]
fn a_call_over_tcp_is_transferred_and_then_deleted() {
    let proxy = Kamailio::start(&[]);
    let one = Baresip::start_by(Way::Tcp, &proxy, "user1", Answer::Auto);
    let two = Baresip::start(&proxy, "user2", Answer::Auto);
    let three = Baresip::start_by(Way::Tcp, &proxy, "user3", Answer::Auto);
    let server = by_tcp(&proxy);
    connect(&server, &one, &two);
    transfer(&server, &one, &two, &three);
    assert_eq!(server.trusted("DELETE", AFTER_TRANSFER).status, 204);
    two.wait_idle();
    three.wait_idle();
    expect_over(&server, AFTER_TRANSFER);
    assert_came_by(&proxy, "tcp");
}

#[test]
fn a_phone_that_hangs_up_over_tcp_ends_the_call() {
    let proxy = Kamailio::start(&[]);
    let one = Baresip::start_by(Way::Tcp, &proxy, "user1", Answer::Auto);
    let two = Baresip::start_by(Way::Tcp, &proxy, "user2", Answer::Auto);
    let server = by_tcp(&proxy);
    connect(&server, &one, &two);
    two.command("hangup");
    two.wait_idle();
    one.wait_idle();
    expect_over(&server, CALL);
}

#[test]
fn two_phones_are_connected_through_a_proxy_that_is_a_sips_uri() {
    let site = Secure::start();
    let (one, two) = (site.phone("user1"), site.phone("user2"));
    let server = site.controller(&site.as_sips());
    hand_over(&server, &one, &two);
    assert_came_by(&site.proxy, "tls");
}

#[test]
fn two_phones_of_which_one_speaks_udp_are_connected_through_a_proxy_over_tls() {
    let site = Secure::start();
    let one = Baresip::start(&site.proxy, "user1", Answer::Auto);
    let two = site.phone("user2");
    let server = site.controller(&site.by_tls());
    hand_over(&server, &one, &two);
    assert_came_by(&site.proxy, "tls");
}

#[test]
fn a_call_over_tls_is_transferred_and_then_deleted() {
    let site = Secure::start();
    let (one, three) = (site.phone("user1"), site.phone("user3"));
    let two = Baresip::start(&site.proxy, "user2", Answer::Auto);
    let server = site.controller(&site.by_tls());
    connect(&server, &one, &two);
    transfer(&server, &one, &two, &three);
    assert_eq!(server.trusted("DELETE", AFTER_TRANSFER).status, 204);
    two.wait_idle();
    three.wait_idle();
    expect_over(&server, AFTER_TRANSFER);
    assert_came_by(&site.proxy, "tls");
}

#[test]
fn a_phone_that_hangs_up_over_tls_ends_the_call() {
    let site = Secure::start();
    let (one, two) = (site.phone("user1"), site.phone("user2"));
    let server = site.controller(&site.as_sips());
    connect(&server, &one, &two);
    one.command("hangup");
    one.wait_idle();
    two.wait_idle();
    expect_over(&server, CALL);
}

/// A call before the proxy was killed, and one after it has come back.
fn survives_a_crash(secure: bool) {
    let mut site = Secure::start();
    let uri = if secure { site.by_tls() } else { site.proxy.tcp_uri() };
    let server = site.controller(&uri);
    for round in 1..=2 {
        let one = Baresip::start(&site.proxy, "user1", Answer::Auto);
        let two = Baresip::start(&site.proxy, "user2", Answer::Auto);
        hand_over(&server, &one, &two);
        drop((one, two));
        if round == 1 {
            site.proxy.crash_and_return();
        }
    }
    // What the second one says: it has nothing of the first.
    assert_came_by(&site.proxy, if secure { "tls" } else { "tcp" });
}

#[test]
fn a_proxy_that_was_killed_is_used_again_over_tcp_when_it_is_back() {
    survives_a_crash(false);
}

#[test]
fn a_proxy_that_was_killed_is_used_again_over_tls_when_it_is_back() {
    survives_a_crash(true);
}
