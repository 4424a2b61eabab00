//! Transactions (RFC 3261 §17 with RFC 6026 and RFC 4320): requests and their responses, retransmitted and matched.
//!
//! [`Transactions`] owns them all. Messages and time go in, datagrams are appended to the outbox, and what the
//! transaction user has to know is returned. The rules themselves are four machines without any message in them:
//! `client_invite`, `client_non_invite`, `server_invite` and `server_non_invite`.

mod branch;
mod client;
mod client_invite;
mod client_non_invite;
mod follow;
mod matching;
mod reliable_2xx;
mod server;
mod server_invite;
mod server_non_invite;
mod step;
mod timers;
mod way;

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::Tick;
use crate::ident::{Key, Table};
use crate::io::Outbox;
use crate::random::Random;
use crate::sip::resolve::{Dead, LookupId, Resolver};
use crate::sip::transport::{Flow, Transport};
use crate::time::wheel::{TimerKey, Wheel};
pub(crate) use branch::Branch;
pub(crate) use client::Client;
#[cfg(test)]
pub(crate) use client::{Cancelled, ClientEvent, ResponseKind};
use matching::{Matching, MatchingKey, PassthroughBuilder};
pub(crate) use server::{Incoming, Reply, Server};
use step::Timer;
pub(crate) use timers::Timers;
pub(crate) use way::Wrote;

/// Whose a transaction is: a number of the transaction user's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) u64);

impl Owner {
    /// Nobody: what is answered to a request that went to another server meanwhile.
    pub(crate) const NOBODY: Owner = Owner(u64::MAX);
}

/// How many timers fire in one call of [`Transactions::timeout`].
const TIMERS_AT_ONCE: usize = 256;

/// How many server transactions there may be; requests beyond are answered 503 and forgotten.
const MOST_SERVERS: usize = 1 << 20;

/// What time, the way to the peer, or a name server has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionEvent {
    /// It is known where a request goes: it is to be [written](Transactions::write) now.
    Located {
        /// Whose it is.
        owner: Owner,
        /// The transaction.
        key: Key<Client>,
        /// The one that it takes the place of: its server failed, and this is the next one's turn (RFC 3263 §4.3).
        instead_of: Option<Key<Client>>,
    },
    /// No final response came in time: to be taken as 408 (§8.1.3.1). The transaction is over.
    TimedOut {
        /// Whose it was.
        owner: Owner,
        /// The transaction.
        key: Key<Client>,
    },
    /// The peer cannot be reached: to be taken as 503 (§8.1.3.1). The transaction is over.
    TransportFailed {
        /// Whose it was.
        owner: Owner,
        /// The transaction.
        key: Key<Client>,
    },
    /// No ACK came for a failure (Timer H). The transaction is over.
    ServerTimedOut {
        /// Whose it was, if that was said.
        owner: Option<Owner>,
        /// The transaction.
        key: Key<Server>,
    },
    /// No ACK came for a 2xx to INVITE: the dialog is to be ended with BYE (§13.3.1.4). The transaction is over.
    NoAck {
        /// Whose it was, if that was said.
        owner: Option<Owner>,
        /// The transaction.
        key: Key<Server>,
    },
}

/// What lives: all zero when quiet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Client transactions.
    pub(crate) clients: usize,
    /// Server transactions.
    pub(crate) servers: usize,
    /// Running timers.
    pub(crate) timers: usize,
    /// Ways in which requests are matched to server transactions.
    pub(crate) matchings: usize,
    /// Bytes of requests and responses that are kept.
    pub(crate) bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    ClientRetransmit(Key<Client>),
    ClientExpire(Key<Client>),
    ClientMoveOn(Key<Client>),
    ServerRetransmit(Key<Server>),
    ServerExpire(Key<Server>),
}

/// All transactions of one controller.
#[derive(Debug)]
pub(crate) struct Transactions {
    clients: Table<Client>,
    servers: Table<Server>,
    matching: HashMap<Matching, Key<Server>, PassthroughBuilder>,
    merging: HashMap<Matching, Key<Server>, PassthroughBuilder>,
    matching_key: MatchingKey,
    wheel: Wheel<Due>,
    random: Random,
    timers: Timers,
    most_servers: usize,
    strays: u64,
    /// What messages are sent by.
    pub(crate) transport: Transport,
    resolver: Resolver,
    dead: Dead,
    /// Requests that wait for what is looked up.
    lookups: BTreeMap<LookupId, Key<Client>>,
    /// What happened other than by time.
    told: Vec<TransactionEvent>,
}

