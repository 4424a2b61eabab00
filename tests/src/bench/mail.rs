//! Messages that came to a peer which the test plays, and its answers.

use std::net::SocketAddr;

use cordboard_core::io::{ConnectionId, SocketId};
use cordboard_core::sip::message::parse;

/// How a message came, and how its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By datagram: the controller's socket, and the peer's address.
    Datagram(SocketId, SocketAddr),
    /// On a connection with this peer.
    Connection(ConnectionId, SocketAddr),
}

/// A message.
#[derive(Clone, Debug)]
pub struct Mail {
    /// How it came.
    pub way: Way,
    /// The message.
    pub text: String,
}

impl Mail {
    pub(super) fn new(way: Way, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        // Nothing leaves the controller that its own parser refuses.
        assert!(parse(bytes).is_ok(), "it sends what cannot be read:\n{text}");
        Self { way, text }
    }

    /// The start line.
    pub fn start(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// The value of the first header line of this name; empty if there is none.
    pub fn field(&self, name: &str) -> &str {
        self.fields(name).next().unwrap_or_default()
    }

    fn fields<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let begin = format!("{name}: ");
        head.lines().filter_map(move |line| line.strip_prefix(&begin))
    }

    /// The body.
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// The branch of the topmost Via.
    pub fn branch(&self) -> &str {
        let via = self.field("Via");
        via.split("branch=").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default()
    }

    /// An answer to it, with this Contact (none if empty), these header lines (each with CR LF) and this description.
    pub fn answer(&self, status: &str, contact: &str, lines: &str, body: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "Record-Route"] {
            for value in self.fields(name) {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let with_tag = self.field("To").contains(";tag=") || status.starts_with("100");
        let tag = if with_tag { "" } else { ";tag=peer" };
        text.push_str(&format!(
            "From: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n",
            self.field("From"),
            self.field("To"),
            self.field("Call-ID"),
            self.field("CSeq"),
        ));
        if !contact.is_empty() {
            text.push_str(&format!("Contact: <{contact}>\r\n"));
        }
        text + lines + &tail(body)
    }

    /// A request in the dialog that this INVITE made, whose top Via is `via` (transport, sent-by and what follows).
    pub fn request(&self, via: &str, (cseq, method): (u32, &str), lines: &str) -> String {
        let target = self.field("Contact").trim_start_matches('<').trim_end_matches('>').to_owned();
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{via};branch=z9hG4bKpeer{cseq}{method}\r\nMax-Forwards: 70\r\n\
             From: {};tag=peer\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{lines}Content-Length: 0\r\n\r\n",
            self.field("To").split(";tag=").next().unwrap_or_default(),
            self.field("From"),
            self.field("Call-ID"),
        )
    }
}

fn tail(body: &str) -> String {
    if body.is_empty() {
        return "Content-Length: 0\r\n\r\n".to_owned();
    }
    format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A description of media: audio at this port.
pub fn sdp(port: u16) -> String {
    format!(
        "v=0\r\no=peer {port} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    )
}
