//! The controller, what is around it, and what has to hold after every input.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use cordboard_core::config::Config;
use cordboard_core::fuzzing::sip_stream;
use cordboard_core::io::{
    ConnectionId, Datagram, Input, ListenerId, Outbox, Output, QueryId, Reason, SocketId, Wake,
};
use cordboard_core::sip::message::{Message, parse};
use cordboard_core::users::{Directory, User};
use cordboard_core::{Census, Controller, Epoch, Seed, Tick};

/// The domain and the realm of everything.
pub(super) const DOMAIN: &str = "example.com";
/// The PIN of the agent.
pub(super) const PIN: &str = "1";
/// So often in a row may there be more work at once.
const MOST_TURNS: u32 = 200;
/// So often is the controller woken in one life at the most: each step may lead to retransmissions and keep-alives, and
/// none goes on for the whole day of the end.
const MOST_WAKES: u32 = 60_000;
/// So many messages of each side are remembered.
const MOST_SAID: usize = 400;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Sip,
    Dns,
}

#[derive(Debug)]
struct Connection {
    kind: Kind,
    /// Whether it waits to be opened by somebody else.
    opening: bool,
    unsent: usize,
    /// What the controller has written.
    text: Vec<u8>,
}

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Datagram(SocketAddr),
    Stream(ConnectionId),
}

/// A SIP message that the controller has sent.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) way: Way,
    pub(super) bytes: Vec<u8>,
    /// A request of its that has no final answer.
    pub(super) open: bool,
}

/// A question to a name server.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    by: AskedBy,
    pub(super) message: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum AskedBy {
    Datagram(QueryId),
    Stream(ConnectionId),
}

/// The controller and what is around it.
pub(super) struct World {
    controller: Controller,
    outbox: Outbox,
    now: Tick,
    wake: Wake,
    turns: u32,
    wakes: u32,
    connections: BTreeMap<ConnectionId, Connection>,
    accepted: u64,
    stuck: bool,
    /// What the controller has said, oldest first.
    pub(super) said: Vec<Said>,
    /// What it was told.
    told: Vec<(Way, Vec<u8>)>,
    /// What it asks name servers.
    pub(super) asked: Vec<Asked>,
    /// The nonce to log in with, and how often it was used.
    pub(super) nonce: Option<(String, u32)>,
    /// Numbers for branches of our own.
    pub(super) minted: u32,
    drained: u32,
}

/// Whether it is the answer to a request that cannot be read, and ends as it should.
fn is_refusal(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.starts_with("SIP/2.0 ")
        && text.contains("\r\nWarning: 399 cordboard ")
        && text.ends_with("\r\nContent-Length: 0\r\n\r\n")
}

/// A peer's address.
pub(super) fn peer(choice: u8) -> SocketAddr {
    match choice % 4 {
        0 => SocketAddr::from(([127, 0, 0, 1], 5060)),
        1 => SocketAddr::from(([127, 0, 0, 1], 7001)),
        2 => SocketAddr::from(([127, 0, 0, 1], 7002)),
        _ => SocketAddr::from(([192, 0, 2, 9], 5060)),
    }
}

/// The users: with the agent, or without.
pub(super) fn users(agent: bool) -> Directory {
    let agent = agent.then(|| {
        let agent = User::new("agent", DOMAIN, PIN).with_sip_password("agent", DOMAIN, "123");
        agent.with_may_act_for(vec!["*".into()])
    });
    let user = User::new("user1", DOMAIN, "2").with_aliases(vec!["201".into()]);
    Directory::new(agent.into_iter().chain([user]).collect(), DOMAIN).expect("the users are right")
}

impl World {
    pub(super) fn new(config: &str) -> Self {
        let config = Config::from_toml(config).expect("the configuration is right");
        let epoch = Epoch::from_unix_millis(1_269_268_319_000);
        let controller =
            Controller::new(config, users(true), Seed([1; 32]), epoch).expect("it has an address");
        Self {
            controller,
            outbox: Outbox::new(),
            now: Tick::ZERO,
            wake: Wake::Idle,
            turns: 0,
            wakes: 0,
            connections: BTreeMap::new(),
            accepted: 0,
            stuck: false,
            said: Vec::new(),
            told: Vec::new(),
            asked: Vec::new(),
            nonce: None,
            minted: 0,
            drained: 0,
        }
    }

    /// Hands something in, and everything that it brings about at once.
    pub(super) fn hand(&mut self, input: Input<'_>) {
        self.hand_once(input);
        while let Some((id, bytes)) = self.unsent() {
            self.hand_once(Input::Written { connection: id, bytes });
        }
    }

    fn unsent(&mut self) -> Option<(ConnectionId, usize)> {
        if self.stuck {
            return None;
        }
        let mut open = self.connections.iter_mut().filter(|(_, connection)| !connection.opening);
        open.find(|(_, connection)| connection.unsent > 0)
            .map(|(id, connection)| (*id, std::mem::take(&mut connection.unsent)))
    }

