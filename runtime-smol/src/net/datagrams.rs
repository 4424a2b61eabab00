//! One datagram socket: receiving and sending, and what ICMP says of what was sent.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;

use cordboard_core::io::SocketId;
use nix::errno::Errno;
use smol::Async;
use smol::channel::Sender;

use super::Event;
use super::errors::{self, Notice, is_unreachable};

/// The longest datagram there is.
pub(super) const LONGEST: usize = 65_536;
/// How often a datagram is tried whose sending tells of the errors of others.
const TRIES: usize = 8;

enum Arrival {
    Datagram(usize, SocketAddr),
    Notice(Notice),
}

/// Tells the loop what comes in.
pub(super) async fn receive(id: SocketId, socket: Rc<Async<UdpSocket>>, sender: Sender<Event>) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let event = match socket.read_with(|socket| arrival(socket, &mut buffer)).await {
            Ok(Arrival::Datagram(length, from)) => {
                Event::Datagram(id, from, buffer.get(..length).unwrap_or_default().to_vec())
            }
            Ok(Arrival::Notice(Notice::Unreachable(to))) => Event::Unreachable(id, to),
            Ok(Arrival::Notice(Notice::Other | Notice::Own)) => continue,
            Err(error) => {
                tracing::debug!(%error, "receiving a datagram");
                continue;
            }
        };
        if sender.send(event).await.is_err() {
            return;
        }
    }
}

/// A datagram, or what ICMP says: as long as something of that is left the socket never rests.
fn arrival(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    match socket.recv_from(buffer) {
        Ok((length, from)) => Ok(Arrival::Datagram(length, from)),
        Err(error) => errors::take(socket).map(Arrival::Notice).ok_or(error),
    }
}

/// Sends a datagram. The addresses that are found not to be reached, by this one or by earlier ones, are added to a list.
pub(super) fn send(socket: &UdpSocket, to: SocketAddr, bytes: &[u8], unreachable: &mut Vec<SocketAddr>) {
    for _ in 0..TRIES {
        let Err(error) = socket.send_to(bytes, to) else { return };
        // What the system has no room for is lost, as on the way: SIP sends it again.
        let errno = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
        if error.kind() == ErrorKind::WouldBlock || errno == Errno::ENOBUFS {
            tracing::debug!(%error, %to, "a datagram is lost");
            return;
        }
        // It may be the error of an earlier datagram, which was waiting to be told.
        let mut concerns_others = false;
        for notice in std::iter::from_fn(|| errors::take(socket)).filter(|notice| *notice != Notice::Own) {
            concerns_others = true;
            if let Notice::Unreachable(to) = notice {
                unreachable.push(to);
            }
        }
        if !concerns_others {
            tracing::debug!(%error, %to, "sending a datagram");
            unreachable.extend(is_unreachable(errno).then_some(to));
            return;
        }
    }
}
