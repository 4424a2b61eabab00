//! A connection of HTTP or HTTPS that never waits.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::certificates::Authority;

/// How clients check the server that shows this authority's certificates.
pub fn client_config(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate =
        CertificateDer::from_pem_file(authority.file()).expect("the authority has a certificate");
    roots.add(certificate).expect("it is one");
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    out: Vec<u8>,
    input: Vec<u8>,
    closed: bool,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its head.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Response {
    /// The value of a header field, as the server writes its name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Connection {
    /// Opens one to `ADDRESS:PORT`, with TLS if there is a configuration for it.
    pub fn open(to: &str, tls: Option<&Arc<ClientConfig>>) -> Self {
        let stream = TcpStream::connect(to).unwrap_or_else(|e| panic!("{to}: {e}"));
        stream.set_nonblocking(true).expect("a socket need not block");
        stream.set_nodelay(true).expect("a socket need not wait for more");
        let name = ServerName::try_from("127.0.0.1").expect("it is an address");
        let tls = tls
            .map(|config| Box::new(ClientConnection::new(config.clone(), name).expect("TLS can be spoken")));
        Self { stream, tls, out: Vec::new(), input: Vec::new(), closed: false }
    }

    /// To be waited for.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Whether there is something to write for which there was no room.
    pub fn is_full(&self) -> bool {
        !self.out.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Whether the server has closed it.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Has something sent with the next [`turn`](Self::turn).
    pub fn send(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            // A connection that is closed takes nothing, which is seen with the next turn.
            Some(tls) => drop(tls.writer().write_all(bytes)),
            None => self.out.extend_from_slice(bytes),
        }
    }

    /// Writes what there is room for and reads what has come.
    pub fn turn(&mut self) {
        self.write();
        self.read();
        self.write();
    }

    fn write(&mut self) {
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write()) {
            match tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.closed = true;
                    return;
                }
            }
        }
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(length) => drop(self.out.drain(..length)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.closed = true;
                    self.out.clear();
                }
            }
        }
    }

    fn read(&mut self) {
        while !self.closed {
            let came = match &mut self.tls {
                None => read_some(&mut self.stream, &mut self.input),
                Some(tls) => tls.read_tls(&mut self.stream).and_then(|length| {
                    let state = tls.process_new_packets().map_err(std::io::Error::other)?;
                    let start = self.input.len();
                    self.input.resize(start + state.plaintext_bytes_to_read(), 0);
                    tls.reader().read_exact(&mut self.input[start..])?;
                    Ok(length)
                }),
            };
            match came {
                Ok(0) => self.closed = true,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.closed = true,
            }
        }
    }

    /// The next response, if it is whole.
    pub fn response(&mut self) -> Option<Response> {
        let end = self.input.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&self.input[..end]).ok()?;
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
        let length: usize = length.unwrap_or(0);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        if self.input.len() < end + length {
            return None;
        }
        let body = String::from_utf8_lossy(&self.input[end..end + length]).into_owned();
        let head = head.to_owned();
        self.input.drain(..end + length);
        Some(Response { status, head, body })
    }
}

fn read_some(stream: &mut TcpStream, input: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut bytes = [0; 16 * 1024];
    let length = stream.read(&mut bytes)?;
    input.extend_from_slice(&bytes[..length]);
    Ok(length)
}
