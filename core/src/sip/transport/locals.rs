//! Our own addresses, and what peers are told of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Flow;
use crate::config::{Listen, SipTransport};
use crate::io::SocketId;
use crate::sip::message::{Host, Name, Via, Writer};

/// One of our own addresses.
#[derive(Clone, Debug)]
struct Local {
    transport: SipTransport,
    address: SocketAddr,
    /// For datagrams: our socket.
    socket: SocketId,
    /// Host and port, as Via and Contact name them.
    sent_by: Box<str>,
    /// The host of that, and how SDP names it.
    advertised: IpAddr,
    host: Box<str>,
}

/// Our own addresses, at least one, in the order in which they are preferred.
#[derive(Clone, Debug)]
pub(crate) struct Locals {
    first: Local,
    others: Vec<Local>,
}

/// Which of our addresses a peer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u16);

impl Locals {
    /// One address for datagrams alone.
    #[cfg(any(test, feature = "softphone"))]
    pub(crate) fn datagrams(address: SocketAddr) -> Self {
        let listen = Listen { transport: SipTransport::Udp, address };
        Self { first: Local::new(listen, SocketId(0), &[]), others: Vec::new() }
    }

    /// Those that are really bound; `None` without any. Peers are told `advertise` instead, where it has the family.
    pub(crate) fn new(listens: &[Listen], advertise: &[IpAddr]) -> Option<Self> {
        let mut sockets = (0..).map(SocketId);
        let mut locals = listens.iter().map(|listen| {
            let datagrams = listen.transport == SipTransport::Udp;
            let socket = if datagrams { sockets.next() } else { None };
            Local::new(*listen, socket.unwrap_or(SocketId(u16::MAX)), advertise)
        });
        Some(Self { first: locals.next()?, others: locals.collect() })
    }

    fn all(&self) -> impl Iterator<Item = &Local> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn at(&self, place: Place) -> &Local {
        self.all().nth(usize::from(place.0)).unwrap_or(&self.first)
    }

    /// Whether there are addresses of IPv4, and of IPv6.
    pub(crate) fn families(&self) -> (bool, bool) {
        (self.all().any(|local| local.address.is_ipv4()), self.all().any(|local| local.address.is_ipv6()))
    }

    /// Our transports, the preferred first, behind them those that we only can connect by.
    pub(crate) fn transports(&self) -> Vec<SipTransport> {
        let mut all = Vec::new();
        let more = [SipTransport::Udp, SipTransport::Tcp, SipTransport::Tls];
        for transport in self.all().map(|local| local.transport).chain(more) {
            let usable = transport != SipTransport::Udp
                || self.all().any(|local| local.transport == SipTransport::Udp);
            if usable && !all.contains(&transport) {
                all.push(transport);
            }
        }
        all
    }

    /// The places of our stream listeners, in the order in which they are listened on.
    pub(crate) fn listeners(&self) -> Vec<(Place, SipTransport)> {
        let all = (0..).map(Place).zip(self.all());
        all.filter(|(_, local)| local.transport != SipTransport::Udp)
            .map(|(place, local)| (place, local.transport))
            .collect()
    }

    /// Which of our addresses fits best where this one is spoken to by this transport: one of the same transport, if
    /// there is one, and of the same family, on the same side of the loopback, with the longest common prefix.
    pub(crate) fn toward(&self, transport: SipTransport, remote: SocketAddr) -> Option<Place> {
        let family = |local: &Local| local.address.is_ipv4() == remote.is_ipv4();
        let places = (0..).map(Place).zip(self.all()).filter(|(_, local)| family(local));
        // Of equals the first.
        let best = places.max_by_key(|(place, local)| {
            (local.transport == transport, local.fit(remote.ip()), std::cmp::Reverse(place.0))
        });
        best.map(|(place, _)| place)
    }

    /// The way to an address by datagrams; `None` without a socket of its family.
    pub(crate) fn flow_to(&self, remote: SocketAddr) -> Option<Flow> {
        let local = self.at(self.toward(SipTransport::Udp, remote)?);
        (local.transport == SipTransport::Udp).then_some(Flow::Udp { socket: local.socket, remote })
    }

