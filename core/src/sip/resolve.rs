//! Where a request goes (RFC 3263): from a URI to the servers that are to be tried, in their order.
//!
//! The `Resolver` asks name servers, remembers what they say for as long as they allow, and goes on where a new answer
//! lets it. Nothing else waits: who asked is told when the lookup is over.

mod asking;
mod cache;
mod codec;
mod dead;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod names;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use smallvec::{SmallVec, smallvec};
use thiserror::Error;

use crate::Tick;
use crate::config::SipTransport;
use crate::io::{ConnectionId, Outbox, QueryId};
use crate::random::Random;
use crate::sip::message::{Host, Scheme, Uri};
use asking::{Asking, Over};
use cache::{Cache, Question};
pub(crate) use dead::Dead;
pub use names::Names;
use walk::{Known, Walk, walk};

/// The port of a server that is named without one.
const DEFAULT_PORT: u16 = 5060;
/// The same for TLS.
const DEFAULT_TLS_PORT: u16 = 5061;
/// How many questions one lookup may ask: NAPTR, SRV, and both kinds of addresses of as many servers as are looked up.
const MOST_QUESTIONS: usize = 40;
/// How many lookups there may be at once.
const MOST_LOOKUPS: usize = 1024;
/// How long one lookup may take.
const LOOKUP_TIME: Duration = Duration::from_secs(20);

/// Where a request is to go, as its URI says (RFC 3263 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Whether the URI is a `sips:` one.
    pub(crate) secure: bool,
    /// The host, or `maddr` where that is given.
    pub(crate) host: HopHost,
    /// The port, if named.
    pub(crate) port: Option<u16>,
    /// The transport, if named.
    pub(crate) transport: Option<SipTransport>,
}

/// The host of a [`Hop`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HopHost {
    /// A domain, in lower case and without a dot at its end.
    Name(Box<str>),
    /// An address.
    Address(IpAddr),
}

impl Hop {
    /// What a URI says; `None` for one that is none of SIP, or names a transport that we do not speak or that is not
    /// secure where it has to be.
    pub(crate) fn of(uri: &Uri<'_>) -> Option<Hop> {
        if !uri.scheme.is_sip() {
            return None;
        }
        let secure = uri.scheme == Scheme::Sips;
        let maddr = uri.params.value("maddr").map(Host::parse).transpose().ok()?;
        let host = match maddr.unwrap_or(uri.host) {
            Host::Name(name) => HopHost::Name(name.trim_end_matches('.').to_ascii_lowercase().into()),
            Host::V4(address) => HopHost::Address(address.into()),
            Host::V6(address) => HopHost::Address(address.into()),
        };
        let transport = match uri.params.value("transport").map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("udp") if !secure => Some(SipTransport::Udp),
            Some("tcp") if !secure => Some(SipTransport::Tcp),
            // TLS over TCP is what `sips:` makes of TCP (RFC 3261 §26.2.2).
            Some("tcp" | "tls") => Some(SipTransport::Tls),
            Some(_) => return None,
        };
        Some(Hop { secure, host, port: uri.port, transport })
    }

    /// An address, by this transport.
    pub(crate) fn to(transport: SipTransport, address: SocketAddr) -> Hop {
        let (host, port) = (HopHost::Address(address.ip()), Some(address.port()));
        Hop { secure: false, host, port, transport: Some(transport) }
    }

    /// The transport, where the DNS has no say in it (RFC 3263 §4.1).
    pub(crate) fn certain_transport(&self) -> Option<SipTransport> {
        let asked = self.transport.is_none() && self.port.is_none() && !self.secure;
        let by_name = matches!(self.host, HopHost::Name(_));
        (!(asked && by_name)).then(|| self.default_transport())
    }

    /// The transport where nothing names one.
    fn default_transport(&self) -> SipTransport {
        match self.transport {
            Some(transport) => transport,
            None if self.secure => SipTransport::Tls,
            None => SipTransport::Udp,
        }
    }
}

fn default_port(transport: SipTransport) -> u16 {
    if transport == SipTransport::Tls { DEFAULT_TLS_PORT } else { DEFAULT_PORT }
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    /// How it is spoken to.
    pub(crate) transport: SipTransport,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// Servers in the order in which they are tried: of an address, which asks nobody, it is one.
pub(crate) type Targets = SmallVec<[Target; 1]>;

/// Address families that we can send by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Families {
    /// IPv4.
    pub(crate) v4: bool,
    /// IPv6.
    pub(crate) v6: bool,
}

