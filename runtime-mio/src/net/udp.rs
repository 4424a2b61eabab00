//! Datagrams in batches: one system call for many (`recvmmsg`, `sendmmsg`).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};

/// Datagrams in one system call.
const BATCH: usize = 64;
/// The longest datagram there is.
const LONGEST: usize = 65_536;
/// What is asked for as socket buffers: bursts of thousands of calls must not be lost between two wake-ups.
const SOCKET_BUFFER: usize = 4 << 20;

/// Binds a socket with large buffers.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The system may grant less; a smaller buffer is no reason not to start.
    if let Err(e) =
        socket.set_recv_buffer_size(SOCKET_BUFFER).and_then(|()| socket.set_send_buffer_size(SOCKET_BUFFER))
    {
        tracing::debug!(error = %e, "socket buffers stay as they are");
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// Where datagrams are received.
pub(super) struct Receiver {
    buffer: Box<[u8]>,
    headers: MultiHeaders<SockaddrStorage>,
    /// Where each came from and how long it is.
    received: Vec<(SocketAddr, usize)>,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; BATCH * LONGEST].into_boxed_slice(),
            headers: MultiHeaders::preallocate(BATCH, None),
            received: Vec::with_capacity(BATCH),
        }
    }

    /// Receives what is there, up to a batch. Whether the batch was full, so that more may be there.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> bool {
        self.received.clear();
        let Self { buffer, headers, received } = self;
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffer.chunks_mut(LONGEST).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        match recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
            Ok(results) => {
                let all =
                    results.map(|result| (result.address.as_ref().and_then(socket_address), result.bytes));
                // A datagram without an address cannot be answered; UDP has none.
                let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
                received.extend(all.map(|(address, length)| (address.unwrap_or(nowhere), length)));
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // ICMP errors of earlier datagrams come back here: the transaction's own timers deal with that peer.
            Err(e) => {
                tracing::debug!(error = %e, "receiving datagrams");
                return true;
            }
        }
        received.len() == BATCH
    }

    /// What the last [`receive`](Self::receive) brought.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.received
            .iter()
            .zip(self.buffer.chunks(LONGEST))
            .map(|((from, length), chunk)| (*from, chunk.get(..*length).unwrap_or_default()))
    }
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port())))
}

/// Sends datagrams in order, as many in a system call as fit.
pub(super) struct Sender {
    headers: MultiHeaders<SockaddrStorage>,
}

impl Sender {
    pub(super) fn new() -> Self {
        Self { headers: MultiHeaders::preallocate(BATCH, None) }
    }

    /// Sends them all. One that cannot be sent counts as lost on the way: its transaction sends it again.
    pub(super) fn send(&mut self, socket: &UdpSocket, datagrams: &[(SocketAddr, &[u8])]) {
        let mut rest = datagrams;
        while !rest.is_empty() {
            let batch = rest.get(..BATCH.min(rest.len())).unwrap_or_default();
            let slices: Vec<[IoSlice<'_>; 1]> =
                batch.iter().map(|(_, bytes)| [IoSlice::new(bytes)]).collect();
            let addresses: Vec<Option<SockaddrStorage>> =
                batch.iter().map(|(to, _)| Some((*to).into())).collect();
            let no_control: [ControlMessage<'_>; 0] = [];
            let flags = MsgFlags::MSG_DONTWAIT;
            let sent =
                sendmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter(), &addresses, no_control, flags);
            let done = match sent {
                Ok(results) => results.count().max(1),
                Err(Errno::EINTR) => 0,
                Err(Errno::EAGAIN) => {
                    tracing::warn!(
                        datagrams = rest.len(),
                        "the socket's send buffer is full, datagrams are lost"
                    );
                    return;
                }
                Err(e) => {
                    tracing::debug!(error = %e, to = ?batch.first().map(|(to, _)| to), "sending a datagram");
                    1
                }
            };
            rest = rest.get(done..).unwrap_or_default();
        }
    }
}
