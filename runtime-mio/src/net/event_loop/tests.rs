//! The loop over real sockets on loopback, with a machine that echoes and obeys a few words.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use cordboard_core::io::{Close, Outbox, Reason};

use super::*;

mod begun;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// More than all buffers between two ends of a connection hold.
const BIG: usize = 24 << 20;

/// What the machine and the host have seen.
#[derive(Debug, PartialEq)]
enum Seen {
    Accepted(ListenerId, ConnectionId),
    Received(usize),
    Written(usize),
    Lost(ConnectionId),
    Timeout(Tick),
    Pulse(Instant),
    Paused,
    Behind(Duration),
}

/// Echoes what it gets, but obeys these words: `drain`, `timer`, `busy`, `pause` (datagrams), `big`, `bye`, `big bye`, `go`,
/// `sink` (connections).
struct Echo {
    seen: Sender<Seen>,
    wake: Wake,
    busy: u32,
    sinks: BTreeSet<ConnectionId>,
    /// A pause ends when something comes.
    gate: Receiver<()>,
}

impl Echo {
    fn tell(&self, seen: Seen) {
        self.seen.send(seen).expect("the test listens");
    }

    fn datagram(&mut self, now: Tick, datagram: &Datagram<'_>, outbox: &mut Outbox) {
        match datagram.bytes {
            b"drain" => outbox.drained(),
            b"timer" => self.wake = Wake::At(now + Duration::from_millis(50), Reason::Call),
            b"pause" => {
                self.tell(Seen::Paused);
                self.gate.recv_timeout(LONG).expect("the pause ends");
            }
            b"busy" => (self.busy, self.wake) = (3, Wake::At(now, Reason::MoreWork)),
            _ => {}
        }
        outbox.datagram(datagram.socket, datagram.from, |out| out.extend_from_slice(datagram.bytes));
    }

    fn received(&mut self, connection: ConnectionId, bytes: &[u8], outbox: &mut Outbox) {
        self.tell(Seen::Received(bytes.len()));
        if self.sinks.contains(&connection) {
            // It takes its time, so that the peer always has more ready than is taken.
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_micros(500) {
                std::hint::spin_loop();
            }
            return;
        }
        match bytes {
            b"big" => drop(outbox.write(connection, |out| out.resize(out.len() + BIG, b'x'))),
            b"big bye" => {
                outbox.write(connection, |out| out.resize(out.len() + BIG, b'x'));
                outbox.close(connection, Close::Flushed);
            }
            b"bye" => {
                outbox.write(connection, |out| out.extend_from_slice(b"good bye"));
                outbox.close(connection, Close::Flushed);
            }
            b"go" => outbox.close(connection, Close::Now),
            b"sink" => drop(self.sinks.insert(connection)),
            _ => drop(outbox.write(connection, |out| out.extend_from_slice(bytes))),
        }
    }
}

impl Machine for Echo {
    fn handle(&mut self, now: Tick, input: Input<'_>, outbox: &mut Outbox) -> Wake {
        match input {
            Input::Datagrams(datagrams) => {
                datagrams.iter().for_each(|datagram| self.datagram(now, datagram, outbox));
            }
            Input::Accepted { listener, connection, .. } => self.tell(Seen::Accepted(listener, connection)),
            Input::Received { connection, bytes } => self.received(connection, bytes, outbox),
            Input::Written { bytes, .. } => self.tell(Seen::Written(bytes)),
            Input::Lost { connection } => self.tell(Seen::Lost(connection)),
            Input::Timeout => {
                self.tell(Seen::Timeout(now));
                self.busy = self.busy.saturating_sub(1);
                self.wake = if self.busy > 0 { Wake::At(now, Reason::MoreWork) } else { Wake::Idle };
            }
            // Who said `pause` does not wait for the answer.
            Input::Unreachable { .. } => {}
            Input::Behind(by) => self.tell(Seen::Behind(by)),
            other => panic!("nobody sent {other:?}"),
        }
        self.wake
    }
}

struct Pulsing {
    seen: Sender<Seen>,
    interval: Option<Duration>,
    passed: u64,
}

impl Host for Pulsing {
    fn ready(&mut self, token: usize) -> Vec<Input<'static>> {
        panic!("nothing was registered under {token}");
    }
    fn report(&mut self, report: &Report) {
        panic!("nobody reported {report}");
    }
    fn pulse(&mut self) -> Option<Duration> {
        if self.interval.is_some() {
            self.seen.send(Seen::Pulse(Instant::now())).expect("the test listens");
        }
        self.interval
    }
    fn passed(&mut self, _from: SocketAddr, _to: SocketAddr, _bytes: &[u8]) {
        self.passed += 1;
    }
}

