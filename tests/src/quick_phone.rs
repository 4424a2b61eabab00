//! A phone on a socket of the test that takes one call after the other, as fast as they come.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};

use crate::PATIENCE;

/// The phone. It follows the REFER by word alone, and says that the called party has picked up.
#[derive(Debug)]
pub struct QuickPhone {
    socket: UdpSocket,
    address: SocketAddr,
    calls: u32,
    ports: BTreeSet<u16>,
}

/// A message that came to it.
struct Mail {
    from: SocketAddr,
    text: String,
}

impl Mail {
    fn field(&self, name: &str) -> &str {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let begin = format!("{name}: ");
        head.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_default()
    }
}

impl QuickPhone {
    /// A phone at a port that the system chose.
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket can wait for so long");
        let address = socket.local_addr().expect("it is bound");
        Self { socket, address, calls: 0, ports: BTreeSet::new() }
    }

    /// The user part for the next call to it, escaped for a path; no two calls have the same.
    pub fn user(&self) -> String {
        format!("phone{}%40{}", self.calls, self.address)
    }

    /// The ports that its calls came from.
    pub fn ports(&self) -> Vec<u16> {
        self.ports.iter().copied().collect()
    }

    /// Takes a call from the INVITE to the BYE, as a phone that is referred does.
    pub fn take_call(&mut self) {
        self.calls += 1;
        let invite = self.next("INVITE ", None);
        self.ports.insert(invite.from.port());
        let tag = format!(";tag=quick{}", self.calls);
        let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        self.answer(&invite, "180 Ringing", &tag, "");
        self.answer(&invite, "200 OK", &tag, sdp);
        self.next("ACK ", Some(&invite));
        let refer = self.next("REFER ", Some(&invite));
        self.answer(&refer, "202 Accepted", "", "");
        self.notify(&invite, &tag);
        self.next("SIP/2.0 200", Some(&invite));
        let bye = self.next("BYE ", Some(&invite));
        self.answer(&bye, "200 OK", "", "");
    }

    fn notify(&self, invite: &Mail, tag: &str) {
        let target = invite.field("Contact").trim_matches(['<', '>']);
        let body = "SIP/2.0 200 OK\r\n";
        let text = format!(
            "NOTIFY {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKquick{}\r\nMax-Forwards: 70\r\n\
             From: {}{tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 NOTIFY\r\nContact: <sip:quick@{}>\r\nEvent: refer\r\n\
             Subscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            self.calls,
            invite.field("To"),
            invite.field("From"),
            invite.field("Call-ID"),
            self.address,
            body.len(),
        );
        self.send(&text, invite.from);
    }

    fn answer(&self, request: &Mail, status: &str, tag: &str, sdp: &str) {
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:quick@{}>\r\n{kind}Content-Length: {}\r\n\r\n{sdp}",
            request.field("Via"),
            request.field("From"),
            request.field("To"),
            request.field("Call-ID"),
            request.field("CSeq"),
            self.address,
            sdp.len(),
        );
        self.send(&text, request.from);
    }

    fn send(&self, text: &str, to: SocketAddr) {
        self.socket.send_to(text.as_bytes(), to).expect("a datagram can be sent");
    }

    /// The next message that begins so, of this call if one is named; what else comes is passed over.
    fn next(&self, start: &str, of: Option<&Mail>) -> Mail {
        let mut bytes = vec![0; 65_535];
        loop {
            let (length, from) = self
                .socket
                .recv_from(&mut bytes)
                .unwrap_or_else(|e| panic!("call {} waits in vain for {start}: {e}", self.calls));
            let mail = Mail { from, text: String::from_utf8_lossy(&bytes[..length]).into_owned() };
            let same = of.is_none_or(|of| of.field("Call-ID") == mail.field("Call-ID"));
            if mail.text.starts_with(start) && same {
                return mail;
            }
        }
    }
}

impl Default for QuickPhone {
    fn default() -> Self {
        Self::new()
    }
}
