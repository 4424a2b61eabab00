//! Sessions against rustls's own client, in memory.

use std::sync::LazyLock;

use proptest::prelude::*;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore};

use super::*;

type Certificate = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    (made.cert.der().clone(), PrivateKeyDer::Pkcs8(key))
}

static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(certificate);
static ACCEPTOR: LazyLock<Acceptor> = LazyLock::new(|| {
    Acceptor::new(vec![CERTIFICATE.0.clone()], CERTIFICATE.1.clone_key()).expect("they fit")
});

/// A configuration of a client that trusts the certificate and asks for this protocol inside.
fn client_config(version: ProtocolVersion, inside: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CERTIFICATE.0.clone()).expect("a root");
    let versions = if version == ProtocolVersion::TLSv1_2 { [&TLS12] } else { [&TLS13] };
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![inside.to_vec()];
    Arc::new(config)
}

/// A client and a session, and the wire between them, which cuts what passes into pieces.
struct Pair {
    client: ClientConnection,
    session: Session,
    /// The sizes of the pieces, over and over again.
    cuts: Vec<usize>,
    next: usize,
    /// What the session read.
    plain: Vec<u8>,
}

impl Pair {
    fn new(config: Arc<ClientConfig>, cuts: &[usize]) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(config, name).expect("a client");
        let session = ACCEPTOR.accept().expect("a session");
        Self { client, session, cuts: cuts.to_vec(), next: 0, plain: Vec::new() }
    }

    fn tls13() -> Self {
        Self::new(client_config(ProtocolVersion::TLSv1_3, b"http/1.1"), &[usize::MAX])
    }

    /// A pair that has shaken hands.
    fn connected() -> Self {
        let mut pair = Self::tls13();
        pair.pass().expect("hands are shaken");
        assert!(!pair.client.is_handshaking());
        pair
    }

    fn piece<'a>(&mut self, bytes: &mut &'a [u8]) -> &'a [u8] {
        let size = self.cuts[self.next % self.cuts.len()];
        self.next += 1;
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        *bytes = rest;
        piece
    }

    /// Hands bytes from the wire to the session.
    fn reach_session(&mut self, mut wire: &[u8]) -> Result<(), TlsFault> {
        while !wire.is_empty() {
            let piece = self.piece(&mut wire);
            self.session.received(piece, &mut self.plain)?;
        }
        Ok(())
    }

    /// Hands what the session has to say to the client; whether that was anything.
    fn reach_client(&mut self) -> Result<bool, rustls::Error> {
        let mut wire = Vec::new();
        self.session.flush(&mut wire);
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            let mut piece = self.piece(&mut rest);
            while !piece.is_empty() {
                self.client.read_tls(&mut piece).expect("there is room");
                self.client.process_new_packets()?;
            }
        }
        Ok(!wire.is_empty())
    }

    /// What the client has to say.
    fn said(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut wire).expect("a Vec takes it");
        }
        wire
    }

    /// Passes everything on until both have nothing more to say.
    fn pass(&mut self) -> Result<(), TlsFault> {
        loop {
            let wire = self.said();
            self.reach_session(&wire)?;
            let answered = self.reach_client().expect("the client is content");
            if wire.is_empty() && !answered {
                return Ok(());
            }
        }
    }

    /// What the client reads until there is no more.
    fn heard(&mut self) -> (Vec<u8>, Option<std::io::ErrorKind>) {
        let mut heard = Vec::new();
        let end = self.client.reader().read_to_end(&mut heard);
        (heard, end.err().map(|e| e.kind()))
    }
}

