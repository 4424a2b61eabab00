//! The smallest HTTPS client that the demo's own call needs: one connection, one request after the other.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName};

/// A connection to the controller.
pub(super) struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

/// What was answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Client {
    /// Connects, and takes no other certificate than this.
    pub(super) fn connect(to: SocketAddr, certificate: &CertificateDer<'static>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).map_err(|e| e.to_string())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").map_err(|e| e.to_string())?;
        let session = ClientConnection::new(Arc::new(config), name).map_err(|e| e.to_string())?;
        let socket = TcpStream::connect(to).map_err(|e| format!("{to}: {e}"))?;
        socket.set_read_timeout(Some(Duration::from_secs(10))).map_err(|e| e.to_string())?;
        Ok(Self { stream: StreamOwned::new(session, socket) })
    }

    /// Asks, and waits for the answer.
    pub(super) fn request(&mut self, method: &str, path: &str, accept: &str) -> Result<Answer, String> {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
        self.stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let length = self.stream.read(&mut buffer).map_err(|e| e.to_string())?;
            if length == 0 {
                return Err("the connection was closed in the middle of an answer".to_owned());
            }
            bytes.extend_from_slice(buffer.get(..length).unwrap_or_default());
            if let Some(answer) = complete(&bytes) {
                return Ok(answer);
            }
        }
    }
}

fn complete(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    // An answer without a body may leave it away (RFC 9110 §8.6).
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.map_or(Some(0), |length| length.parse::<usize>().ok())?;
    (body.len() >= length).then(|| Answer { status, body: body.to_owned() })
}
