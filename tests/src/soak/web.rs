//! The programs that order calls: requests on connections that stay, with and without a login.

use std::collections::VecDeque;
use std::sync::Arc;

use rustls::ClientConfig;

use super::connection::{Connection, Response};
use super::plan::Way;
use crate::login::Login;

/// How many connections there are of each kind.
const CONNECTIONS: usize = 6;
/// After so many requests a connection is closed and another one opened.
const REQUESTS: u32 = 2000;
/// The PIN of the agent.
pub const PIN: &str = "1";
/// How often a request is sent again because the server asks who we are: without a login, and with one that is old.
const LOGINS: u8 = 3;

/// A request and what it is for.
#[derive(Clone, Debug)]
pub struct Request<T> {
    /// What it is for.
    pub purpose: T,
    /// Its method.
    pub method: &'static str,
    /// Its target.
    pub uri: String,
    /// Whether JSON is wanted.
    pub json: bool,
}

#[derive(Debug)]
struct Line<T> {
    connection: Connection,
    login: Option<Login>,
    waiting: VecDeque<(Request<T>, u8)>,
    requests: u32,
    /// Something is to be written or read.
    ready: bool,
}

/// All connections.
#[derive(Debug)]
pub struct Web<T> {
    http: String,
    https: String,
    tls: Arc<ClientConfig>,
    lines: [Vec<Line<T>>; 2],
    next: usize,
    /// How many connections were opened.
    pub opened: u32,
}

impl<T: Clone> Web<T> {
    /// Connections to a server's `ADDRESS:PORT` of HTTP and of HTTPS.
    pub fn new(http: &str, https: &str, tls: Arc<ClientConfig>) -> Self {
        let lines = [Vec::new(), Vec::new()];
        let mut web = Self { http: http.to_owned(), https: https.to_owned(), tls, lines, next: 0, opened: 0 };
        for way in [Way::Http, Way::Https] {
            web.lines[way as usize] = (0..CONNECTIONS).map(|_| web.open(way)).collect();
        }
        web
    }

    fn open(&mut self, way: Way) -> Line<T> {
        self.opened += 1;
        let connection = match way {
            Way::Http => Connection::open(&self.http, None),
            Way::Https => Connection::open(&self.https, Some(&self.tls)),
        };
        Line { connection, login: None, waiting: VecDeque::new(), requests: 0, ready: true }
    }

    /// The connections, to be waited for.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.lines.iter().flatten().map(|line| &line.connection)
    }

    /// Something has come on some of them, in this order.
    pub fn ready(&mut self, ready: impl Iterator<Item = bool>) {
        for (line, ready) in self.lines.iter_mut().flatten().zip(ready) {
            line.ready |= ready;
        }
    }

    /// How many requests wait for their answers.
    pub fn waiting(&self) -> usize {
        self.lines.iter().flatten().map(|line| line.waiting.len()).sum()
    }

    /// Asks for something.
    pub fn ask(&mut self, way: Way, request: Request<T>) {
        self.next += 1;
        let at = self.next % CONNECTIONS;
        let line = &self.lines[way as usize][at];
        if line.requests >= REQUESTS && line.waiting.is_empty() || line.connection.is_closed() {
            let new = self.open(way);
            self.lines[way as usize][at] = new;
        }
        self.lines[way as usize][at].send(request, LOGINS);
    }

    /// Sends what there is to send, and takes what was answered; a request whose connection was closed has no answer.
    pub fn turn(&mut self, answers: &mut Vec<(Request<T>, Option<Response>)>) {
        for line in self.lines.iter_mut().flatten().filter(|line| line.ready) {
            line.ready = false;
            line.connection.turn();
            while let Some(response) = line.connection.response() {
                let Some((request, logins)) = line.waiting.pop_front() else { continue };
                if response.status == 401 && logins > 0 {
                    line.login = Some(Login::challenged(&response.head));
                    line.send(request, logins - 1);
                } else {
                    answers.push((request, Some(response)));
                }
            }
            if line.connection.is_closed() {
                answers.extend(line.waiting.drain(..).map(|(request, _)| (request, None)));
            }
        }
    }
}

impl<T> Line<T> {
    fn send(&mut self, request: Request<T>, logins: u8) {
        self.requests += 1;
        let Request { method, uri, .. } = &request;
        let accept = if request.json { "Accept: application/json\r\n" } else { "" };
        let login = self.login.as_mut().map_or(String::new(), |login| login.line(method, uri, PIN));
        let text = format!("{method} {uri} HTTP/1.1\r\nHost: x\r\n{accept}{login}\r\n");
        self.connection.send(text.as_bytes());
        self.waiting.push_back((request, logins));
        self.ready = true;
    }
}