impl Families {
    fn have(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// A lookup that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LookupId(u64);

/// What came of asking where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Located {
    /// It is known: these servers, at least one, in the order in which they are to be tried.
    Now(Targets),
    /// Name servers are asked; [`Resolver::take_finished`] tells what they said.
    Later(LookupId),
    /// It leads nowhere.
    Never(Unresolved),
}

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unresolved {
    /// The DNS knows no server for it.
    #[error("the DNS knows no SIP server for it")]
    Unknown,
    /// No name server answers, or not to the point.
    #[error("no name server answers")]
    Silent,
    /// All its addresses are of a family, or all its servers of a transport, that we do not have.
    #[error("we have no address to reach it from")]
    Foreign,
}

/// What lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Lookups that are not over.
    pub(crate) lookups: usize,
    /// Questions without an answer.
    pub(crate) queries: usize,
}

#[derive(Debug)]
struct Lookup {
    hop: Hop,
    /// What servers of the same priority are drawn by.
    draw: u64,
    needs: BTreeSet<Question>,
    asked: usize,
    until: Tick,
}

/// What is known of the DNS, and what is being asked.
#[derive(Debug)]
pub(crate) struct Resolver {
    random: Random,
    preferred: Vec<SipTransport>,
    families: Families,
    names: Option<Names>,
    cache: Cache,
    asking: Asking,
    lookups: BTreeMap<LookupId, Lookup>,
    minted: u64,
    finished: Vec<(LookupId, Result<Targets, Unresolved>)>,
}

impl Resolver {
    /// One that knows nothing but addresses. `preferred` are our transports, in our order where the DNS leaves the choice.
    pub(crate) fn new(random: Random, preferred: Vec<SipTransport>, families: Families) -> Self {
        Self {
            random,
            preferred,
            families,
            names: None,
            cache: Cache::default(),
            asking: Asking::default(),
            lookups: BTreeMap::new(),
            minted: 0,
            finished: Vec::new(),
        }
    }

    /// Takes the system's names, and forgets what was learned under other ones.
    pub(crate) fn set_names(&mut self, names: Names) {
        self.cache = Cache::default();
        self.names = Some(names);
    }

    /// Finds out where a hop leads. An address asks nobody.
    pub(crate) fn locate(&mut self, now: Tick, hop: &Hop, outbox: &mut Outbox) -> Located {
        if let HopHost::Address(address) = hop.host {
            return self.literal(hop, address);
        }
        if self.names.is_none() {
            return Located::Never(Unresolved::Unknown);
        }
        if self.lookups.len() >= MOST_LOOKUPS {
            return Located::Never(Unresolved::Silent);
        }
        let id = LookupId(self.minted);
        self.minted += 1;
        let draw = self.random.bits();
        let until = now + LOOKUP_TIME;
        let lookup = Lookup { hop: hop.clone(), draw, needs: BTreeSet::new(), asked: 0, until };
        self.lookups.insert(id, lookup);
        match self.advance(now, id, outbox) {
            None => Located::Later(id),
            Some(Ok(targets)) => Located::Now(targets),
            Some(Err(why)) => Located::Never(why),
        }
    }

    fn literal(&self, hop: &Hop, address: IpAddr) -> Located {
        if !self.families.have(address) {
            return Located::Never(Unresolved::Foreign);
        }
        let transport = hop.default_transport();
        let port = hop.port.unwrap_or(default_port(transport));
        Located::Now(smallvec![Target { transport, address: SocketAddr::new(address, port) }])
    }

    /// Nobody waits for this lookup any more.
    pub(crate) fn forget(&mut self, lookup: LookupId) {
        self.lookups.remove(&lookup);
        self.finished.retain(|(id, _)| *id != lookup);
    }

    /// The next lookup that is over. To be asked until there is none after every other verb.
    pub(crate) fn take_finished(&mut self) -> Option<(LookupId, Result<Targets, Unresolved>)> {
        if self.finished.is_empty() { None } else { Some(self.finished.remove(0)) }
    }

