//! Datagrams in batches: one system call for many (`recvmmsg`, `sendmmsg`).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, sendmsg, setsockopt, sockopt,
};

use super::departures::{Departure, alike};
use super::errors::{self, Notice, is_unreachable, socket_address};

/// Datagrams in one system call.
pub(super) const BATCH: usize = 64;
/// The longest datagram there is.
const LONGEST: usize = 65_536;
/// What is asked for as socket buffers: bursts of thousands of calls must not be lost between two wake-ups.
const SOCKET_BUFFER: usize = 4 << 20;
/// How many notices of ICMP are taken at once.
const NOTICES: usize = 1024;
/// How often a datagram is tried whose sending tells of the errors of others.
const TRIES: usize = 8;

/// A socket that is driven.
pub(super) struct Port {
    socket: UdpSocket,
    address: SocketAddr,
    /// What datagrams did not reach, until the machine is told.
    unreachable: Vec<SocketAddr>,
    /// Whether the system cuts datagrams of one length out of one long one (UDP segmentation offload).
    cuts: bool,
}

/// What batches are told to the system in. In those that datagrams are received with it writes how long an address is, and
/// takes that for the room there is the next time: a socket of the other family must not use the same.
pub(super) struct Headers(MultiHeaders<SockaddrStorage>);

impl Headers {
    pub(super) fn new() -> Self {
        Self(MultiHeaders::preallocate(BATCH, None))
    }
}

/// Whether a socket was read empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It was: what comes next raises an event.
    Nothing,
    /// More may be there, of which no event will tell.
    Perhaps,
}

/// Binds a socket with large buffers.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    enlarge_buffers(&socket);
    errors::keep(&socket, &address);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

impl Port {
    /// Takes over a bound socket and has its readiness to be read told under this token.
    pub(super) fn new(
        mut socket: UdpSocket,
        address: SocketAddr,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        registry.register(&mut socket, token, Interest::READABLE)?;
        Ok(Self { socket, address, unreachable: Vec::new(), cuts: true })
    }

    /// What it is really bound to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes what has come in, up to a batch.
    pub(super) fn receive(&mut self, headers: &mut Headers, arrivals: &mut Arrivals) -> Rest {
        let Arrivals { buffer, taken } = arrivals;
        taken.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffer.chunks_mut(LONGEST).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        match recvmmsg(self.socket.as_raw_fd(), &mut headers.0, slices.iter_mut(), flags, None) {
            Ok(results) => {
                // Without a sender's address, which UDP always has, nothing could be made of a datagram.
                let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
                taken.extend(results.map(|result| {
                    (result.address.as_ref().and_then(socket_address).unwrap_or(nowhere), result.bytes)
                }));
                if taken.len() < BATCH { Rest::Nothing } else { Rest::Perhaps }
            }
            Err(Errno::EAGAIN) => Rest::Nothing,
            Err(Errno::EINTR) => Rest::Perhaps,
            // What ICMP says of a datagram is told here too, without a word of whom it concerns.
            Err(error) => {
                tracing::debug!(%error, "receiving datagrams");
                Rest::Perhaps
            }
        }
    }