/// A loop in a thread of its own, ended and joined when it is dropped.
struct Running {
    datagrams: Vec<SocketAddr>,
    streams: Vec<SocketAddr>,
    seen: Receiver<Seen>,
    gate: Sender<()>,
    thread: Option<JoinHandle<u64>>,
}

impl Running {
    fn start() -> Self {
        Self::with_pulse(None)
    }

    fn with_pulse(interval: Option<Duration>) -> Self {
        let (sender, seen) = channel();
        let (gate, opened) = channel();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = Bound::new(&[any, any], &[any, any]).expect("free ports");
        let datagrams = bound.datagram_addresses().to_vec();
        let streams = bound.stream_addresses().to_vec();
        let thread = std::thread::spawn(move || {
            let mut event_loop = EventLoop::new(bound).expect("a loop");
            let echo = Echo {
                seen: sender.clone(),
                wake: Wake::Idle,
                busy: 0,
                sinks: BTreeSet::new(),
                gate: opened,
            };
            let mut host = Pulsing { seen: sender, interval, passed: 0 };
            event_loop.run(echo, &mut host, Vec::new()).expect("it runs");
            host.passed
        });
        let running = Self { datagrams, streams, seen, gate, thread: Some(thread) };
        running.wait(|seen| matches!(seen, Seen::Timeout(_)).then_some(()));
        running
    }

    /// The first thing seen that `wanted` takes; those before it are passed over.
    fn wait<T>(&self, mut wanted: impl FnMut(&Seen) -> Option<T>) -> T {
        loop {
            let seen = self.seen.recv_timeout(LONG).expect("it is seen in time");
            if let Some(found) = wanted(&seen) {
                return found;
            }
        }
    }

    /// What was seen next.
    fn next(&self) -> Seen {
        self.wait(|seen| match seen {
            Seen::Accepted(listener, connection) => Some(Seen::Accepted(*listener, *connection)),
            Seen::Received(bytes) => Some(Seen::Received(*bytes)),
            Seen::Written(bytes) => Some(Seen::Written(*bytes)),
            Seen::Lost(connection) => Some(Seen::Lost(*connection)),
            Seen::Timeout(at) => Some(Seen::Timeout(*at)),
            Seen::Pulse(at) => Some(Seen::Pulse(*at)),
            Seen::Paused => Some(Seen::Paused),
            Seen::Behind(_) => None,
        })
    }

    fn connect(&self) -> TcpStream {
        connect(self.streams[0])
    }

    /// Sends a datagram and waits until it comes back.
    fn say(&self, word: &[u8]) {
        let socket = speaker();
        socket.send_to(word, self.datagrams[0]).expect("sent");
        assert_eq!(hear(&socket), (self.datagrams[0], word.to_vec()));
    }

    /// Lets things happen while the machine is busy, so that the loop finds them all at once.
    fn at_once(&self, happen: impl FnOnce()) {
        speaker().send_to(b"pause", self.datagrams[0]).expect("sent");
        self.wait(|seen| (*seen == Seen::Paused).then_some(()));
        happen();
        self.gate.send(()).expect("the machine waits");
    }

    /// Ends the loop, and returns how many datagrams passed.
    fn end(mut self) -> u64 {
        self.say(b"drain");
        self.thread.take().expect("it runs").join().expect("it has not panicked")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if !std::thread::panicking() {
            self.say(b"drain");
            thread.join().expect("it has not panicked");
        }
    }
}

fn speaker() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LONG)).expect("a time limit");
    socket
}

fn hear(socket: &UdpSocket) -> (SocketAddr, Vec<u8>) {
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).expect("a datagram comes");
    (from, buffer[..length].to_vec())
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(LONG)).expect("a time limit");
    stream.set_write_timeout(Some(LONG)).expect("a time limit");
    stream
}

fn exchange(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).expect("written");
    let mut back = vec![0; word.len()];
    stream.read_exact(&mut back).expect("it comes back");
    assert_eq!(back, word);
}

#[test]
fn datagrams_come_in_and_go_out_by_the_same_socket() {
    let running = Running::start();
    let socket = speaker();
    for address in &running.datagrams {
        socket.send_to(b"hello", address).expect("sent");
        assert_eq!(hear(&socket), (*address, b"hello".to_vec()));
    }
    assert_eq!(running.end(), 6, "each datagram passes the host twice, once in and once out");
}

#[test]
fn a_burst_of_datagrams_is_answered_in_order() {
    let running = Running::start();
    let socket = speaker();
    // Three batches, and less than the speaker's own buffer holds.
    let count = 190u32;
    for number in 0..count {
        socket.send_to(&number.to_be_bytes(), running.datagrams[0]).expect("sent");
    }
    for number in 0..count {
        assert_eq!(hear(&socket).1, number.to_be_bytes());
    }
}

