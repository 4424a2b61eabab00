//! What the network brings: datagrams and connections, to messages; and what became of our own.

use std::net::SocketAddr;

use super::Calls;
use crate::Tick;
use crate::io::{Close, ConnectionId, Datagram, ListenerId, Outbox, QueryId, SocketId};
use crate::report::{Opened, Report};
use crate::sip::message::{Fault, Host, Message, Status, parse};
use crate::sip::resolve::{Names, Resolver};
use crate::sip::transport::framing::Endless;
use crate::sip::transport::{Brought, Flow, Streams, Wire};
use crate::tls::{SipTls, TlsHost};

/// The port of a Via of TLS that names none.
const DEFAULT_TLS_PORT: u16 = 5061;

impl Calls {
    fn streams(&mut self) -> Option<&mut Streams> {
        self.endpoint.transactions.transport.streams.as_mut()
    }

    /// Whether this connection is one of SIP.
    pub(crate) fn knows(&self, id: ConnectionId) -> bool {
        let streams = self.endpoint.transactions.transport.streams.as_ref();
        streams.is_some_and(|streams| streams.knows(id))
    }

    /// Whether this listener is one for SIP.
    pub(crate) fn listens(&self, listener: ListenerId) -> bool {
        let streams = self.endpoint.transactions.transport.streams.as_ref();
        streams.is_some_and(|streams| streams.listens(listener))
    }

    /// Takes one datagram.
    pub(crate) fn datagram(&mut self, now: Tick, datagram: Datagram<'_>, outbox: &mut Outbox) {
        // Keep-alives of any kind (RFC 5626 §3.5) and empty datagrams.
        if datagram.bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        let flow = Flow::Udp { socket: datagram.socket, remote: datagram.from };
        self.message(now, datagram.bytes, flow, outbox);
    }

    /// A listener for SIP accepted a connection.
    pub(crate) fn accepted(
        &mut self,
        now: Tick,
        what: (ListenerId, ConnectionId, SocketAddr),
        outbox: &mut Outbox,
    ) {
        if let Some(streams) = self.streams() {
            streams.accepted(now, what, outbox);
        }
    }

    /// A connection that we opened stands.
    pub(crate) fn connected(&mut self, now: Tick, id: ConnectionId) {
        if let Some(streams) = self.streams() {
            streams.connected(now, id);
        }
    }

    /// Bytes came in on a connection.
    pub(crate) fn received(&mut self, now: Tick, id: ConnectionId, bytes: &[u8], outbox: &mut Outbox) {
        let Some(streams) = self.streams() else { return };
        let Some((wire, remote, place)) = streams.leads_to(id) else { return };
        let brought = streams.received(now, id, bytes, outbox);
        let flow = Flow::Stream { connection: id, wire, remote, listens: remote.port(), local: place.0 };
        for piece in brought {
            match piece {
                Brought::Message(message) => {
                    self.learn_alias(id, wire, &message);
                    self.message(now, &message, flow, outbox);
                }
                Brought::Endless(head, why) => self.endless(now, &head, why, flow, outbox),
                Brought::Unwanted(message) => {
                    if let Ok(message) = parse(&message) {
                        self.refuse(now, &message, flow, Status::UNAVAILABLE, outbox);
                    }
                    self.end_connection(id, outbox);
                }
            }
        }
    }

    /// A peer may ask that requests to it go by the connection that it opened (RFC 5923 §5).
    fn learn_alias(&mut self, id: ConnectionId, wire: Wire, message: &[u8]) {
        if wire != Wire::Tls {
            return;
        }
        let Ok(Message::Request(request)) = parse(message) else { return };
        let via = &request.via;
        if via.params.get("alias").is_none() {
            return;
        }
        let host = match via.host {
            Host::Name(name) => TlsHost::Name(name.to_ascii_lowercase().into()),
            Host::V4(address) => TlsHost::Address(address.into()),
            Host::V6(address) => TlsHost::Address(address.into()),
        };
        if let Some(streams) = self.streams() {
            streams.alias(id, via.port.unwrap_or(DEFAULT_TLS_PORT), host);
        }
    }

