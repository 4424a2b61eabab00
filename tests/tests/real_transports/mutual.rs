//! TLS where both sides have to show who they are.

use std::fs::File;
use std::process::Command;

use cordboard_tests::baresip::{Answer, Baresip};
use cordboard_tests::certificates::{Authority, Identity};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::kamailio::{Clients, Kamailio, Tls};
use cordboard_tests::nameserver::{NameServer, Zone};
use cordboard_tests::process::Process;
use cordboard_tests::wait_for;

use crate::{CALL, PROXY, assert_came_by, connect, controller, expect_over};

#[test]
fn a_proxy_and_we_show_each_other_who_we_are() {
    let authority = Authority::new("Test Authority");
    let tls = Tls {
        as_client: Some(authority.issue_for_client(PROXY)),
        clients: Clients::Certified,
        ..Tls::new(&authority, authority.issue(&[PROXY, "127.0.0.1"]))
    };
    let proxy = Kamailio::secure(&[], &tls);
    let names = NameServer::start(&Zone::new().host(PROXY, [127, 0, 0, 1]));
    let sip = format!(
        "proxy = \"sips:{PROXY}:{}\"\nclient_certificates = \"required\"\n{}",
        proxy.tls_port(),
        names.config()
    );
    let server = controller(&authority, &sip);
    let one = Baresip::start(&proxy, "user1", Answer::Auto);
    let two = Baresip::start(&proxy, "user2", Answer::Auto);
    connect(&server, &one, &two);
    // What the phone sends now makes the proxy come to us.
    two.command("hangup");
    two.wait_idle();
    one.wait_idle();
    expect_over(&server, CALL);
    assert_came_by(&proxy, "tls");
}

/// What comes back for OPTIONS over TLS, up to the answer or the end.
fn ask(address: &str, authority: &Authority, shown: Option<&Identity>, version: &str) -> String {
    let options = format!(
        "OPTIONS sip:{address};transport=tls SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKmutual\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@example.com>;tag=1\r\nTo: <sip:y@example.com>\r\nCall-ID: mutual\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    let folder = tempfile::tempdir().expect("a folder can be made");
    let input = folder.path().join("options");
    std::fs::write(&input, options).expect("it can be written");
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", version, "-connect", address, "-CAfile"]).arg(authority.file());
    if let Some(Identity { certificate, key, .. }) = shown {
        command.arg("-cert").arg(certificate).arg("-key").arg(key);
    }
    let input = File::open(input).expect("it was just written");
    let mut openssl = Process::start_with_input("openssl", &mut command, input.into(), folder.path());
    wait_for("an answer or the end of openssl", || {
        let ended = openssl.has_ended();
        let said = openssl.said();
        (ended || said.contains("SIP/2.0 ")).then_some(said)
    })
}

struct Asked {
    server: Cordboard,
    address: String,
    authority: Authority,
}

impl Asked {
    fn start(clients: &str) -> Self {
        let authority = Authority::new("Test Authority");
        let mut server = controller(&authority, &format!("client_certificates = \"{clients}\""));
        let address = server.listening("tls");
        Self { server, address, authority }
    }

    fn assert_served(&self, shown: Option<&Identity>) {
        for version in ["-tls1_2", "-tls1_3"] {
            let said = ask(&self.address, &self.authority, shown, version);
            assert!(said.contains("SIP/2.0 200 "), "{version}: {said}");
        }
    }

    fn assert_refused(&self, shown: Option<&Identity>) {
        for version in ["-tls1_2", "-tls1_3"] {
            let said = ask(&self.address, &self.authority, shown, version);
            // A reset may overtake the alert.
            let broken = said.contains("alert") || said.contains("errno=104");
            assert!(!said.contains("SIP/2.0 ") && broken, "{version}: {said}");
        }
        // That harms nobody else.
        assert_eq!(self.server.trusted("GET", CALL).status, 200);
    }
}

#[test]
fn without_a_good_certificate_nobody_is_let_in_where_one_is_required() {
    let site = Asked::start("required");
    let good = site.authority.issue_for_client("client.test");
    let stranger = Authority::new("Another Authority");
    let strange = stranger.issue_for_client("client.test");
    let expired = site.authority.issue_expired(&["client.test"]);
    site.assert_served(Some(&good));
    site.assert_refused(None);
    site.assert_refused(Some(&strange));
    site.assert_refused(Some(&expired));
    site.assert_served(Some(&good));
}

#[test]
fn a_certificate_that_nobody_has_to_show_is_checked_if_it_is_shown() {
    let site = Asked::start("optional");
    let stranger = Authority::new("Another Authority");
    let strange = stranger.issue_for_client("client.test");
    site.assert_served(None);
    site.assert_served(Some(&site.authority.issue_for_client("client.test")));
    site.assert_refused(Some(&strange));
}

#[test]
fn where_no_certificate_is_asked_for_everybody_is_served() {
    let site = Asked::start("none");
    site.assert_served(None);
    site.assert_served(Some(&site.authority.issue_for_client("client.test")));
}
