//! What core begins: connections that it opens, questions to name servers, and datagrams that do not arrive. The machine
//! does what the test orders, an order for each datagram that comes.

use std::net::TcpListener;

use super::*;

/// The first id of a connection that core opens.
const OURS: u64 = 1 << 63;
const MIB: usize = 1 << 20;

#[derive(Debug, PartialEq)]
enum Told {
    Connected(u64),
    Received(u64, Vec<u8>),
    Written(u64, usize),
    Lost(u64),
    Answer(u64, Vec<u8>),
    Unanswered(u64),
    Unreachable(SocketId, SocketAddr),
}

type Order = Box<dyn FnOnce(&mut Outbox) + Send>;

struct Puppet {
    told: Sender<Told>,
    orders: Receiver<Order>,
}

impl Machine for Puppet {
    fn handle(&mut self, _now: Tick, input: Input<'_>, outbox: &mut Outbox) -> Wake {
        let told = match input {
            Input::Datagrams(datagrams) => {
                for _ in datagrams {
                    self.orders.recv_timeout(LONG).expect("an order lies ready")(outbox);
                }
                return Wake::Idle;
            }
            Input::Timeout => return Wake::Idle,
            Input::Connected { connection } => Told::Connected(connection.0),
            Input::Received { connection, bytes } => Told::Received(connection.0, bytes.to_vec()),
            Input::Written { connection, bytes } => Told::Written(connection.0, bytes),
            Input::Lost { connection } => Told::Lost(connection.0),
            Input::Answer { query, bytes } => Told::Answer(query.0, bytes.to_vec()),
            Input::Unanswered { query } => Told::Unanswered(query.0),
            Input::Unreachable { socket, to } => Told::Unreachable(socket, to),
            other => panic!("nobody sent {other:?}"),
        };
        self.told.send(told).expect("the test listens");
        Wake::Idle
    }
}

/// A loop in a thread of its own that does what is ordered.
struct Stage {
    sockets: Vec<SocketAddr>,
    orders: Sender<Order>,
    told: Receiver<Told>,
    prompter: UdpSocket,
    thread: Option<JoinHandle<()>>,
}

impl Stage {
    fn new() -> Self {
        let any = ["127.0.0.1:0", "[::1]:0"].map(|any| any.parse().expect("an address"));
        let bound = Bound::new(&any, &[]).expect("free ports");
        let sockets = bound.datagram_addresses().to_vec();
        let ((tells, told), (orders, ordered)) = (channel(), channel());
        let thread = std::thread::spawn(move || {
            let mut event_loop = EventLoop::new(bound).expect("a loop");
            let (seen, _unseen) = channel();
            let mut host = Pulsing { seen, interval: None, passed: 0 };
            let puppet = Puppet { told: tells, orders: ordered };
            event_loop.run(puppet, &mut host, Vec::new()).expect("it runs");
        });
        Self { sockets, orders, told, prompter: speaker(), thread: Some(thread) }
    }

    fn order(&self, order: impl FnOnce(&mut Outbox) + Send + 'static) {
        self.orders.send(Box::new(order)).expect("the machine takes it");
        self.prompter.send_to(b"now", self.sockets[0]).expect("sent");
    }

    fn connect(&self, id: u64, to: SocketAddr) {
        self.order(move |outbox| outbox.connect(ConnectionId(id), unspecified(to), to));
    }

    fn write(&self, id: u64, bytes: &'static [u8]) {
        self.order(move |outbox| write(outbox, id, bytes));
    }

    fn close(&self, id: u64, how: Close) {
        self.order(move |outbox| outbox.close(ConnectionId(id), how));
    }

    fn query(&self, id: u64, server: SocketAddr, message: &'static [u8]) {
        self.order(move |outbox| outbox.query(QueryId(id), server, message));
    }

    fn send(&self, socket: u16, to: SocketAddr) {
        self.order(move |outbox| {
            outbox.datagram(SocketId(socket), to, |out| out.push(b'?'));
        });
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(LONG).expect("it is told in time")
    }

    /// Lets everything that was ordered be done, and is sure that the machine was told nothing of it.
    fn is_told_nothing(&self) {
        let server = speaker();
        let address = server.local_addr().expect("an address");
        self.query(u64::from(u32::MAX), address, b"?");
        let (from, _) = hear(&server);
        server.send_to(b"!", from).expect("sent");
        assert_eq!(self.next(), Told::Answer(u64::from(u32::MAX), b"!".to_vec()));
        self.order(|outbox| outbox.query_over(QueryId(u64::from(u32::MAX))));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if !std::thread::panicking() {
            self.order(Outbox::drained);
            thread.join().expect("it has not panicked");
        }
    }
}

fn unspecified(to: SocketAddr) -> std::net::IpAddr {
    let any = if to.is_ipv4() { "0.0.0.0" } else { "::" };
    any.parse().expect("an address")
}