    /// The address that connections from here come from, unless the system has to choose.
    pub(crate) fn source(&self, place: Place, remote: SocketAddr) -> IpAddr {
        let ip = self.at(place).address.ip();
        match remote {
            SocketAddr::V4(_) if !ip.is_ipv4() => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) if !ip.is_ipv6() => Ipv6Addr::UNSPECIFIED.into(),
            _ => ip,
        }
    }

    fn of(&self, flow: Flow) -> &Local {
        match flow {
            Flow::Udp { socket, .. } => {
                self.all().find(|local| local.socket == socket).unwrap_or(&self.first)
            }
            Flow::Stream { local, .. } => self.at(Place(local)),
        }
    }

    /// How we are named on a flow: host and port.
    pub(crate) fn sent_by(&self, flow: Flow) -> &str {
        &self.of(flow).sent_by
    }

    /// Appends the Contact that a peer on this flow reaches us by; `sips:` where the dialog is to be secure as a whole
    /// (§8.1.1.8).
    pub(crate) fn contact(&self, writer: &mut Writer<'_>, flow: Flow, secure: Secure) {
        let local = self.of(flow);
        let (scheme, transport) = match (secure, local.transport) {
            (Secure::Yes, SipTransport::Tcp) => ("<sips:cordboard@", ";transport=tcp>"),
            (Secure::Yes, _) => ("<sips:cordboard@", ">"),
            (Secure::No, SipTransport::Udp) => ("<sip:cordboard@", ">"),
            (Secure::No, SipTransport::Tcp) => ("<sip:cordboard@", ";transport=tcp>"),
            (Secure::No, SipTransport::Tls) => ("<sip:cordboard@", ";transport=tls>"),
        };
        writer.field_parts(Name::Contact, &[scheme, &local.sent_by, transport]);
    }

    /// Whether the topmost Via of a response is one that we write; what comes with another is dropped (§18.1.2).
    pub(crate) fn wrote(&self, via: &Via<'_>) -> bool {
        self.all().any(|local| local.wrote(via))
    }

    /// The address that is named in SDP for a peer on this flow.
    pub(crate) fn media_host(&self, flow: Option<Flow>) -> &str {
        &flow.map_or(&self.first, |flow| self.of(flow)).host
    }
}

/// Whether every hop of a dialog has to be by TLS, as `sips:` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secure {
    /// It has.
    Yes,
    /// It need not.
    No,
}

impl Secure {
    /// What the URI of a request asks for.
    pub(crate) fn of(uri: &str) -> Self {
        let scheme = uri.get(..5).unwrap_or_default();
        if scheme.eq_ignore_ascii_case("sips:") { Secure::Yes } else { Secure::No }
    }
}

impl Local {
    fn new(listen: Listen, socket: SocketId, advertise: &[IpAddr]) -> Self {
        let Listen { transport, address } = listen;
        let of_family = advertise.iter().copied().find(|other| other.is_ipv4() == address.is_ipv4());
        let advertised = of_family.unwrap_or(address.ip());
        let sent_by = SocketAddr::new(advertised, address.port()).to_string().into_boxed_str();
        Self { transport, address, socket, sent_by, advertised, host: advertised.to_string().into() }
    }

    fn wrote(&self, via: &Via<'_>) -> bool {
        Host::address(via.host) == Some(self.advertised) && via.port == Some(self.address.port())
    }

    /// How well it fits as our side of a way to this address.
    fn fit(&self, remote: IpAddr) -> u32 {
        let own = self.address.ip();
        if own.is_unspecified() {
            return 1;
        }
        if own.is_loopback() != remote.is_loopback() {
            return 0;
        }
        let same = match (own, remote) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => 0,
        };
        2 + same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locals(listens: &[(SipTransport, &str)], advertise: &[&str]) -> Locals {
        let listens: Vec<Listen> = listens
            .iter()
            .map(|(transport, address)| Listen { transport: *transport, address: address.parse().unwrap() })
            .collect();
        let advertise: Vec<IpAddr> = advertise.iter().map(|address| address.parse().unwrap()).collect();
        Locals::new(&listens, &advertise).unwrap()
    }

    fn toward(locals: &Locals, transport: SipTransport, remote: &str) -> Option<String> {
        let place = locals.toward(transport, remote.parse().unwrap())?;
        Some(locals.at(place).sent_by.to_string())
    }

    use SipTransport::{Tcp, Tls, Udp};

