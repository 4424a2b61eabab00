//! Sockets and listeners that are bound and not driven yet.

use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, UdpSocket};

use super::{tcp, udp};

/// An address that cannot be listened on.
#[derive(Debug)]
pub(crate) struct BindError {
    address: SocketAddr,
    error: io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.error)
    }
}

/// Sockets and listeners that are bound, for one machine; a thread may be started with them.
pub(crate) struct Bound {
    pub(super) sockets: Vec<UdpSocket>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) listeners: Vec<TcpListener>,
    stream_addresses: Vec<SocketAddr>,
}

impl Bound {
    /// Binds everything. The order of the addresses is that of the machine's ids.
    pub(crate) fn new(datagrams: &[SocketAddr], streams: &[SocketAddr]) -> Result<Self, BindError> {
        let mut bound = Self {
            sockets: Vec::new(),
            addresses: Vec::new(),
            listeners: Vec::new(),
            stream_addresses: Vec::new(),
        };
        for address in datagrams.iter().copied() {
            let wrong = |error| BindError { address, error };
            let socket = udp::bind(address).map_err(wrong)?;
            bound.addresses.push(socket.local_addr().map_err(wrong)?);
            bound.sockets.push(socket);
        }
        for address in streams.iter().copied() {
            let wrong = |error| BindError { address, error };
            let listener = tcp::listen(address).map_err(wrong)?;
            bound.stream_addresses.push(listener.local_addr().map_err(wrong)?);
            bound.listeners.push(listener);
        }
        Ok(bound)
    }

    /// The addresses that the datagram sockets are really bound to.
    pub(crate) fn datagram_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses that the listeners are really bound to.
    pub(crate) fn stream_addresses(&self) -> &[SocketAddr] {
        &self.stream_addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let taken = Bound::new(&[any], &[any]).expect("free ports");
        let (socket, listener) = (taken.datagram_addresses()[0], taken.stream_addresses()[0]);
        for (datagrams, streams, address) in
            [(vec![any, socket], vec![any], socket), (vec![any], vec![any, listener], listener)]
        {
            let error = Bound::new(&datagrams, &streams).err().expect("it is taken").to_string();
            assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
        }
    }
}
