//! All stream connections: their ids, and those among them that are coming to their end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::time::Instant;

use cordboard_core::io::{Close, ConnectionId};
use mio::net::TcpStream;
use mio::{Registry, Token};

use super::tcp::{Connection, Fate, Got};

/// What came in on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// So many bytes for the machine; more may be there.
    Bytes(usize),
    /// Bytes that nobody wants any more; more may be there.
    Discarded,
    /// Nothing for now, or never.
    Nothing,
    /// The peer sends no more: [`Connections::end`] is to be called.
    End,
    /// The connection broke: the machine is to be told.
    Lost,
}

/// What writing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// So many bytes of a connection that the machine knows went to the system.
    Written(usize),
    /// Nothing that the machine wants to know.
    Nothing,
    /// The connection broke: the machine is to be told.
    Lost,
}

/// All connections. Ids are counted up and never used again; tokens are ids behind a first one.
#[derive(Debug)]
pub(super) struct Connections {
    table: BTreeMap<u64, Connection>,
    next: u64,
    first_token: usize,
    /// When to look at a connection that is closing. One whose time was prolonged is put back then.
    ends: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Connections {
    /// No connections yet.
    pub(super) fn new(first_token: usize) -> Self {
        Self { table: BTreeMap::new(), next: 0, first_token, ends: BinaryHeap::new() }
    }

    /// The connection that an event's token names.
    pub(super) fn named(&self, token: usize) -> ConnectionId {
        ConnectionId((token - self.first_token) as u64)
    }

    /// The token of a connection's events.
    pub(super) fn token(&self, id: ConnectionId) -> usize {
        self.first_token + id.0 as usize
    }

    /// Takes up an accepted connection.
    pub(super) fn adopt(&mut self, stream: TcpStream, registry: &Registry) -> io::Result<ConnectionId> {
        // An answer goes out in one piece: waiting for more of it would only cost time.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let id = ConnectionId(self.next);
        let mut connection = Connection::new(stream);
        connection.register(registry, Token(self.token(id)))?;
        self.next += 1;
        self.table.insert(id.0, connection);
        Ok(id)
    }

    /// Reads once.
    pub(super) fn read(&mut self, id: ConnectionId, buffer: &mut [u8]) -> Arrival {
        let Some(connection) = self.table.get_mut(&id.0) else { return Arrival::Nothing };
        let open = connection.is_open();
        match connection.read(buffer) {
            Got::Bytes(length) if open => Arrival::Bytes(length),
            Got::Bytes(length) => {
                let fate = connection.discard(length);
                self.follow(id, fate);
                Arrival::Discarded
            }
            Got::Nothing => Arrival::Nothing,
            Got::End => Arrival::End,
            Got::Broken => {
                self.table.remove(&id.0);
                if open { Arrival::Lost } else { Arrival::Nothing }
            }
        }
    }

    /// Closes a connection whose peer sends no more, but may still want what waits to be written: what the machine
    /// answered has to be handed in before. Whether the machine is to be told.
    pub(super) fn end(&mut self, id: ConnectionId, now: Instant) -> bool {
        let Some(connection) = self.table.get_mut(&id.0) else { return false };
        let open = connection.is_open();
        let fate = connection.close(now);
        self.follow(id, fate);
        open
    }

    /// Writes bytes behind those that wait.
    pub(super) fn write(&mut self, id: ConnectionId, bytes: &[u8], registry: &Registry) -> Departure {
        let token = Token(self.token(id));
        let Some(connection) = self.table.get_mut(&id.0).filter(|connection| connection.is_open()) else {
            return Departure::Nothing;
        };
        let written = connection.write(bytes);
        match written.and_then(|length| connection.watch(registry, token).map(|()| length)) {
            Ok(0) => Departure::Nothing,
            Ok(length) => Departure::Written(length),
            Err(error) => self.broken(id, &error),
        }
    }

    /// Writes on what waits.
    pub(super) fn flush(&mut self, id: ConnectionId, now: Instant) -> Departure {
        let Some(connection) = self.table.get_mut(&id.0) else { return Departure::Nothing };
        match connection.flush(now) {
            Ok(length) if connection.is_open() && length > 0 => Departure::Written(length),
            Ok(_) => {
                let fate = connection.settle(now);
                self.follow(id, fate);
                Departure::Nothing
            }
            Err(error) => self.broken(id, &error),
        }
    }

    fn broken(&mut self, id: ConnectionId, error: &io::Error) -> Departure {
        tracing::debug!(connection = id.0, %error, "writing");
        match self.table.remove(&id.0) {
            Some(connection) if connection.is_open() => Departure::Lost,
            _ => Departure::Nothing,
        }
    }

    /// Closes one that the machine has forgotten.
    pub(super) fn close(&mut self, id: ConnectionId, how: Close, now: Instant) {
        let Some(connection) = self.table.get_mut(&id.0) else { return };
        let fate = match how {
            Close::Now => Fate::Over,
            Close::Flushed => connection.close(now),
        };
        self.follow(id, fate);
    }

    /// Forgets a connection that is over, and sees to it that a closing one does not stay for ever.
    fn follow(&mut self, id: ConnectionId, fate: Fate) {
        match fate {
            Fate::Over => drop(self.table.remove(&id.0)),
            Fate::Stays => {
                let end = self.table.get_mut(&id.0).and_then(Connection::earlier_end);
                self.ends.extend(end.map(|end| Reverse((end, id.0))));
            }
        }
    }

    /// When to call [`expire`](Self::expire).
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.peek().map(|Reverse((until, _))| *until)
    }

    /// Forgets the closing connections whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(Reverse((until, id))) = self.ends.peek().copied() {
            if until > now {
                return;
            }
            self.ends.pop();
            let fate = self.table.get_mut(&id).map_or(Fate::Stays, |connection| connection.expire(now));
            self.follow(ConnectionId(id), fate);
        }
    }

    /// Forgets the connections for which nothing waits to be written, and says whether there are others.
    pub(super) fn keep_waiting(&mut self) -> bool {
        self.table.retain(|_, connection| connection.is_waiting());
        !self.table.is_empty()
    }
}
