//! What ICMP says of datagrams: the system keeps it for each socket, with the address that a datagram did not reach
//! (`IP_RECVERR` of ip(7), `IPV6_RECVERR` of ipv6(7)).

use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};

/// RFC 792: the type of all its messages that say "no such net, host, port".
const DESTINATION_UNREACHABLE: u8 = 3;
/// RFC 4443 §3.1
const DESTINATION_UNREACHABLE_V6: u8 = 1;

/// Something that the system has kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A datagram did not reach this address, nor would another.
    Unreachable(SocketAddr),
    /// ICMP says something else: that a datagram was too long, or too long on its way.
    Other,
    /// The system itself says why it refused a datagram, as it did when that was sent.
    Own,
}

/// Has the system keep what ICMP says. From then on each error is told once by sending or receiving as well, whomever
/// that concerns.
pub(super) fn keep(socket: &impl AsFd, address: &SocketAddr) {
    let kept = match address {
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true),
    };
    if let Err(error) = kept {
        tracing::debug!(%error, "what ICMP says will not be known");
    }
}

/// Takes the oldest notice; `None` if there is none.
pub(super) fn take(socket: &impl AsRawFd) -> Option<Notice> {
    let fd: RawFd = socket.as_raw_fd();
    // Of the datagram itself nothing is wanted; what there is no room for is thrown away.
    let mut nothing = [0; 1];
    let mut slices = [IoSliceMut::new(&mut nothing)];
    let mut space = nix::cmsg_space!([u8; 64]);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = loop {
        match recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            other => break other.ok()?,
        }
    };
    let to = message.address.as_ref().and_then(socket_address);
    let notices = message.cmsgs().ok()?.filter_map(|message| match message {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            Some(error)
        }
        _ => None,
    });
    let Some(error) = notices.last() else { return Some(Notice::Other) };
    let unreachable = match error.ee_origin {
        libc::SO_EE_ORIGIN_ICMP => error.ee_type == DESTINATION_UNREACHABLE,
        libc::SO_EE_ORIGIN_ICMP6 => error.ee_type == DESTINATION_UNREACHABLE_V6,
        _ => return Some(Notice::Own),
    };
    let errno = i32::try_from(error.ee_errno).map_or(Errno::UnknownErrno, Errno::from_raw);
    match to {
        Some(to) if unreachable && is_unreachable(errno) => Some(Notice::Unreachable(to)),
        _ => Some(Notice::Other),
    }
}

/// Whether an error says that there is no such port, host or network.
pub(super) fn is_unreachable(error: Errno) -> bool {
    matches!(error, Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH)
}

/// An address as the standard library has it; with the interface, without which one that is link-local is nobody's.
pub(super) fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddrV6::new(v6.ip(), v6.port(), 0, v6.scope_id()).into())
}
