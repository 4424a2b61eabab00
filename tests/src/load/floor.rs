//! The floor: the least that a controller could do. It answers each POST with an empty 200 and plays the controller's side
//! of the call by fixed texts: the same datagrams, one system call each, nothing parsed beyond a few searches, no state, no
//! timers, no second thought. What it costs is the yardstick.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;

use nix::sys::socket::{setsockopt, sockopt};

use super::orders::Method;

/// What is asked for as socket buffers, as the phones do.
const SOCKET_BUFFER: usize = 64 << 20;

/// The offer of the first INVITE; as long as the server's.
const SDP: &str = "v=0\r\no=floor 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 9 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
                   a=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n";

/// What an INVITE says besides.
const ALLOW: &str = "Allow: INVITE, ACK, BYE, CANCEL, NOTIFY, OPTIONS, REFER\r\n";

struct Floor {
    socket: UdpSocket,
    own: SocketAddr,
    phones: SocketAddr,
    method: Method,
}

/// Serves on two ports of 127.0.0.1 that the system chose, until the process is ended. The one for HTTP is told on
/// standard output as `listening http=ADDRESS`.
pub fn serve(method: Method, phones: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER)
        .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER))?;
    let own = socket.local_addr()?;
    let floor = Arc::new(Floor { socket, own, phones, method });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening udp={own}");
    println!("listening http={}", listener.local_addr()?);
    let orders = floor.clone();
    thread::spawn(move || orders.listen(&listener));
    let mut bytes = [0; 8192];
    loop {
        let (length, _) = floor.socket.recv_from(&mut bytes)?;
        if let Ok(text) = std::str::from_utf8(&bytes[..length]) {
            floor.hear(text)?;
        }
    }
}

impl Floor {
    fn listen(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let floor = self.clone();
            // A connection that ends ends its thread.
            thread::spawn(move || stream.and_then(|stream| floor.take_orders(stream)));
        }
    }

    fn take_orders(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut bytes = [0; 8192];
        loop {
            let length = stream.read(&mut bytes)?;
            if length == 0 {
                return Ok(());
            }
            let text = std::str::from_utf8(&bytes[..length]).map_err(io::Error::other)?;
            let user = text.split('/').nth(2).unwrap_or_default();
            self.send("INVITE", (&format!("{user}@floor"), 1, ""), ALLOW, SDP)?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        }
    }

    fn hear(&self, text: &str) -> io::Result<()> {
        let call = field(text, "\r\nCall-ID: ");
        let cseq = field(text, "\r\nCSeq: ");
        if text.starts_with("SIP/2.0 200") && cseq.ends_with("INVITE") {
            self.picked_up(call, cseq.starts_with('2'))
        } else if text.starts_with("NOTIFY") {
            self.answer(text)?;
            if text.ends_with("200 OK\r\n") { self.within("BYE", (call, 3), "", "") } else { Ok(()) }
        } else if text.starts_with("BYE") {
            self.answer(text)?;
            self.within("BYE", (&other(call), 2), "", "")
        } else {
            Ok(())
        }
    }

    fn picked_up(&self, call: &str, again: bool) -> io::Result<()> {
        match (self.method, call.starts_with('u'), again) {
            (Method::Refer, _, _) => {
                self.within("ACK", (call, 1), "", "")?;
                let lines = "Refer-To: <sip:v@example.com>\r\nReferred-By: <sip:agent@example.com>\r\n";
                self.within("REFER", (call, 2), lines, "")
            }
            (Method::Invite, true, false) => {
                self.within("ACK", (call, 1), "", "")?;
                self.send("INVITE", (&other(call), 1, ""), ALLOW, "")
            }
            (Method::Invite, false, _) => self.within("INVITE", (&other(call), 2), ALLOW, SDP),
            (Method::Invite, true, true) => {
                self.within("ACK", (call, 2), "", "")?;
                self.within("ACK", (&other(call), 1), "", SDP)
            }
        }
    }

    /// Sends a request within a dialog.
    fn within(&self, method: &str, (call, cseq): (&str, u32), lines: &str, body: &str) -> io::Result<()> {
        self.send(method, (call, cseq, ";tag=phone"), lines, body)
    }

    fn send(
        &self,
        method: &str,
        (call, cseq, tag): (&str, u32, &str),
        lines: &str,
        body: &str,
    ) -> io::Result<()> {
        let (own, phones) = (self.own, self.phones);
        let user = call.split('@').next().unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} sip:{user}@{phones} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{method}{cseq}{call};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:agent@example.com>;tag=floor\r\nTo: <sip:{user}@example.com>{tag}\r\n\
             Call-ID: {call}\r\nCSeq: {cseq} {method}\r\nContact: <sip:{own}>\r\n{lines}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.socket.send_to(text.as_bytes(), phones).map(drop)
    }

    fn answer(&self, request: &str) -> io::Result<()> {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:{}>\r\n\
             Content-Length: 0\r\n\r\n",
            field(request, "\r\nVia: "),
            field(request, "\r\nFrom: "),
            field(request, "\r\nTo: "),
            field(request, "\r\nCall-ID: "),
            field(request, "\r\nCSeq: "),
            self.own,
        );
        self.socket.send_to(text.as_bytes(), self.phones).map(drop)
    }
}

/// The value behind this name.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let rest = text.split_once(name).map_or("", |(_, rest)| rest);
    rest.split_once("\r\n").map_or(rest, |(value, _)| value)
}

/// The dialog with the other phone of this one's call.
fn other(call: &str) -> String {
    let letter = if call.starts_with('u') { "v" } else { "u" };
    format!("{letter}{}", call.get(1..).unwrap_or_default())
}