/// The description in the alert that the client got.
fn alert(pair: &mut Pair) -> String {
    pair.reach_client().expect_err("an alert").to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn request_and_answer_pass_whole_however_the_bytes_are_cut(
        cuts in prop::collection::vec(1usize..3000, 1..8),
        old in any::<bool>(),
        request in prop::collection::vec(any::<u8>(), 1..40_000),
        answer in prop::collection::vec(any::<u8>(), 1..100_000),
    ) {
        let version = if old { ProtocolVersion::TLSv1_2 } else { ProtocolVersion::TLSv1_3 };
        let mut pair = Pair::new(client_config(version, b"http/1.1"), &cuts);
        // Written before hands are shaken, so that both arrive in one stream of bytes.
        for part in request.chunks(9_000) {
            pair.client.writer().write_all(part).unwrap();
            pair.pass().unwrap();
        }
        prop_assert_eq!(&pair.plain, &request);
        prop_assert_eq!(pair.client.protocol_version(), Some(version));
        prop_assert_eq!(pair.client.alpn_protocol(), Some(&b"http/1.1"[..]));
        pair.session.send(&answer).unwrap();
        let mut heard = Vec::new();
        let mut wire = Vec::new();
        pair.session.flush(&mut wire);
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            let mut piece = pair.piece(&mut rest);
            while !piece.is_empty() {
                pair.client.read_tls(&mut piece).unwrap();
                pair.client.process_new_packets().unwrap();
                heard.extend(pair.heard().0);
            }
        }
        prop_assert_eq!(heard, answer);
    }

    #[test]
    fn whatever_comes_in_is_read_or_refused(
        start in prop::sample::select(vec![&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x40\x00\x01", b"\x17\x03\x03\x00\x20"]),
        bytes in prop::collection::vec(any::<u8>(), 0..20_000),
        cut in 1usize..5000,
    ) {
        let mut session = ACCEPTOR.accept().unwrap();
        let (mut plain, mut wire) = (Vec::new(), Vec::new());
        let all = [start, &bytes].concat();
        for piece in all.chunks(cut) {
            if session.received(piece, &mut plain).is_err() {
                break;
            }
        }
        session.flush(&mut wire);
        prop_assert!(plain.is_empty());
        prop_assert!(wire.len() < 100);
    }
}

#[test]
fn plain_text_is_told_from_tls() {
    for request in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"P", b"get / http/1.1"] {
        let mut session = ACCEPTOR.accept().expect("a session");
        let fault = session.received(request, &mut Vec::new()).expect_err("a fault");
        assert_eq!(fault, TlsFault::PlainText);
        assert!(fault.to_string().contains("without TLS"), "{fault}");
    }
}

#[test]
fn a_client_with_another_protocol_inside_is_refused_with_an_alert() {
    let mut pair = Pair::new(client_config(ProtocolVersion::TLSv1_3, b"h2"), &[usize::MAX]);
    let hello = pair.said();
    assert!(matches!(pair.reach_session(&hello), Err(TlsFault::Protocol(_))));
    assert!(alert(&mut pair).contains("NoApplicationProtocol"));
}

#[test]
fn a_record_that_was_tampered_with_is_refused_with_an_alert() {
    let mut pair = Pair::connected();
    pair.client.writer().write_all(b"GET / HTTP/1.1\r\n\r\n").expect("written");
    let mut wire = pair.said();
    *wire.last_mut().expect("a byte") ^= 1;
    let fault = pair.reach_session(&wire).expect_err("a fault");
    assert_eq!(fault, TlsFault::Protocol("cannot decrypt peer's message".to_owned()));
    assert!(pair.plain.is_empty());
    assert!(alert(&mut pair).contains("BadRecordMac"));
}

#[test]
fn half_a_hello_is_waited_for() {
    let mut pair = Pair::tls13();
    let hello = pair.said();
    let (first, second) = hello.split_at(hello.len() / 2);
    pair.reach_session(first).expect("nothing wrong so far");
    let mut wire = Vec::new();
    pair.session.flush(&mut wire);
    assert!(wire.is_empty());
    pair.reach_session(second).expect("nothing wrong");
    pair.session.flush(&mut wire);
    assert!(!wire.is_empty());
}

#[test]
fn after_the_clients_close_notify_nothing_is_read_but_answers_still_go_out() {
    let mut pair = Pair::connected();
    pair.client.writer().write_all(b"the last request").expect("written");
    pair.client.send_close_notify();
    assert!(!pair.session.peer_closed());
    pair.pass().expect("no fault");
    assert!(pair.session.peer_closed());
    pair.reach_session(b"\x17\x03\x03\x00\x02hm").expect("it is ignored");
    assert_eq!(pair.plain, b"the last request");
    pair.session.send(b"the last answer").expect("sent");
    pair.reach_client().expect("no fault");
    assert_eq!(pair.heard().0, b"the last answer");
}

#[test]
fn closing_tells_the_client_that_nothing_was_cut_off() {
    let mut pair = Pair::connected();
    pair.session.send(b"an answer").expect("sent");
    pair.reach_client().expect("no fault");
    let (heard, end) = pair.heard();
    assert_eq!((heard.as_slice(), end), (&b"an answer"[..], Some(std::io::ErrorKind::WouldBlock)));
    pair.session.close();
    pair.reach_client().expect("no fault");
    assert_eq!(pair.heard(), (Vec::new(), None));
}

#[test]
fn a_client_that_comes_back_resumes_its_session() {
    for version in [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3] {
        let config = client_config(version, b"http/1.1");
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut pair = Pair::new(config.clone(), &[usize::MAX]);
            pair.pass().expect("hands are shaken");
            assert_eq!(pair.client.handshake_kind(), Some(expected), "{version:?}");
        }
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (_, other_key) = certificate();
    let bad = Acceptor::new(vec![CERTIFICATE.0.clone()], other_key).expect_err("they do not fit");
    assert!(bad.to_string().starts_with("the certificate cannot be used: "), "{bad}");
}
