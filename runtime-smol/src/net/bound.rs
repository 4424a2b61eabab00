//! Sockets and listeners that are bound and not driven yet.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Socket, Type};

use super::errors;

/// What is asked for as socket buffers.
const SOCKET_BUFFER: usize = 1 << 20;
/// Connections that the system may keep until they are accepted.
const BACKLOG: i32 = 1024;

/// Sockets and listeners, in the order of the machine's ids.
pub(crate) struct Bound {
    pub(super) sockets: Vec<UdpSocket>,
    pub(super) listeners: Vec<TcpListener>,
}

impl Bound {
    /// Binds everything; the error names the address that cannot be had.
    pub(crate) fn new(datagrams: &[SocketAddr], streams: &[SocketAddr]) -> Result<Self, String> {
        let wrong = |address: &SocketAddr, error: io::Error| format!("cannot listen on {address}: {error}");
        let sockets = datagrams.iter().map(|address| bind_datagrams(*address).map_err(|e| wrong(address, e)));
        let listeners = streams.iter().map(|address| listen(*address).map_err(|e| wrong(address, e)));
        Ok(Self {
            sockets: sockets.collect::<Result<_, _>>()?,
            listeners: listeners.collect::<Result<_, _>>()?,
        })
    }

    /// The addresses really bound: of the datagram sockets, and of the listeners.
    pub(crate) fn addresses(&self) -> io::Result<(Vec<SocketAddr>, Vec<SocketAddr>)> {
        let sockets = self.sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<_>>()?;
        Ok((sockets, self.listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?))
    }
}

fn bind_datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A system that gives less gives what it can.
    drop(socket.set_recv_buffer_size(SOCKET_BUFFER));
    drop(socket.set_send_buffer_size(SOCKET_BUFFER));
    errors::keep(&socket, &address);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