    /// Goes as far as what is known leads, and asks what is not. What came of it, if it is over.
    fn advance(
        &mut self,
        now: Tick,
        id: LookupId,
        outbox: &mut Outbox,
    ) -> Option<Result<Targets, Unresolved>> {
        let lookup = self.lookups.get_mut(&id)?;
        let names = self.names.as_ref()?;
        let known = Known {
            now,
            cache: &self.cache,
            names,
            preferred: &self.preferred,
            families: self.families,
            draw: lookup.draw,
        };
        let over = match walk(&lookup.hop, &known) {
            Walk::Done(targets) => Ok(targets),
            Walk::Failed(why) => Err(why),
            Walk::Needs(questions) => {
                lookup.asked += questions.iter().filter(|question| !lookup.needs.contains(question)).count();
                if lookup.asked <= MOST_QUESTIONS
                    && questions
                        .iter()
                        .all(|question| self.asking.ask(now, question, names, &mut self.random, outbox))
                {
                    lookup.needs = questions.into_iter().collect();
                    return None;
                }
                Err(Unresolved::Silent)
            }
        };
        self.lookups.remove(&id);
        Some(over)
    }

    /// Takes what became of a question, and lets those go on who waited for it.
    fn settle(&mut self, now: Tick, over: Option<Over>, outbox: &mut Outbox) {
        let Some(Over { question, learned }) = over else { return };
        for (question, answer, ttl) in learned {
            self.cache.learn(now, question, answer, ttl);
        }
        let waiting = self.lookups.iter().filter(|(_, lookup)| lookup.needs.contains(&question));
        let waiting: Vec<LookupId> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            if let Some(over) = self.advance(now, id, outbox) {
                self.finished.push((id, over));
            }
        }
    }

    /// Takes what may be the answer to a question.
    pub(crate) fn answer(&mut self, now: Tick, query: QueryId, bytes: &[u8], outbox: &mut Outbox) {
        let Some(names) = &self.names else { return };
        let over = self.asking.answer(now, query, bytes, names, outbox);
        self.settle(now, over, outbox);
    }

    /// The server of a question cannot be asked.
    pub(crate) fn unanswered(&mut self, now: Tick, query: QueryId, outbox: &mut Outbox) {
        let Some(names) = &self.names else { return };
        let over = self.asking.unanswered(now, query, names, outbox);
        self.settle(now, over, outbox);
    }

    /// Whether a connection is one to a name server.
    pub(crate) fn owns(connection: ConnectionId) -> bool {
        asking::owns(connection)
    }

    /// Bytes came in on a connection to a name server.
    pub(crate) fn received(
        &mut self,
        now: Tick,
        connection: ConnectionId,
        bytes: &[u8],
        outbox: &mut Outbox,
    ) {
        let Some(names) = &self.names else { return };
        let over = self.asking.received(now, connection, bytes, names, outbox);
        self.settle(now, over, outbox);
    }

    /// A connection to a name server broke.
    pub(crate) fn lost(&mut self, now: Tick, connection: ConnectionId, outbox: &mut Outbox) {
        let Some(names) = &self.names else { return };
        let over = self.asking.lost(now, connection, names, outbox);
        self.settle(now, over, outbox);
    }

    /// When [`timeout`](Self::timeout) is to be called next.
    pub(crate) fn next(&self) -> Option<Tick> {
        let lookups = self.lookups.values().map(|lookup| lookup.until).min();
        [lookups, self.asking.next()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, now: Tick, outbox: &mut Outbox) {
        if self.next().is_none_or(|next| next > now) {
            return;
        }
        let late = self.lookups.iter().filter(|(_, lookup)| lookup.until <= now);
        let late: Vec<LookupId> = late.map(|(id, _)| *id).collect();
        for id in late {
            self.lookups.remove(&id);
            self.finished.push((id, Err(Unresolved::Silent)));
        }
        let Some(names) = self.names.clone() else { return };
        let mut over = self.asking.timeout(now, &names, outbox);
        // All is learned before anybody goes on: what is over as well need not be asked again.
        for (question, answer, ttl) in over.iter_mut().flat_map(|over| std::mem::take(&mut over.learned)) {
            self.cache.learn(now, question, answer, ttl);
        }
        for over in over {
            self.settle(now, Some(over), outbox);
        }
    }

    /// How many of everything live.
    pub(crate) fn census(&self) -> Census {
        Census { lookups: self.lookups.len(), queries: self.asking.len() }
    }
}

#[cfg(test)]
mod tests;
