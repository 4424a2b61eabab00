//! Whole transactions in virtual time. What the machines do alone is tested beside them.

mod client;
mod lossy;
mod property;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::Seed;
use crate::io::{Output, SocketId};
use crate::random::Consumer;
use crate::sip::message::{Message, Method, Name, Request, Status, Writer, parse};
use crate::sip::transport::Locals;

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any transaction lives that has its final response.
const LONG_ENOUGH: Duration = Duration::from_secs(120);

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn flow_to(port: u16) -> Flow {
    Flow::Udp { socket: SocketId(0), remote: address(port) }
}

/// One element: its transactions, its time, what it sent and what it was told.
struct Party {
    transactions: Transactions,
    outbox: Outbox,
    now: Tick,
    events: Vec<TransactionEvent>,
    port: u16,
}

impl Party {
    fn new(port: u16) -> Self {
        let seed = Seed([port as u8; 32]);
        let random = Random::new(&seed, Consumer::Transactions);
        let key = Random::new(&seed, Consumer::HashKeys).bytes();
        Self {
            transactions: Transactions::of_datagrams(random, key, Arc::new(Locals::datagrams(address(port)))),
            outbox: Outbox::new(),
            now: Tick::from_micros(7_000_000),
            events: Vec::new(),
            port,
        }
    }

    /// Sends a request outside of a dialog to port 5070.
    fn request(&mut self, method: Method<'static>) -> Key<Client> {
        let port = self.port;
        let (now, owner) = (self.now, Owner(7));
        self.transactions.request(now, method, flow_to(5070), owner, &mut self.outbox, |out, branch| {
            write_request(out, method, port, branch, 1);
        })
    }

    fn cancel(&mut self, key: Key<Client>, reason: Option<&str>) -> Cancelled {
        self.transactions.cancel(self.now, key, reason, &mut self.outbox)
    }

    /// Hands in a response; `None` when the user need not see it.
    fn response(&mut self, bytes: &[u8]) -> Option<ClientEvent> {
        let Ok(Message::Response(response)) = parse(bytes) else { panic!("{}", text(bytes)) };
        self.transactions.response(self.now, &response, &mut self.outbox)
    }

    /// Hands in the answer of a peer to a request that we sent.
    fn answered(&mut self, request: &[u8], status: Status) -> Option<ResponseKind> {
        self.response(&answer(request, status)).map(|event| {
            assert_eq!(event.owner, Owner(7));
            event.kind
        })
    }

    fn receive(&mut self, bytes: &[u8]) -> Incoming {
        self.transactions.receive(self.now, &read(bytes), flow_to(5070), &mut self.outbox)
    }

    fn respond(&mut self, key: Key<Server>, request: &[u8], status: Status) -> bool {
        let reply = Reply { status, to_tag: Some("ours") };
        self.transactions
            .respond(self.now, key, &read(request), reply, &mut self.outbox, |writer| writer.end())
    }

    fn respond_plain(&mut self, key: Key<Server>, request: &[u8], status: Status) -> bool {
        self.transactions.respond_plain(self.now, key, &read(request), status, &mut self.outbox)
    }

    /// What was sent since it was last asked.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(output) = self.outbox.pop() {
            let Output::Datagram { bytes, .. } = output else { panic!("{output:?}") };
            sent.push(bytes.to_vec());
        }
        sent
    }

    /// The one message that was sent since it was last asked.
    fn sent_one(&mut self) -> Vec<u8> {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    /// Lets time go by; returns what was sent in it: after how many tenths of a second, and the start of its first line.
    fn pass(&mut self, time: Duration) -> Vec<(u64, String)> {
        let (start, end) = (self.now, self.now + time);
        let mut sent = Vec::new();
        while let Some(next) = self.transactions.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            while self.transactions.timeout(self.now, &mut self.outbox, &mut self.events) {}
            let tenths = self.now.since(start).as_micros() as u64 / 100_000;
            sent.extend(self.sent().iter().map(|bytes| (tenths, start_of(bytes))));
        }
        self.now = end;
        sent
    }

    fn events(&mut self) -> Vec<TransactionEvent> {
        self.events.extend(self.transactions.take_told());
        std::mem::take(&mut self.events)
    }

    /// The system reports once that this port does not exist.
    fn unreachable(&mut self, port: u16) {
        self.transactions.unreachable(self.now, flow_to(port), &mut self.outbox);
    }

    /// Nothing may be left once every transaction has had its time.
    fn ends_empty(mut self) {
        self.pass(LONG_ENOUGH);
        assert_eq!(self.transactions.census(), Census::default());
    }
}

fn write_request(out: &mut Vec<u8>, method: Method<'_>, port: u16, branch: &str, number: u32) {
    let mut writer = Writer::request(out, method, "sip:bob@192.0.2.1:5070");
    writer
        .field_parts(Name::Via, &["SIP/2.0/UDP ", &address(port).to_string(), ";branch=", branch, ";rport"])
        .field(Name::From, "<sip:alice@example.com>;tag=alice")
        .field(Name::To, "<sip:bob@example.com>")
        .field(Name::CallId, &format!("call-{number}"))
        .cseq(number, method);
    writer.end();
}

/// A request of a peer on port 5070.
fn request(method: Method<'_>, branch: &str, number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write_request(&mut out, method, 5070, branch, number);
    out
}

/// A peer's answer to a request.
fn answer(bytes: &[u8], status: Status) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::answer(&mut out, &read(bytes), address(5060), status, Some("theirs")).end();
    out
}

fn read(bytes: &[u8]) -> Request<'_> {
    match parse(bytes) {
        Ok(Message::Request(request)) => request,
        _ => panic!("{}", text(bytes)),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The method, or the status code.
fn start_of(bytes: &[u8]) -> String {
    let text = text(bytes);
    let mut words = text.split(' ');
    match words.next() {
        Some("SIP/2.0") => words.next().unwrap_or_default().into(),
        word => word.unwrap_or_default().into(),
    }
}

/// Times in tenths of a second, each with the same message.
fn at<const N: usize>(times: [u64; N], what: &str) -> Vec<(u64, String)> {
    times.into_iter().map(|time| (time, what.to_string())).collect()
}

#[test]
fn a_fresh_branch_is_nobodys() {
    let mut party = Party::new(5060);
    party.request(Method::Options);
    let branch = party.transactions.fresh_branch();
    assert_ne!(branch.as_str(), party.transactions.fresh_branch().as_str());
    let stray = answer(&request(Method::Options, branch.as_str(), 1), Status::OK);
    assert_eq!(party.response(&stray), None);
    assert_eq!(party.transactions.strays(), 1);
    party.ends_empty();
}

#[test]
fn one_call_fires_a_bounded_number_of_timers_and_says_that_more_are_due() {
    let mut party = Party::new(5060);
    for _ in 0..TIMERS_AT_ONCE + 1 {
        party.request(Method::Options);
    }
    party.sent();
    party.now = party.now + SECOND;
    assert!(party.transactions.timeout(party.now, &mut party.outbox, &mut party.events));
    assert_eq!(party.sent().len(), TIMERS_AT_ONCE);
    assert!(!party.transactions.timeout(party.now, &mut party.outbox, &mut party.events));
    assert_eq!(party.sent().len(), 1);
    assert!(!party.transactions.timeout(party.now, &mut party.outbox, &mut party.events));
    assert_eq!(party.sent().len(), 0, "called without need it does nothing");
    party.ends_empty();
}
