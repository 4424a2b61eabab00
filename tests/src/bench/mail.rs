//! Messages that came to a peer which the test plays, by datagram or on a connection.

use std::net::SocketAddr;

use cordboard_core::io::{ConnectionId, SocketId};
use cordboard_core::sip::message::parse;

use crate::mail;

/// How a message came, and how its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By datagram: the controller's socket, and the peer's address.
    Datagram(SocketId, SocketAddr),
    /// On a connection with this peer.
    Connection(ConnectionId, SocketAddr),
}

/// A message.
pub type Mail = mail::Mail<Way>;

/// Takes a message; nothing leaves the controller that its own parser refuses.
pub(super) fn read(way: Way, bytes: &[u8]) -> Mail {
    let text = String::from_utf8_lossy(bytes).into_owned();
    assert!(parse(bytes).is_ok(), "it sends what cannot be read:\n{text}");
    Mail { way, text }
}

impl Mail {
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

/// A description of media: audio at this port.
pub fn sdp(port: u16) -> String {
    format!(
        "v=0\r\no=peer {port} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    )
}
