//! All connections of SIP: opened when they are needed, used in both directions, closed when they rest (RFC 3261 §18, RFC 5923).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::framing::{Endless, Piece};
use super::stream::{Origin, Overdue, Stream, Times};
use super::{Locals, Place, Wire};
use crate::Tick;
use crate::config::{Limits, SipTransport};
use crate::io::{Close, ConnectionId, ListenerId, Outbox};
use crate::report::{Opened, Report};
use crate::time::wheel::Wheel;
use crate::tls::{SipTls, TlsHost};

/// The highest bit is that of connections which core opens; the next one is clear for those of SIP.
const OURS: u64 = 1 << 63;
/// How many connections' times are looked at in one turn.
const TIMERS_AT_ONCE: usize = 256;
/// The first wait before a peer that was not there is tried again; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Of so many peers that were not there it is remembered.
const MOST_ABSENT: usize = 1024;

/// Whom a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peer {
    /// What is spoken.
    pub(crate) wire: Wire,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// For TLS: whom its certificate has to be for.
    pub(crate) host: Option<TlsHost>,
}

/// What a connection has brought.
#[derive(Debug)]
pub(crate) enum Brought {
    /// A whole message.
    Message(Vec<u8>),
    /// What is no message that ends, with as much of its head as could be read.
    Endless(Vec<u8>, Endless),
    /// A message where there are too many connections.
    Unwanted(Vec<u8>),
}

/// How often a peer was not there, in a row.
#[derive(Clone, Copy, Debug)]
struct Absent {
    times: u32,
    until: Tick,
}

/// All connections of SIP.
#[derive(Debug)]
pub(crate) struct Streams {
    streams: BTreeMap<ConnectionId, Stream>,
    /// Connections on which a peer is reached.
    reusable: BTreeMap<Peer, ConnectionId>,
    absent: BTreeMap<(Wire, SocketAddr), Absent>,
    /// Connections that broke since it was last asked.
    broken: Vec<ConnectionId>,
    wheel: Wheel<ConnectionId>,
    minted: u64,
    tls: Option<SipTls>,
    /// The place and transport of each stream listener, and the id of the first.
    listeners: Vec<(Place, SipTransport)>,
    first_listener: u16,
    accepted: usize,
    most_accepted: usize,
    most_bytes: usize,
    times: Times,
}

impl Streams {
    /// No connections yet. `first_listener` is the id of the first listener for SIP.
    pub(crate) fn new(locals: &Locals, limits: &Limits, first_listener: u16) -> Self {
        Self {
            streams: BTreeMap::new(),
            reusable: BTreeMap::new(),
            absent: BTreeMap::new(),
            broken: Vec::new(),
            wheel: Wheel::new(),
            minted: 0,
            tls: None,
            listeners: locals.listeners(),
            first_listener,
            accepted: 0,
            most_accepted: limits.sip_connections,
            most_bytes: limits.sip_message,
            times: Times { message: limits.request_time, idle: limits.sip_idle_time },
        }
    }

    /// Sessions from now on use these certificates.
    pub(crate) fn set_tls(&mut self, tls: SipTls) {
        self.tls = Some(tls);
    }