fn write(outbox: &mut Outbox, id: u64, bytes: &[u8]) {
    outbox.write(ConnectionId(id), |out| out.extend_from_slice(bytes));
}

fn listener(any: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(any).expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, peer) = listener.accept().expect("accepted");
    stream.set_read_timeout(Some(LONG)).expect("a time limit");
    (stream, peer)
}

/// An address that nobody listens on.
fn closed() -> SocketAddr {
    listener("127.0.0.1:0").1
}

fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).expect("it comes");
    bytes
}

#[test]
fn what_is_written_before_a_connection_stands_is_written_when_it_does() {
    let stage = Stage::new();
    let (listener, to) = listener("127.0.0.1:0");
    stage.order(move |outbox| {
        outbox.connect(ConnectionId(OURS), "127.0.0.7".parse().expect("an address"), to);
        write(outbox, OURS, b"early ");
        write(outbox, OURS, b"bird");
    });
    let (mut stream, peer) = accept(&listener);
    assert_eq!(peer.ip().to_string(), "127.0.0.7");
    assert_eq!(read(&mut stream, 10), b"early bird");
    assert_eq!(stage.next(), Told::Connected(OURS));
    assert_eq!(stage.next(), Told::Written(OURS, 10));
}

#[test]
fn a_connection_that_was_opened_carries_both_ways_until_either_closes_it() {
    let stage = Stage::new();
    for (any, id) in [("127.0.0.1:0", OURS), ("[::1]:0", OURS | 1)] {
        let (listener, to) = listener(any);
        stage.connect(id, to);
        let (mut stream, _) = accept(&listener);
        assert_eq!(stage.next(), Told::Connected(id));
        stream.write_all(b"hello").expect("written");
        assert_eq!(stage.next(), Told::Received(id, b"hello".to_vec()));
        stage.write(id, b"good bye");
        assert_eq!(stage.next(), Told::Written(id, 8));
        if any.starts_with('[') {
            stage.close(id, Close::Flushed);
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).expect("an end");
            assert_eq!(rest, b"good bye");
        } else {
            drop(stream);
            assert_eq!(stage.next(), Told::Lost(id));
        }
    }
    stage.is_told_nothing();
}

#[test]
fn a_connection_that_is_refused_or_cannot_be_begun_is_lost() {
    let stage = Stage::new();
    let to = closed();
    stage.connect(OURS, to);
    assert_eq!(stage.next(), Told::Lost(OURS));
    for (number, foreign) in (1..).zip(["192.0.2.77", "::1"]) {
        let from = foreign.parse().expect("an address");
        stage.order(move |outbox| {
            outbox.connect(ConnectionId(OURS | number), from, to);
            write(outbox, OURS | number, b"nobody reads this");
        });
        assert_eq!(stage.next(), Told::Lost(OURS | number));
    }
    stage.is_told_nothing();
}

#[test]
fn a_connection_that_is_closed_before_it_stands_is_not_spoken_of() {
    let stage = Stage::new();
    let (listener, to) = listener("127.0.0.1:0");
    stage.order(move |outbox| {
        outbox.connect(ConnectionId(OURS), unspecified(to), to);
        outbox.close(ConnectionId(OURS), Close::Now);
        outbox.connect(ConnectionId(OURS | 1), unspecified(to), to);
        write(outbox, OURS | 1, b"in passing");
        outbox.close(ConnectionId(OURS | 1), Close::Flushed);
    });
    let (mut first, _) = accept(&listener);
    // The system may have reset it already.
    assert!(matches!(first.read(&mut [0; 1]), Ok(0) | Err(_)));
    let (mut second, _) = accept(&listener);
    let mut all = Vec::new();
    second.read_to_end(&mut all).expect("an end");
    assert_eq!(all, b"in passing");
    stage.is_told_nothing();
}

#[test]
fn a_peer_that_takes_nothing_loses_its_connection_before_it_takes_all_memory() {
    let stage = Stage::new();
    let (listener, to) = listener("127.0.0.1:0");
    stage.connect(OURS, to);
    let (mut stream, _) = accept(&listener);
    assert_eq!(stage.next(), Told::Connected(OURS));
    stage.order(|outbox| (0..64).for_each(|_| write(outbox, OURS, &[b'x'; MIB])));
    let mut written = 0;
    while let Told::Written(OURS, bytes) = stage.next() {
        written += bytes;
    }
    assert!(written < 62 * MIB, "{written} bytes are more than a peer's buffers hold");
    stage.is_told_nothing();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("an end");
    assert_eq!(all.len(), written, "what was told to be written has arrived");
}

