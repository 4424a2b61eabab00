//! The phones' sockets: many datagrams with one system call.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt,
};

/// Datagrams in one system call.
const BATCH: usize = 64;
/// No message of a call is longer.
const LONGEST: usize = 4096;
/// What is asked for as buffers, so that bursts are not lost.
const BUFFER: usize = 4 << 20;

/// A socket with what waits to be sent.
pub struct Datagrams {
    socket: UdpSocket,
    /// What it is bound to.
    pub address: SocketAddr,
    inbound: MultiHeaders<SockaddrIn>,
    outbound: MultiHeaders<SockaddrIn>,
    buffer: Vec<u8>,
    waiting: Vec<(Option<SockaddrIn>, String)>,
    /// Something has come.
    pub ready: bool,
    /// Datagrams that the system did not take.
    pub lost: u64,
}

impl Datagrams {
    /// A socket at a port that the system chose.
    pub fn bind() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free UDP port");
        let address = socket.local_addr().expect("it is bound");
        socket.set_nonblocking(true).expect("a socket need not block");
        // Only who may administer the network gets past the system's limit; smaller buffers do too.
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &BUFFER))
            .unwrap_or_else(|e| eprintln!("the phones' socket buffers stay as they are: {e}"));
        let headers = || MultiHeaders::preallocate(BATCH, None);
        Self {
            socket,
            address,
            inbound: headers(),
            outbound: headers(),
            buffer: vec![0; BATCH * LONGEST],
            waiting: Vec::new(),
            ready: true,
            lost: 0,
        }
    }

    /// To be waited for.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes what has come, up to a batch; whether there may be more.
    pub fn receive(&mut self, mut take: impl FnMut(SocketAddr, &str)) -> bool {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            self.buffer.chunks_mut(LONGEST).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let came: Vec<(SocketAddr, usize)> =
            match recvmmsg(self.socket.as_raw_fd(), &mut self.inbound, slices.iter_mut(), flags, None) {
                Ok(results) => results
                    .map(|result| {
                        let from =
                            result.address.map(|address| SocketAddrV4::new(address.ip(), address.port()));
                        (from.expect("a datagram has a sender").into(), result.bytes)
                    })
                    .collect(),
                // What ICMP tells of a server that has ended is nothing that came.
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => Vec::new(),
                Err(error) => panic!("the phones' socket: {error}"),
            };
        for ((from, length), bytes) in came.iter().zip(self.buffer.chunks(LONGEST)) {
            if let Ok(text) = std::str::from_utf8(&bytes[..*length]) {
                take(*from, text);
            }
        }
        self.ready = came.len() == BATCH;
        self.ready
    }

    /// Has something sent with the next [`flush`](Self::flush).
    pub fn send(&mut self, to: SocketAddr, text: String) {
        let to = match to {
            SocketAddr::V4(to) => Some(SockaddrIn::from(to)),
            SocketAddr::V6(_) => None,
        };
        self.waiting.push((to, text));
    }

    /// Sends all that waits.
    pub fn flush(&mut self) {
        let mut rest = self.waiting.as_slice();
        while !rest.is_empty() {
            let batch = &rest[..rest.len().min(BATCH)];
            let slices: Vec<[IoSlice<'_>; 1]> =
                batch.iter().map(|(_, text)| [IoSlice::new(text.as_bytes())]).collect();
            let addresses: Vec<Option<SockaddrIn>> = batch.iter().map(|(to, _)| *to).collect();
            let no_control: [ControlMessage<'_>; 0] = [];
            let flags = MsgFlags::MSG_DONTWAIT;
            let sent = sendmmsg(
                self.socket.as_raw_fd(),
                &mut self.outbound,
                slices.iter(),
                &addresses,
                no_control,
                flags,
            );
            let done = match sent {
                Ok(sent) => sent.count(),
                // It is as lost as on the way, and sent again in its time.
                Err(_) => {
                    self.lost += 1;
                    1
                }
            };
            rest = &rest[done.max(1)..];
        }
        self.waiting.clear();
    }
}
