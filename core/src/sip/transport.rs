//! The transport's rules (RFC 3261 §18, RFC 3581): by which way a message goes, and where a response goes back to.

use std::net::{IpAddr, SocketAddr};

use crate::io::SocketId;
use crate::sip::message::{Host, Via};

/// The port of a Via that names none (RFC 3261 §18.2.2).
const DEFAULT_PORT: u16 = 5060;

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
                let named = via.port.filter(|port| *port != 0).unwrap_or(DEFAULT_PORT);
                let port = if via.rport().is_some() { remote.port() } else { named };
                let mut remote = remote;
                // Set in place: a link-local IPv6 address keeps its scope.
                remote.set_port(port);
                Flow::Udp { socket, remote }
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
    /// The host in `sent_by`, if it is an address; else it is a name.
    advertised: Option<IpAddr>,
}

impl Local {
    /// A socket bound to `address`, which peers are told to reach as `advertise`, a name or an address, if that is given.
    pub(crate) fn new(socket: SocketId, address: SocketAddr, advertise: Option<&str>) -> Self {
        let advertised = match advertise {
            Some(host) => host.trim_start_matches('[').trim_end_matches(']').parse().ok(),
            None => Some(address.ip()),
        };
        let sent_by = match (advertised, advertise) {
            (None, Some(name)) => format!("{name}:{}", address.port()),
            (ip, _) => SocketAddr::new(ip.unwrap_or(address.ip()), address.port()).to_string(),
        };
        Self { socket, address, sent_by: sent_by.into_boxed_str(), advertised }
    }

    fn wrote(&self, via: &Via<'_>) -> bool {
        let same_host = match (via.host, self.advertised) {
            (Host::Name(name), None) => {
                self.sent_by.rsplit_once(':').is_some_and(|(ours, _)| ours.eq_ignore_ascii_case(name))
            }
            (host, advertised) => advertised.is_some() && host.address() == advertised,
        };
        same_host && via.port == Some(self.address.port())
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
    /// One address alone.
    #[cfg(feature = "softphone")]
    pub(crate) fn only(first: Local) -> Self {
        Self { first, others: Vec::new() }
    }

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

    /// Whether the topmost Via of a response is one that we write; what comes with another is dropped (§18.1.2).
    pub(crate) fn wrote(&self, via: &Via<'_>) -> bool {
        std::iter::once(&self.first).chain(&self.others).any(|local| local.wrote(via))
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

    const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

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
    fn the_socket_of_the_right_family_is_taken() {
        let local = |id, address: &str| Local::new(SocketId(id), address.parse().unwrap(), None);
        let locals = Locals::new(vec![local(0, "127.0.0.1:5060"), local(1, "[::1]:5060")]).unwrap();
        let flow = locals.flow_to("[::1]:9".parse().unwrap());
        assert_eq!((locals.sent_by(flow), locals.media_host(flow)), ("[::1]:5060", "::1"));
        let flow = locals.flow_to("127.0.0.1:9".parse().unwrap());
        assert_eq!((locals.sent_by(flow), locals.media_host(flow)), ("127.0.0.1:5060", "127.0.0.1"));
    }

    #[test]
    fn a_scoped_address_keeps_its_scope() {
        let remote: SocketAddr = "[fe80::1%3]:4711".parse().unwrap();
        let via = Via::parse("SIP/2.0/UDP [fe80::1]:5070;branch=x").unwrap();
        let back = Flow::Udp { socket: SocketId(0), remote }.for_response(&via).remote();
        assert_eq!(back, "[fe80::1%3]:5070".parse().unwrap());
    }

    #[test]
    fn only_a_via_of_ours_is_taken_for_ours() {
        let local =
            |id, address: &str, advertise| Local::new(SocketId(id), address.parse().unwrap(), advertise);
        let locals = Locals::new(vec![
            local(0, "0.0.0.0:5060", Some("192.0.2.1")),
            local(1, "[::]:5062", Some("2001:db8::1")),
            local(2, "0.0.0.0:5064", Some("Calls.example")),
        ])
        .unwrap();
        let wrote =
            |sent_by: &str| locals.wrote(&Via::parse(&format!("SIP/2.0/UDP {sent_by};branch=x")).unwrap());
        let ways = [0, 1, 2].map(|id| locals.sent_by(Flow::Udp { socket: SocketId(id), remote: ANY }));
        assert_eq!(ways, ["192.0.2.1:5060", "[2001:db8::1]:5062", "Calls.example:5064"]);
        assert!(ways.into_iter().all(wrote));
        assert!(wrote("calls.EXAMPLE:5064") && wrote("[2001:DB8:0::1]:5062"));
        for other in [
            "192.0.2.1:5062",
            "192.0.2.1",
            "192.0.2.2:5060",
            "calls.example",
            "other.example:5064",
            "0.0.0.0:5060",
        ] {
            assert!(!wrote(other), "{other}");
        }
    }
}
