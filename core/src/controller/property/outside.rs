//! All that is not the controller: who connects, who answers, and how much may be held of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Step;
use super::peers::Peers;
use crate::auth::digest::{Algorithm, Count, Qop, response};
use crate::config::Config;
use crate::io::{ConnectionId, Datagram, Input, ListenerId, Outbox, Output, QueryId, SocketId, Wake};
use crate::sip::message::{Message, Method, parse};
use crate::sip::resolve::Names;
use crate::users::{Directory, User};
use crate::{Census, Controller, Epoch, Seed, Tick};

/// How many kinds of configuration there are.
pub(super) const KINDS: usize = 4;
const DOMAIN: &str = "example.com";
const DAY: Duration = Duration::from_secs(86_400);
/// So often it may ask to be called again at one moment.
const MOST_TURNS: u32 = 64;
/// So often it may ask to be called within a day.
const MOST_WAKES: u32 = 30_000;
const HTTPS: ListenerId = ListenerId(0);
const HTTP: ListenerId = ListenerId(1);
const MOST_CALLS: usize = 3;
const MOST_CONNECTIONS: usize = 6;
const MOST_SIP_CONNECTIONS: usize = 4;

/// How a request of ours left, and so how it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    To(SocketAddr),
    On(ConnectionId),
}

/// The controller, and everything outside of it.
pub(super) struct Outside {
    controller: Controller,
    outbox: Outbox,
    now: Tick,
    wake: Wake,
    /// Requests of ours, oldest first.
    sent: Vec<(Way, Vec<u8>)>,
    /// Datagrams that came in.
    came: Vec<(SocketAddr, Vec<u8>)>,
    /// Connections that are open, with the listener that took them if one did.
    open: BTreeMap<ConnectionId, Option<ListenerId>>,
    accepted: u64,
    queries: Vec<(QueryId, Vec<u8>)>,
    nonce: String,
    peers: Peers,
    drained: u32,
    /// All that the controller ever wanted done.
    pub(super) told: Vec<String>,
}

fn config(kind: usize) -> Config {
    let (sip, calls) = match kind {
        0 => ("proxy = \"sip:127.0.0.1:5060\"", ""),
        1 => ("", ""),
        2 => {
            let calls = "refer_fallback = \"invite\"\nrefer_hangup = \"ringing\"\nasserted_identity = true\n";
            ("proxy = \"sip:127.0.0.1:5060;transport=tcp\"\ndialect = \"sipx\"", calls)
        }
        _ => ("proxy = \"sip:proxy.example.com\"", "identity = \"party\"\n"),
    };
    let text = format!(
        "[http]\nhttps = [\"127.0.0.1:6666\"]\nhttp = [\"127.0.0.1:6667\"]\n[sip]\ndomain = \"{DOMAIN}\"\n\
         listen = [\"udp:127.0.0.1:6050\", \"tcp:127.0.0.1:6050\"]\n{sip}\n\
         [calls]\nmax_calls = {MOST_CALLS}\nsession_expires = \"90s\"\n{calls}\
         [limits]\nconnections = {MOST_CONNECTIONS}\nsip_connections = {MOST_SIP_CONNECTIONS}\npipelined = 3\n"
    );
    Config::from_toml(&text).expect("the configuration is right")
}

fn directory(full: bool) -> Directory {
    let agent = User::new("agent", DOMAIN, "1").with_sip_password("agent", DOMAIN, "123");
    let other = User::new("user1", DOMAIN, "1").with_aliases(vec!["201".to_owned()]);
    Directory::new(if full { vec![agent, other] } else { vec![agent] }, DOMAIN).expect("the users are right")
}

fn names() -> Box<Names> {
    let names = Names::read("nameserver 192.0.2.53\n", "192.0.2.10 here.example.com\n");
    Box::new(names)
}

/// The element that lies so far behind the latest.
fn latest<T>(all: &[T], back: u8) -> Option<&T> {
    let back = usize::from(back).checked_rem(all.len())?;
    all.get(all.len() - 1 - back)
}

