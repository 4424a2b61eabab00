//! A phone that a test plays by hand, message by message, where a scripted one would be too well-behaved.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use crate::mail::{self, tail};
use crate::world::{World, controller_address};

/// How long a message is waited for, unless the test says.
const PATIENCE: Duration = Duration::from_secs(2);

/// The phone.
pub struct Hand {
    /// Its address.
    pub address: SocketAddr,
    /// Its tag in all its dialogs.
    pub tag: String,
    cseq: Cell<u32>,
}

/// A message that came to it, and from where.
pub type Mail = mail::Mail<SocketAddr>;

/// A description of media: audio at this port, in this direction.
pub fn sdp(port: u16, version: u32, direction: &str) -> String {
    format!(
        "v=0\r\no=hand {port} {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\na={direction}\r\n"
    )
}

impl Hand {
    /// A phone at this port of the loopback address.
    pub fn new(world: &mut World, port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        world.open_mailbox(address);
        Self { address, tag: format!("tag{port}"), cseq: Cell::new(0) }
    }

    /// As which user it is called.
    pub fn user(&self) -> String {
        format!("hand@{}", self.address)
    }

    /// The next message that begins so; panics if none comes soon.
    pub fn next(&self, world: &mut World, start: &str) -> Mail {
        self.next_within(world, PATIENCE, start)
    }

    /// The same, for what takes longer.
    pub fn next_within(&self, world: &mut World, patience: Duration, start: &str) -> Mail {
        self.try_next(world, patience, start).unwrap_or_else(|| {
            for (from, to, text) in world.ladder.iter().rev().take(12).rev() {
                println!("{from} -> {to} {}", text.lines().next().unwrap_or_default());
            }
            panic!("{} waits in vain for {start}", self.address)
        })
    }

    /// The same, if it comes.
    pub fn try_next(&self, world: &mut World, patience: Duration, start: &str) -> Option<Mail> {
        let found = world.take_mail(self.address, patience, |text| text.starts_with(start));
        found.map(|(way, text)| Mail { way, text })
    }

    /// Answers a request, with these header lines (each with CR LF) and this description.
    pub fn reply(&self, world: &mut World, to: &Mail, status: &str, lines: &str, body: &str) {
        let contact = format!("sip:hand@{}", self.address);
        world.send_mail(self.address, to.way, &to.answer(status, (&self.tag, &contact), lines, body));
    }

    /// Sends a request in the dialog that this INVITE of the controller's made; returns its CSeq number.
    pub fn request(&self, world: &mut World, invite: &Mail, method: &str, lines: &str, body: &str) -> u32 {
        if method != "ACK" {
            self.cseq.set(self.cseq.get() + 1);
        }
        self.request_as(world, invite, (method, self.cseq.get()), lines, body)
    }

    /// The same with a CSeq number of the test's choice: of an ACK, or a CANCEL.
    pub fn request_as(
        &self,
        world: &mut World,
        invite: &Mail,
        (method, cseq): (&str, u32),
        lines: &str,
        body: &str,
    ) -> u32 {
        let target = invite.field("Contact").trim_start_matches('<').trim_end_matches('>').to_owned();
        let branch = if method == "CANCEL" { "INVITE" } else { method };
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{}{branch}{cseq};rport\r\nMax-Forwards: 70\r\n\
             From: {};tag={}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nContact: <sip:hand@{}>\r\n{lines}{}",
            self.address,
            self.tag,
            invite.field("To").split(";tag=").next().unwrap_or_default(),
            self.tag,
            invite.field("From"),
            invite.field("Call-ID"),
            self.address,
            tail(body),
        );
        world.send_mail(self.address, controller_address(), &text);
        cseq
    }
}