    fn hand_once(&mut self, input: Input<'_>) {
        self.wake = self.controller.handle(self.now, input, &mut self.outbox);
        if let Err(fault) = self.controller.audit() {
            panic!("the tables do not agree: {fault}");
        }
        match self.wake {
            Wake::At(at, Reason::MoreWork) => {
                assert_eq!(at, self.now, "more work is due at once");
                self.turns += 1;
                assert!(self.turns <= MOST_TURNS, "it spins");
            }
            Wake::At(at, reason) => {
                assert!(at > self.now, "{reason:?} is in the past");
                self.turns = 0;
            }
            Wake::Idle => self.turns = 0,
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        while let Some(output) = outbox.pop() {
            self.take(output);
        }
        self.outbox = outbox;
    }

    fn take(&mut self, output: Output<'_>) {
        match output {
            Output::Datagram { socket, to, bytes, .. } => {
                assert_eq!(socket, SocketId(0), "there is one socket");
                self.hear(Way::Datagram(to), bytes);
            }
            Output::Connect { connection, from, to } => {
                assert!(
                    from.is_ipv4() == to.is_ipv4() && connection.0 >> 63 == 1,
                    "{connection:?} {from} {to}"
                );
                let kind = if connection.0 >> 62 == 0b11 { Kind::Dns } else { Kind::Sip };
                self.insert(connection, kind, true);
            }
            Output::Write { connection, bytes } => self.written(connection, bytes),
            Output::Close { connection, .. } => {
                assert!(self.connections.remove(&connection).is_some(), "{connection:?} is closed twice");
            }
            Output::Query { query, bytes, .. } => {
                let asked = Asked { by: AskedBy::Datagram(query), message: bytes.to_vec() };
                self.asked.retain(|other| !matches!(other.by, AskedBy::Datagram(other) if other == query));
                self.asked.push(asked);
            }
            Output::QueryOver { query } => {
                let before = self.asked.len();
                self.asked.retain(|other| !matches!(other.by, AskedBy::Datagram(other) if other == query));
                assert_eq!(self.asked.len() + 1, before, "{query:?} is over twice");
            }
            Output::Report(report) => assert!(!report.to_string().contains(['\r', '\n']), "{report}"),
            Output::Drained => self.drained += 1,
            other => panic!("{other:?} is new"),
        }
    }

    fn insert(&mut self, id: ConnectionId, kind: Kind, opening: bool) {
        let connection = Connection { kind, opening, unsent: 0, text: Vec::new() };
        assert!(self.connections.insert(id, connection).is_none(), "{id:?} is used again");
    }

    fn written(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id) else {
            panic!("{id:?} is written to and does not stand: {}", bytes.escape_ascii())
        };
        connection.unsent += bytes.len();
        match connection.kind {
            Kind::Http => connection.text.extend_from_slice(bytes),
            Kind::Dns => {
                let message = bytes.get(2..).unwrap_or_default().to_vec();
                self.asked.push(Asked { by: AskedBy::Stream(id), message });
            }
            // A single line end answers a ping, and is none itself.
            Kind::Sip => {
                let (messages, left) = sip_stream([bytes]);
                assert!(left == 0 || bytes.ends_with(b"\r\n"), "half a message: {}", bytes.escape_ascii());
                for message in messages.iter().filter(|message| *message != b"\r\n\r\n") {
                    self.hear(Way::Stream(id), message);
                }
            }
        }
    }

    fn hear(&mut self, way: Way, bytes: &[u8]) {
        let open = match parse(bytes) {
            Ok(Message::Request(request)) => request.method.as_str() != "ACK",
            Ok(Message::Response(_)) => false,
            // A request that cannot be read is refused with what could be read of it.
            Err(_) if is_refusal(bytes) => return,
            Err(rejected) => panic!("{} is sent: {}", rejected.fault, bytes.escape_ascii()),
        };
        let copy = self.said.iter().any(|said| said.way == way && said.bytes == bytes);
        if !copy && self.said.len() < MOST_SAID {
            self.said.push(Said { way, bytes: bytes.to_vec(), open });
        }
    }

    /// Sends the controller a message of a peer's. Where the connection is gone, it comes by datagram.
    pub(super) fn tell(&mut self, way: Way, bytes: &[u8]) {
        if self.told.len() < MOST_SAID {
            self.told.push((way, bytes.to_vec()));
        }
        match way {
            Way::Stream(connection) if self.connections.get(&connection).is_some_and(|c| !c.opening) => {
                self.hand(Input::Received { connection, bytes });
            }
            Way::Stream(_) => self.datagram(peer(0), bytes),
            Way::Datagram(from) => self.datagram(from, bytes),
        }
    }

    pub(super) fn say_again(&mut self, back: u8) {
        let at = self.told.len().checked_sub(usize::from(back) + 1);
        if let Some((way, bytes)) = at.and_then(|at| self.told.get(at)).cloned() {
            self.tell(way, &bytes);
        }
    }