    /// Says what time it is, in seconds since 1970: certificates are judged by it.
    pub(crate) fn set_time(&self, seconds: u64) {
        if let Some(tls) = &self.tls {
            tls.set_time(seconds);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    /// How many of their timers run.
    pub(crate) fn timers(&self) -> usize {
        self.wheel.len()
    }

    /// Bytes of messages that are not whole.
    pub(crate) fn bytes_held(&self) -> usize {
        self.streams.values().map(Stream::held).sum()
    }

    /// Whether this is one of them.
    pub(crate) fn knows(&self, id: ConnectionId) -> bool {
        self.streams.contains_key(&id)
    }

    /// Whether this listener is one for SIP.
    pub(crate) fn listens(&self, listener: ListenerId) -> bool {
        listener.0 >= self.first_listener
    }

    /// Where it leads, if it is there.
    pub(crate) fn leads_to(&self, id: ConnectionId) -> Option<(Wire, SocketAddr, Place)> {
        self.streams.get(&id).map(|stream| (stream.wire, stream.remote, stream.place))
    }

    /// Whether a connection to this peer failed of late.
    pub(crate) fn is_absent(&self, now: Tick, wire: Wire, address: SocketAddr) -> bool {
        self.absent.get(&(wire, address)).is_some_and(|absent| now < absent.until)
    }

    /// Those that broke since this was last asked.
    pub(crate) fn take_broken(&mut self) -> Vec<ConnectionId> {
        std::mem::take(&mut self.broken)
    }

    /// The connection to a peer, opened now if there is none.
    pub(crate) fn to(
        &mut self,
        now: Tick,
        peer: &Peer,
        place: Place,
        (locals, outbox): (&Locals, &mut Outbox),
    ) -> ConnectionId {
        if let Some(id) = self.reusable.get(peer).or_else(|| self.of_any_host(peer)) {
            return *id;
        }
        let id = ConnectionId(OURS | self.minted);
        self.minted += 1;
        let session = match (peer.wire, &self.tls, &peer.host) {
            (Wire::Tcp, ..) => Ok(None),
            (Wire::Tls, Some(tls), host) => {
                let address = TlsHost::Address(peer.address.ip());
                tls.connect(host.as_ref().unwrap_or(&address)).map(Some).map_err(|fault| fault.to_string())
            }
            (Wire::Tls, None, _) => Err("there is nothing to speak TLS with".to_owned()),
        };
        let session = match session {
            Ok(session) => session,
            Err(why) => {
                outbox.report(Report::SipConnection { peer: peer.address, opened: Opened::ByUs, why });
                self.broken.push(id);
                return id;
            }
        };
        let what = (peer.wire, peer.address, place);
        let mut stream = Stream::new(now, what, Origin::Ours, session);
        match self.absent.get(&(peer.wire, peer.address)) {
            Some(absent) if now < absent.until => stream.wait(now, absent.until),
            _ => {
                outbox.connect(id, locals.source(place, peer.address), peer.address);
                // The first bytes of a handshake come from us.
                stream.send(now, id, &[], outbox);
            }
        }
        self.streams.insert(id, stream);
        self.reusable.insert(peer.clone(), id);
        self.set_timer(id);
        id
    }

    /// Where only the address is known, any connection to it will do.
    fn of_any_host(&self, peer: &Peer) -> Option<&ConnectionId> {
        if peer.host.is_some() || peer.wire == Wire::Tcp {
            return None;
        }
        let from = Peer { host: None, ..peer.clone() };
        let same =
            |(other, _): &(&Peer, &ConnectionId)| other.wire == peer.wire && other.address == peer.address;
        self.reusable.range(from..).next().filter(same).map(|(_, id)| id)
    }

    /// A listener accepted a connection.
    pub(crate) fn accepted(
        &mut self,
        now: Tick,
        (listener, id, remote): (ListenerId, ConnectionId, SocketAddr),
        outbox: &mut Outbox,
    ) {
        let at = usize::from(listener.0.saturating_sub(self.first_listener));
        let listening = self.listeners.get(at).and_then(|(place, kind)| Some((*place, Wire::of(*kind)?)));
        let Some((place, wire)) = listening else { return outbox.close(id, Close::Now) };
        // Some more are taken only to be told so.
        let most_told = self.most_accepted + self.most_accepted / 8 + 16;
        if self.accepted >= most_told {
            return outbox.close(id, Close::Now);
        }
        let session = match (wire, self.tls.as_ref().and_then(SipTls::accept)) {
            (Wire::Tcp, _) => None,
            (Wire::Tls, Some(Ok(session))) => Some(session),
            (Wire::Tls, _) => return outbox.close(id, Close::Now),
        };
        let origin = if self.accepted < self.most_accepted { Origin::Peers } else { Origin::TooMany };
        self.accepted += 1;
        self.streams.insert(id, Stream::new(now, (wire, remote, place), origin, session));
        self.set_timer(id);
    }

    /// A connection that we opened stands.
    pub(crate) fn connected(&mut self, now: Tick, id: ConnectionId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.connected(now);
        self.settle(id);
    }

    /// After something came in: a connection that stands is one to a peer that is there.
    fn settle(&mut self, id: ConnectionId) {
        if let Some(stream) = self.streams.get(&id)
            && stream.is_up()
            && stream.origin == Origin::Ours
        {
            self.absent.remove(&(stream.wire, stream.remote));
        }
        self.set_timer(id);
    }

    /// Sends a message on a connection; whether that is there.
    pub(crate) fn send(&mut self, now: Tick, id: ConnectionId, message: &[u8], outbox: &mut Outbox) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        stream.send(now, id, message, outbox);
        if stream.is_stuck() {
            self.fail(now, id, "the peer takes nothing", outbox);
        }
        true
    }

    /// Bytes came in. What they bring is returned, oldest first.
    pub(crate) fn received(
        &mut self,
        now: Tick,
        id: ConnectionId,
        bytes: &[u8],
        outbox: &mut Outbox,
    ) -> Vec<Brought> {
        let mut brought = Vec::new();
        let Some(stream) = self.streams.get_mut(&id) else { return brought };
        let (mut pings, too_many) = (0, stream.origin == Origin::TooMany);
        let mut each = |piece: Piece<'_>| match piece {
            Piece::Ping => pings += 1,
            Piece::Message(message) if too_many => brought.push(Brought::Unwanted(message.into())),
            Piece::Message(message) => brought.push(Brought::Message(message.into())),
            Piece::Endless { head, why } => brought.push(Brought::Endless(head.into(), why)),
        };
        let told = stream.received(now, id, bytes, (self.most_bytes, &mut each), outbox);
        (0..pings).for_each(|_| stream.pong(id, outbox));
        let (remote, opened, over) = (stream.remote, stream.opened(), stream.is_over());
        if let Err(fault) = told {
            outbox.report(Report::Tls { peer: remote, opened, why: fault.to_string() });
            self.absent(now, id);
            self.end(id, Close::Flushed, outbox);
            self.broken.push(id);
        } else if over {
            self.end(id, Close::Flushed, outbox);
            self.broken.push(id);
        } else {
            self.settle(id);
        }
        brought
    }

