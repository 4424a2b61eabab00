//! The connections that calls are ordered by: kept alive, with one request at a time, or several in a row (pipelined).

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use memchr::memmem;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::PATIENCE;
use crate::cordboard::AGENT;
use crate::login::Login;

/// The PIN of the agent in whose name all calls are placed.
pub const PIN: &str = "1234";

/// How a server is asked.
#[derive(Clone, Debug)]
pub enum Access {
    /// HTTP without a login; only the floor takes that.
    Plain,
    /// HTTPS from a trusted host, without a login.
    Trusted(Arc<ClientConfig>),
    /// HTTP with Digest on every request.
    Digest,
}

/// How parties are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The calling phone is told to call the other one by itself.
    Refer,
    /// The server stays in the call.
    Invite,
}

impl Method {
    /// Further parameters of the order.
    fn parameters(self) -> &'static str {
        match self {
            Self::Refer => "",
            Self::Invite => "&sipMethod=INVITE",
        }
    }
}

/// What an order was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The call.
    pub number: u64,
    /// The status; `None` when the connection was closed instead.
    pub status: Option<u16>,
    /// Whether it says when to try again.
    pub retry_after: bool,
}

/// How many connections there are, and how many requests may be unanswered on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// Connections.
    pub connections: usize,
    /// Requests on each; with less than the server allows (`limits.pipelined`) it takes them as they come.
    pub each: usize,
}

/// The connections to one server.
#[derive(Debug)]
pub struct Orders {
    to: SocketAddr,
    access: Access,
    method: Method,
    each: usize,
    lines: Vec<Line>,
    /// Those without a request; all others wait for answers.
    idle: Vec<usize>,
    /// Where to look first for one that takes a further request, when none is idle.
    next: usize,
}

#[derive(Debug)]
struct Line {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    login: Option<Login>,
    request: Vec<u8>,
    response: Vec<u8>,
    /// What is not yet answered, oldest first.
    asked: VecDeque<Asked>,
}

/// Whether more may come on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    number: u64,
    /// Whether the server wanted to know once more who asks.
    again: bool,
}

impl Orders {
    /// Opens connections, and logs in where that is needed.
    pub fn open(to: SocketAddr, access: &Access, method: Method, width: Width) -> io::Result<Self> {
        let Width { connections, each } = width;
        let lines: io::Result<Vec<Line>> = (0..connections).map(|_| Line::open(to, access)).collect();
        let idle = (0..connections).collect();
        Ok(Self { to, access: access.clone(), method, each, lines: lines?, idle, next: 0 })
    }

    /// Orders the call with this number, if a connection takes it; whether one does.
    pub fn place(&mut self, number: u64) -> io::Result<bool> {
        let Some(at) = self.idle.pop().or_else(|| self.with_room()) else { return Ok(false) };
        self.lines[at].ask(self.method, Asked { number, again: false })?;
        Ok(true)
    }

    /// A connection that takes a further request, each in its turn.
    fn with_room(&mut self) -> Option<usize> {
        let count = self.lines.len();
        let turn = (0..count).map(|step| (self.next + step) % count);
        let found = turn.into_iter().find(|at| self.lines[*at].asked.len() < self.each)?;
        self.next = found + 1;
        Some(found)
    }

    /// The connections, in the order in which [`take`](Self::take) counts them.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.lines.iter().map(|line| line.stream.as_fd())
    }

    /// Takes what has come on this connection; the answers that are whole. If the server has closed it, all that was asked
    /// there stays unanswered, and another one is opened.
    pub fn take(&mut self, at: usize, answers: &mut Vec<Answer>) -> io::Result<()> {
        let line = &mut self.lines[at];
        if line.read()? == End::Closed {
            let unanswered =
                |asked: &Asked| Answer { number: asked.number, status: None, retry_after: false };
            answers.extend(line.asked.iter().map(unanswered));
            if !line.asked.is_empty() {
                self.idle.push(at);
            }
            *line = Line::open(self.to, &self.access)?;
            return Ok(());
        }
        while let Some(answer) = line.next_answer(self.method)? {
            answers.push(answer);
            if line.asked.is_empty() {
                self.idle.push(at);
            }
        }
        Ok(())
    }
}

