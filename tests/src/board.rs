//! Whole calls in memory: the workers of a service, whoever orders calls by HTTP, and phones that answer at once. No
//! socket, no clock, no wire: what it costs is what the controllers cost.

mod phones;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use cordboard_core::config::Config;
use cordboard_core::io::{
    ConnectionId, Datagram, Input, ListenerId, Outbox, Output, Parcel, SocketId, Wake, Worker, WorkerId,
};
use cordboard_core::users::{Directory, User};
use cordboard_core::{Census, Controller, Epoch, Seed, Tick};

use crate::login::Login;
use crate::phrases::field;
use crate::tape::Tape;

/// The domain and the realm.
const DOMAIN: &str = "example.com";
/// The agent's PIN.
pub const PIN: &str = "1";

/// Where all phones are.
fn phones_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5060))
}

/// A connection of HTTP to one of the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    worker: WorkerId,
    connection: ConnectionId,
}

/// What a request was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The head.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Response {
    /// The value of a header field of its head.
    pub fn field(&self, name: &str) -> &str {
        field(&self.head, name)
    }
}

/// The controllers of so many workers, of which none has been handed anything; `tables` is the end of their configuration.
/// Those that are made alike decide alike.
pub fn controllers(workers: u8, tables: &str) -> Vec<Controller> {
    let config = format!(
        "[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]\n\
         [sip]\ndomain = \"{DOMAIN}\"\nlisten = [\"udp:127.0.0.1:6050\"]\nproxy = \"sip:{}\"\n{tables}\n",
        phones_address()
    );
    let config = Config::from_toml(&config).expect("the configuration is right");
    let users = Directory::new(vec![User::new("agent", DOMAIN, PIN)], DOMAIN).expect("users");
    let epoch = Epoch::from_unix_millis(1_893_456_000_000);
    let controller = |(id, config)| {
        let worker = Worker { id: WorkerId(id), of: workers };
        Controller::for_worker(config, users.clone(), Seed([1; 32]), epoch, worker)
            .expect("it has an address")
    };
    let configs = config.for_workers(workers).expect("there are ports for all");
    (0..).zip(configs).map(controller).collect()
}

/// The workers, and all whom they speak with.
#[derive(Debug)]
pub struct Board {
    controllers: Vec<Controller>,
    now: Tick,
    outbox: Outbox,
    /// What the phones have said and nobody has heard.
    said: VecDeque<(WorkerId, String)>,
    /// What workers have for each other.
    parcels: VecDeque<(WorkerId, Parcel)>,
    came: BTreeMap<Line, Vec<u8>>,
    connections: u64,
    datagrams: u64,
    drained: Vec<WorkerId>,
    /// What the first worker was handed, if that is written down.
    tape: Option<Tape>,
}

impl Board {
    /// So many workers; `tables` is the end of their configuration.
    pub fn new(workers: u8, tables: &str) -> Self {
        Self {
            controllers: controllers(workers, tables),
            now: Tick::ZERO,
            outbox: Outbox::new(),
            said: VecDeque::new(),
            parcels: VecDeque::new(),
            came: BTreeMap::new(),
            connections: 0,
            datagrams: 0,
            drained: Vec::new(),
            tape: None,
        }
    }

    /// One worker, of which all is written down that it is handed.
    pub fn taped(tables: &str) -> Self {
        Self { tape: Some(Tape::default()), ..Self::new(1, tables) }
    }

    /// What was written down so far.
    pub fn tape(&self) -> &Tape {
        self.tape.as_ref().expect("it is written down")
    }

    /// Connects to a worker.
    pub fn connect(&mut self, worker: u8) -> Line {
        let connection = ConnectionId(self.connections);
        self.connections += 1;
        let (worker, listener) = (WorkerId(worker), ListenerId(0));
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.hand(worker, Input::Accepted { listener, connection, peer });
        Line { worker, connection }
    }

    /// Breaks a connection.
    pub fn cut(&mut self, line: Line) {
        self.hand(line.worker, Input::Lost { connection: line.connection });
    }

    /// Hands every worker an input of its own.
    pub fn hand_all(&mut self, input: impl Fn() -> Input<'static>) {
        for worker in self.workers() {
            self.hand(worker, input());
        }
    }

