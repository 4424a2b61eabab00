//! Several workers behind the real sockets: connections are dealt, calls leave by every worker's port, and signals reach
//! all.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};

use cordboard_tests::PATIENCE;
use cordboard_tests::cordboard::{Cordboard, program};
use cordboard_tests::login::Login;
use cordboard_tests::phrases::field;
use cordboard_tests::quick_phone::QuickPhone;
use cordboard_tests::softphones::Softphone;
use cordboard_tests::wait_for;
use nix::sys::signal::Signal;

/// So many, whatever machine this is.
const WORKERS: usize = 3;
/// A worker has four connections before the next one has any.
const LINES: usize = 4 * WORKERS;
const AGENT: &str = "agent";

/// A server with three workers and this at the end of its configuration; it is the production runtime, the other has one.
fn server(more: &str, with_agent: bool) -> Cordboard {
    let config = format!(
        "workers = {WORKERS}\n[http]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n\
         [sip]\ndomain = \"example.com\"\nlisten = [\"udp:127.0.0.1:0\"]\n{more}\n"
    );
    let users: &[(&str, &str, &[&str])] =
        if with_agent { &[(AGENT, "1", &[])] } else { &[("other", "1", &[])] };
    let server = Cordboard::run(&program(), &config, users);
    wait_for("the ports of all workers", || (server.sip_ports().len() == WORKERS).then_some(()));
    server
}

/// A connection of HTTP that stays.
struct Line(TcpStream);

impl Line {
    fn new(server: &Cordboard) -> Self {
        let stream = TcpStream::connect(&server.http).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket can wait for so long");
        Self(stream)
    }

    /// Asks for something; status and head.
    fn ask(&mut self, method: &str, uri: &str, lines: &str) -> (u16, String) {
        let request = format!("{method} {uri} HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
        self.0.write_all(request.as_bytes()).expect("it reads");
        self.answer()
    }

    fn answer(&mut self) -> (u16, String) {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("it answers");
            bytes.extend(byte);
        }
        let head = String::from_utf8(bytes).expect("it is text");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).expect("it says all");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.expect("it has a status"), head)
    }
}

#[test]
fn calls_leave_by_the_ports_of_all_workers_wherever_they_are_ordered() {
    let server = server("", true);
    let mut phone = QuickPhone::new();
    for called in 200..230 {
        let path = format!("/callcontroller/{}/{called}?agent={AGENT}", phone.user());
        assert_eq!(server.trusted("POST", &path).status, 200);
        phone.take_call();
        assert_eq!(server.ended(&path)["outcome"]["state"], "connected");
    }
    assert_eq!(phone.ports(), server.sip_ports());
    let list = server.call("/calls");
    assert_eq!(list["calls"].as_array().map(Vec::len), Some(30), "{list}");
}

#[test]
fn whoever_takes_the_order_the_invite_is_sent_again_by_the_worker_whose_call_it_is() {
    let server = server("", true);
    let silent = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    silent.set_read_timeout(Some(PATIENCE)).expect("a socket can wait for so long");
    let phone = silent.local_addr().expect("it is bound");
    // All workers rest until then, and one takes all orders.
    for called in 200..230 {
        let path = format!("/callcontroller/phone%40{phone}/{called}?agent={AGENT}");
        assert_eq!(server.trusted("POST", &path).status, 200);
    }
    let (mut times, mut ports) = (BTreeMap::<String, u32>::new(), BTreeSet::new());
    let mut bytes = vec![0; 65_535];
    while times.len() < 30 || times.values().any(|times| *times < 2) {
        let (length, from) = silent.recv_from(&mut bytes).expect("every INVITE comes again");
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        *times.entry(field(&text, "Call-ID").to_owned()).or_default() += 1;
        ports.insert(from.port());
    }
    assert_eq!(ports.into_iter().collect::<Vec<_>>(), server.sip_ports());
}

#[test]
fn a_connection_is_dealt_to_the_worker_with_the_most_room_until_all_are_full() {
    let server = server("[limits]\nconnections = 6", true);
    let mut lines: Vec<Line> = (0..6).map(|_| Line::new(&server)).collect();
    for line in &mut lines {
        assert_eq!(line.ask("GET", "/calls", "").0, 401, "it is asked who it is");
    }
    assert_eq!(Line::new(&server).answer().0, 503);
    // Whoever goes makes room, with whatever worker it was.
    lines.remove(4);
    let mut again = wait_for("room for a connection", || {
        let mut line = Line::new(&server);
        (line.ask("GET", "/calls", "").0 == 401).then_some(line)
    });
    assert_eq!(again.ask("GET", "/calls", "").0, 401);
}

#[test]
fn users_that_are_read_anew_may_log_in_at_every_worker() {
    let mut server = server("", false);
    let mut lines: Vec<Line> = (0..LINES).map(|_| Line::new(&server)).collect();
    let (status, challenge) = lines[0].ask("GET", "/calls", "");
    assert_eq!(status, 401);
    let mut login = Login::challenged(&challenge);
    let mut log_in = |line: &mut Line| line.ask("GET", "/calls", &login.line("GET", "/calls", "1")).0;
    assert_eq!(log_in(&mut lines[LINES - 1]), 401, "nobody knows the agent yet");
    server.add_user(AGENT, "1", &[]);
    server
        .process
        .wait_said("the users", |said| said.contains("users were read again users=2").then_some(()));
    for line in &mut lines {
        wait_for("a login", || (log_in(line) == 200).then_some(()));
    }
}

#[test]
fn a_drain_waits_for_the_calls_of_all_workers() {
    let mut server = server("", true);
    let (calling, called) = (Softphone::start(Default::default()), Softphone::start(Default::default()));
    let path = |call: usize| {
        let (one, two) = (calling.user(&format!("one{call}")), called.user(&format!("two{call}")));
        format!("/callcontroller/{one}/{two}?agent={AGENT}")
    };
    for call in 0..12 {
        let order = format!("{}&sipMethod=INVITE", path(call));
        assert_eq!(server.trusted("POST", &order).status, 200);
    }
    wait_for("the calls", || (calling.calls() == 12 && called.calls() == 12).then_some(()));
    server.process.signal(Signal::SIGTERM);
    server.process.wait_said("draining", |said| said.contains("draining").then_some(()));
    for call in 0..12 {
        assert!(!server.process.has_ended(), "{} calls stand", 12 - call);
        let refused = server.trusted("POST", &path(99));
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(server.trusted("DELETE", &path(call)).status, 204);
    }
    let status = server.process.wait();
    assert!(status.success(), "{status}: {}", server.process.said());
    wait_for("both phones to be free", || (calling.calls() == 0 && called.calls() == 0).then_some(()));
}
