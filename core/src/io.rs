//! The event contract between `core` and a runtime: what goes in, what comes out, and when to call again.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::Tick;
use crate::report::Report;
use crate::sip::resolve::Names;
use crate::tls::{Acceptor, SipTls};
use crate::users::Directory;

/// One of the datagram sockets, by its place among the `udp:` addresses of `sip.listen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u16);

/// One of the stream listeners, by its place in `http.https`, followed by `http.http`, followed by the `tcp:` and `tls:`
/// addresses of `sip.listen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// A stream connection. The runtime mints the ids of those it accepts, counting up from 0; core those of the ones that it
/// opens, with the highest bit set. An id is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Datagrams of one sequence leave in the order in which they were decided; between sequences order means nothing, so
/// that a runtime can send together what goes together. There is one for each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u32);

/// One of the workers that share a service: a controller of its own, with its own SIP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u8);

/// The place of a worker among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its number, from 0.
    pub id: WorkerId,
    /// How many there are.
    pub of: u8,
}

impl Worker {
    /// The only one.
    pub const ALONE: Worker = Worker { id: WorkerId(0), of: 1 };

    /// All others.
    pub fn others(self) -> impl Iterator<Item = WorkerId> {
        (0..self.of).map(WorkerId).filter(move |other| *other != self.id)
    }

    /// The one behind it; behind the last the first.
    pub(crate) fn next(self) -> WorkerId {
        WorkerId(if self.id.0 + 1 < self.of { self.id.0 + 1 } else { 0 })
    }

    /// Its share of something that is for all together; the shares of all make up the whole.
    pub fn share(self, whole: usize) -> usize {
        let of = usize::from(self.of.max(1));
        whole / of + usize::from(usize::from(self.id.0) < whole % of)
    }
}

/// What one worker has for another. Only controllers look inside.
pub struct Parcel(pub(crate) Box<dyn std::any::Any + Send>);

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parcel(..)")
    }
}

/// A question to a name server, minted by core and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryId(pub u64);

/// One datagram as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// The socket that it came in on.
    pub socket: SocketId,
    /// Where it came from.
    pub from: SocketAddr,
    /// What it carried.
    pub bytes: &'a [u8],
}

/// What happened outside.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The time that the last [`Wake`] named has come. Handed in early or twice it does nothing.
    Timeout,
    /// A datagram came in.
    Datagram(Datagram<'a>),
    /// Several datagrams came in, oldest first.
    Datagrams(&'a [Datagram<'a>]),
    /// A listener accepted a connection.
    Accepted {
        /// The listener.
        listener: ListenerId,
        /// The connection's id, never used before.
        connection: ConnectionId,
        /// Who connected.
        peer: SocketAddr,
    },
    /// A connection that core opened stands.
    Connected {
        /// The connection.
        connection: ConnectionId,
    },
    /// Bytes came in on a connection.
    Received {
        /// The connection.
        connection: ConnectionId,
        /// The bytes, in order.
        bytes: &'a [u8],
    },
    /// So many more bytes of what was to be written have gone to the system.
    Written {
        /// The connection.
        connection: ConnectionId,
        /// How many bytes, since the last such input.
        bytes: usize,
    },
    /// The peer closed the connection, or it broke, or it could not be opened. Nothing more may be said about it.
    Lost {
        /// The connection.
        connection: ConnectionId,
    },
    /// The system reports that a datagram did not reach this address (ICMP: no such port, host or network).
    Unreachable {
        /// The socket that it was sent by.
        socket: SocketId,
        /// Where it was to go.
        to: SocketAddr,
    },
    /// A name server's answer to a question, or what looks like one. It may come more than once.
    Answer {
        /// The question.
        query: QueryId,
        /// The DNS message.
        bytes: &'a [u8],
    },
    /// No answer can come: the name server does not listen, or could not be asked.
    Unanswered {
        /// The question.
        query: QueryId,
    },
    /// The system's name servers and hosts were read; without this, only addresses are known.
    Names(Box<Names>),
    /// A certificate for HTTPS was read; connections accepted from now on use it.
    Certificate(Box<Acceptor>),
    /// What SIP over TLS is spoken with was read; connections accepted or opened from now on use it.
    SipTls(Box<SipTls>),
    /// What is handed in has waited for so long, at most, because of what came before it. It holds until the next; without
    /// any, nothing waits.
    Behind(Duration),
    /// Another worker has this for us ([`Outbox::parcels`]). What one worker has for another comes in its order.
    Handover(Parcel),
    /// The users file was read anew.
    Reload(Box<Directory>),
    /// Take nothing new, and let the calls come to their end: the service is to stop. The second time: hang them up.
    Drain,
}

