//! Questions to name servers: a socket for each, on a port of its own.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use cordboard_core::io::{Input, QueryId};
use mio::net::UdpSocket;
use mio::{Interest, Registry};

use super::dial;
use super::tokens::Source;

/// What a name server's socket brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// So many bytes; more may be there.
    Bytes(usize),
    /// Nothing for now, or never.
    Nothing,
    /// The name server does not listen: the machine is to be told. More may be there.
    Refused,
}

#[derive(Debug)]
struct Question {
    socket: UdpSocket,
    server: SocketAddr,
}

/// All questions that core has not called over.
#[derive(Debug, Default)]
pub(super) struct Queries {
    table: BTreeMap<QueryId, Question>,
}

impl Queries {
    /// Sends a message to a name server. What the machine is to be told at once is returned.
    pub(super) fn ask(
        &mut self,
        query: QueryId,
        server: SocketAddr,
        message: &[u8],
        registry: &Registry,
    ) -> Option<Input<'static>> {
        let error = self.send(query, server, message, registry).err()?;
        tracing::debug!(query = query.0, %server, %error, "asking a name server");
        Some(Input::Unanswered { query })
    }

    fn send(
        &mut self,
        query: QueryId,
        server: SocketAddr,
        message: &[u8],
        registry: &Registry,
    ) -> io::Result<()> {
        // Another server gets another port: the old one's address may not even lead there.
        if self.table.get(&query).is_none_or(|question| question.server != server) {
            self.table.remove(&query);
            let mut socket = UdpSocket::from_std(dial::question(server)?);
            registry.register(&mut socket, Source::Query(query).token(), Interest::READABLE)?;
            self.table.insert(query, Question { socket, server });
        }
        let Some(question) = self.table.get(&query) else { return Ok(()) };
        match question.socket.send(message) {
            // No room: it is lost, as on the way, and core asks again.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// Receives once.
    pub(super) fn receive(&self, query: QueryId, buffer: &mut [u8]) -> Reply {
        let Some(question) = self.table.get(&query) else { return Reply::Nothing };
        loop {
            return match question.socket.recv(buffer) {
                Ok(length) => Reply::Bytes(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Reply::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::debug!(query = query.0, server = %question.server, %error, "hearing a name server");
                    Reply::Refused
                }
            };
        }
    }

    /// Closes a question's port.
    pub(super) fn over(&mut self, query: QueryId) {
        self.table.remove(&query);
    }
}