#[test]
fn connections_get_ids_of_their_own_and_name_their_listener() {
    let running = Running::start();
    let mut streams: Vec<TcpStream> = running.streams.iter().rev().map(|to| connect(*to)).collect();
    assert_eq!(running.next(), Seen::Accepted(ListenerId(1), ConnectionId(0)));
    assert_eq!(running.next(), Seen::Accepted(ListenerId(0), ConnectionId(1)));
    for stream in &mut streams {
        exchange(stream, b"hello");
        exchange(stream, b"hello again");
    }
    drop(streams);
    running.wait(|seen| matches!(seen, Seen::Lost(_)).then_some(()));
    running.wait(|seen| matches!(seen, Seen::Lost(_)).then_some(()));
    let _third = running.connect();
    running.wait(|seen| (*seen == Seen::Accepted(ListenerId(0), ConnectionId(2))).then_some(()));
}

#[test]
fn what_a_slow_reader_does_not_take_waits_and_is_told_when_it_is_written() {
    let running = Running::start();
    let mut stream = running.connect();
    stream.write_all(b"big").expect("written");
    let first = running.wait(|seen| if let Seen::Written(bytes) = seen { Some(*bytes) } else { None });
    assert!(first < BIG, "{first} bytes cannot have been taken by buffers");
    // The others are served meanwhile.
    exchange(&mut running.connect(), b"hello");
    let mut answer = vec![0; BIG];
    stream.read_exact(&mut answer).expect("all comes");
    assert!(answer.iter().all(|byte| *byte == b'x'));
    exchange(&mut stream, b"and on it goes");
    let mut written = first;
    // Three more writes were made: the two echoes, of which one is another connection's.
    let total = BIG + b"hello".len() + b"and on it goes".len();
    while written < total {
        written += running.wait(|seen| if let Seen::Written(bytes) = seen { Some(*bytes) } else { None });
    }
    assert_eq!(written, total);
}

#[test]
fn a_flushed_close_delivers_everything_even_if_the_peer_still_sends() {
    let running = Running::start();
    let mut stream = running.connect();
    stream.write_all(b"big bye").expect("written");
    let mut sender = stream.try_clone().expect("cloned");
    running.wait(|seen| matches!(seen, Seen::Received(7)).then_some(()));
    let sending = std::thread::spawn(move || sender.write_all(&vec![b'y'; 4 << 20]));
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("no reset");
    assert_eq!(answer.len(), BIG);
    sending.join().expect("joined").expect("what nobody wants is taken all the same");
}

#[test]
fn a_flushed_close_of_a_small_answer_ends_with_it() {
    let running = Running::start();
    let mut stream = running.connect();
    stream.write_all(b"bye").expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    assert_eq!(answer, b"good bye");
}

#[test]
fn after_a_flushed_close_what_the_peer_still_sends_is_taken_and_thrown_away() {
    let running = Running::start();
    let mut stream = running.connect();
    stream.write_all(b"bye").expect("written");
    stream.read_to_end(&mut Vec::new()).expect("an end");
    for _ in 0..16 {
        stream.write_all(&[b'y'; 64 * 1024]).expect("no reset");
    }
}

#[test]
fn a_close_at_once_writes_nothing_more() {
    let running = Running::start();
    let mut stream = running.connect();
    stream.write_all(b"go").expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    assert!(answer.is_empty());
}

#[test]
fn a_peer_that_sends_no_more_still_gets_its_answer() {
    let running = Running::start();
    for word in ["big", "hello"] {
        let mut stream = running.connect();
        running.at_once(|| {
            stream.write_all(word.as_bytes()).expect("written");
            stream.shutdown(Shutdown::Write).expect("shut down");
        });
        running.wait(|seen| matches!(seen, Seen::Lost(_)).then_some(()));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an end");
        assert_eq!(answer.len(), if word == "big" { BIG } else { word.len() });
    }
}

#[test]
fn a_connection_its_bytes_and_its_end_that_come_together_are_all_seen() {
    let running = Running::start();
    running.at_once(|| {
        let mut stream = running.connect();
        stream.write_all(b"hello").expect("written");
    });
    assert_eq!(running.next(), Seen::Accepted(ListenerId(0), ConnectionId(0)));
    assert_eq!(running.next(), Seen::Received(5));
    running.wait(|seen| (*seen == Seen::Lost(ConnectionId(0))).then_some(()));
}

