//! The other ends of connections.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cordboard_core::io::Close;
use cordboard_core::tls::{AskClients, SipTls, SipTlsParts};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType, date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, Connection, RootCertStore, ServerConfig, ServerConnection,
    WantsVerifier,
};

use crate::mail::whole;

/// When the bench begins, in seconds since 1970: the first of January 2030.
pub(super) const EPOCH_SECONDS: u64 = 1_893_456_000;

/// What a connection finds at an address. Nobody listens where nothing was put.
#[derive(Clone, Debug)]
pub enum There {
    /// Nobody answers.
    Silence,
    /// A server for TCP.
    Tcp,
    /// A server for TLS.
    Tls(Arc<ServerConfig>),
}

/// The other end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) peer: SocketAddr,
    pub(super) tls: Option<Connection>,
    held: Vec<u8>,
    pub(super) pings: usize,
    pub(super) pongs: usize,
    pub(super) closed: Option<Close>,
    pub(super) takes_nothing: bool,
    pub(super) fault: Option<String>,
}

impl End {
    pub(super) fn met(peer: SocketAddr, there: &There) -> Self {
        let tls = match there {
            There::Silence | There::Tcp => None,
            There::Tls(config) => {
                Some(ServerConnection::new(config.clone()).expect("TLS can be spoken").into())
            }
        };
        Self {
            peer,
            tls,
            held: Vec::new(),
            pings: 0,
            pongs: 0,
            closed: None,
            takes_nothing: false,
            fault: None,
        }
    }

    /// Takes bytes from the controller; the whole messages among them are returned.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        match &mut self.tls {
            None => self.held.extend_from_slice(bytes),
            Some(tls) => {
                let mut rest = bytes;
                while !rest.is_empty() && self.fault.is_none() {
                    tls.read_tls(&mut rest).expect("a slice can be read");
                    match tls.process_new_packets() {
                        Ok(state) => {
                            let start = self.held.len();
                            self.held.resize(start + state.plaintext_bytes_to_read(), 0);
                            tls.reader().read_exact(&mut self.held[start..]).expect("it is there");
                        }
                        Err(e) => self.fault = Some(e.to_string()),
                    }
                }
            }
        }
        self.messages()
    }

    fn messages(&mut self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        loop {
            if self.held.starts_with(b"\r\n\r\n") {
                self.pings += 1;
                self.held.drain(..4);
            } else if self.held.starts_with(b"\r\n") {
                self.pongs += 1;
                self.held.drain(..2);
            } else {
                let Some(length) = whole(&self.held) else { return messages };
                messages.push(self.held.drain(..length).collect());
            }
        }
    }

    /// Says something under TLS; without it the bytes come back.
    pub(super) fn say(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let Some(tls) = &mut self.tls else { return Some(bytes.to_vec()) };
        // After an alert nothing more is taken.
        drop(tls.writer().write_all(bytes));
        None
    }

    /// What TLS has to say to the controller.
    pub(super) fn flush(&mut self) -> Option<Vec<u8>> {
        let tls = self.tls.as_mut().filter(|tls| tls.wants_write() && self.closed.is_none())?;
        let mut bytes = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut bytes).expect("a vector takes them");
        }
        Some(bytes)
    }
}

/// The time at the bench, for whoever judges certificates there.
#[derive(Debug)]
struct BenchClock;

impl TimeProvider for BenchClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(EPOCH_SECONDS)))
    }
}

fn serving() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_details(Arc::new(default_provider()), Arc::new(BenchClock))
        .with_safe_default_protocol_versions()
        .expect("there are some")
}

/// An authority, and certificates that it has signed.
#[derive(Debug)]
pub struct Site {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Site {
    /// An authority of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("it signs itself") }
    }

    /// A certificate for these names: domains, addresses, or `sip:` URIs; good in this year.
    fn issue(&self, names: &[&str], year: i32) -> Own {
        let mut params = CertificateParams::default();
        let name = |name: &&str| match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) if name.starts_with("sip:") => SanType::URI((*name).try_into().expect("ASCII")),
            Err(_) => SanType::DnsName((*name).try_into().expect("ASCII")),
        };
        params.subject_alt_names = names.iter().map(name).collect();
        params.not_before = date_time_ymd(year, 1, 1);
        params.not_after = date_time_ymd(year + 1, 1, 2);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key can be made");
        let signed = params.signed_by(&key, &self.issuer).expect("it signs");
        (vec![signed.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("it is one");
        roots
    }

    /// What the controller speaks TLS with: a certificate for its address, and this authority.
    pub fn tls(&self) -> SipTls {
        self.tls_that_trusts(&[self])
    }

    /// The same, with these authorities.
    pub fn tls_that_trusts(&self, trusted: &[&Site]) -> SipTls {
        sip_tls(trusted, Some(self.issue(&["127.0.0.1", "::1"], 2030)), AskClients::Optional)
    }

    /// A server that shows a certificate for these names.
    pub fn server(&self, names: &[&str]) -> There {
        self.server_of(names, 2030)
    }

    /// The same, good in this year.
    pub fn server_of(&self, names: &[&str], year: i32) -> There {
        let (chain, key) = self.issue(names, year);
        let config = serving().with_no_client_auth().with_single_cert(chain, key);
        There::Tls(Arc::new(config.expect("they belong together")))
    }

    /// A server that wants to see a certificate of ours.
    pub fn strict_server(&self, names: &[&str]) -> There {
        let (chain, key) = self.issue(names, 2030);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots().into(), Arc::new(default_provider()))
                .build()
                .expect("it has roots");
        let config = serving().with_client_cert_verifier(verifier);
        There::Tls(Arc::new(config.with_single_cert(chain, key).expect("they belong together")))
    }

    /// A client that trusts this authority and shows a certificate for a name, by whom it is signed, or none.
    pub(super) fn client(&self, shows: Option<(&Site, &str)>) -> Connection {
        let builder = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(BenchClock))
            .with_safe_default_protocol_versions()
            .expect("there are some")
            .with_root_certificates(self.roots());
        let config = match shows {
            None => builder.with_no_client_auth(),
            Some((signer, name)) => {
                let (chain, key) = signer.issue(&[name], 2030);
                builder.with_client_auth_cert(chain, key).expect("they belong together")
            }
        };
        let ours = ServerName::try_from("127.0.0.1").expect("an address");
        ClientConnection::new(Arc::new(config), ours).expect("TLS can be spoken").into()
    }
}

/// What the controller speaks TLS with: this certificate, and these authorities.
pub fn sip_tls(trusted: &[&Site], own: Option<Own>, clients: AskClients) -> SipTls {
    let trusted = trusted.iter().map(|site| site.issuer.der().clone()).collect();
    SipTls::new(SipTlsParts { own, trusted, clients }).expect("they belong together")
}
