//! [`Controller`] wires the layers together; it is the only type that a runtime needs.

mod handover;
mod overload;
#[cfg(test)]
mod property;
mod streams;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use crate::auth::server::{Gate, Policy};
use crate::call::Calls;
use crate::config::Config;
use crate::http::Dates;
use crate::io::{ConnectionId, Input, ListenerId, Outbox, Reason, Wake, Worker};
use crate::random::{Consumer, Random, Seed};
use crate::sip::resolve::Resolver;
use crate::sip::transport::Locals;
use crate::tls::Acceptor;
use crate::users::Directory;
use crate::{Epoch, Tick};
use handover::Owners;
use overload::Overload;
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
    /// SIP connections.
    pub sip_connections: usize,
    /// Names that are being looked up.
    pub lookups: usize,
    /// Questions to name servers that have no answer yet.
    pub queries: usize,
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
    overload: Overload,
    owners: Owners,
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
        Self::for_worker(config, users, seed, epoch, Worker::ALONE)
    }

    /// The controller of one worker among several, each with SIP addresses of its own. All are given the same configuration
    /// but for these, the same seed and ticks of the same clock; the limits of the configuration hold for all together.
    ///
    /// What one has for another is in [`Outbox::parcels`], and comes in there as [`Input::Handover`]. HTTP connections may be
    /// accepted by any of them, up to its [share](Worker::share) of `limits.connections`.
    pub fn for_worker(
        config: Config,
        users: Directory,
        seed: Seed,
        epoch: Epoch,
        worker: Worker,
    ) -> Result<Self, StartError> {
        let locals =
            Locals::new(&config.sip.listen, &config.sip.advertise).ok_or(StartError::NoSipAddress)?;
        let policy = Policy {
            realm: config.realm().to_owned(),
            algorithms: config.auth.algorithms.clone(),
            nonce_lifetime: config.auth.nonce_lifetime,
            basic_over_tls: config.auth.basic_over_https,
        };
        let gate = Gate::new(policy, &mut Random::new(&seed, Consumer::Nonces), worker.id);
        let owners = Owners::new(worker, &mut Random::new(&seed, Consumer::Owners));
        let own_seed = seed.of_worker(worker.id);
        let calls = Calls::new(config.clone(), locals, &own_seed, worker);
        let streams = Streams::new(&config, &own_seed, worker);
        let overload = Overload::new(config.limits.behind);
        let core = Core { config, users, gate, calls, dates: Dates::new(epoch), epoch, overload, owners };
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
                self.accepted(now, (listener, connection, peer), outbox);
            }
            Input::Connected { connection } => self.core.calls.connected(now, connection),
            Input::Received { connection, bytes } => self.received(now, connection, bytes, outbox),
            Input::Written { connection, bytes } => self.written(now, connection, bytes, outbox),
            Input::Lost { connection } => self.lost(now, connection, outbox),
            Input::Unreachable { socket, to } => self.core.calls.unreachable(now, (socket, to), outbox),
            Input::Answer { query, bytes } => self.core.calls.named(now, query, bytes, outbox),
            Input::Unanswered { query } => self.core.calls.unnamed(now, query, outbox),
            Input::Names(names) => self.core.calls.set_names(now, *names, outbox),
            Input::SipTls(tls) => self.core.calls.set_tls(*tls),
            Input::Certificate(acceptor) => self.acceptor = Some(*acceptor),
            Input::Behind(by) => self.core.overload.set(by),
            Input::Handover(parcel) => self.handed_over(now, parcel, outbox),
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

    fn accepted(&mut self, now: Tick, what: (ListenerId, ConnectionId, SocketAddr), outbox: &mut Outbox) {
        if self.core.calls.listens(what.0) {
            self.core.calls.accepted(now, what, outbox);
        } else {
            self.streams.accepted(now, what, self.acceptor.as_ref(), &mut self.core, outbox);
        }
    }

    fn received(&mut self, now: Tick, id: ConnectionId, bytes: &[u8], outbox: &mut Outbox) {
        if Resolver::owns(id) {
            let calls = &mut self.core.calls;
            calls.with_resolver(now, outbox, |resolver, outbox| resolver.received(now, id, bytes, outbox));
        } else if self.core.calls.knows(id) {
            self.core.calls.set_time(self.core.epoch.unix_millis(now) / 1000);
            self.core.calls.received(now, id, bytes, outbox);
        } else {
            self.streams.received(now, id, bytes, &mut self.core, outbox);
        }
    }

    fn written(&mut self, now: Tick, id: ConnectionId, bytes: usize, outbox: &mut Outbox) {
        if self.core.calls.knows(id) {
            self.core.calls.written(id, bytes);
        } else if !Resolver::owns(id) {
            self.streams.written(now, id, bytes, &mut self.core, outbox);
        }
    }

    fn lost(&mut self, now: Tick, id: ConnectionId, outbox: &mut Outbox) {
        if Resolver::owns(id) {
            let calls = &mut self.core.calls;
            calls.with_resolver(now, outbox, |resolver, outbox| resolver.lost(now, id, outbox));
        } else if self.core.calls.knows(id) {
            self.core.calls.lost(now, id, outbox);
        } else {
            self.streams.lost(id);
        }
    }

    /// Does what is due, and says when to be called again.
    fn settle(&mut self, now: Tick, outbox: &mut Outbox) -> Wake {
        let mut deadline = self.deadline();
        let due = matches!(deadline, Wake::At(at, _) if at <= now);
        if due {
            self.core.calls.timeout(now, outbox);
            self.streams.timeout(now, &mut self.core, outbox);
            self.core.gate.expire(now);
            self.core.overload.timeout(now, outbox);
        }
        if self.core.calls.settle(now, outbox) || due {
            deadline = self.deadline();
        }
        if self.drain == Drain::Wanted && self.core.calls.is_quiet() {
            self.drain = Drain::Done;
            outbox.drained();
        }
        match deadline {
            Wake::At(at, _) if at <= now => Wake::At(now, Reason::MoreWork),
            wake => wake,
        }
    }

    fn deadline(&self) -> Wake {
        let at = |tick: Option<Tick>, reason| tick.map_or(Wake::Idle, |tick| Wake::At(tick, reason));
        self.core
            .calls
            .next()
            .earlier(at(self.streams.next(), Reason::Http))
            .earlier(at(self.core.gate.next(), Reason::Lockout))
            .earlier(at(self.core.overload.next(), Reason::Overload))
    }

    /// How many connections of HTTP there are.
    pub fn http_connections(&self) -> usize {
        self.streams.len()
    }

    /// Checks that the tables agree with each other; the error says which do not.
    pub fn audit(&self) -> Result<(), String> {
        self.core.calls.audit()
    }

    /// Counts what lives.
    pub fn census(&self) -> Census {
        let calls = self.core.calls.count();
        let transactions = self.core.calls.transactions();
        let (connections, their_timers, their_bytes) = self.core.calls.connections();
        let (lookups, queries) = self.core.calls.lookups();
        Census {
            calls: calls.calls,
            calls_in_progress: calls.in_progress,
            legs: calls.legs,
            client_transactions: transactions.clients,
            server_transactions: transactions.servers,
            timers: calls.timers + transactions.timers + self.streams.timers() + their_timers,
            connections: self.streams.len(),
            sip_connections: connections,
            lookups,
            queries,
            bytes_held: self.streams.bytes_held() + their_bytes,
            contacts_remembered: calls.contacts,
            logins_remembered: self.core.gate.count(),
        }
    }
}