impl Line {
    fn open(to: SocketAddr, access: &Access) -> io::Result<Self> {
        let mut stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (mut tls, mut login) = (None, None);
        match access {
            Access::Plain => {}
            Access::Trusted(config) => {
                let name = ServerName::IpAddress(to.ip().into());
                let mut client = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                while client.is_handshaking() {
                    client.complete_io(&mut stream)?;
                }
                tls = Some(Box::new(client));
            }
            Access::Digest => login = Some(Login::challenged(&challenge(&mut stream)?)),
        }
        stream.set_nonblocking(true)?;
        let (request, response) = (Vec::with_capacity(1024), Vec::with_capacity(4096));
        Ok(Self { stream, tls, login, request, response, asked: VecDeque::new() })
    }

    fn ask(&mut self, method: Method, asked: Asked) -> io::Result<()> {
        let (number, parameters) = (asked.number, method.parameters());
        self.request.clear();
        self.asked.push_back(asked);
        let request = &mut self.request;
        let uri = format!("/callcontroller/u{number}/v{number}?agent={AGENT}&resultCacheTime=0{parameters}");
        write!(request, "POST {uri} HTTP/1.1\r\nHost: load\r\n")?;
        if let Some(login) = &mut self.login {
            request.extend_from_slice(login.line("POST", &uri, PIN).as_bytes());
        }
        request.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        match &mut self.tls {
            // All that may be unanswered is shorter than any socket buffer.
            None => self.stream.write_all(request),
            Some(tls) => {
                tls.writer().write_all(request)?;
                while tls.wants_write() {
                    tls.write_tls(&mut self.stream)?;
                }
                Ok(())
            }
        }
    }

    /// The next answer among what was read, if it is whole.
    fn next_answer(&mut self, method: Method) -> io::Result<Option<Answer>> {
        loop {
            let Some(head) = memmem::find(&self.response, b"\r\n\r\n").map(|at| at + 4) else {
                return Ok(None);
            };
            let text = std::str::from_utf8(&self.response[..head]).map_err(io::Error::other)?;
            let end = head + length(text);
            if self.response.len() < end {
                return Ok(None);
            }
            let strange = || io::Error::other(format!("an answer without a question, or a status: {text}"));
            let status = text.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(strange)?;
            let asked = self.asked.pop_front().ok_or_else(strange)?;
            let retry_after = text.contains("\r\nRetry-After: ");
            let again = status == 401 && self.login.is_some() && !asked.again;
            if again {
                self.login = Some(Login::challenged(text));
            }
            self.response.drain(..end);
            if !again {
                return Ok(Some(Answer { number: asked.number, status: Some(status), retry_after }));
            }
            self.ask(method, Asked { again: true, ..asked })?;
        }
    }

    /// Reads once; nothing being there is no error.
    fn read(&mut self) -> io::Result<End> {
        let mut bytes = [0; 4096];
        let count = match &mut self.tls {
            None => self.stream.read(&mut bytes),
            Some(tls) => tls.read_tls(&mut self.stream),
        };
        match count {
            Ok(0) => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed a connection"));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(End::Open),
            Err(error) => return Err(error),
            Ok(count) if self.tls.is_none() => self.response.extend_from_slice(&bytes[..count]),
            Ok(_) => {}
        }
        if let Some(tls) = &mut self.tls {
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let begin = self.response.len();
            self.response.resize(begin + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut self.response[begin..])?;
        }
        Ok(End::Open)
    }
}

/// The value of Content-Length in this head.
fn length(head: &str) -> usize {
    let found = head.split_once("\r\nContent-Length: ").and_then(|(_, rest)| rest.split("\r\n").next());
    found.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// The head of an answer that asks who we are.
fn challenge(stream: &mut TcpStream) -> io::Result<String> {
    stream.write_all(b"GET /calls HTTP/1.1\r\nHost: load\r\n\r\n")?;
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.extend(byte);
    }
    let head = String::from_utf8(bytes).map_err(io::Error::other)?;
    let mut body = vec![0; length(&head)];
    stream.read_exact(&mut body)?;
    Ok(head)
}
