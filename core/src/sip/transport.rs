//! The transport's rules (RFC 3261 §18, RFC 3581): by which way a message goes, and where a response goes back to.

use std::net::SocketAddr;

use crate::io::SocketId;
use crate::sip::message::Via;

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
}

impl Flow {
    /// The peer's address.
    pub(crate) fn remote(self) -> SocketAddr {
        match self {
            Flow::Udp { remote, .. } => remote,
        }
    }

    /// Whether what is sent arrives or the loss is reported, so that nothing is retransmitted.
    pub(crate) fn is_reliable(self) -> bool {
        match self {
            Flow::Udp { .. } => false,
        }
    }

    /// The transport as a Via names it.
    pub(crate) fn transport(self) -> &'static str {
        match self {
            Flow::Udp { .. } => "UDP",
        }
    }

    /// The way back for the response to a request that came by this flow (§18.2.2, RFC 3581 §4).
    ///
    /// `maddr` is not followed: it would let anybody send our responses to a third party.
    pub(crate) fn for_response(self, via: &Via<'_>) -> Flow {
        match self {
            Flow::Udp { socket, remote } => {
                let port = if via.rport().is_some() { remote.port() } else { via.port.unwrap_or(5060) };
                Flow::Udp { socket, remote: SocketAddr::new(remote.ip(), port) }
            }
        }
    }
}

/// One of our own addresses.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    socket: SocketId,
    address: SocketAddr,
    sent_by: Box<str>,
}

impl Local {
    /// A socket bound to `address`, which peers are told to reach as `advertise` if that is given.
    pub(crate) fn new(socket: SocketId, address: SocketAddr, advertise: Option<&str>) -> Self {
        let sent_by = match advertise {
            Some(host) => format!("{host}:{}", address.port()),
            None => address.to_string(),
        };
        Self { socket, address, sent_by: sent_by.into_boxed_str() }
    }

    /// The socket.
    pub(crate) fn socket(&self) -> SocketId {
        self.socket
    }

    /// Host and port, as Via and Contact name them.
    pub(crate) fn sent_by(&self) -> &str {
        &self.sent_by
    }
}

/// Our own addresses, at least one.
#[derive(Clone, Debug)]
pub(crate) struct Locals {
    first: Local,
    others: Vec<Local>,
}

impl Locals {
    /// Those sockets; `None` without any.
    pub(crate) fn new(mut locals: Vec<Local>) -> Option<Self> {
        if locals.is_empty() {
            return None;
        }
        let first = locals.remove(0);
        Some(Self { first, others: locals })
    }

    /// The way to an address: by the first socket of its family, else by the first of all.
    pub(crate) fn flow_to(&self, remote: SocketAddr) -> Flow {
        let fits = |local: &&Local| local.address.is_ipv4() == remote.is_ipv4();
        let local = std::iter::once(&self.first).chain(&self.others).find(fits).unwrap_or(&self.first);
        Flow::Udp { socket: local.socket, remote }
    }

    /// How we are named on a flow.
    pub(crate) fn sent_by(&self, flow: Flow) -> &str {
        match flow {
            Flow::Udp { socket, .. } => {
                self.others.iter().find(|local| local.socket == socket).unwrap_or(&self.first).sent_by()
            }
        }
    }

    /// The address that is named in SDP for a peer on this flow.
    pub(crate) fn media_host(&self, flow: Flow) -> &str {
        let sent_by = self.sent_by(flow);
        let host = sent_by.rsplit_once(':').map_or(sent_by, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
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
        assert_eq!(back("SIP/2.0/UDP 10.0.0.1;branch=x;maddr=203.0.113.1"), "192.0.2.9:5060".parse().unwrap());
    }

    #[test]
    fn the_socket_of_the_right_family_is_taken() {
        let local = |id, address: &str| Local::new(SocketId(id), address.parse().unwrap(), None);
        let locals = Locals::new(vec![local(0, "127.0.0.1:5060"), local(1, "[::1]:5060")]).unwrap();
        let flow = locals.flow_to("[::1]:9".parse().unwrap());
        assert_eq!((locals.sent_by(flow), locals.media_host(flow)), ("[::1]:5060", "::1"));
        let flow = locals.flow_to("127.0.0.1:9".parse().unwrap());
        assert_eq!((locals.sent_by(flow), locals.media_host(flow)), ("127.0.0.1:5060", "127.0.0.1"));
    }
}