impl Outside {
    pub(super) fn new(kind: usize) -> Self {
        let epoch = Epoch::from_unix_millis(1_269_268_319_000);
        let controller =
            Controller::new(config(kind), directory(true), Seed([1; 32]), epoch).expect("it has an address");
        let mut outside = Self {
            controller,
            outbox: Outbox::new(),
            now: Tick::from_micros(1),
            wake: Wake::Idle,
            sent: Vec::new(),
            came: Vec::new(),
            open: BTreeMap::new(),
            accepted: 0,
            queries: Vec::new(),
            nonce: String::new(),
            peers: Peers::default(),
            drained: 0,
            told: Vec::new(),
        };
        outside.hand(Input::Names(names()));
        outside
    }

    /// How many requests of ours began so.
    pub(super) fn said(&self, start: &str) -> usize {
        self.sent.iter().filter(|(_, bytes)| bytes.starts_with(start.as_bytes())).count()
    }

    /// How far behind the latest request of ours lies the latest that began so.
    pub(super) fn latest_said(&self, start: &str) -> Option<u8> {
        let back = self.sent.iter().rev().position(|(_, bytes)| bytes.starts_with(start.as_bytes()))?;
        u8::try_from(back).ok()
    }

    /// Answers the latest request of ours with what becomes of a plain response.
    pub(super) fn reply_spoiled(&mut self, status: u16, spoil: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let Some((way, request)) = self.sent.last().cloned() else { return };
        if let Some(bytes) = self.peers.reply(&request, status, 0) {
            self.bring(way, &spoil(bytes));
        }
    }

    /// Whether the latest request of ours began so.
    pub(super) fn has_just_said(&self, start: &str) -> bool {
        self.sent.last().is_some_and(|(_, bytes)| bytes.starts_with(start.as_bytes()))
    }

    fn hand(&mut self, input: Input<'_>) {
        let mut outbox = std::mem::take(&mut self.outbox);
        self.wake = self.controller.handle(self.now, input, &mut outbox);
        self.look(&mut outbox);
        for turn in 0.. {
            match self.wake {
                Wake::At(at, _) if at <= self.now => {}
                _ => break,
            }
            assert!(turn < MOST_TURNS, "it asks for ever to be called at {}: {:?}", self.now, self.wake);
            self.wake = self.controller.handle(self.now, Input::Timeout, &mut outbox);
            self.look(&mut outbox);
        }
        self.outbox = outbox;
        self.expect_sound();
    }

    fn expect_sound(&self) {
        self.controller.audit().expect("the tables agree with each other");
        let census = self.controller.census();
        let transactions = census.client_transactions + census.server_transactions;
        let bounds = [
            // In progress, lingering, and over.
            (census.calls, 3 * MOST_CALLS),
            (census.calls_in_progress, MOST_CALLS),
            (census.legs, 24 * MOST_CALLS),
            (census.connections, MOST_CONNECTIONS),
            // Those that are refused, and those that we opened, are few more.
            (census.sip_connections, MOST_SIP_CONNECTIONS + 16 + 24),
            (census.timers, census.calls + 3 * transactions + census.connections + census.sip_connections),
            (census.bytes_held, (census.connections + 1) * 90_000 + census.sip_connections * 70_000),
            (census.lookups, census.client_transactions),
        ];
        assert!(bounds.iter().all(|(has, most)| has <= most), "{bounds:?} {census:?}");
    }

    /// Takes what is to be done out of the outbox.
    fn look(&mut self, outbox: &mut Outbox) {
        while let Some(output) = outbox.pop() {
            self.told.push(format!("{output:?}"));
            match output {
                Output::Datagram { to, bytes, .. } => self.learn(Way::To(to), bytes),
                Output::Write { connection, bytes } => match self.open.get(&connection) {
                    Some(Some(HTTP | HTTPS)) => self.learn_nonce(bytes),
                    _ => self.learn(Way::On(connection), bytes),
                },
                Output::Connect { connection, .. } => {
                    assert_eq!(self.open.insert(connection, None), None, "an id is used twice");
                }
                Output::Close { connection, .. } => {
                    // One of ours may never have come so far as to be opened.
                    let open = self.open.remove(&connection).is_some();
                    assert!(open || connection.0 >> 63 == 1, "{connection:?} is not open");
                }
                Output::Query { query, bytes, .. } => self.queries.push((query, bytes.to_vec())),
                Output::QueryOver { query } => self.queries.retain(|(other, _)| *other != query),
                Output::Drained => self.drained += 1,
                Output::Report(_) => {}
            }
        }
    }

