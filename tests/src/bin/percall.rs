//! Places calls in memory, without sockets and without waiting: what a call costs in instructions and allocations, to be
//! counted by valgrind, which counts the same each time.
//!
//! `percall refer 1000` or `percall invite 1000`. With callgrind, what counts is `Controller::handle`:
//! `valgrind --tool=callgrind --toggle-collect='*Controller*handle*' target/release/percall refer 1000`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cordboard_core::config::Config;
use cordboard_core::io::{ConnectionId, Datagram, Input, ListenerId, Outbox, Output, SocketId, Wake};
use cordboard_core::users::{Directory, User};
use cordboard_core::{Census, Controller, Epoch, Seed, Tick};
use cordboard_tests::login::Login;

/// The domain and the realm.
const DOMAIN: &str = "example.com";
/// The connection that calls are ordered on.
const HTTP: ConnectionId = ConnectionId(0);
/// What a phone describes.
const SDP: &str = "v=0\r\no=phone 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n\
                   a=rtpmap:0 PCMU/8000\r\n";

/// How calls are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Refer,
    Invite,
}

/// The controller and the two phones of each call, who answer at once.
struct Board {
    controller: Controller,
    now: Tick,
    outbox: Outbox,
    /// What the phones have said and nobody has heard.
    said: VecDeque<String>,
    /// What came by HTTP.
    answer: Vec<u8>,
    datagrams: u64,
}

fn phones() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5060))
}

impl Board {
    fn new() -> Self {
        let config = format!(
            "[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]\n[auth]\nnonce_lifetime = \"24h\"\n\
             [sip]\ndomain = \"{DOMAIN}\"\nlisten = [\"udp:127.0.0.1:6050\"]\nproxy = \"sip:{}\"\n\
             [calls]\nresult_cache_time = \"0s\"\n",
            phones()
        );
        let config = Config::from_toml(&config).expect("the configuration is right");
        let users = Directory::new(vec![User::new("agent", DOMAIN, "1")], DOMAIN).expect("users");
        let epoch = Epoch::from_unix_millis(1_893_456_000_000);
        let controller = Controller::new(config, users, Seed([1; 32]), epoch).expect("it has an address");
        let mut board = Self {
            controller,
            now: Tick::ZERO,
            outbox: Outbox::new(),
            said: VecDeque::new(),
            answer: Vec::new(),
            datagrams: 0,
        };
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        board.hand(Input::Accepted { listener: ListenerId(0), connection: HTTP, peer });
        board
    }

    /// Hands something in, and all that the phones say to what comes of it.
    fn hand(&mut self, input: Input<'_>) {
        let _wake = self.controller.handle(self.now, input, &mut self.outbox);
        self.take_out();
        while let Some(message) = self.said.pop_front() {
            let bytes = message.as_bytes();
            let datagram = Datagram { socket: SocketId(0), from: phones(), bytes };
            let _wake = self.controller.handle(self.now, Input::Datagram(datagram), &mut self.outbox);
            self.take_out();
        }
    }

    fn take_out(&mut self) {
        let mut written = 0;
        while let Some(output) = self.outbox.pop() {
            match output {
                Output::Datagram { bytes, .. } => {
                    self.datagrams += 1;
                    let text = std::str::from_utf8(bytes).expect("it is text");
                    reply(text, &mut self.said);
                }
                Output::Write { bytes, .. } => {
                    self.answer.extend_from_slice(bytes);
                    written += bytes.len();
                }
                _ => {}
            }
        }
        if written > 0 {
            let input = Input::Written { connection: HTTP, bytes: written };
            let _wake = self.controller.handle(self.now, input, &mut self.outbox);
        }
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            match self.controller.handle(self.now, Input::Timeout, &mut self.outbox) {
                Wake::At(at, _) if at <= until => {
                    self.now = self.now.max(at);
                    self.take_out();
                }
                _ => break,
            }
        }
        self.now = until;
    }
}

/// What a phone answers to a message, and says then by itself.
fn reply(message: &str, said: &mut VecDeque<String>) {
    let method = message.split(' ').next().unwrap_or_default();
    match method {
        "INVITE" => said.push_back(response(message, "200 OK", SDP)),
        "BYE" => said.push_back(response(message, "200 OK", "")),
        "REFER" => {
            said.push_back(response(message, "202 Accepted", ""));
            said.push_back(notify(message));
        }
        _ => {}
    }
}

/// The value of a header field.
fn field<'a>(message: &'a str, name: &str) -> &'a str {
    let found = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_default()
}

fn response(request: &str, status: &str, body: &str) -> String {
    let to = field(request, "To");
    let tag = if to.contains(";tag=") { "" } else { ";tag=phone" };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:phone@127.0.0.1:5060>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        field(request, "Via"),
        field(request, "From"),
        field(request, "Call-ID"),
        field(request, "CSeq"),
        body.len()
    )
}

/// The NOTIFY that tells that the referred call stands.
fn notify(refer: &str) -> String {
    let call_id = field(refer, "Call-ID");
    format!(
        "NOTIFY sip:cordboard@127.0.0.1:6050 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKn{call_id}\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {call_id}\r\nCSeq: 1 NOTIFY\r\nEvent: refer\r\n\
         Subscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag\r\n\
         Content-Length: 16\r\n\r\nSIP/2.0 200 OK\r\n",
        field(refer, "To"),
        field(refer, "From"),
    )
}

/// Asks for something by HTTP; the answer has to have this status, and its head is returned.
fn ask(board: &mut Board, request: (&str, &str), authorization: &str, status: &str) -> String {
    let (method, uri) = request;
    let request = format!("{method} {uri} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n");
    board.answer.clear();
    board.hand(Input::Received { connection: HTTP, bytes: request.as_bytes() });
    let answer = String::from_utf8_lossy(&board.answer).into_owned();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    answer
}

fn order() -> Option<(Flow, u32)> {
    let mut arguments = std::env::args().skip(1);
    let flow = match arguments.next()?.as_str() {
        "refer" => Flow::Refer,
        "invite" => Flow::Invite,
        _ => return None,
    };
    Some((flow, arguments.next()?.parse().ok()?))
}

fn main() -> ExitCode {
    let Some((flow, calls)) = order() else {
        eprintln!("usage: percall refer|invite CALLS");
        return ExitCode::from(2);
    };
    let mut board = Board::new();
    let mut login = Login::challenged(&ask(&mut board, ("GET", "/calls"), "", "401"));
    let mut order = |board: &mut Board, method: &str, uri: &str, status: &str| {
        let line = login.line(method, uri, "1");
        ask(board, (method, uri), &line, status);
    };
    let start = Instant::now();
    for call in 0..calls {
        let path = format!("/callcontroller/one{call}/two{call}");
        match flow {
            Flow::Refer => order(&mut board, "POST", &format!("{path}?agent=agent"), "200"),
            Flow::Invite => {
                order(&mut board, "POST", &format!("{path}?agent=agent&sipMethod=INVITE"), "200");
                order(&mut board, "DELETE", &path, "204");
            }
        }
        // What is over is forgotten in its time.
        if call % 100 == 99 {
            board.pass(Duration::from_secs(40));
        }
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(calls.max(1));
    board.pass(Duration::from_secs(2 * 24 * 3600));
    let census = board.controller.census();
    assert_eq!(census, Census::default(), "something is left");
    println!("{calls} calls, {} datagrams, {each:.1} us a call, phones and all", board.datagrams);
    ExitCode::SUCCESS
}
