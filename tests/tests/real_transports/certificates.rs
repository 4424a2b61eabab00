//! Whose certificates are taken: those of the name that the proxy was given by, signed by who is trusted, in their time.

use cordboard_tests::baresip::{Answer, Baresip};
use cordboard_tests::certificates::{Authority, Identity};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::kamailio::{Kamailio, Tls};
use cordboard_tests::nameserver::{NameServer, Zone};

use crate::{PROXY, assert_came_by, controller, fail_to_place, hand_over, routed};

struct Site {
    proxy: Kamailio,
    server: Cordboard,
    _names: NameServer,
}

impl Site {
    /// A proxy that shows this, and a server that trusts this authority.
    fn start(authority: &Authority, shown: Identity) -> Self {
        let proxy = Kamailio::secure(&[], &Tls::new(authority, shown));
        let names = NameServer::start(&Zone::new().host(PROXY, [127, 0, 0, 1]));
        let uri = format!("sip:{PROXY}:{};transport=tls", proxy.tls_port());
        let server = controller(authority, &format!("proxy = \"{uri}\"\n{}", names.config()));
        Self { proxy, server, _names: names }
    }

    /// No request may reach the proxy, and the log has to say which check failed.
    fn assert_refused(&self, why: &[&str]) {
        fail_to_place(&self.server);
        let log = self.server.process.said();
        let port = self.proxy.tls_port();
        let line = log.lines().find(|line| line.contains("TLS failed") && line.contains(&format!(":{port}")));
        let line = line.unwrap_or_else(|| panic!("the log does not name the server: {log}")).to_lowercase();
        assert!(why.iter().any(|why| line.contains(why)), "{why:?}: {line}");
        let said = self.proxy.said();
        assert_eq!(routed(&said, "INVITE"), Vec::<&str>::new(), "{said}");
    }

    /// Calls come about.
    fn assert_taken(&self) {
        let one = Baresip::start(&self.proxy, "user1", Answer::Auto);
        let two = Baresip::start(&self.proxy, "user2", Answer::Auto);
        hand_over(&self.server, &one, &two);
        assert_came_by(&self.proxy, "tls");
    }
}

fn authority() -> Authority {
    Authority::new("Test Authority")
}

#[test]
fn an_expired_certificate_is_refused_and_the_log_says_so() {
    let authority = authority();
    let shown = authority.issue_expired(&[PROXY, "127.0.0.1"]);
    Site::start(&authority, shown).assert_refused(&["expired"]);
}

#[test]
fn a_certificate_for_another_name_is_refused_and_the_log_says_so() {
    let authority = authority();
    let shown = authority.issue(&["other.test"]);
    Site::start(&authority, shown).assert_refused(&["not valid for name"]);
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_and_the_log_says_so() {
    let stranger = Authority::new("Another Authority");
    let shown = stranger.issue(&[PROXY, "127.0.0.1"]);
    Site::start(&authority(), shown).assert_refused(&["unknownissuer", "unknown issuer"]);
}

#[test]
fn a_dns_name_beside_the_sip_uri_of_another_domain_does_not_count() {
    let authority = authority();
    let shown = authority.issue(&["sip:other.test", PROXY]);
    Site::start(&authority, shown).assert_refused(&["not valid for name"]);
}

#[test]
fn a_clients_certificate_is_refused_from_a_server() {
    let authority = authority();
    let shown = authority.issue_for_client(PROXY);
    Site::start(&authority, shown).assert_refused(&["purpose", "extended key usage"]);
}

#[test]
fn a_certificate_for_the_sip_uri_of_the_domain_is_taken() {
    let authority = authority();
    let shown = authority.issue(&["sip:pbx.test", "127.0.0.1"]);
    Site::start(&authority, shown).assert_taken();
}

#[test]
fn a_certificate_with_many_names_is_taken_for_each() {
    let authority = authority();
    let shown = authority.issue(&["other.test", PROXY, "127.0.0.1"]);
    Site::start(&authority, shown).assert_taken();
}
