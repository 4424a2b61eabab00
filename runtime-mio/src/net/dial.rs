//! Sockets that lead to one peer: connections that are opened, and sockets for a question to a name server.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

/// Begins to open a connection from an address of ours, which the system chooses if it is unspecified. The socket does
/// not block: it can be written to once the connection stands or has failed.
pub(super) fn connect(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // A message goes out in one piece: waiting for more of it would only cost time.
    socket.set_tcp_nodelay(true)?;
    if !from.is_unspecified() {
        // The port is chosen when the peer is known: then it need only differ from those of connections to the same one.
        if let Err(error) = setsockopt(&socket, sockopt::IpBindAddressNoPort, &true) {
            tracing::debug!(%error, "IP_BIND_ADDRESS_NO_PORT");
        }
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// A socket for questions to this name server, on a port that nobody can guess, which takes datagrams from there only.
pub(super) fn question(server: SocketAddr) -> io::Result<UdpSocket> {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_connection_is_opened_from_the_address_that_was_named() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let to = listener.local_addr().expect("an address");
        for (from, seen) in [("127.0.0.5", "127.0.0.5"), ("0.0.0.0", "127.0.0.1")] {
            let _stream = connect(from.parse().expect("an address"), to).expect("begun");
            let (_, peer) = listener.accept().expect("accepted");
            assert_eq!(peer.ip().to_string(), seen);
        }
    }

    #[test]
    fn a_connection_from_another_family_or_a_foreign_address_fails_at_once() {
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        for from in ["::1", "192.0.2.77"] {
            connect(from.parse().expect("an address"), to).expect_err("it cannot be opened");
        }
    }
}