impl Transactions {
    /// No transactions yet. `random` is the stream of [`Consumer::Transactions`](crate::random::Consumer), `hash_key`
    /// 16 bytes of that of [`Consumer::HashKeys`](crate::random::Consumer).
    pub(crate) fn new(
        random: Random,
        hash_key: [u8; 16],
        timers: Timers,
        (transport, resolver): (Transport, Resolver),
    ) -> Self {
        Self {
            clients: Table::default(),
            servers: Table::default(),
            matching: HashMap::default(),
            merging: HashMap::default(),
            matching_key: MatchingKey::new(hash_key),
            wheel: Wheel::new(),
            random,
            timers,
            most_servers: MOST_SERVERS,
            strays: 0,
            transport,
            resolver,
            dead: Dead::default(),
            lookups: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    /// No transactions yet, of an element that speaks by datagrams and asks no name server.
    #[cfg(any(test, feature = "softphone"))]
    pub(crate) fn of_datagrams(
        mut random: Random,
        hash_key: [u8; 16],
        locals: std::sync::Arc<crate::sip::transport::Locals>,
    ) -> Self {
        let seed = crate::Seed(random.bytes());
        let resolver = Resolver::new(
            Random::new(&seed, crate::random::Consumer::Resolver),
            locals.transports(),
            crate::sip::resolve::Families { v4: true, v6: true },
        );
        Self::new(random, hash_key, Timers::default(), (Transport::new(locals, None), resolver))
    }

    /// Sends a message without a transaction, a copy of an ACK or the refusal of what could not be read: `write` appends
    /// it whole.
    pub(crate) fn send(
        &mut self,
        now: Tick,
        flow: Flow,
        outbox: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.transport.send(now, flow, outbox, write);
    }

    /// A branch for a request without a transaction: the ACK of a 2xx (§13.2.2.4).
    #[cfg(any(test, feature = "softphone"))]
    pub(crate) fn fresh_branch(&mut self) -> Branch {
        Branch::fresh(&mut self.random)
    }

    /// When [`timeout`](Self::timeout) is to be called next; later calls of the other verbs may bring it forward.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.wheel.next()
    }

    /// Fires what is due, and tells whether more is: a bounded number fires in one call. To be called when the time
    /// that [`next`](Self::next) names has come; called too early or twice it does nothing.
    pub(crate) fn timeout(
        &mut self,
        now: Tick,
        outbox: &mut Outbox,
        events: &mut Vec<TransactionEvent>,
    ) -> bool {
        for _ in 0..TIMERS_AT_ONCE {
            match self.wheel.pop(now) {
                Some(Due::ClientRetransmit(key)) => {
                    self.client_due(now, key, client::Event::Retransmit, outbox, events);
                }
                Some(Due::ClientExpire(key)) => {
                    self.client_due(now, key, client::Event::Expire, outbox, events)
                }
                Some(Due::ClientMoveOn(key)) => self.move_on(now, key, outbox),
                Some(Due::ServerRetransmit(key)) => {
                    self.server_due(now, key, server::Event::Retransmit, outbox, events);
                }
                Some(Due::ServerExpire(key)) => {
                    self.server_due(now, key, server::Event::Expire, outbox, events)
                }
                None => return false,
            }
        }
        self.wheel.next().is_some_and(|next| next <= now)
    }

    /// What lives. It looks at every transaction, so it is not for each message.
    pub(crate) fn census(&self) -> Census {
        let clients: usize = self.clients.iter().map(|(_, client)| client.held_bytes()).sum();
        let servers: usize = self.servers.iter().map(|(_, server)| server.held_bytes()).sum();
        Census {
            clients: self.clients.len(),
            servers: self.servers.len(),
            timers: self.wheel.len(),
            matchings: self.matching.len() + self.merging.len(),
            bytes: clients + servers,
        }
    }

    /// Forgets a request that was [located](TransactionEvent::Located) and that nobody has written then: whose it was
    /// wants it no more.
    pub(crate) fn drop_unwritten(&mut self, key: Key<Client>) {
        if self.located(key).is_some() {
            self.forget_unsent(key);
        }
    }

    /// How many responses came that belong to no transaction.
    pub(crate) fn strays(&self) -> u64 {
        self.strays
    }
}

fn set_timer(wheel: &mut Wheel<Due>, now: Tick, timer: &mut Option<TimerKey>, what: Timer, due: Due) {
    match what {
        Timer::Keep => {}
        Timer::Stop => wheel.stop_taken(timer),
        Timer::Start(after) => {
            wheel.stop_taken(timer);
            *timer = Some(wheel.start(now, after, due));
        }
    }
}

#[cfg(test)]
mod tests;
