//! [`Controller`] wires the layers together; it is the only type that a runtime needs.

mod streams;

use crate::auth::server::{Gate, Policy};
use crate::call::Calls;
use crate::config::Config;
use crate::http::Dates;
use crate::io::{Input, Outbox, Reason, Wake};
use crate::random::{Consumer, Random, Seed};
use crate::sip::transport::{Local, Locals};
use crate::tls::Acceptor;
use crate::users::Directory;
use crate::{Epoch, Tick};
use streams::Streams;
use thiserror::Error;

/// Why a controller cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// `sip.listen` has no address.
    #[error("there is no address to listen for SIP on")]
    NoSipAddress,
}

/// How many of everything live: all zero when nothing is going on and no record is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Calls whose records are kept.
    pub calls: usize,
    /// Those of them that are not over.
    pub calls_in_progress: usize,
    /// SIP dialogs, standing or in the making.
    pub legs: usize,
    /// SIP client transactions.
    pub client_transactions: usize,
    /// SIP server transactions.
    pub server_transactions: usize,
    /// Timers of all layers.
    pub timers: usize,
    /// HTTP connections.
    pub connections: usize,
    /// Bytes of requests that are not complete or not answered yet.
    pub bytes_held: usize,
    /// Parties of which it is remembered what their phones could not do.
    pub contacts_remembered: usize,
    /// Addresses and nonces that logins were tried with of late.
    pub logins_remembered: usize,
}

/// The whole protocol side of Cordboard, without I/O: [`Input`] goes in, what is to be done comes out in an [`Outbox`].
#[derive(Debug)]
pub struct Controller {
    core: Core,
    streams: Streams,
    acceptor: Option<Acceptor>,
    now: Tick,
    drain: Drain,
}

/// What requests are answered with.
#[derive(Debug)]
struct Core {
    config: Config,
    users: Directory,
    gate: Gate,
    calls: Calls,
    dates: Dates,
    epoch: Epoch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    No,
    Wanted,
    Done,
}

impl Controller {
    /// A controller for a checked configuration whose addresses are those really bound. `epoch` ties ticks to the wall
    /// clock; everything random comes from `seed`.
    ///
    /// HTTPS connections are closed until a certificate has come in ([`Input::Certificate`]).
    pub fn new(config: Config, users: Directory, seed: Seed, epoch: Epoch) -> Result<Self, StartError> {
        let advertise = config.sip.advertise.map(|address| match address {
            std::net::IpAddr::V6(address) => format!("[{address}]"),
            v4 @ std::net::IpAddr::V4(_) => v4.to_string(),
        });
        let local = |(place, listen): (usize, &crate::config::Listen)| {
            Local::new(crate::io::SocketId(place as u16), listen.address, advertise.as_deref())
        };
        let locals = config.sip.listen.iter().enumerate().map(local).collect();
        let locals = Locals::new(locals).ok_or(StartError::NoSipAddress)?;
        let policy = Policy {
            realm: config.realm().to_owned(),
            algorithms: config.auth.algorithms.clone(),
            nonce_lifetime: config.auth.nonce_lifetime,
            basic_over_tls: config.auth.basic_over_https,
        };
        let gate = Gate::new(policy, &mut Random::new(&seed, Consumer::Nonces));
        let calls = Calls::new(config.clone(), locals, &seed);
        let streams = Streams::new(&config, &seed);
        let core = Core { config, users, gate, calls, dates: Dates::new(epoch), epoch };
        Ok(Self { core, streams, acceptor: None, now: Tick::ZERO, drain: Drain::No })
    }

    /// Lets something happen. What is to be done then is appended to `outbox`, in the order in which it must be done.
    ///
    /// Never fails, blocks or panics; unknown ids are ignored. Time that runs backwards counts as standing still.
    /// Call again with [`Input::Timeout`] when the returned [`Wake`] says, if nothing else happens before.
    pub fn handle(&mut self, now: Tick, input: Input<'_>, outbox: &mut Outbox) -> Wake {
        self.now = self.now.max(now);
        let now = self.now;
        match input {
            Input::Timeout => {}
            Input::Datagram(datagram) => self.core.calls.datagram(now, datagram, outbox),
            Input::Datagrams(datagrams) => {
                for datagram in datagrams {
                    self.core.calls.datagram(now, *datagram, outbox);
                }
            }
            Input::Accepted { listener, connection, peer } => {
                self.streams.accepted(
                    now,
                    (listener, connection, peer),
                    self.acceptor.as_ref(),
                    &mut self.core,
                    outbox,
                );
            }
            Input::Received { connection, bytes } => {
                self.streams.received(now, connection, bytes, &mut self.core, outbox);
            }
            Input::Written { connection, bytes } => {
                self.streams.written(now, connection, bytes, &mut self.core, outbox);
            }
            Input::Lost { connection } => self.streams.lost(connection),
            Input::Certificate(acceptor) => self.acceptor = Some(*acceptor),
            Input::Reload(users) => self.core.users = *users,
            Input::Drain => {
                self.core.calls.drain();
                match self.drain {
                    Drain::No => self.drain = Drain::Wanted,
                    Drain::Wanted => self.core.calls.hang_up_all(now, outbox),
                    Drain::Done => {}
                }
            }
        }
        self.settle(now, outbox)
    }

    /// Does what is due, and says when to be called again.
    fn settle(&mut self, now: Tick, outbox: &mut Outbox) -> Wake {
        if self.due(now) {
            self.core.calls.timeout(now, outbox);
            self.streams.timeout(now, &mut self.core, outbox);
            self.core.gate.expire(now);
        }
        if self.drain == Drain::Wanted && self.core.calls.is_quiet() {
            self.drain = Drain::Done;
            outbox.drained();
        }
        match self.deadline() {
            Wake::At(at, _) if at <= now => Wake::At(now, Reason::MoreWork),
            wake => wake,
        }
    }

    fn due(&self, now: Tick) -> bool {
        matches!(self.deadline(), Wake::At(at, _) if at <= now)
    }

    fn deadline(&self) -> Wake {
        let at = |tick: Option<Tick>, reason| tick.map_or(Wake::Idle, |tick| Wake::At(tick, reason));
        let (transactions, calls) = self.core.calls.next();
        at(transactions, Reason::Transaction)
            .earlier(at(calls, Reason::Call))
            .earlier(at(self.streams.next(), Reason::Http))
            .earlier(at(self.core.gate.next(), Reason::Lockout))
    }

    /// Checks that the tables agree with each other; the error says which do not.
    pub fn audit(&self) -> Result<(), String> {
        self.core.calls.audit()
    }

    /// Counts what lives.
    pub fn census(&self) -> Census {
        let calls = self.core.calls.count();
        let transactions = self.core.calls.transactions();
        Census {
            calls: calls.calls,
            calls_in_progress: calls.in_progress,
            legs: calls.legs,
            client_transactions: transactions.clients,
            server_transactions: transactions.servers,
            timers: calls.timers + transactions.timers + self.streams.timers(),
            connections: self.streams.len(),
            bytes_held: self.streams.bytes_held(),
            contacts_remembered: calls.contacts,
            logins_remembered: self.core.gate.count(),
        }
    }
}
