//! All stream connections: their ids, and those among them that are coming to their end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use cordboard_core::io::{Close, ConnectionId, Input};
use mio::Registry;
use mio::net::TcpStream;

use super::dial;
use super::tcp::{Connection, Fate, Got};
use super::tokens::Source;

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

/// All connections. Ids of accepted ones are counted up and never used again.
#[derive(Debug, Default)]
pub(super) struct Connections {
    table: BTreeMap<u64, Connection>,
    next: u64,
    /// When to look at a connection that is closing. One whose time was prolonged is put back then.
    ends: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Connections {
    /// Takes up an accepted connection.
    pub(super) fn adopt(&mut self, stream: TcpStream, registry: &Registry) -> io::Result<ConnectionId> {
        // An answer goes out in one piece: waiting for more of it would only cost time.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let id = ConnectionId(self.next);
        let mut connection = Connection::new(stream);
        connection.register(registry, Source::Connection(id).token())?;
        self.next += 1;
        self.table.insert(id.0, connection);
        Ok(id)
    }

    /// Begins to open a connection; [`establish`](Self::establish) tells when it stands. What the machine is to be told
    /// at once is returned.
    pub(super) fn open(
        &mut self,
        id: ConnectionId,
        from: IpAddr,
        to: SocketAddr,
        registry: &Registry,
    ) -> Option<Input<'static>> {
        let begun = dial::connect(from, to).and_then(|stream| {
            let mut connection = Connection::opening(TcpStream::from_std(stream));
            connection.register(registry, Source::Connection(id).token()).map(|()| connection)
        });
        match begun {
            Ok(connection) => {
                self.table.insert(id.0, connection);
                None
            }
            Err(error) => {
                tracing::debug!(connection = id.0, %from, %to, %error, "opening a connection");
                Some(Input::Lost { connection: id })
            }
        }
    }

    /// At an event of a connection that may be one that is being opened: what the machine is to be told of that.
    pub(super) fn establish(&mut self, id: ConnectionId) -> Option<Input<'static>> {
        let connection = self.table.get_mut(&id.0)?;
        match connection.establish()? {
            Ok(()) => connection.is_open().then_some(Input::Connected { connection: id }),
            Err(error) => self.broken(id, "opening a connection", &error),
        }
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

    /// Writes bytes behind those that wait. What came of it for the machine is returned.
    pub(super) fn write(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        registry: &Registry,
    ) -> Option<Input<'static>> {
        let connection = self.table.get_mut(&id.0).filter(|connection| connection.is_open())?;
        let written = connection.write(bytes);
        let token = Source::Connection(id).token();
        match written.and_then(|length| connection.watch(registry, token).map(|()| length)) {
            Ok(length) => (length > 0).then_some(Input::Written { connection: id, bytes: length }),
            Err(error) => self.broken(id, "writing", &error),
        }
    }

    /// Writes on what waits. What came of it for the machine is returned.
    pub(super) fn flush(&mut self, id: ConnectionId, now: Instant) -> Option<Input<'static>> {
        let connection = self.table.get_mut(&id.0)?;
        match connection.flush(now) {
            Ok(bytes) if connection.is_open() => {
                (bytes > 0).then_some(Input::Written { connection: id, bytes })
            }
            Ok(_) => {
                let fate = connection.settle(now);
                self.follow(id, fate);
                None
            }
            Err(error) => self.broken(id, "writing", &error),
        }
    }

    /// Forgets a connection that broke while this was done; the machine is told if it knows it.
    fn broken(&mut self, id: ConnectionId, doing: &str, error: &io::Error) -> Option<Input<'static>> {
        tracing::debug!(connection = id.0, %error, "{doing}");
        self.table.remove(&id.0).filter(Connection::is_open).map(|_| Input::Lost { connection: id })
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