    #[test]
    fn the_socket_of_the_right_family_is_taken() {
        let locals = locals(&[(Udp, "127.0.0.1:5060"), (Tcp, "127.0.0.1:5060"), (Udp, "[::1]:5060")], &[]);
        let flow = locals.flow_to("[::1]:9".parse().unwrap()).unwrap();
        assert_eq!((locals.sent_by(flow), locals.media_host(Some(flow))), ("[::1]:5060", "::1"));
        assert!(
            matches!(flow, Flow::Udp { socket: SocketId(1), .. }),
            "the second among those for datagrams"
        );
        let flow = locals.flow_to("127.0.0.1:9".parse().unwrap()).unwrap();
        assert_eq!((locals.sent_by(flow), locals.media_host(Some(flow))), ("127.0.0.1:5060", "127.0.0.1"));
    }

    #[test]
    fn nothing_goes_to_a_family_that_we_have_no_address_of() {
        let locals = locals(&[(Udp, "127.0.0.1:5060")], &[]);
        assert_eq!(locals.flow_to("[::1]:9".parse().unwrap()), None);
        assert_eq!(locals.families(), (true, false));
    }

    #[test]
    fn each_destination_is_told_the_address_that_is_nearest_to_it() {
        let locals = locals(
            &[
                (Udp, "127.0.0.1:5060"),
                (Udp, "192.0.2.7:5060"),
                (Udp, "10.1.0.7:5060"),
                (Tcp, "10.1.0.7:5062"),
            ],
            &[],
        );
        for (remote, ours) in [
            ("127.0.0.9:1", "127.0.0.1:5060"),
            ("192.0.2.200:1", "192.0.2.7:5060"),
            ("10.1.3.4:1", "10.1.0.7:5060"),
        ] {
            assert_eq!(toward(&locals, Udp, remote).as_deref(), Some(ours), "{remote}");
        }
        assert_eq!(
            toward(&locals, Tcp, "127.0.0.9:1").as_deref(),
            Some("10.1.0.7:5062"),
            "the transport first"
        );
        assert_eq!(toward(&locals, Tls, "127.0.0.9:1").as_deref(), Some("127.0.0.1:5060"), "none has it");
    }

    #[test]
    fn what_is_advertised_is_told_to_its_family() {
        let locals = locals(&[(Udp, "0.0.0.0:5060"), (Tls, "[::]:5061")], &["192.0.2.1", "2001:db8::1"]);
        assert_eq!(toward(&locals, Udp, "198.51.100.1:1").as_deref(), Some("192.0.2.1:5060"));
        assert_eq!(toward(&locals, Tls, "[2001:db8::9]:1").as_deref(), Some("[2001:db8::1]:5061"));
        assert_eq!(locals.source(Place(1), "[2001:db8::9]:1".parse().unwrap()), Ipv6Addr::UNSPECIFIED);
    }

    #[test]
    fn a_contact_names_the_transport_that_we_listen_by() {
        let locals = locals(&[(Udp, "127.0.0.1:1"), (Tcp, "127.0.0.1:2"), (Tls, "127.0.0.1:3")], &[]);
        let contact = |place, secure| {
            let mut out = Vec::new();
            let flow = Flow::Stream {
                connection: crate::io::ConnectionId(0),
                wire: super::super::Wire::Tcp,
                remote: "127.0.0.1:9".parse().unwrap(),
                listens: 9,
                local: place,
            };
            locals.contact(&mut Writer::lines_only(&mut out), flow, secure);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(contact(0, Secure::No), "Contact: <sip:cordboard@127.0.0.1:1>\r\n");
        assert_eq!(contact(1, Secure::No), "Contact: <sip:cordboard@127.0.0.1:2;transport=tcp>\r\n");
        assert_eq!(contact(2, Secure::No), "Contact: <sip:cordboard@127.0.0.1:3;transport=tls>\r\n");
        assert_eq!(contact(2, Secure::Yes), "Contact: <sips:cordboard@127.0.0.1:3>\r\n");
    }

    #[test]
    fn only_a_via_of_ours_is_taken_for_ours() {
        let locals = locals(
            &[(Udp, "0.0.0.0:5060"), (Udp, "[::]:5062"), (Tcp, "0.0.0.0:5064")],
            &["192.0.2.1", "2001:db8::1"],
        );
        let wrote =
            |sent_by: &str| locals.wrote(&Via::parse(&format!("SIP/2.0/UDP {sent_by};branch=x")).unwrap());
        assert!(["192.0.2.1:5060", "[2001:db8::1]:5062", "192.0.2.1:5064"].into_iter().all(wrote));
        assert!(wrote("[2001:DB8:0::1]:5062"));
        for other in ["192.0.2.1:5062", "192.0.2.1", "192.0.2.2:5060", "calls.example", "0.0.0.0:5060"] {
            assert!(!wrote(other), "{other}");
        }
    }
}