    fn workers(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.controllers.len() as u8).map(WorkerId)
    }

    /// Hands something in, and all that the phones say to what comes of it.
    fn hand(&mut self, worker: WorkerId, input: Input<'_>) {
        self.turn(worker, input);
        while let Some((worker, message)) = self.said.pop_front() {
            let bytes = message.as_bytes();
            let datagram = Datagram { socket: SocketId(0), from: phones_address(), bytes };
            self.turn(worker, Input::Datagram(datagram));
        }
    }

    /// One turn of a worker, who wants the next one then.
    fn turn(&mut self, worker: WorkerId, input: Input<'_>) -> Option<Tick> {
        if let Some(tape) = &mut self.tape {
            tape.take(self.now, &input);
        }
        let wake = self.controllers[usize::from(worker.0)].handle(self.now, input, &mut self.outbox);
        self.take_out(worker);
        match wake {
            Wake::Idle => None,
            Wake::At(at, _) => Some(at),
        }
    }

    fn take_out(&mut self, worker: WorkerId) {
        self.parcels.extend(self.outbox.parcels());
        let mut written: Vec<(ConnectionId, usize)> = Vec::new();
        while let Some(output) = self.outbox.pop() {
            match output {
                Output::Datagram { bytes, .. } => {
                    self.datagrams += 1;
                    let text = std::str::from_utf8(bytes).expect("it is text");
                    phones::reply(text, |message| self.said.push_back((worker, message)));
                }
                Output::Write { connection, bytes } => {
                    self.came.entry(Line { worker, connection }).or_default().extend_from_slice(bytes);
                    written.push((connection, bytes.len()));
                }
                Output::Drained => self.drained.push(worker),
                _ => {}
            }
        }
        for (connection, bytes) in written {
            self.turn(worker, Input::Written { connection, bytes });
        }
    }

    /// Lets what the workers have for each other arrive, and what comes of it.
    pub fn deliver(&mut self) {
        while let Some((to, parcel)) = self.parcels.pop_front() {
            self.hand(to, Input::Handover(parcel));
        }
    }

    /// Sends bytes; what the workers have for each other stays on its way.
    pub fn send(&mut self, line: Line, bytes: &str) {
        let input = Input::Received { connection: line.connection, bytes: bytes.as_bytes() };
        self.hand(line.worker, input);
    }

    /// Takes what has come on a connection: one response behind the other.
    pub fn responses(&mut self, line: Line) -> Vec<Response> {
        let bytes = self.came.remove(&line).unwrap_or_default();
        let mut rest = std::str::from_utf8(&bytes).expect("it is text");
        let mut responses = Vec::new();
        while let Some((head, more)) = rest.split_once("\r\n\r\n") {
            let length: usize = field(head, "Content-Length").parse().unwrap_or(0);
            let (body, next) = more.split_at(length);
            let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
            responses.push(Response {
                status: status.expect("it has a status"),
                head: head.to_owned(),
                body: body.to_owned(),
            });
            rest = next;
        }
        responses
    }

    /// Asks for something by HTTP, with these further lines in the head.
    pub fn ask(&mut self, line: Line, method: &str, uri: &str, lines: &str) -> Response {
        self.send(line, &format!("{method} {uri} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"));
        self.deliver();
        let mut responses = self.responses(line);
        assert_eq!(responses.len(), 1, "{method} {uri}: {responses:?}");
        responses.remove(0)
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let wakes: Vec<Tick> =
                self.workers().filter_map(|worker| self.turn(worker, Input::Timeout)).collect();
            let first = wakes.into_iter().min();
            self.deliver();
            match first {
                Some(at) if at <= until => self.now = self.now.max(at),
                _ => break,
            }
        }
        self.now = until;
    }

    /// How many datagrams the workers have sent.
    pub fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// The workers that have come to the end of their calls after a drain, in that order.
    pub fn drained(&self) -> &[WorkerId] {
        &self.drained
    }

    /// What lives at each worker.
    pub fn censuses(&self) -> Vec<Census> {
        self.controllers.iter().map(Controller::census).collect()
    }
}

/// Someone who orders calls, logged in by Digest.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The connection it asks on.
    pub line: Line,
    login: Login,
}

impl Agent {
    /// Connects to a worker and has it issue a nonce.
    pub fn at(board: &mut Board, worker: u8) -> Self {
        let line = board.connect(worker);
        let challenge = board.ask(line, "GET", "/calls", "");
        Self { line, login: Login::challenged(&challenge.head) }
    }

    /// Asks for something.
    pub fn ask(&mut self, board: &mut Board, method: &str, uri: &str) -> Response {
        let line = self.authorization(method, uri);
        board.ask(self.line, method, uri, &line)
    }

    /// The header line for the next request.
    pub fn authorization(&mut self, method: &str, uri: &str) -> String {
        self.login.line(method, uri, PIN)
    }
}
