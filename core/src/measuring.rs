//! Layers that only core itself uses, each with all that it needs, held ready to be measured: for the benchmarks, and
//! nobody else.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::Tick;
use crate::auth::client::{Attempts, Challenger, Session};
use crate::auth::digest::{Algorithm, Verifiers};
use crate::auth::server::{Attempt, Gate, Policy, Verdict};
use crate::io::{ListenerId, Outbox, Output, SocketId, WorkerId};
use crate::random::{Consumer, Random, Seed};
use crate::sip::message::{Message, Method, Status, parse};
use crate::sip::resolve::{Hop, HopHost};
use crate::sip::transaction::{Incoming, Owner, TransactionEvent, Transactions};
use crate::sip::transport::{Flow, Locals};
use crate::users::{Directory, SipCredentials, User};

/// What every number is drawn from.
const SEED: Seed = Seed([13; 32]);
/// The protection space, and who knows its secret.
const REALM: &str = "example.com";
const USER: &str = "agent";
const SECRET: &str = "1234";
/// What is asked for.
const METHOD: &str = "POST";
const TARGET: &str = "/callcontroller/201/202?agent=agent";

/// Both sides of Digest: the gate that HTTP requests go through, and the credentials that answer a SIP server, here set
/// before that gate.
#[derive(Debug)]
pub struct Digest {
    gate: Gate,
    users: Directory,
    session: Session,
    credentials: SipCredentials,
    random: Random,
}

impl Digest {
    /// A gate that takes this algorithm, and whom it has challenged.
    ///
    /// # Panics
    /// If the challenge cannot be answered, which would be a fault.
    #[expect(clippy::expect_used, clippy::panic, reason = "it is a benchmark's assertion")]
    pub fn new(algorithm: Algorithm) -> Self {
        let policy = Policy {
            realm: REALM.to_owned(),
            algorithms: vec![algorithm],
            nonce_lifetime: Duration::from_secs(300),
            basic_over_tls: false,
        };
        let mut random = Random::new(&SEED, Consumer::Nonces);
        let mut gate = Gate::new(policy, &mut random, WorkerId(0));
        let users = Directory::new(vec![User::new(USER, REALM, SECRET)], REALM).expect("one user");
        let verifiers = Verifiers::of(USER, REALM, SECRET);
        let credentials = SipCredentials { username: USER.to_owned(), realm: REALM.to_owned(), verifiers };
        let Verdict::Ask(challenges) = gate.judge(Tick::ZERO, &attempt(None), &users) else {
            panic!("nobody was asked who they are");
        };
        let mut session = Session::default();
        let values = challenges.iter().map(String::as_str);
        let mut attempts = Attempts::default();
        session
            .take(Challenger::Server, values, Some(&credentials), &mut attempts, &mut random)
            .expect("the challenge can be answered");
        Self { gate, users, session, credentials, random }
    }

    /// The client's side: appends the header line of the next request, whose count is one higher than the last.
    pub fn answer(&mut self, out: &mut Vec<u8>) {
        let request = (METHOD, TARGET, &b""[..]);
        let mut attempts = Attempts::default();
        self.session.write(request, Some(&self.credentials), &mut attempts, &mut self.random, out);
    }

    /// The server's side: whether the value of that line lets its request in. Each line does so once.
    pub fn judge(&mut self, authorization: &str) -> bool {
        let attempt = attempt(Some(authorization));
        matches!(self.gate.judge(Tick::ZERO, &attempt, &self.users), Verdict::Known(..))
    }
}

fn attempt(authorization: Option<&str>) -> Attempt<'_> {
    Attempt {
        method: METHOD,
        target: TARGET,
        body: b"",
        authorization,
        address: Ipv4Addr::LOCALHOST.into(),
        listener: ListenerId(0),
        tls: false,
    }
}

/// An element that has transactions with one peer, by datagrams.
#[derive(Debug)]
pub struct Element {
    transactions: Transactions,
    outbox: Outbox,
    events: Vec<TransactionEvent>,
    now: Tick,
    peer: SocketAddr,
}

impl Element {
    /// One without transactions, at this address.
    pub fn new(own: SocketAddr, peer: SocketAddr) -> Self {
        let random = Random::new(&SEED, Consumer::Transactions);
        let key = Random::new(&SEED, Consumer::HashKeys).bytes();
        Self {
            transactions: Transactions::of_datagrams(random, key, Arc::new(Locals::datagrams(own))),
            outbox: Outbox::new(),
            events: Vec::new(),
            now: Tick::ZERO,
            peer,
        }
    }

    /// Sends a request in a transaction of its own: what stands before the branch of its Via, and what stands behind it.
    /// Returns the datagram.
    pub fn request(&mut self, method: Method<'static>, [front, back]: [&[u8]; 2]) -> &[u8] {
        self.outbox.clear();
        let hop = Hop {
            secure: false,
            host: HopHost::Address(self.peer.ip()),
            port: Some(self.peer.port()),
            transport: None,
        };
        let what = (method, Owner(0));
        let key = self.transactions.begin(self.now, what, (&hop, None), &mut self.outbox);
        self.transactions.write(self.now, key, &mut self.outbox, |out, branch| {
            for piece in [front, branch.as_bytes(), back] {
                out.extend_from_slice(piece);
            }
        });
        sent(&self.outbox)
    }

    /// Takes a response; tells whether it is one that the transaction's user has to see.
    pub fn hear(&mut self, response: &[u8]) -> bool {
        self.outbox.clear();
        let Ok(Message::Response(response)) = parse(response) else { return false };
        self.transactions.response(self.now, &response, &mut self.outbox).is_some()
    }

    /// Takes a request and answers 200, as often as it comes. Returns the datagram; nothing for what is no request.
    pub fn serve(&mut self, request: &[u8]) -> &[u8] {
        self.outbox.clear();
        let flow = Flow::Udp { socket: SocketId(0), remote: self.peer };
        let Ok(Message::Request(request)) = parse(request) else { return b"" };
        let incoming = self.transactions.receive(self.now, &request, flow, &mut self.outbox);
        if let Incoming::New(key) = incoming {
            self.transactions.respond_plain(self.now, key, &request, Status::OK, &mut self.outbox);
        }
        sent(&self.outbox)
    }

    /// Lets time go by, and all that is due in it happen.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.transactions.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            while self.transactions.timeout(self.now, &mut self.outbox, &mut self.events) {}
        }
        self.events.clear();
        self.now = end;
    }

    /// How many transactions there are.
    pub fn transactions(&self) -> usize {
        let census = self.transactions.census();
        census.clients + census.servers
    }
}

/// The datagram that was sent last.
fn sent(outbox: &Outbox) -> &[u8] {
    match outbox.outputs().last() {
        Some(Output::Datagram { bytes, .. }) => bytes,
        _ => b"",
    }
}
