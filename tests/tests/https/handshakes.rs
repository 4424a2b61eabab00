//! What a client may offer, and what it gets.

use cordboard_tests::cordboard::Cordboard;

use super::{PATH, Site};

/// Lets openssl offer what it would not offer by itself, so that it is the server that refuses.
const ANYTHING: &str = "@SECLEVEL=0";

/// The good suites of TLS 1.2 for our kind of key.
const GOOD: [&str; 3] =
    ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"];

/// Suites without forward secrecy, authentication, encryption, or with a MAC before encryption.
const WEAK: [&str; 10] = [
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES128-CCM8",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-ECDSA-AES128-CCM8",
    "ECDHE-ECDSA-NULL-SHA",
    "AECDH-AES128-SHA",
    "ADH-AES256-GCM-SHA384",
    "NULL-SHA256",
];

/// A request after which the server closes.
fn request() -> String {
    format!("GET {PATH} HTTP/1.1\r\nHost: cordboard.test\r\nConnection: close\r\n\r\n")
}

/// Whether the server has refused by an alert: of the version, or of what such an old hello lacks besides.
fn was_told(said: &str) -> bool {
    said.contains("alert protocol version") || said.contains("alert handshake failure")
}

#[test]
fn curl_is_served_over_tls_1_2_and_1_3() {
    let site = Site::start("");
    for (only, spoken) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
        let least = format!("--tlsv{only}");
        let answer = site.curl(&[&least, "--tls-max", only, "--verbose", "--include"]);
        assert_eq!(answer.exit, Some(0), "{answer:?}");
        assert!(answer.said.contains(&format!("SSL connection using {spoken}")), "{answer:?}");
        assert!(answer.said.contains("SSL certificate verify ok"), "{answer:?}");
        assert!(answer.said.contains("HTTP/1.1 200 OK"), "{answer:?}");
    }
}

#[test]
fn who_speaks_nothing_newer_than_tls_1_1_is_told_so() {
    let site = Site::start("");
    let answer = site.curl(&["--tlsv1.0", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0"]);
    // CURLE_SSL_CONNECT_ERROR
    assert_eq!(answer.exit, Some(35), "{answer:?}");
    assert!(was_told(&answer.said), "{answer:?}");
    for version in ["-tls1", "-tls1_1"] {
        let answer = site.openssl(&[version, "-cipher", &format!("ALL:{ANYTHING}")], "");
        assert!(was_told(&answer.said), "{version}: {answer:?}");
        assert!(answer.said.contains("Cipher is (NONE)"), "{version}: {answer:?}");
    }
    site.assert_serves();
}

#[test]
fn weak_suites_are_refused_and_good_ones_taken() {
    let site = Site::start("");
    for suite in WEAK {
        let answer = site.openssl(&["-tls1_2", "-cipher", &format!("{suite}:{ANYTHING}")], "");
        assert!(answer.said.contains("alert handshake failure"), "{suite}: {answer:?}");
    }
    for suite in GOOD {
        let answer = site.openssl(&["-tls1_2", "-cipher", suite], "");
        assert!(answer.said.contains(&format!("TLSv1.2, Cipher is {suite}")), "{suite}: {answer:?}");
        assert!(answer.said.contains("Verify return code: 0 (ok)"), "{suite}: {answer:?}");
    }
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        let answer = site.openssl(&["-tls1_3", "-ciphersuites", suite], "");
        assert!(answer.said.contains(&format!("TLSv1.3, Cipher is {suite}")), "{suite}: {answer:?}");
    }
}

#[test]
fn a_client_that_comes_back_resumes_its_session() {
    let site = Site::start("");
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let file = folder.path().join(name);
        let file = file.to_str().expect("it is text");
        let first = site.openssl(&[version, "-ign_eof", "-sess_out", file], &request());
        assert!(first.said.contains(&format!("New, {name}")), "{first:?}");
        let second = site.openssl(&[version, "-ign_eof", "-sess_in", file], &request());
        assert!(second.said.contains(&format!("Reused, {name}")), "{second:?}");
        assert!(second.said.contains("HTTP/1.1 200 OK"), "{second:?}");
    }
}

#[test]
fn http_1_1_is_what_is_agreed_on() {
    let site = Site::start("");
    let answer = site.openssl(&["-alpn", "h2,http/1.1"], "");
    assert!(answer.said.contains("ALPN protocol: http/1.1"), "{answer:?}");
    let answer = site.openssl(&["-alpn", "h2"], "");
    assert!(answer.said.contains("alert no application protocol"), "{answer:?}");
    let answer = site.openssl(&["-ign_eof"], &request());
    assert!(
        answer.said.contains("No ALPN negotiated") && answer.said.contains("HTTP/1.1 200 OK"),
        "{answer:?}"
    );
}

#[test]
fn a_client_that_does_not_trust_the_authority_goes_away() {
    let site = Site::start("");
    let other = cordboard_tests::certificates::Authority::new("Another Authority");
    let file = other.file();
    let answer = site.curl(&["--cacert", file.to_str().expect("it is text")]);
    // CURLE_PEER_FAILED_VERIFICATION
    assert_eq!(answer.exit, Some(60), "{answer:?}");
    site.assert_serves();
}

#[test]
fn a_server_without_a_certificate_makes_one_for_the_addresses_that_it_listens_on() {
    let server = Cordboard::start("example.com", "", "", &[("user1", "1", &[])]);
    let shown = super::run(
        std::process::Command::new("openssl").args([
            "s_client",
            "-connect",
            &server.https,
            "-verify_ip",
            "127.0.0.1",
        ]),
        "",
    );
    // It is for this address, but nobody has signed it.
    assert!(shown.said.contains("Verification error: self-signed certificate"), "{shown:?}");
    assert!(!shown.said.contains("mismatch"), "{shown:?}");
}