    /// The peer on this connection can be reached on it, at the port that its Via names, if its certificate is for who
    /// it will be looked for as (RFC 5923 §5, §8).
    pub(crate) fn alias(&mut self, id: ConnectionId, port: u16, host: TlsHost) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.wire == Wire::Tls && stream.origin == Origin::Peers && stream.is_for(&host) {
            let address = SocketAddr::new(stream.remote.ip(), port);
            self.reusable.entry(Peer { wire: Wire::Tls, address, host: Some(host) }).or_insert(id);
        }
    }

    /// So many bytes went to the system.
    pub(crate) fn written(&mut self, id: ConnectionId, bytes: usize) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.written(bytes);
        }
    }

    /// The peer closed it, or it broke, or could not be opened.
    pub(crate) fn lost(&mut self, now: Tick, id: ConnectionId, outbox: &mut Outbox) {
        let Some(stream) = self.streams.get(&id) else { return };
        if stream.origin == Origin::Ours && !stream.is_up() {
            let why = "could not be opened".to_owned();
            outbox.report(Report::SipConnection { peer: stream.remote, opened: Opened::ByUs, why });
            self.absent(now, id);
        }
        self.forget(id);
        self.broken.push(id);
    }

    /// Gives a connection up.
    fn fail(&mut self, now: Tick, id: ConnectionId, why: &str, outbox: &mut Outbox) {
        let Some(stream) = self.streams.get(&id) else { return };
        let (peer, opened) = (stream.remote, stream.opened());
        outbox.report(Report::SipConnection { peer, opened, why: why.to_owned() });
        self.absent(now, id);
        self.end(id, Close::Now, outbox);
        self.broken.push(id);
    }

    /// Closes a connection that is not to be used any more.
    pub(crate) fn end(&mut self, id: ConnectionId, how: Close, outbox: &mut Outbox) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.close(id, how, outbox);
            self.forget(id);
        }
    }

    /// The peer of a connection that we opened was not there: the next one waits.
    fn absent(&mut self, now: Tick, id: ConnectionId) {
        let Some(stream) = self.streams.get(&id).filter(|stream| stream.origin == Origin::Ours) else {
            return;
        };
        if stream.is_up() || stream.is_waiting() {
            return;
        }
        if self.absent.len() >= MOST_ABSENT {
            self.absent.retain(|_, absent| now < absent.until);
        }
        if self.absent.len() >= MOST_ABSENT {
            self.absent.pop_first();
        }
        let absent =
            self.absent.entry((stream.wire, stream.remote)).or_insert(Absent { times: 0, until: now });
        let wait = FIRST_WAIT.saturating_mul(1 << absent.times.min(8)).min(LONGEST_WAIT);
        *absent = Absent { times: absent.times.saturating_add(1), until: now + wait };
    }

    fn forget(&mut self, id: ConnectionId) {
        let Some(stream) = self.streams.remove(&id) else { return };
        if stream.origin != Origin::Ours {
            self.accepted -= 1;
        }
        if let Some((_, timer)) = stream.timer {
            self.wheel.stop(timer);
        }
        self.reusable.retain(|_, other| *other != id);
    }

    fn set_timer(&mut self, id: ConnectionId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let deadline = stream.deadline(self.times);
        match stream.timer {
            // A later deadline is looked up when the timer fires: most never do.
            Some((at, _)) if at <= deadline => return,
            Some((_, timer)) => drop(self.wheel.stop(timer)),
            None => {}
        }
        stream.timer = Some((deadline, self.wheel.start_at(deadline, id)));
    }

    /// When [`timeout`](Self::timeout) is to be called next.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.wheel.next()
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, now: Tick, locals: &Locals, outbox: &mut Outbox) {
        for _ in 0..TIMERS_AT_ONCE {
            let Some(id) = self.wheel.pop(now) else { return };
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.timer = None;
            match stream.overdue(now, self.times) {
                Overdue::Nothing => {}
                Overdue::Open => {
                    outbox.connect(id, locals.source(stream.place, stream.remote), stream.remote);
                    stream.open(id, outbox);
                }
                Overdue::Ping => stream.ping(now, id, outbox),
                Overdue::Idle => self.end(id, Close::Flushed, outbox),
                Overdue::Failed(why) => self.fail(now, id, why, outbox),
            }
            self.set_timer(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Listen};
    use crate::io::Output;

    #[test]
    fn a_connection_that_was_never_opened_is_not_closed() {
        let address: SocketAddr = "127.0.0.1:6050".parse().unwrap();
        let listen = [SipTransport::Udp, SipTransport::Tcp].map(|transport| Listen { transport, address });
        let locals = Locals::new(&listen, &[]).unwrap();
        let mut streams = Streams::new(&locals, &Config::new("example.com").limits, 0);
        let remote: SocketAddr = "127.0.0.1:5060".parse().unwrap();
        let place = locals.toward(SipTransport::Tcp, remote).unwrap();
        let peer = Peer { wire: Wire::Tcp, address: remote, host: None };
        let (mut now, mut outbox) = (Tick::ZERO, Outbox::new());
        // Each time that it is not there, the next one waits longer; in the end longer than an opening may take.
        for _ in 0..10 {
            let id = streams.to(now, &peer, place, (&locals, &mut outbox));
            streams.lost(now, id, &mut outbox);
            outbox.clear();
            now = now + LONGEST_WAIT;
        }
        let id = streams.to(now, &peer, place, (&locals, &mut outbox));
        streams.lost(now, id, &mut outbox);
        outbox.clear();
        let waiting = streams.to(now, &peer, place, (&locals, &mut outbox));
        assert!(outbox.is_empty(), "it waits");
        streams.fail(now, waiting, "nothing", &mut outbox);
        assert!(!streams.knows(waiting));
        assert!(outbox.outputs().all(|output| matches!(output, Output::Report(_))), "{outbox:?}");
    }
}
