//! TLS for SIP: sessions accepted and opened, and whose certificates are taken (RFC 5922).

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    ServerConfig, ServerConnection, SignatureScheme,
};
use webpki::EndEntityCert;

use super::{BadCertificate, Session, TlsFault};

/// Whether who connects to us by TLS has to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskClients {
    /// None is asked for.
    No,
    /// One is asked for, and checked if it comes.
    Optional,
    /// Without a good one there is no session.
    Required,
}

/// What TLS for SIP is made of.
#[derive(Debug)]
pub struct SipTlsParts {
    /// Our own chain, our certificate first, and its key: shown to who connects, and to servers that ask for one.
    pub own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// The authorities that are trusted.
    pub trusted: Vec<CertificateDer<'static>>,
    /// Whether certificates are asked for.
    pub clients: AskClients,
}

/// What SIP over TLS is spoken with (TLS 1.2 and 1.3 only).
#[derive(Clone, Debug)]
pub struct SipTls {
    accepting: Option<Arc<ServerConfig>>,
    opening: Arc<ClientConfig>,
    clock: Arc<Clock>,
}

/// The wall clock, as the controller knows it: certificates are judged by it.
#[derive(Debug, Default)]
struct Clock(AtomicU64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

impl SipTls {
    /// Takes certificates and keys.
    ///
    /// Fails if our key is not that of our certificate, or if certificates are to be asked for and no authority is trusted.
    /// Authorities that cannot be read are left out.
    pub fn new(parts: SipTlsParts) -> Result<Self, BadCertificate> {
        let bad = |e: &dyn std::fmt::Display| BadCertificate(e.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clock = Arc::new(Clock::default());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(parts.trusted);
        let roots = Arc::new(roots);
        let accepting = match &parts.own {
            Some(own) => {
                let config = accepting(own, parts.clients, &roots, (provider.clone(), clock.clone()));
                Some(Arc::new(config.map_err(|e| bad(&e))?))
            }
            None => None,
        };
        let verifier = Arc::new(SipVerifier { roots, provider: provider.clone() });
        let opening = ClientConfig::builder_with_details(provider, clock.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|e| bad(&e))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let opening = match parts.own {
            Some((chain, key)) => opening.with_client_auth_cert(chain, key).map_err(|e| bad(&e))?,
            None => opening.with_no_client_auth(),
        };
        Ok(Self { accepting, opening: Arc::new(opening), clock })
    }

    /// Says what time it is, in seconds since 1970. Certificates are judged by the last that was said.
    pub(crate) fn set_time(&self, seconds: u64) {
        self.clock.0.store(seconds, Ordering::Relaxed);
    }

    /// Begins a session with who connected to us; `None` without a certificate of our own.
    pub(crate) fn accept(&self) -> Option<Result<Session, TlsFault>> {
        let config = self.accepting.clone()?;
        Some(ServerConnection::new(config).map(Session::new).map_err(|e| TlsFault::Protocol(e.to_string())))
    }

    /// Begins a session with a server that has to show a certificate for this host.
    pub(crate) fn connect(&self, host: &TlsHost) -> Result<Session, TlsFault> {
        let fault = |e: &dyn std::fmt::Display| TlsFault::Protocol(e.to_string());
        let name = match host {
            TlsHost::Name(name) => ServerName::try_from(name.to_string()).map_err(|e| fault(&e))?,
            TlsHost::Address(address) => ServerName::from(*address),
        };
        ClientConnection::new(self.opening.clone(), name).map(Session::new).map_err(|e| fault(&e))
    }
}

/// Who a server's certificate has to be for: the domain of the URI, not what it resolved to (RFC 5922 §4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TlsHost {
    /// A domain.
    Name(Box<str>),
    /// An address.
    Address(IpAddr),
}

impl Session {
    /// Whether the peer's certificate, which was found good, is for this host.
    pub(crate) fn is_for(&self, host: &TlsHost) -> bool {
        let Some(certificate) = self.connection.peer_certificates().and_then(<[_]>::first) else {
            return false;
        };
        let name = match host {
            TlsHost::Name(name) => ServerName::try_from(&**name).ok(),
            TlsHost::Address(address) => Some(ServerName::from(*address)),
        };
        let certificate = EndEntityCert::try_from(certificate).ok();
        certificate.zip(name).is_some_and(|(certificate, name)| identify(&certificate, &name).is_ok())
    }
}

fn accepting(
    (chain, key): &(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    clients: AskClients,
    roots: &Arc<RootCertStore>,
    (provider, clock): (Arc<CryptoProvider>, Arc<Clock>),
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_details(provider.clone(), clock)
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let verifier = || WebPkiClientVerifier::builder_with_provider(roots.clone(), provider);
    let wrong = |e: rustls::server::VerifierBuilderError| Error::General(e.to_string());
    let builder = match clients {
        AskClients::No => builder.with_no_client_auth(),
        AskClients::Optional => {
            builder.with_client_cert_verifier(verifier().allow_unauthenticated().build().map_err(wrong)?)
        }
        AskClients::Required => builder.with_client_cert_verifier(verifier().build().map_err(wrong)?),
    };
    let mut config = builder.with_single_cert(chain.clone(), key.clone_key())?;
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    Ok(config)
}

/// Checks a server's certificate: its chain, its time, and its SIP domain identities (RFC 5922 §7).
#[derive(Debug)]
struct SipVerifier {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SipVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        let certificate = EndEntityCert::try_from(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        identify(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate is for this host: a domain equals an identity as a whole, wildcards match nothing (RFC 5922 §7.2).
fn identify(certificate: &EndEntityCert<'_>, host: &ServerName<'_>) -> Result<(), Error> {
    let identities = identities(certificate);
    let good = match host {
        ServerName::DnsName(name) => {
            let name = name.as_ref().trim_end_matches('.');
            identities.iter().any(|identity| identity.eq_ignore_ascii_case(name))
        }
        _ => certificate.verify_is_valid_for_subject_name(host).is_ok(),
    };
    if good {
        return Ok(());
    }
    Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
        expected: host.to_owned(),
        presented: identities.into_iter().map(str::to_owned).collect(),
    }))
}

/// The SIP domain identities of a certificate: those of `sip:` URIs, else its DNS names (RFC 5922 §7.1).
fn identities<'a>(certificate: &EndEntityCert<'a>) -> Vec<&'a str> {
    let domain = |uri: &'a str| {
        let (scheme, rest) = uri.split_once(':')?;
        let rest = rest.split([';', '?']).next().filter(|rest| !rest.contains('@'))?;
        scheme.eq_ignore_ascii_case("sip").then(|| rest.split(':').next().unwrap_or(rest))
    };
    let of_uris: Vec<&str> = certificate.valid_uri_names().filter_map(domain).collect();
    if of_uris.is_empty() { certificate.valid_dns_names().collect() } else { of_uris }
}