#[test]
fn whoever_was_behind_is_told_when_nothing_waits_any_more_though_nothing_else_comes() {
    let running = Running::start();
    let mut stream = running.connect();
    exchange(&mut stream, b"hello");
    let socket = speaker();
    // More than one turn takes, in the first of which the stream gets ready behind what it leaves.
    running.at_once(|| {
        socket.send_to(b"pause", running.datagrams[0]).expect("sent");
        for _ in 0..1_500 {
            socket.send_to(b"x", running.datagrams[0]).expect("sent");
        }
    });
    running.wait(|seen| (*seen == Seen::Paused).then_some(()));
    stream.write_all(b"hello").expect("sent");
    running.gate.send(()).expect("the machine waits");
    let behind = || running.wait(|seen| if let Seen::Behind(by) = seen { Some(*by) } else { None });
    assert!(behind() > Duration::ZERO);
    while behind() > Duration::ZERO {}
}

#[test]
fn a_connection_that_floods_does_not_starve_others() {
    let running = Running::start();
    let mut flood = running.connect();
    exchange(&mut flood, b"hello");
    flood.write_all(b"sink").expect("written");
    running.wait(|seen| matches!(seen, Seen::Received(4)).then_some(()));
    let mut flooding = flood.try_clone().expect("cloned");
    let thread = std::thread::spawn(move || while flooding.write_all(&[b'x'; 256 * 1024]).is_ok() {});
    let mut stream = running.connect();
    for _ in 0..20 {
        exchange(&mut stream, b"is there anybody");
        running.say(b"me too");
    }
    flood.shutdown(Shutdown::Both).expect("shut down");
    thread.join().expect("joined");
}

#[test]
fn the_machine_is_called_when_its_wake_says_and_not_in_between() {
    let running = Running::start();
    let before = Instant::now();
    running.say(b"timer");
    assert!(matches!(running.next(), Seen::Timeout(_)));
    assert!(before.elapsed() >= Duration::from_millis(50));
    // Nothing is waited for now: what comes in next is the next thing seen.
    let mut stream = running.connect();
    exchange(&mut stream, b"hello");
    assert_eq!(running.next(), Seen::Accepted(ListenerId(0), ConnectionId(0)));
}

#[test]
fn the_loop_never_waits_less_than_the_wake_says() {
    let bound = Bound::new(&[], &[]).expect("nothing to bind");
    let mut event_loop: EventLoop<Echo> = EventLoop::new(bound).expect("a loop");
    assert_eq!(event_loop.timeout(Wake::Idle), None);
    for micros in [10_000_001, 10_000_499, 10_000_999] {
        let timeout = event_loop.timeout(Wake::At(Tick::from_micros(micros), Reason::Call));
        let woken = event_loop.start.elapsed() + timeout.expect("a wake is set");
        assert!(woken.as_micros() >= u128::from(micros), "{woken:?} for {micros} µs");
    }
}

#[test]
fn a_wake_that_is_due_already_calls_at_once_until_the_work_is_done() {
    let running = Running::start();
    running.say(b"busy");
    let times: Vec<Seen> = (0..3).map(|_| running.next()).collect();
    assert!(times.iter().all(|seen| matches!(seen, Seen::Timeout(_))), "{times:?}");
    let _stream = running.connect();
    assert_eq!(running.next(), Seen::Accepted(ListenerId(0), ConnectionId(0)));
}

#[test]
fn the_pulse_comes_by_the_clock_and_not_with_every_event() {
    let interval = Duration::from_millis(200);
    let running = Running::with_pulse(Some(interval));
    let mut pulses = Vec::new();
    while pulses.len() < 3 {
        running.say(b"an event");
        pulses.extend(running.seen.try_iter().filter_map(|seen| match seen {
            Seen::Pulse(at) => Some(at),
            _ => None,
        }));
    }
    for pair in pulses.windows(2) {
        // The times are taken a little after the turn's, by which the next pulse is reckoned.
        assert!(pair[1] - pair[0] >= interval / 4, "{:?}", pair[1] - pair[0]);
    }
}

#[test]
fn at_the_end_what_waits_is_still_written() {
    let running = Running::start();
    let mut stream = running.connect();
    stream.write_all(b"big bye").expect("written");
    running.wait(|seen| matches!(seen, Seen::Received(7)).then_some(()));
    running.say(b"drain");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    assert_eq!(answer.len(), BIG);
    let mut running = running;
    running.thread.take().expect("it runs").join().expect("it has ended");
}

#[test]
fn at_the_end_nobody_waits_long_for_a_peer_that_reads_nothing() {
    let running = Running::start();
    let mut stream = running.connect();
    stream.write_all(b"big").expect("written");
    running.wait(|seen| matches!(seen, Seen::Received(3)).then_some(()));
    let before = Instant::now();
    running.end();
    assert!(before.elapsed() < FAREWELL + LONG / 2);
}