/// How a connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// When everything handed out for it has been written.
    Flushed,
    /// At once, whatever is still unwritten.
    Now,
}

/// What is to be done outside, in the order in which it was decided.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output<'a> {
    /// Send a datagram.
    Datagram {
        /// By which socket.
        socket: SocketId,
        /// Where to.
        to: SocketAddr,
        /// Whose order it keeps; without one it keeps its place among all.
        sequence: Option<Sequence>,
        /// What.
        bytes: &'a [u8],
    },
    /// Open a connection. [`Input::Connected`] or [`Input::Lost`] follows; what is written before waits until it stands.
    Connect {
        /// The id that it shall have.
        connection: ConnectionId,
        /// Our own address, which the system chooses if it is unspecified; the port is the system's to choose.
        from: IpAddr,
        /// Where to.
        to: SocketAddr,
    },
    /// Send a DNS message by UDP, from a port of its own for each id and nothing else; sent again under the same id it
    /// leaves by the same port.
    Query {
        /// The question's id, which its [`Input::Answer`]s name.
        query: QueryId,
        /// The name server.
        server: SocketAddr,
        /// The message.
        bytes: &'a [u8],
    },
    /// No answer to this question is wanted any more: its port can be closed.
    QueryOver {
        /// The question.
        query: QueryId,
    },
    /// Write bytes to a connection, behind those of before.
    Write {
        /// The connection.
        connection: ConnectionId,
        /// What.
        bytes: &'a [u8],
    },
    /// Close a connection; core has forgotten it already and wants no [`Input::Lost`] for it.
    Close {
        /// The connection.
        connection: ConnectionId,
        /// Now or when all is written.
        how: Close,
    },
    /// Something that an operator wants to read in the log.
    Report(&'a Report),
    /// After [`Input::Drain`]: the last call is over, the runtime may end.
    Drained,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Debug)]
enum Entry {
    Datagram { socket: SocketId, to: SocketAddr, sequence: Option<Sequence>, span: Span },
    Connect { connection: ConnectionId, from: IpAddr, to: SocketAddr },
    Query { query: QueryId, server: SocketAddr, span: Span },
    QueryOver { query: QueryId },
    Write { connection: ConnectionId, span: Span },
    Close { connection: ConnectionId, how: Close },
    Report(Box<Report>),
    Drained,
}