    fn learn(&mut self, way: Way, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let is_sip = text.lines().next().is_some_and(|line| line.ends_with(" SIP/2.0"));
        if is_sip {
            assert!(matches!(parse(bytes), Ok(Message::Request(_))), "what we send cannot be read:\n{text}");
            self.sent.push((way, bytes.to_vec()));
        } else if text.starts_with("SIP/2.0 2") {
            assert!(
                matches!(parse(bytes), Ok(Message::Response(_))),
                "what we answer cannot be read:\n{text}"
            );
        }
    }

    fn learn_nonce(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        if let Some(nonce) = text.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()) {
            self.nonce = nonce.to_owned();
        }
    }

    /// Lets a step happen; one that needs what is not there does nothing.
    pub(super) fn happen(&mut self, step: &Step) {
        match step {
            Step::Noise(bytes) => self.datagram("192.0.2.66:5060".parse().expect("an address"), bytes),
            Step::Fresh { what, change } => {
                let bytes = change.apply(self.peers.fresh(*what));
                self.datagram(self.peers.address(*what), &bytes);
            }
            Step::Reply { back, status, dress, change } => {
                let Some((way, request)) = latest(&self.sent, *back).cloned() else { return };
                if let Some(bytes) = self.peers.reply(&request, *status, *dress) {
                    self.bring(way, &change.apply(bytes));
                }
            }
            Step::Within { back, what, dress, change } => {
                let invites = |(_, bytes): &&(Way, Vec<u8>)| matches!(parse(bytes), Ok(Message::Request(r)) if r.method == Method::Invite);
                let invites: Vec<_> = self.sent.iter().filter(invites).cloned().collect();
                let Some((way, invite)) = latest(&invites, *back).cloned() else { return };
                if let Some(bytes) = self.peers.within(&invite, *what, *dress) {
                    self.bring(way, &change.apply(bytes));
                }
            }
            Step::Again(back) => {
                let Some((from, bytes)) = latest(&self.came, *back).cloned() else { return };
                self.datagram(from, &bytes);
            }
            Step::Unreachable(back) => {
                let Some((Way::To(to), _)) = latest(&self.sent, *back) else { return };
                self.hand(Input::Unreachable { socket: SocketId(0), to: *to });
            }
            Step::Order { what, parties, login } => self.order(*what, *parties, *login),
            Step::Answer { back, how, change } => {
                let Some((query, asked)) = latest(&self.queries, *back).cloned() else { return };
                let bytes = change.apply(self.peers.named(&asked, *how));
                self.hand(Input::Answer { query, bytes: &bytes });
            }
            Step::Unanswered(back) => {
                let Some((query, _)) = latest(&self.queries, *back).cloned() else { return };
                self.hand(Input::Unanswered { query });
            }
            Step::Reload(full) => self.hand(Input::Reload(Box::new(directory(*full)))),
            Step::Names => self.hand(Input::Names(names())),
            Step::Drain => self.hand(Input::Drain),
            Step::Pass(micros) => self.pass_until(self.now + Duration::from_micros(*micros)),
            Step::Wake => {
                if let Wake::At(at, _) = self.wake {
                    self.pass_until(at);
                }
            }
            _ => self.happen_to_connection(step),
        }
    }

    fn happen_to_connection(&mut self, step: &Step) {
        let ids: Vec<ConnectionId> = self.open.keys().copied().collect();
        let ours: Vec<ConnectionId> = ids.iter().copied().filter(|id| self.open[id].is_none()).collect();
        match step {
            Step::Accept(listener) => {
                self.accept(ListenerId(*listener));
            }
            Step::Bytes { back, what, change } => {
                let Some(connection) = latest(&ids, *back).copied() else { return };
                let bytes = change.apply(self.peers.stream(*what));
                self.hand(Input::Received { connection, bytes: &bytes });
            }
            Step::Written(back, bytes) => {
                let Some(connection) = latest(&ids, *back).copied() else { return };
                self.hand(Input::Written { connection, bytes: usize::from(*bytes) });
            }
            Step::Lost(back) => {
                let Some(connection) = latest(&ids, *back).copied() else { return };
                self.open.remove(&connection);
                self.hand(Input::Lost { connection });
            }
            Step::Connected(back) => {
                let Some(connection) = latest(&ours, *back).copied() else { return };
                self.hand(Input::Connected { connection });
            }
            other => unreachable!("{other:?} happens to no connection"),
        }
    }

    fn accept(&mut self, listener: ListenerId) -> ConnectionId {
        let connection = ConnectionId(self.accepted);
        self.accepted += 1;
        self.open.insert(connection, Some(listener));
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000 + listener.0));
        self.hand(Input::Accepted { listener, connection, peer });
        connection
    }

    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.came.push((from, bytes.to_vec()));
        self.hand(Input::Datagram(Datagram { socket: SocketId(0), from, bytes }));
    }

    fn bring(&mut self, way: Way, bytes: &[u8]) {
        match way {
            Way::To(address) => self.datagram(address, bytes),
            Way::On(connection) if self.open.contains_key(&connection) => {
                self.hand(Input::Received { connection, bytes });
            }
            Way::On(_) => {}
        }
    }

    /// Asks by HTTP, with the credentials of the agent or, now and then, wrong ones.
    fn order(&mut self, what: u8, parties: u8, login: u8) {
        let connection = self.accept(HTTP);
        let (method, path) = super::streams::order(what, parties);
        let ask = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n");
        self.receive_http(connection, &format!("{ask}\r\n"));
        let pin = if login.is_multiple_of(16) { "2" } else { "1" };
        let ha1 = Algorithm::Sha256.ha1("agent", DOMAIN, pin);
        let count = Count { qop: Qop::Auth, nc: "00000001", cnonce: "c" };
        let answer = response(Algorithm::Sha256, &ha1, &self.nonce, Some(count), (method, &path, b""));
        let login = format!(
            "Authorization: Digest username=\"agent\", realm=\"{DOMAIN}\", nonce=\"{}\", uri=\"{path}\", \
             algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"c\", response=\"{}\"\r\n",
            self.nonce,
            answer.as_str()
        );
        self.receive_http(connection, &format!("{ask}{login}\r\n"));
        if self.open.remove(&connection).is_some() {
            self.hand(Input::Lost { connection });
        }
    }

    fn receive_http(&mut self, connection: ConnectionId, text: &str) {
        if self.open.contains_key(&connection) {
            self.hand(Input::Received { connection, bytes: text.as_bytes() });
        }
    }

    fn pass_until(&mut self, until: Tick) {
        for wakes in 0.. {
            assert!(wakes < MOST_WAKES, "too much is due until {until}: {:?}", self.wake);
            match self.wake {
                Wake::At(at, _) if at <= until => self.now = self.now.max(at),
                _ => break,
            }
            self.hand(Input::Timeout);
        }
        self.now = self.now.max(until);
    }

    /// Nothing comes in for a day.
    pub(super) fn let_a_day_pass(&mut self) {
        self.pass_until(self.now + DAY);
        let told = self.told.len();
        self.hand(Input::Timeout);
        assert_eq!(self.told.len(), told, "a timeout without need does something: {:?}", &self.told[told..]);
    }

    pub(super) fn expect_nothing_left(&self) {
        assert_eq!(self.controller.census(), Census::default());
        assert_eq!(self.wake, Wake::Idle);
        assert!(self.queries.is_empty(), "{:?} are never over", self.queries);
        let left: Vec<_> = self.open.iter().collect();
        assert!(left.is_empty(), "{left:?} are never closed");
        assert!(self.drained <= 1);
    }
}
