//! TLS driven by bytes (rustls with ring; TLS 1.2 and 1.3 only): for HTTPS, and for SIP in both directions.
//!
//! The one exception to core's purity: rustls draws keys and nonces from the system, and asks the system's clock how old
//! session tickets are, when it issues and takes them and when their keys change (every six hours). Certificates are
//! judged by the controller's time. A tape of inputs is therefore taken inside of TLS, of the plain bytes.

mod sip;

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{Connection, ServerConfig, ServerConnection};
use thiserror::Error;

pub(crate) use sip::TlsHost;
pub use sip::{AskClients, SipTls, SipTlsParts};

/// What a TLS peer did wrong, or that it broke off.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum TlsFault {
    /// It spoke a protocol of lines, HTTP or SIP.
    #[error("the peer spoke without TLS on the TLS port")]
    PlainText,
    /// Anything else.
    #[error("{0}")]
    Protocol(String),
}

/// A certificate that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the certificate cannot be used: {0}")]
pub struct BadCertificate(String);

/// What TLS sessions are accepted with: a certificate chain and its key.
#[derive(Clone, Debug)]
pub struct Acceptor(Arc<ServerConfig>);

impl Acceptor {
    /// Takes a chain, the server's own certificate first, and its key.
    ///
    /// Fails if the key is not that of the certificate, or of a kind that is not supported.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, BadCertificate> {
        let bad = |e: rustls::Error| BadCertificate(e.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(bad)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(bad)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // What is needed to resume a session is kept by the client, encrypted: here it takes no memory.
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(bad)?;
        Ok(Self(Arc::new(config)))
    }

    /// Begins a session.
    pub(crate) fn accept(&self) -> Result<Session, TlsFault> {
        ServerConnection::new(self.0.clone()).map(Session::new).map_err(|e| TlsFault::Protocol(e.to_string()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has come in.
    Fresh,
    Running,
    /// The peer has said that it sends no more.
    PeerClosed,
}

/// One TLS session. Of what comes in it holds no more than an incomplete record (18 KiB) or handshake message (64 KiB).
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    phase: Phase,
}

impl Session {
    fn new(connection: impl Into<Connection>) -> Self {
        let mut connection = connection.into();
        // The limit on what is written lies with the connection, which knows what the peer has taken.
        connection.set_buffer_limit(None);
        Self { connection, phase: Phase::Fresh }
    }

    /// Whether the handshake is over.
    pub(crate) fn is_established(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Takes bytes from the wire and appends what they say to `plain`. Ask [`flush`](Self::flush) then, also after a
    /// fault: the alert that explains it lies there.
    pub(crate) fn received(&mut self, bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), TlsFault> {
        if self.phase == Phase::Fresh
            && let Some(first) = bytes.first()
        {
            // A method's first letter; records begin with 0x14 to 0x18.
            if first.is_ascii_alphabetic() {
                return Err(TlsFault::PlainText);
            }
            self.phase = Phase::Running;
        }
        let fault = |e: &dyn std::fmt::Display| TlsFault::Protocol(e.to_string());
        let mut rest = bytes;
        // After close_notify nothing is read any more.
        while !rest.is_empty() && self.phase == Phase::Running {
            self.connection.read_tls(&mut rest).map_err(|e| fault(&e))?;
            let state = self.connection.process_new_packets().map_err(|e| fault(&e))?;
            let waiting = state.plaintext_bytes_to_read();
            if waiting > 0 {
                let start = plain.len();
                plain.resize(start + waiting, 0);
                let space = plain.get_mut(start..).unwrap_or_default();
                self.connection.reader().read_exact(space).map_err(|e| fault(&e))?;
            }
            if state.peer_has_closed() {
                self.phase = Phase::PeerClosed;
            }
        }
        Ok(())
    }

    /// Whether the peer has said that it sends no more.
    pub(crate) fn peer_closed(&self) -> bool {
        self.phase == Phase::PeerClosed
    }

    /// Encrypts bytes for the peer; ask [`flush`](Self::flush) then.
    pub(crate) fn send(&mut self, plain: &[u8]) -> Result<(), TlsFault> {
        self.connection.writer().write_all(plain).map_err(|e| TlsFault::Protocol(e.to_string()))
    }

    /// Says that nothing more will be sent; ask [`flush`](Self::flush) then.
    pub(crate) fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Appends what has to go to the wire.
    pub(crate) fn flush(&mut self, wire: &mut Vec<u8>) {
        while self.connection.wants_write() {
            // Writing to a Vec cannot fail.
            if self.connection.write_tls(wire).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
