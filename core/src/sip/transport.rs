//! The transport (RFC 3261 §18, RFC 3581, RFC 5626, RFC 5923): ways to peers, and messages on them.

mod flow;
pub(crate) mod framing;
mod locals;
mod stream;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) use flow::{Flow, Wire};
pub(crate) use locals::{Locals, Place, Secure};
pub(crate) use streams::{Brought, Peer, Streams};

use crate::Tick;
use crate::config::SipTransport;
use crate::io::Outbox;
use crate::tls::TlsHost;

/// What is sent by.
#[derive(Debug)]
pub(crate) struct Transport {
    /// Our own addresses.
    pub(crate) locals: Arc<Locals>,
    /// The connections; none where only datagrams are spoken.
    pub(crate) streams: Option<Streams>,
    scratch: Vec<u8>,
}

impl Transport {
    /// By these addresses, and these connections if there are to be any.
    pub(crate) fn new(locals: Arc<Locals>, streams: Option<Streams>) -> Self {
        Self { locals, streams, scratch: Vec::new() }
    }

    /// The way to an address by this transport. A connection is opened if there is none; `host` is whom its certificate
    /// has to be for. `None` where nothing of ours fits.
    pub(crate) fn flow_to(
        &mut self,
        now: Tick,
        (transport, remote): (SipTransport, SocketAddr),
        host: Option<&TlsHost>,
        outbox: &mut Outbox,
    ) -> Option<Flow> {
        let Some(wire) = Wire::of(transport) else { return self.locals.flow_to(remote) };
        let place = self.locals.toward(transport, remote)?;
        let host = if wire == Wire::Tls { host.cloned() } else { None };
        let peer = Peer { wire, address: remote, host };
        let connection = self.streams.as_mut()?.to(now, &peer, place, (&self.locals, outbox));
        Some(Flow::Stream { connection, wire, remote, listens: remote.port(), local: place.0 })
    }

    /// Sends a message, which `write` appends whole; its bytes are returned, to be kept if it may have to be sent again.
    ///
    /// A connection that is gone is opened anew.
    pub(crate) fn send<'a>(
        &'a mut self,
        now: Tick,
        flow: Flow,
        outbox: &'a mut Outbox,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> &'a [u8] {
        match flow {
            Flow::Udp { socket, remote } => outbox.datagram(socket, remote, write),
            Flow::Stream { .. } => {
                self.scratch.clear();
                write(&mut self.scratch);
                if let Flow::Stream { connection, .. } = self.revived(now, flow, None, outbox)
                    && let Some(streams) = &mut self.streams
                {
                    streams.send(now, connection, &self.scratch, outbox);
                }
                &self.scratch
            }
        }
    }

    /// The same way, over another connection if its own is gone.
    pub(crate) fn revived(
        &mut self,
        now: Tick,
        flow: Flow,
        host: Option<&TlsHost>,
        outbox: &mut Outbox,
    ) -> Flow {
        let Flow::Stream { connection, remote, listens, .. } = flow else { return flow };
        if self.streams.as_ref().is_some_and(|streams| streams.knows(connection)) {
            return flow;
        }
        let remote = SocketAddr::new(remote.ip(), listens);
        self.flow_to(now, (flow.kind(), remote), host, outbox).unwrap_or(flow)
    }
}