/// Where [`Controller::handle`](crate::Controller::handle) leaves what is to be done; it belongs to the caller, who uses it for ever.
///
/// All bytes lie in one arena that grows to the largest burst seen and is reused. Take outputs
/// one by one with [`pop`](Self::pop), or look at all with [`outputs`](Self::outputs) and then [`clear`](Self::clear).
#[derive(Debug, Default)]
pub struct Outbox {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    next: usize,
    sequence: Option<Sequence>,
    parcels: Vec<(WorkerId, Parcel)>,
}

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// The oldest output not yet taken; `None` when there is none, as often as asked.
    pub fn pop(&mut self) -> Option<Output<'_>> {
        if self.next >= self.entries.len() {
            self.clear();
            return None;
        }
        let at = self.next;
        self.next += 1;
        self.entries.get(at).map(|entry| view(&self.arena, entry))
    }

    /// All outputs not yet taken, oldest first, all alive at once: for sending in batches.
    pub fn outputs(&self) -> impl Iterator<Item = Output<'_>> {
        self.entries.iter().skip(self.next).map(|entry| view(&self.arena, entry))
    }

    /// Takes what other workers are to be handed, oldest first: as their [`Input::Handover`]. It lies apart from the outputs,
    /// and may be taken before or behind them.
    pub fn parcels(&mut self) -> impl Iterator<Item = (WorkerId, Parcel)> {
        self.parcels.drain(..)
    }

    /// Appends a parcel for another worker.
    pub(crate) fn hand_over(&mut self, to: WorkerId, parcel: Parcel) {
        self.parcels.push((to, parcel));
    }

    /// Forgets every output, taken or not; parcels stay.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
        self.next = 0;
    }

    /// Whether nothing is left to take.
    pub fn is_empty(&self) -> bool {
        self.next >= self.entries.len() && self.parcels.is_empty()
    }

    /// Appends a datagram that `write` appends to the arena, and returns its bytes.
    pub fn datagram(&mut self, socket: SocketId, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let span = self.fill(write);
        self.entries.push(Entry::Datagram { socket, to, sequence: self.sequence, span });
        self.arena.get(span.start..span.end).unwrap_or_default()
    }

    /// What is appended from now on is of this sequence; which it was before is returned.
    pub(crate) fn enter(&mut self, sequence: Option<Sequence>) -> Option<Sequence> {
        std::mem::replace(&mut self.sequence, sequence)
    }

    /// How many outputs there are, taken or not.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What was appended behind so many outputs turns out to be of this sequence.
    pub(crate) fn enter_since(&mut self, length: usize, of: Sequence) {
        for entry in self.entries.iter_mut().skip(length) {
            if let Entry::Datagram { sequence, .. } = entry {
                *sequence = Some(of);
            }
        }
    }

    /// Takes back the datagram that was appended last.
    pub(crate) fn take_back(&mut self) {
        if let Some(Entry::Datagram { span, .. }) = self.entries.last() {
            self.arena.truncate(span.start);
            self.entries.pop();
        }
    }

    /// Appends the opening of a connection.
    pub fn connect(&mut self, connection: ConnectionId, from: IpAddr, to: SocketAddr) {
        self.entries.push(Entry::Connect { connection, from, to });
    }

    /// Appends a question to a name server: a DNS message.
    pub fn query(&mut self, query: QueryId, server: SocketAddr, message: &[u8]) {
        let span = self.fill(|out| out.extend_from_slice(message));
        self.entries.push(Entry::Query { query, server, span });
    }

    /// Appends the end of a question.
    pub fn query_over(&mut self, query: QueryId) {
        self.entries.push(Entry::QueryOver { query });
    }

    /// Appends bytes for a connection that `write` appends to the arena; nothing is queued when it appends none.
    pub fn write(&mut self, connection: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let span = self.fill(write);
        let length = span.end - span.start;
        if length > 0 {
            self.entries.push(Entry::Write { connection, span });
        }
        length
    }

    /// Appends the closing of a connection.
    pub fn close(&mut self, connection: ConnectionId, how: Close) {
        self.entries.push(Entry::Close { connection, how });
    }

    /// Appends a line for the log.
    pub(crate) fn report(&mut self, report: Report) {
        self.entries.push(Entry::Report(Box::new(report)));
    }

    /// Appends the word that draining is done.
    pub fn drained(&mut self) {
        self.entries.push(Entry::Drained);
    }

    fn fill(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.arena.len();
        write(&mut self.arena);
        Span { start, end: self.arena.len() }
    }
}

fn view<'a>(arena: &'a [u8], entry: &'a Entry) -> Output<'a> {
    let bytes = |span: &Span| arena.get(span.start..span.end).unwrap_or_default();
    match entry {
        Entry::Datagram { socket, to, sequence, span } => {
            Output::Datagram { socket: *socket, to: *to, sequence: *sequence, bytes: bytes(span) }
        }
        Entry::Connect { connection, from, to } => {
            Output::Connect { connection: *connection, from: *from, to: *to }
        }
        Entry::Query { query, server, span } => {
            Output::Query { query: *query, server: *server, bytes: bytes(span) }
        }
        Entry::QueryOver { query } => Output::QueryOver { query: *query },
        Entry::Write { connection, span } => Output::Write { connection: *connection, bytes: bytes(span) },
        Entry::Close { connection, how } => Output::Close { connection: *connection, how: *how },
        Entry::Report(report) => Output::Report(report),
        Entry::Drained => Output::Drained,
    }
}

/// When to call [`Controller::handle`](crate::Controller::handle) again if nothing else happens; each replaces the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the deadline is the only one: a runtime that forgets it loses every timer"]
pub enum Wake {
    /// Nothing is waited for.
    Idle,
    /// At this time, with [`Input::Timeout`].
    At(Tick, Reason),
}

impl Wake {
    /// The earlier of two.
    pub fn earlier(self, other: Wake) -> Wake {
        match (self, other) {
            (Wake::Idle, wake) | (wake, Wake::Idle) => wake,
            (Wake::At(a, _), Wake::At(b, _)) => {
                if a <= b {
                    self
                } else {
                    other
                }
            }
        }
    }
}

/// Which layer a [`Wake`] is for; it makes a busy loop explainable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An HTTP connection's time limit.
    Http,
    /// A SIP transaction's timer.
    Transaction,
    /// A connection of SIP: keep-alive, idle close, the wait for a whole message.
    Connection,
    /// A question to a name server, or its answer's lifetime.
    Resolver,
    /// A call's timer.
    Call,
    /// Failed logins that are to be forgotten.
    Lockout,
    /// An overload that is over.
    Overload,
    /// More work is due than one call of `handle` does: call again at once.
    MoreWork,
}
