//! A UDP socket that takes and sends many datagrams with one system call.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::net::{SocketAddrV4, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, sendmsg,
    setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

use super::readings::Moment;

/// Datagrams in one system call.
const BATCH: usize = 64;
/// Room for one that comes; longer ones are cut, and then cannot be read.
const ROOM: usize = 4096;
/// Bytes that the system cuts into datagrams at once.
const MOST_CUT: usize = 60_000;
/// What is asked for as socket buffers: nothing shall be lost for want of room.
const SOCKET_BUFFER: usize = 64 << 20;

/// The socket.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    address: SocketAddrV4,
    inbound: MultiHeaders<SockaddrIn>,
    outbound: MultiHeaders<SockaddrIn>,
    buffer: Box<[u8]>,
}

/// A datagram that came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Who sent it.
    pub from: SocketAddrV4,
    /// When the system got it, which is before it was read.
    pub at: Moment,
    /// What it says.
    pub bytes: &'a [u8],
}

impl Datagrams {
    /// A socket at a port of 127.0.0.1 that the system chose.
    pub fn bind() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        // Only who may administer the network gets past the system's limit.
        setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER))?;
        setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let std::net::SocketAddr::V4(address) = socket.local_addr()? else {
            return Err(io::Error::other("the socket is not one of IPv4"));
        };
        Ok(Self {
            socket,
            address,
            inbound: MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(TimeSpec))),
            outbound: MultiHeaders::preallocate(BATCH, None),
            buffer: vec![0; BATCH * ROOM].into_boxed_slice(),
        })
    }

    /// Where it is bound.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Gives what has come, up to a batch, to `take`; how many that were.
    pub fn receive(&mut self, mut take: impl FnMut(Arrival<'_>)) -> io::Result<usize> {
        let mut arrivals: Vec<(SocketAddrV4, Moment, usize)> = Vec::with_capacity(BATCH);
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            self.buffer.chunks_mut(ROOM).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        match recvmmsg(self.socket.as_raw_fd(), &mut self.inbound, slices.iter_mut(), flags, None) {
            Ok(results) => {
                for result in results {
                    let from = result.address.ok_or_else(|| io::Error::other("a datagram from nowhere"))?;
                    let stamp = result.cmsgs()?.find_map(|message| match message {
                        ControlMessageOwned::ScmTimestampns(time) => Some(Moment::from_epoch(time.into())),
                        _ => None,
                    });
                    let at = stamp.unwrap_or_else(Moment::now);
                    arrivals.push((SocketAddrV4::from(from), at, result.bytes));
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        for ((from, at, length), chunk) in arrivals.iter().zip(self.buffer.chunks(ROOM)) {
            take(Arrival { from: *from, at: *at, bytes: chunk.get(..*length).unwrap_or_default() });
        }
        Ok(arrivals.len())
    }

    /// Sends all that was written, those of one length and place as one that the system cuts, and empties the page.
    pub fn send(&mut self, page: &mut Page) -> io::Result<()> {
        page.letters.sort_by_key(|letter| (letter.lane, letter.to));
        let letters = std::mem::take(&mut page.letters);
        let mut rest = letters.as_slice();
        while !rest.is_empty() {
            let alike = alike(rest);
            let (group, behind) = if alike > 1 { rest.split_at(alike) } else { rest.split_at(singles(rest)) };
            if alike > 1 {
                self.send_as_one(page, group)?
            } else {
                self.send_each(page, group)?
            }
            rest = behind;
        }
        page.letters = letters;
        page.letters.clear();
        page.text.clear();
        Ok(())
    }

    fn send_as_one(&self, page: &Page, group: &[Letter]) -> io::Result<()> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        let length = u16::try_from(first.place.len()).map_err(io::Error::other)?;
        let slices: Vec<IoSlice<'_>> = if group.windows(2).all(|two| two[0].place.end == two[1].place.start) {
            vec![IoSlice::new(&page.text[first.place.start..last.place.end])]
        } else {
            group.iter().map(|letter| IoSlice::new(&page.text[letter.place.clone()])).collect()
        };
        let cut = [ControlMessage::UdpGsoSegments(&length)];
        let to = SockaddrIn::from(first.to);
        sendmsg(self.socket.as_raw_fd(), &slices, &cut, MsgFlags::empty(), Some(&to))?;
        Ok(())
    }

    fn send_each(&mut self, page: &Page, group: &[Letter]) -> io::Result<()> {
        let mut rest = group;
        while !rest.is_empty() {
            let batch = rest.get(..BATCH).unwrap_or(rest);
            let slices: Vec<[IoSlice<'_>; 1]> =
                batch.iter().map(|letter| [IoSlice::new(&page.text[letter.place.clone()])]).collect();
            let addresses: Vec<Option<SockaddrIn>> =
                batch.iter().map(|letter| Some(letter.to.into())).collect();
            let no_control: [ControlMessage<'_>; 0] = [];
            let socket = self.socket.as_raw_fd();
            let flags = MsgFlags::empty();
            let sent = sendmmsg(socket, &mut self.outbound, slices.iter(), &addresses, no_control, flags)?;
            rest = rest.get(sent.count()..).unwrap_or_default();
        }
        Ok(())
    }

    /// How many datagrams the system had no room for, at this socket.
    pub fn lost(&self) -> u64 {
        lost_at(self.address.port())
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// How many datagrams the system had no room for at the socket with this port, as it counts them.
pub fn lost_at(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let own = format!(":{port:04X}");
    let line = table
        .lines()
        .find(|line| line.split_whitespace().nth(1).is_some_and(|address| address.ends_with(&own)));
    line.and_then(|line| line.split_whitespace().last()?.parse().ok()).unwrap_or(0)
}

/// How many of the first go to one place and are of one length.
fn alike(letters: &[Letter]) -> usize {
    let Some(first) = letters.first() else { return 0 };
    let most = (MOST_CUT / first.place.len().max(1)).clamp(1, BATCH);
    let same = |letter: &&Letter| letter.to == first.to && letter.place.len() == first.place.len();
    letters.iter().take(most).take_while(same).count()
}

/// How many of the first have no neighbour that is alike.
fn singles(letters: &[Letter]) -> usize {
    (0..letters.len()).take_while(|at| alike(&letters[*at..]) == 1).count()
}

/// Datagrams that are being written.
#[derive(Debug, Default)]
pub struct Page {
    text: Vec<u8>,
    letters: Vec<Letter>,
}

#[derive(Clone, Debug)]
struct Letter {
    lane: u8,
    to: SocketAddrV4,
    place: Range<usize>,
}

impl Page {
    /// Writes further bytes of the datagram at hand.
    pub fn write(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    /// Writes a number.
    pub fn number(&mut self, number: u64) {
        write!(self.text, "{number}").expect("a vector takes everything");
    }

    /// Ends the datagram at hand. Those of lower lanes leave first: what has to come in order in one call has to lie in
    /// lanes that rise, and what is alike in one.
    pub fn post(&mut self, lane: u8, to: SocketAddrV4) {
        let begin = self.letters.last().map_or(0, |letter| letter.place.end);
        self.letters.push(Letter { lane, to, place: begin..self.text.len() });
    }

    /// The bytes of the datagram at hand, which is not to be sent now.
    pub fn into_text(self) -> Box<[u8]> {
        self.text.into_boxed_slice()
    }

    /// The datagram that was ended last.
    pub fn last(&self) -> &[u8] {
        self.letters.last().and_then(|letter| self.text.get(letter.place.clone())).unwrap_or_default()
    }

    /// How many datagrams are written.
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait_for;

    #[test]
    fn all_datagrams_arrive_and_those_of_lower_lanes_first() {
        let (mut from, mut to) = (Datagrams::bind().expect("a socket"), Datagrams::bind().expect("a socket"));
        let before = Moment::now();
        let mut page = Page::default();
        let text = |call: u64, lane: u8| format!("{call} {lane} {}", "x".repeat(call as usize % 3 * 400));
        for call in 0..100 {
            for lane in [0, 1] {
                page.write(text(call, lane).as_bytes());
                page.post(lane, to.address());
            }
        }
        assert_eq!(page.len(), 200);
        from.send(&mut page).expect("they leave");
        assert!(page.is_empty());
        let mut arrived = Vec::new();
        wait_for("the datagrams", || {
            let take = |arrival: Arrival<'_>| {
                assert_eq!(arrival.from, from.address());
                assert!(arrival.at >= before, "it is stamped");
                arrived.push(String::from_utf8_lossy(arrival.bytes).into_owned());
            };
            to.receive(take).expect("they are read");
            (arrived.len() == 200).then_some(())
        });
        let expected: Vec<String> =
            [0, 1].iter().flat_map(|lane| (0..100).map(|call| text(call, *lane))).collect();
        assert_eq!(arrived, expected);
        assert_eq!(to.lost(), 0);
    }
}