    /// Sends datagrams in this order, those that are alike as one, and returns how many the system had no room for. One
    /// that cannot be sent for another reason counts as lost on the way, without holding up those behind it.
    pub(super) fn send(&mut self, headers: &mut Headers, departures: &[Departure<'_>]) -> usize {
        let mut rest = departures;
        while !rest.is_empty() {
            let together = if self.cuts { alike(rest) } else { 1 };
            let (group, behind) = rest.split_at(together);
            match if together > 1 { self.send_as_one(group) } else { Ok(false) } {
                Ok(true) => rest = behind,
                Ok(false) => {
                    let apart = together + self.singles(behind);
                    let (each, behind) = rest.split_at(apart);
                    match self.send_each(headers, each) {
                        0 => rest = behind,
                        lost => return lost + behind.len(),
                    }
                }
                Err(Full) => return rest.len(),
            }
        }
        0
    }

    /// How many follow of which none goes together with its neighbour.
    fn singles(&self, departures: &[Departure<'_>]) -> usize {
        if !self.cuts {
            return departures.len();
        }
        (0..departures.len())
            .take_while(|at| departures.get(*at..).is_some_and(|rest| alike(rest) == 1))
            .count()
    }

    /// Has the system cut datagrams of one length out of one long one; whether it does.
    fn send_as_one(&mut self, group: &[Departure<'_>]) -> Result<bool, Full> {
        let Some(first) = group.first() else { return Ok(true) };
        let Ok(length) = u16::try_from(first.bytes.len()) else { return Ok(false) };
        let slices: Vec<IoSlice<'_>> = group.iter().map(|one| IoSlice::new(one.bytes)).collect();
        let cut = [ControlMessage::UdpGsoSegments(&length)];
        let to = SockaddrStorage::from(first.to);
        match sendmsg(self.socket.as_raw_fd(), &slices, &cut, MsgFlags::MSG_DONTWAIT, Some(&to)) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::ENOBUFS) => Err(Full),
            Err(error @ (Errno::EIO | Errno::ENOPROTOOPT | Errno::EOPNOTSUPP)) => {
                tracing::debug!(%error, "the system does not cut datagrams for this socket");
                self.cuts = false;
                Ok(false)
            }
            // Too long for the path to be cut so, or the error of another one: each by itself finds its way.
            Err(_) => Ok(false),
        }
    }

    /// Sends each by itself, many with one system call.
    fn send_each(&mut self, headers: &mut Headers, departures: &[Departure<'_>]) -> usize {
        let mut rest = departures;
        let mut tries = 0;
        while let Some(first) = rest.first() {
            let done = match self.send_batch(headers, rest) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return rest.len(),
                Err(error) => {
                    // It may be the error of an earlier datagram, which was waiting to be told.
                    tries += 1;
                    let concerns_others = self.take_notices() > 0;
                    if concerns_others && tries < TRIES {
                        continue;
                    }
                    tracing::debug!(%error, to = %first.to, "sending a datagram");
                    if !concerns_others && is_unreachable(error) {
                        self.unreachable.push(first.to);
                    }
                    1
                }
            };
            tries = 0;
            rest = rest.get(done..).unwrap_or_default();
        }
        0
    }

    /// Takes what ICMP has said.
    pub(super) fn receive_errors(&mut self) -> Rest {
        if self.take_notices() < NOTICES { Rest::Nothing } else { Rest::Perhaps }
    }

    /// How many notices of ICMP were there.
    fn take_notices(&mut self) -> usize {
        let notices = std::iter::from_fn(|| errors::take(&self.socket)).take(NOTICES);
        let mut count = 0;
        for notice in notices.filter(|notice| *notice != Notice::Own) {
            count += 1;
            if let Notice::Unreachable(to) = notice {
                self.unreachable.push(to);
            }
        }
        count
    }

    /// The addresses that datagrams did not reach, told once.
    pub(super) fn unreachable(&mut self) -> impl Iterator<Item = SocketAddr> {
        self.unreachable.drain(..)
    }

    /// Whether nobody is to be told of.
    pub(super) fn has_no_news(&self) -> bool {
        self.unreachable.is_empty()
    }

    /// How many of the first batch were sent: the error is that of the first one.
    fn send_batch(&self, headers: &mut Headers, departures: &[Departure<'_>]) -> nix::Result<usize> {
        let batch = departures.get(..BATCH).unwrap_or(departures);
        let slices: Vec<[IoSlice<'_>; 1]> = batch.iter().map(|one| [IoSlice::new(one.bytes)]).collect();
        let addresses: Vec<Option<SockaddrStorage>> = batch.iter().map(|one| Some(one.to.into())).collect();
        let no_control: [ControlMessage<'_>; 0] = [];
        let flags = MsgFlags::MSG_DONTWAIT;
        sendmmsg(self.socket.as_raw_fd(), &mut headers.0, slices.iter(), &addresses, no_control, flags)
            .map(Iterator::count)
    }
}

/// The system has no room for more.
struct Full;

/// A smaller buffer is no reason not to start. Only who may administer the network gets past the system's limit.
fn enlarge_buffers(socket: &socket2::Socket) {
    let received = setsockopt(socket, sockopt::RcvBufForce, &SOCKET_BUFFER)
        .or_else(|_| setsockopt(socket, sockopt::RcvBuf, &SOCKET_BUFFER));
    let sent = setsockopt(socket, sockopt::SndBufForce, &SOCKET_BUFFER)
        .or_else(|_| setsockopt(socket, sockopt::SndBuf, &SOCKET_BUFFER));
    if let Err(error) = received.and(sent) {
        tracing::debug!(%error, "socket buffers stay as they are");
    }
}

/// The datagrams that one [`Port::receive`] took, for all sockets in turn.
#[derive(Default)]
pub(super) struct Arrivals {
    buffer: Box<[u8]>,
    /// Where each came from and how long it is.
    taken: Vec<(SocketAddr, usize)>,
}

impl Arrivals {
    /// Room for a batch of the longest datagrams; the system gives memory only for what is really written.
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BATCH * LONGEST].into_boxed_slice(), taken: Vec::with_capacity(BATCH) }
    }

    /// Who sent what, oldest first.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.taken
            .iter()
            .zip(self.buffer.chunks(LONGEST))
            .map(|((from, length), chunk)| (*from, chunk.get(..*length).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::departures::Departures;
    use super::*;
    use cordboard_core::io::{Sequence, SocketId};
    use mio::{Events, Poll};
    use std::time::Duration;

    type Received = Vec<(SocketAddr, Vec<u8>)>;

    struct Station {
        poll: Poll,
        port: Port,
        inbound: Headers,
        outbound: Headers,
    }

    impl Station {
        fn on(address: &str) -> Self {
            let socket = bind(address.parse().expect("an address")).expect("a free port");
            let own = socket.local_addr().expect("an address");
            let poll = Poll::new().expect("a poll");
            let port = Port::new(socket, own, poll.registry(), Token(0)).expect("registered");
            Self { poll, port, inbound: Headers::new(), outbound: Headers::new() }
        }

        fn on_loopback() -> Self {
            Self::on("127.0.0.1:0")
        }

        /// Sends these, each of no call.
        fn send(&mut self, datagrams: &[(SocketAddr, &[u8])]) -> usize {
            let mut departures = Departures::default();
            for (to, bytes) in datagrams {
                departures.push((SocketId(0), *to), None, bytes);
            }
            self.port.send(&mut self.outbound, departures.ordered())
        }

        /// Receives until there are so many.
        fn receive(&mut self, arrivals: &mut Arrivals, count: usize) -> Received {
            let mut received = Vec::new();
            let mut events = Events::with_capacity(1);
            while received.len() < count {
                self.poll.poll(&mut events, Some(Duration::from_secs(10))).expect("polled");
                assert!(!events.is_empty(), "{} of {count} datagrams came", received.len());
                loop {
                    let rest = self.port.receive(&mut self.inbound, arrivals);
                    received.extend(arrivals.datagrams().map(|(from, bytes)| (from, bytes.to_vec())));
                    if rest == Rest::Nothing {
                        break;
                    }
                }
            }
            received
        }
    }

    #[test]
    fn more_datagrams_than_a_batch_arrive_in_order() {
        let (mut from, mut to) = (Station::on_loopback(), Station::on_loopback());
        let texts: Vec<String> = (0..150).map(|n| format!("datagram {n}")).collect();
        let datagrams: Vec<_> = texts.iter().map(|text| (to.port.address(), text.as_bytes())).collect();
        assert_eq!(from.send(&datagrams), 0);
        let received = to.receive(&mut Arrivals::new(), texts.len());
        let expected: Received =
            texts.iter().map(|text| (from.port.address(), text.clone().into_bytes())).collect();
        assert_eq!(received, expected);
    }

    #[test]
    fn what_leaves_as_one_arrives_apart() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (mut from, mut to) = (Station::on(address), Station::on(address));
            let texts: Vec<String> = (100..400).map(|n| format!("{n}{}", "x".repeat(n % 3 * 400))).collect();
            let mut departures = Departures::default();
            for (call, text) in texts.iter().enumerate() {
                departures.push(
                    (SocketId(0), to.port.address()),
                    Some(Sequence(call as u32)),
                    text.as_bytes(),
                );
            }
            assert_eq!(from.port.send(&mut from.outbound, departures.ordered()), 0);
            assert!(from.port.cuts, "the system cuts them");
            let mut received = to.receive(&mut Arrivals::new(), texts.len());
            received.sort_by_key(|(_, bytes)| bytes[..3].to_vec());
            let expected: Received =
                texts.iter().map(|text| (from.port.address(), text.clone().into_bytes())).collect();
            assert_eq!(received, expected);
        }
    }

    #[test]
    fn what_cannot_leave_as_one_leaves_apart() {
        let (mut from, mut to) = (Station::on_loopback(), Station::on_loopback());
        // Nobody listens at the first address: the error of that comes back while the others are sent.
        let closed = Station::on_loopback().port.address();
        from.send(&[(closed, b"is anybody there?")]);
        let mut departures = Departures::default();
        for call in 0..3 {
            departures.push((SocketId(0), to.port.address()), Some(Sequence(call)), b"I am");
        }
        assert_eq!(from.port.send(&mut from.outbound, departures.ordered()), 0);
        let expected = vec![(from.port.address(), b"I am".to_vec()); 3];
        assert_eq!(to.receive(&mut Arrivals::new(), 3), expected);
    }

    #[test]
    fn one_that_cannot_be_sent_does_not_hold_up_the_others() {
        let (mut from, mut to) = (Station::on_loopback(), Station::on_loopback());
        let too_long = vec![b'x'; LONGEST];
        let good = to.port.address();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        from.send(&[(good, b"a"), (good, &too_long), (nowhere, b"x"), (good, b"b")]);
        let received = to.receive(&mut Arrivals::new(), 2);
        assert_eq!(received, [(from.port.address(), b"a".to_vec()), (from.port.address(), b"b".to_vec())]);
        assert_eq!(from.port.unreachable().count(), 0, "it says nothing of whoever it was for");
    }

    #[test]
    fn sending_to_a_closed_port_disturbs_nothing() {
        let mut station = Station::on_loopback();
        let closed = Station::on_loopback().port.address();
        for _ in 0..3 {
            assert_eq!(station.send(&[(closed, b"is anybody there?")]), 0);
        }
        let own = station.port.address();
        assert_eq!(station.send(&[(own, b"I am")]), 0);
        assert_eq!(station.receive(&mut Arrivals::new(), 1), [(own, b"I am".to_vec())]);
    }

    #[test]
    fn who_cannot_be_reached_is_told_once_for_both_families() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let mut station = Station::on(address);
            let closed = Station::on(address).port.address();
            station.send(&[(closed, b"is anybody there?")]);
            let mut events = Events::with_capacity(1);
            station.poll.poll(&mut events, Some(Duration::from_secs(10))).expect("polled");
            assert!(events.iter().any(mio::event::Event::is_error), "{events:?}");
            assert_eq!(station.port.receive_errors(), Rest::Nothing);
            assert_eq!(station.port.unreachable().collect::<Vec<_>>(), [closed]);
            assert_eq!(station.port.receive_errors(), Rest::Nothing);
            assert_eq!(station.port.unreachable().count(), 0);
        }
    }

    #[test]
    fn what_the_system_forbids_is_not_called_unreachable() {
        let mut station = Station::on_loopback();
        // Nobody has asked for leave to broadcast.
        let everybody = SocketAddr::from(([255, 255, 255, 255], 9));
        let good = station.port.address();
        station.send(&[(everybody, b"x"), (good, b"y")]);
        assert_eq!(station.receive(&mut Arrivals::new(), 1), [(good, b"y".to_vec())]);
        assert_eq!(station.port.unreachable().count(), 0);
    }

    #[test]
    fn sockets_of_both_families_share_the_room_for_arrivals() {
        let (mut v4, mut v6) = (Station::on_loopback(), Station::on("[::1]:0"));
        let mut arrivals = Arrivals::new();
        for _ in 0..2 {
            for station in [&mut v4, &mut v6] {
                let own = station.port.address();
                station.send(&[(own, b"to myself")]);
                assert_eq!(station.receive(&mut arrivals, 1), [(own, b"to myself".to_vec())]);
            }
        }
    }

    #[test]
    fn the_longest_and_the_empty_datagram_arrive_whole() {
        let (mut from, mut to) = (Station::on_loopback(), Station::on_loopback());
        let longest = vec![b'x'; 65_507];
        from.send(&[(to.port.address(), &longest), (to.port.address(), b"")]);
        let received = to.receive(&mut Arrivals::new(), 2);
        assert_eq!(received, [(from.port.address(), longest), (from.port.address(), Vec::new())]);
    }
}
