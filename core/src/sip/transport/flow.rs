//! A way to a peer.

use std::net::SocketAddr;

use crate::config::SipTransport;
use crate::io::{ConnectionId, SocketId};
use crate::sip::message::Via;

/// The port of a Via that names none (RFC 3261 §18.2.2).
const DEFAULT_PORT: u16 = 5060;
/// The same for TLS.
const DEFAULT_TLS_PORT: u16 = 5061;

/// A way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Datagrams between one of our sockets and an address.
    Udp {
        /// Our socket.
        socket: SocketId,
        /// The peer.
        remote: SocketAddr,
    },
    /// A connection.
    Stream {
        /// Which.
        connection: ConnectionId,
        /// What is spoken on it.
        wire: Wire,
        /// The peer.
        remote: SocketAddr,
        /// At which port to open another one when it is gone.
        listens: u16,
        /// Which of our own addresses the peer is told, by its place.
        local: u16,
    },
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wire {
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Wire {
    /// The connection's kind for a transport; none for datagrams.
    pub(crate) fn of(transport: SipTransport) -> Option<Self> {
        match transport {
            SipTransport::Udp => None,
            SipTransport::Tcp => Some(Wire::Tcp),
            SipTransport::Tls => Some(Wire::Tls),
        }
    }

    /// The transport.
    pub(crate) fn transport(self) -> SipTransport {
        match self {
            Wire::Tcp => SipTransport::Tcp,
            Wire::Tls => SipTransport::Tls,
        }
    }
}

impl Flow {
    /// The peer's address.
    pub(crate) fn remote(self) -> SocketAddr {
        match self {
            Flow::Udp { remote, .. } | Flow::Stream { remote, .. } => remote,
        }
    }

    /// Whether what is sent arrives or the loss is reported, so that nothing is retransmitted.
    pub(crate) fn is_reliable(self) -> bool {
        matches!(self, Flow::Stream { .. })
    }

    /// Whether it leads over this connection.
    pub(crate) fn is_on(self, id: ConnectionId) -> bool {
        matches!(self, Flow::Stream { connection, .. } if connection == id)
    }

    /// The transport.
    pub(crate) fn kind(self) -> SipTransport {
        match self {
            Flow::Udp { .. } => SipTransport::Udp,
            Flow::Stream { wire, .. } => wire.transport(),
        }
    }

    /// The transport as a Via names it.
    pub(crate) fn transport(self) -> &'static str {
        match self.kind() {
            SipTransport::Udp => "UDP",
            SipTransport::Tcp => "TCP",
            SipTransport::Tls => "TLS",
        }
    }

    /// The way back for the response to a request that came by this flow (§18.2.2, RFC 3581 §4). A connection is kept
    /// to; if it is gone by then, another one is opened to where the Via says.
    ///
    /// `maddr` is not followed: it would let anybody send our responses to a third party.
    pub(crate) fn for_response(self, via: &Via<'_>) -> Flow {
        let named = via.port.filter(|port| *port != 0);
        match self {
            Flow::Udp { socket, mut remote } => {
                let port = if via.rport().is_some() { remote.port() } else { named.unwrap_or(DEFAULT_PORT) };
                // Set in place: a link-local IPv6 address keeps its scope.
                remote.set_port(port);
                Flow::Udp { socket, remote }
            }
            Flow::Stream { connection, wire, remote, local, .. } => {
                let default = if wire == Wire::Tls { DEFAULT_TLS_PORT } else { DEFAULT_PORT };
                let listens = named.unwrap_or(default);
                Flow::Stream { connection, wire, remote, listens, local }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(via: &str) -> SocketAddr {
        let flow = Flow::Udp { socket: SocketId(0), remote: "192.0.2.9:4711".parse().unwrap() };
        flow.for_response(&Via::parse(via).unwrap()).remote()
    }

    #[test]
    fn a_response_goes_to_the_source_or_to_the_port_that_the_via_names() {
        assert_eq!(back("SIP/2.0/UDP 10.0.0.1:5070;rport;branch=x"), "192.0.2.9:4711".parse().unwrap());
        assert_eq!(back("SIP/2.0/UDP 10.0.0.1:5070;branch=x"), "192.0.2.9:5070".parse().unwrap());
        assert_eq!(back("SIP/2.0/UDP 10.0.0.1:0;branch=x"), "192.0.2.9:5060".parse().unwrap());
        assert_eq!(
            back("SIP/2.0/UDP 10.0.0.1;branch=x;maddr=203.0.113.1"),
            "192.0.2.9:5060".parse().unwrap()
        );
    }

    #[test]
    fn a_response_on_a_connection_stays_there_or_goes_to_the_port_of_the_via() {
        let connection = ConnectionId(7);
        let remote = "192.0.2.9:4711".parse().unwrap();
        for (wire, via, port) in [
            (Wire::Tcp, "SIP/2.0/TCP 10.0.0.1;rport;branch=x", 5060),
            (Wire::Tls, "SIP/2.0/TLS 10.0.0.1;branch=x", 5061),
            (Wire::Tls, "SIP/2.0/TLS 10.0.0.1:5071;branch=x", 5071),
        ] {
            let flow = Flow::Stream { connection, wire, remote, listens: 1, local: 0 };
            let back = flow.for_response(&Via::parse(via).unwrap());
            assert_eq!(back, Flow::Stream { connection, wire, remote, listens: port, local: 0 });
        }
    }

    #[test]
    fn a_scoped_address_keeps_its_scope() {
        let remote: SocketAddr = "[fe80::1%3]:4711".parse().unwrap();
        let via = Via::parse("SIP/2.0/UDP [fe80::1]:5070;branch=x").unwrap();
        let back = Flow::Udp { socket: SocketId(0), remote }.for_response(&via).remote();
        assert_eq!(back, "[fe80::1%3]:5070".parse().unwrap());
    }
}