#[test]
fn a_question_keeps_its_port_and_no_two_share_one() {
    let stage = Stage::new();
    let server = speaker();
    let address = server.local_addr().expect("an address");
    stage.query(1, address, b"first");
    let (first, message) = hear(&server);
    assert_eq!(message, b"first");
    stage.query(1, address, b"first again");
    assert_eq!(hear(&server), (first, b"first again".to_vec()));
    stage.query(2, address, b"second");
    let (second, _) = hear(&server);
    assert_ne!(first.port(), second.port());
    for answer in [b"one", b"two"] {
        server.send_to(answer, first).expect("sent");
        assert_eq!(stage.next(), Told::Answer(1, answer.to_vec()));
    }
    // Only the server that was asked is heard.
    speaker().send_to(b"forged", first).expect("sent");
    server.send_to(b"three", second).expect("sent");
    assert_eq!(stage.next(), Told::Answer(2, b"three".to_vec()));
    stage.order(|outbox| outbox.query_over(QueryId(1)));
    stage.is_told_nothing();
    server.send_to(b"too late", first).expect("sent");
    stage.is_told_nothing();
}

#[test]
fn a_question_can_be_asked_of_another_server_and_over_ipv6() {
    let stage = Stage::new();
    let v6 = UdpSocket::bind("[::1]:0").expect("a free port");
    v6.set_read_timeout(Some(LONG)).expect("a time limit");
    for (server, message) in [(speaker(), b"a"), (speaker(), b"b"), (v6, b"c")] {
        stage.query(1, server.local_addr().expect("an address"), message);
        let (from, heard) = hear(&server);
        assert_eq!(heard, message);
        server.send_to(&[b'x'; 1500], from).expect("sent");
        assert_eq!(stage.next(), Told::Answer(1, vec![b'x'; 1500]));
    }
}

#[test]
fn a_question_to_nobody_or_to_nowhere_is_not_answered() {
    let stage = Stage::new();
    stage.query(1, closed(), b"is anybody there?");
    assert_eq!(stage.next(), Told::Unanswered(1));
    // There is no port 0.
    stage.query(2, SocketAddr::from(([127, 0, 0, 1], 0)), b"nor here?");
    assert_eq!(stage.next(), Told::Unanswered(2));
    stage.is_told_nothing();
}

#[test]
fn a_datagram_to_a_closed_port_is_told_by_the_socket_that_sent_it() {
    let stage = Stage::new();
    let to = closed();
    stage.send(0, to);
    assert_eq!(stage.next(), Told::Unreachable(SocketId(0), to));
    let to = SocketAddr::new("::1".parse().expect("an address"), listener("[::1]:0").1.port());
    stage.send(1, to);
    assert_eq!(stage.next(), Told::Unreachable(SocketId(1), to));
}

#[test]
fn a_burst_of_errors_costs_no_datagram_to_others_and_never_blames_them() {
    let stage = Stage::new();
    let (live, dead) = (speaker(), closed());
    let address = live.local_addr().expect("an address");
    let count = 200u32;
    for turn in 0..count / 20 {
        stage.order(move |outbox| {
            for number in turn * 20..(turn + 1) * 20 {
                outbox.datagram(SocketId(0), dead, |out| out.push(b'?'));
                outbox.datagram(SocketId(0), address, |out| out.extend_from_slice(&number.to_be_bytes()));
            }
        });
    }
    for number in 0..count {
        assert_eq!(hear(&live).1, number.to_be_bytes());
    }
    assert_eq!(stage.next(), Told::Unreachable(SocketId(0), dead));
    while let Ok(told) = stage.told.try_recv() {
        assert_eq!(told, Told::Unreachable(SocketId(0), dead));
    }
}

/// Says to a process started for it that it may have few file descriptors.
const FEW_DESCRIPTORS: &str = "CORDBOARD_TEST_FEW_DESCRIPTORS";

#[test]
fn without_a_file_descriptor_connections_are_lost_and_questions_unanswered_until_there_is_one() {
    if std::env::var_os(FEW_DESCRIPTORS).is_none() {
        let name = std::thread::current().name().expect("tests have names").to_owned();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "ulimit -n 60; exec \"$0\" --exact \"$1\" --nocapture"]);
        let program = std::env::current_exe().expect("the test knows where it is");
        let ended = shell.arg(program).arg(name).env(FEW_DESCRIPTORS, "1").output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && said.contains("1 passed"), "{said}{ended:?}");
        return;
    }
    let stage = Stage::new();
    let (listener, to) = listener("127.0.0.1:0");
    // The loop needs some itself, and has them once it is heard of.
    stage.query(0, to, b"?");
    assert_eq!(stage.next(), Told::Unanswered(0));
    let mut taken: Vec<TcpStream> = std::iter::from_fn(|| TcpStream::connect(to).ok()).collect();
    assert!(taken.len() > 10);
    stage.connect(OURS, to);
    assert_eq!(stage.next(), Told::Lost(OURS));
    stage.query(1, to, b"?");
    assert_eq!(stage.next(), Told::Unanswered(1));
    taken.truncate(1);
    stage.connect(OURS | 1, to);
    assert_eq!(stage.next(), Told::Connected(OURS | 1));
    drop(listener);
}
