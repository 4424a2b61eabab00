//! A phone on a socket of the test that takes one call after the other, as fast as they come.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};

use crate::PATIENCE;
use crate::phrases::{SDP, Speaker, field};

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
        let tag = format!("quick{}", self.calls);
        let phone = Speaker { address: self.address, tag: &tag };
        let say = |text: String| self.send(&text, invite.from);
        say(phone.response(&invite.text, "180 Ringing", ""));
        say(phone.response(&invite.text, "200 OK", SDP));
        self.next("ACK ", Some(&invite));
        let refer = self.next("REFER ", Some(&invite));
        say(phone.response(&refer.text, "202 Accepted", ""));
        say(phone.notify(&invite.text, 1, "200 OK", true));
        self.next("SIP/2.0 200", Some(&invite));
        let bye = self.next("BYE ", Some(&invite));
        say(phone.response(&bye.text, "200 OK", ""));
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
            let same = of.is_none_or(|of| field(&of.text, "Call-ID") == field(&mail.text, "Call-ID"));
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