    pub(super) fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.hand(Input::Datagram(Datagram { socket: SocketId(0), from, bytes }));
    }

    /// Lets time pass, and wakes the controller when it wants.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Wake::At(at, _) = self.wake
            && at <= until
        {
            self.now = self.now.max(at);
            self.wakes += 1;
            assert!(self.wakes < MOST_WAKES, "it is woken all the time");
            self.hand(Input::Timeout);
        }
        self.now = until;
    }

    pub(super) fn oversleep(&mut self, time: Duration) {
        self.now = self.now + time;
        self.hand(Input::Timeout);
    }

    pub(super) fn accept(&mut self, kind: Kind) -> ConnectionId {
        let id = ConnectionId(self.accepted);
        self.accepted += 1;
        self.insert(id, kind, false);
        let listener = ListenerId(u16::from(kind == Kind::Sip));
        // Whoever sends raw bytes is somebody else than who logs in: one may be locked out.
        let peer = SocketAddr::from(([127, 0, 0, 2], 40_000));
        self.hand(Input::Accepted { listener, connection: id, peer });
        id
    }

    /// The id of one of the connections.
    fn choose(&self, which: u8, is_one: impl Fn(&Connection) -> bool) -> Option<ConnectionId> {
        let all: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, c)| is_one(c)).map(|(id, _)| *id).collect();
        all.get(usize::from(which) % all.len().max(1)).copied()
    }

    pub(super) fn received_on(&mut self, which: u8, bytes: &[u8]) {
        if let Some(connection) = self.choose(which, |connection| !connection.opening) {
            self.hand(Input::Received { connection, bytes });
        }
    }

    pub(super) fn connected(&mut self, which: u8) {
        if let Some(id) = self.choose(which, |connection| connection.opening) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.opening = false;
            }
            self.hand(Input::Connected { connection: id });
        }
    }

    pub(super) fn lose(&mut self, which: u8) {
        if let Some(connection) = self.choose(which, |_| true) {
            self.lost(connection);
        }
    }

    pub(super) fn lost(&mut self, connection: ConnectionId) {
        if self.connections.remove(&connection).is_some() {
            self.hand(Input::Lost { connection });
        }
    }

    pub(super) fn takes(&mut self, takes: bool) {
        self.stuck = !takes;
        self.hand(Input::Timeout);
    }

    pub(super) fn unreachable(&mut self, to: SocketAddr) {
        self.hand(Input::Unreachable { socket: SocketId(0), to });
    }

    /// An answer to a question.
    pub(super) fn resolve(&mut self, asked: &Asked, message: &[u8]) {
        match asked.by {
            AskedBy::Datagram(query) => self.hand(Input::Answer { query, bytes: message }),
            AskedBy::Stream(connection) => {
                let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
                let bytes = [&length.to_be_bytes()[..], message].concat();
                self.hand(Input::Received { connection, bytes: &bytes });
            }
        }
    }

    pub(super) fn unanswered(&mut self, which: u8) {
        let at = usize::from(which) % self.asked.len().max(1);
        if let Some(AskedBy::Datagram(query)) = self.asked.get(at).map(|asked| asked.by) {
            self.hand(Input::Unanswered { query });
        }
    }

    /// Speaks of a connection and of a question that never were.
    pub(super) fn nobody(&mut self, id: u64) {
        let connection = ConnectionId(id);
        if self.connections.contains_key(&connection) || id < self.accepted {
            return;
        }
        self.hand(Input::Connected { connection });
        self.hand(Input::Received { connection, bytes: b"GET / HTTP/1.1\r\n\r\n" });
        self.hand(Input::Written { connection, bytes: 7 });
        self.hand(Input::Lost { connection });
        if !self
            .asked
            .iter()
            .any(|asked| matches!(asked.by, AskedBy::Datagram(QueryId(query)) if query == id))
        {
            self.hand(Input::Unanswered { query: QueryId(id) });
        }
    }

    /// What has been written to a connection since it was last asked; nothing if that is gone.
    pub(super) fn take_text(&mut self, id: ConnectionId) -> Vec<u8> {
        self.connections
            .get_mut(&id)
            .map(|connection| std::mem::take(&mut connection.text))
            .unwrap_or_default()
    }

    /// Calls are hung up, a day passes, and then nothing may be left.
    pub(super) fn expect_nothing_left(&mut self) {
        self.stuck = false;
        self.hand(Input::Drain);
        self.hand(Input::Drain);
        self.pass(Duration::from_secs(24 * 3600));
        assert_eq!(self.controller.census(), Census::default());
        assert_eq!(self.drained, 1, "that it is drained is told once");
        assert!(self.connections.is_empty(), "{:?} are never closed", self.connections.keys());
        self.asked.retain(|asked| matches!(asked.by, AskedBy::Datagram(_)));
        assert!(self.asked.is_empty(), "{:?} are never over", self.asked);
    }
}
