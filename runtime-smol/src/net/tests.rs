//! The tasks over real sockets on loopback, and what they tell the loop.

use std::future::Future;
use std::io::{Read, Write};

use super::*;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
const ID: ConnectionId = ConnectionId(1 << 63);
const MIB: usize = 1 << 20;

/// An executor, and where its tasks tell what happens.
struct Stage {
    executor: Rc<LocalExecutor<'static>>,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

impl Stage {
    fn new() -> Self {
        let (sender, events) = smol::channel::bounded(WAITING);
        Self { executor: Rc::new(LocalExecutor::new()), sender, events }
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        smol::block_on(self.executor.run(future))
    }

    fn next(&self) -> Event {
        let late = async {
            Timer::after(LONG).await;
            panic!("nothing was told in time")
        };
        self.run(async { self.events.recv().await.expect("the stage holds a sender") }.or(late))
    }

    fn start(&self, stream: TcpStream, origin: Origin) -> Connection {
        let (alive, _gone) = smol::channel::bounded(1);
        Connection::start(ID, (stream, origin), &self.executor, &self.sender, alive).expect("started")
    }

    /// Lets the tasks run until everything that they can do at once is done.
    fn work(&self) {
        while self.executor.try_tick() {}
    }
}

fn listener(any: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(any).expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().expect("accepted");
    stream.set_read_timeout(Some(LONG)).expect("a time limit");
    stream
}

fn speaker(any: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(any).expect("a free port");
    socket.set_read_timeout(Some(LONG)).expect("a time limit");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

fn hear(socket: &UdpSocket) -> (SocketAddr, Vec<u8>) {
    let mut buffer = [0; 2048];
    let (length, from) = socket.recv_from(&mut buffer).expect("a datagram comes");
    (from, buffer[..length].to_vec())
}

fn dial(to: SocketAddr) -> TcpStream {
    dial::connect("127.0.0.1".parse().expect("an address"), to).expect("begun")
}

#[test]
fn what_is_written_before_a_connection_stands_is_written_when_it_does() {
    let stage = Stage::new();
    let (listener, to) = listener("127.0.0.1:0");
    let connection = stage.start(dial(to), Origin::Opened);
    connection.write(b"early ").expect("queued");
    connection.write(b"bird").expect("queued");
    assert!(matches!(stage.next(), Event::Connected(ID)));
    assert!(matches!(stage.next(), Event::Written(ID, 6)));
    assert!(matches!(stage.next(), Event::Written(ID, 4)));
    let mut stream = accept(&listener);
    let mut bytes = [0; 10];
    stream.read_exact(&mut bytes).expect("it comes");
    assert_eq!(&bytes, b"early bird");
    stream.write_all(b"hello").expect("written");
    assert!(matches!(stage.next(), Event::Received(ID, bytes) if bytes == b"hello"));
    connection.close(Close::Flushed, &stage.executor);
    stage.work();
    assert_eq!(stream.read(&mut bytes).expect("an end"), 0);
}

#[test]
fn a_connection_that_is_refused_ends() {
    let stage = Stage::new();
    let (_, closed) = listener("127.0.0.1:0");
    let connection = stage.start(dial(closed), Origin::Opened);
    connection.write(b"nobody reads this").expect("queued");
    assert!(matches!(stage.next(), Event::Ended(ID)));
    stage.work();
    assert!(stage.events.is_empty(), "it is told once");
}

#[test]
fn a_peer_that_takes_nothing_is_not_written_for_without_limit() {
    let stage = Stage::new();
    let (listener, to) = listener("127.0.0.1:0");
    let connection = stage.start(TcpStream::connect(to).expect("connected"), Origin::Accepted);
    let _peer = accept(&listener);
    let block = vec![b'x'; MIB];
    let mut queued = 0;
    while connection.write(&block).is_ok() {
        queued += MIB;
        stage.work();
        assert!(queued < 64 * MIB, "more than a peer's buffers hold");
    }
    let told = std::iter::from_fn(|| stage.events.try_recv().ok());
    let written: usize = told.map(|event| if let Event::Written(_, bytes) = event { bytes } else { 0 }).sum();
    assert!(written > 0 && queued - written > MIB, "{written} of {queued} bytes are written");
}

#[test]
fn a_question_has_a_port_of_its_own_until_it_is_over() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let stage = Stage::new();
        let (server, address) = speaker(any);
        let open = |id| Question::new(QueryId(id), address, &stage.executor, &stage.sender).expect("opened");
        let (first, second) = (open(1), open(2));
        first.ask(b"a").expect("asked");
        first.ask(b"a again").expect("asked");
        second.ask(b"b").expect("asked");
        let (from, again, other) = (hear(&server), hear(&server), hear(&server));
        assert_eq!(from.0, again.0);
        assert_ne!(from.0.port(), other.0.port());
        speaker(any).0.send_to(b"forged", from.0).expect("sent");
        server.send_to(b"answer", from.0).expect("sent");
        assert!(matches!(stage.next(), Event::Answer(QueryId(1), bytes) if bytes == b"answer"));
        drop(first);
        server.send_to(b"too late", from.0).expect("sent");
        server.send_to(b"another", other.0).expect("sent");
        assert!(matches!(stage.next(), Event::Answer(QueryId(2), bytes) if bytes == b"another"));
    }
}

#[test]
fn a_question_to_nobody_is_not_answered() {
    let stage = Stage::new();
    let (_, closed) = speaker("127.0.0.1:0");
    let question = Question::new(QueryId(1), closed, &stage.executor, &stage.sender).expect("opened");
    question.ask(b"is anybody there?").expect("sent");
    assert!(matches!(stage.next(), Event::Unanswered(QueryId(1))));
}

#[test]
fn who_cannot_be_reached_is_told_and_the_socket_rests_again() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let stage = Stage::new();
        let bound = Bound::new(&[any.parse().expect("an address")], &[]).expect("a free port");
        let socket = bound.sockets.into_iter().next().expect("one was bound");
        let socket = Rc::new(Async::new(socket).expect("registered"));
        let receiving = datagrams::receive(SocketId(0), socket.clone(), stage.sender.clone());
        let receiving = stage.executor.spawn(receiving);
        let (_, closed) = speaker(any);
        datagrams::send(socket.get_ref(), closed, b"?", &mut Vec::new());
        assert!(matches!(stage.next(), Event::Unreachable(SocketId(0), to) if to == closed));
        stage.work();
        assert!(stage.events.is_empty());
        let own = socket.get_ref().local_addr().expect("an address");
        datagrams::send(socket.get_ref(), own, b"to myself", &mut Vec::new());
        assert!(
            matches!(stage.next(), Event::Datagram(_, from, bytes) if from == own && bytes == b"to myself")
        );
        drop(receiving);
    }
}

#[test]
fn a_burst_of_errors_costs_no_datagram_to_others_and_never_blames_them() {
    let bound = Bound::new(&[SocketAddr::from(([127, 0, 0, 1], 0))], &[]).expect("a free port");
    let (live, address) = speaker("127.0.0.1:0");
    let (_, dead) = speaker("127.0.0.1:0");
    let mut unreachable = Vec::new();
    for number in 0..200u32 {
        datagrams::send(&bound.sockets[0], dead, b"?", &mut unreachable);
        datagrams::send(&bound.sockets[0], address, &number.to_be_bytes(), &mut unreachable);
    }
    for number in 0..200u32 {
        assert_eq!(hear(&live).1, number.to_be_bytes());
    }
    assert!(!unreachable.is_empty() && unreachable.iter().all(|to| *to == dead), "{unreachable:?}");
}