    /// What has no end is refused, if it can be, and so is all that follows.
    fn endless(&mut self, now: Tick, head: &[u8], why: Endless, flow: Flow, outbox: &mut Outbox) {
        let Flow::Stream { connection, remote, .. } = flow else { return };
        outbox.report(Report::SipConnection { peer: remote, opened: Opened::ByPeer, why: why.to_string() });
        let status = match why {
            Endless::TooLong { .. } => Status::MESSAGE_TOO_LARGE,
            Endless::NoLength | Endless::BadLength => Status::BAD_REQUEST,
        };
        match parse(head) {
            Ok(message) => self.refuse(now, &message, flow, status, outbox),
            Err(mut rejected) => {
                if let (Endless::TooLong { most }, Fault::BodyTooShort { says, .. }) = (why, rejected.fault) {
                    rejected.fault = Fault::TooLong { has: says, most };
                }
                self.refuse_unreadable(now, &rejected, flow, outbox);
            }
        }
        self.end_connection(connection, outbox);
    }

    fn end_connection(&mut self, id: ConnectionId, outbox: &mut Outbox) {
        if let Some(streams) = self.streams() {
            streams.end(id, Close::Flushed, outbox);
        }
    }

    /// So many bytes of a connection went to the system.
    pub(crate) fn written(&mut self, id: ConnectionId, bytes: usize) {
        if let Some(streams) = self.streams() {
            streams.written(id, bytes);
        }
    }

    /// A connection broke, or could not be opened.
    pub(crate) fn lost(&mut self, now: Tick, id: ConnectionId, outbox: &mut Outbox) {
        if let Some(streams) = self.streams() {
            streams.lost(now, id, outbox);
        }
    }

    /// Datagrams do not reach this address.
    pub(crate) fn unreachable(
        &mut self,
        now: Tick,
        (socket, remote): (SocketId, SocketAddr),
        outbox: &mut Outbox,
    ) {
        if self.endpoint.transactions.unreachable(now, Flow::Udp { socket, remote }, outbox) {
            let why = "the system says that datagrams do not arrive there".to_owned();
            outbox.report(Report::SipConnection { peer: remote, opened: Opened::ByUs, why });
        }
    }

    /// Connections from now on use these certificates.
    pub(crate) fn set_tls(&mut self, tls: SipTls) {
        if let Some(streams) = self.streams() {
            streams.set_tls(tls);
        }
    }

    /// Says what time it is, in seconds since 1970.
    pub(crate) fn set_time(&mut self, seconds: u64) {
        if let Some(streams) = self.streams() {
            streams.set_time(seconds);
        }
    }

    /// The system's names were read anew.
    pub(crate) fn set_names(&mut self, now: Tick, names: Names, outbox: &mut Outbox) {
        self.with_resolver(now, outbox, |resolver, _| resolver.set_names(names));
    }

    /// A name server has answered.
    pub(crate) fn named(&mut self, now: Tick, query: QueryId, bytes: &[u8], outbox: &mut Outbox) {
        self.with_resolver(now, outbox, |resolver, outbox| resolver.answer(now, query, bytes, outbox));
    }

    /// No name server answers.
    pub(crate) fn unnamed(&mut self, now: Tick, query: QueryId, outbox: &mut Outbox) {
        self.with_resolver(now, outbox, |resolver, outbox| resolver.unanswered(now, query, outbox));
    }

    /// Lets the resolver do something, and then what waited for it.
    pub(crate) fn with_resolver(
        &mut self,
        now: Tick,
        outbox: &mut Outbox,
        act: impl FnOnce(&mut Resolver, &mut Outbox),
    ) {
        self.endpoint.transactions.with_resolver(now, outbox, act);
    }

    /// Does what follows from what happened to the ways of requests; whether anything did.
    pub(crate) fn settle(&mut self, now: Tick, outbox: &mut Outbox) -> bool {
        let mut happened = false;
        loop {
            let broken = self.streams().map(Streams::take_broken).unwrap_or_default();
            for id in &broken {
                self.endpoint.transactions.broken(now, *id, outbox);
            }
            let told = self.endpoint.transactions.take_told();
            if told.is_empty() && broken.is_empty() {
                return happened;
            }
            happened = true;
            for event in told {
                self.expired(now, event, outbox);
            }
        }
    }
}
