//! One stream connection: reading, writing what can be written and queueing the rest, and closing so that the last answer
//! arrives.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

/// How long a peer may take nothing of what waits for it, once the connection is to be closed.
const STALL: Duration = Duration::from_secs(30);
/// How long a connection is still read from after its end was sent.
const LINGER: Duration = Duration::from_secs(2);
/// How much of what a peer still sends is thrown away meanwhile.
const LINGER_BYTES: usize = 16 << 20;
/// More than this must not wait for a peer that takes nothing when more is to be written.
const MAX_WAITING: usize = 1 << 20;
/// Connections that the system may keep until they are accepted.
const BACKLOG: i32 = 1024;

/// Binds a listener.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Otherwise connections that are just ending keep a restarted server from its port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Open,
    /// What waits is still written; nothing goes to the machine any more.
    Closing {
        until: Instant,
    },
    /// Everything was written and the end sent. To forget the connection while the peer still sends would answer that
    /// with a reset, which can destroy the last answer on its way.
    Lingering {
        until: Instant,
        budget: usize,
    },
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// So many bytes; more may be there.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The peer sends no more; it may still read.
    End,
    /// The connection broke.
    Broken,
}

/// Whether a connection is still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Fate {
    /// It stays.
    Stays,
    /// It is to be forgotten, which closes it.
    Over,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    queue: VecDeque<u8>,
    phase: Phase,
    /// Whether it stands; before that nothing is written.
    stands: bool,
    peer_ended: bool,
    /// Whether readiness to be written is told; asked for only once something had to wait, then for good.
    watched: bool,
    /// The earliest end that was told.
    told_end: Option<Instant>,
}

impl Connection {
    /// A connection that was just accepted.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            queue: VecDeque::new(),
            phase: Phase::Open,
            stands: true,
            peer_ended: false,
            watched: false,
            told_end: None,
        }
    }

    /// A connection that is being opened: when it can be written to, it stands or has failed.
    pub(super) fn opening(stream: TcpStream) -> Self {
        Self { stands: false, watched: true, ..Self::new(stream) }
    }

    /// Has its readiness to be read told under this token, and that to be written if something waits for it.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest =
            if self.watched { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        registry.register(&mut self.stream, token, interest)
    }

    /// At an event: whether the connection stands now, or cannot be opened. `None` if nothing has changed.
    pub(super) fn establish(&mut self) -> Option<io::Result<()>> {
        if self.stands {
            return None;
        }
        match self.stream.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Some(Err(error)),
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.stands = true;
                Some(Ok(()))
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Has its readiness to be written told as well, if something waits for that.
    pub(super) fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.watched || self.queue.is_empty() {
            return Ok(());
        }
        registry.reregister(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.watched = true;
        Ok(())
    }

    /// Whether the machine knows it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Whether something waits to be written.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    fn until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open => None,
            Phase::Closing { until } | Phase::Lingering { until, .. } => Some(until),
        }
    }

    /// When to call [`expire`](Self::expire), unless it was told before that it is due then or earlier.
    pub(super) fn earlier_end(&mut self) -> Option<Instant> {
        let until = self.until()?;
        if self.told_end.is_some_and(|told| told <= until) {
            return None;
        }
        self.told_end = Some(until);
        self.told_end
    }

    /// At the end that was told: whether the time is over, or was prolonged.
    pub(super) fn expire(&mut self, now: Instant) -> Fate {
        self.told_end = None;
        if self.until().is_some_and(|until| until <= now) { Fate::Over } else { Fate::Stays }
    }

    /// Reads once into `buffer`.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Got {
        if !self.stands {
            return Got::Nothing;
        }
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => {
                    self.peer_ended = true;
                    Got::End
                }
                Ok(length) => Got::Bytes(length),
                Err(e) if e.kind() == ErrorKind::WouldBlock => Got::Nothing,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => Got::Broken,
            };
        }
    }

    /// Takes note that so many bytes came in behind the end.
    pub(super) fn discard(&mut self, length: usize) -> Fate {
        let Phase::Lingering { budget, .. } = &mut self.phase else { return Fate::Stays };
        match budget.checked_sub(length) {
            Some(left) => {
                *budget = left;
                Fate::Stays
            }
            None => Fate::Over,
        }
    }

    /// Writes bytes behind those that wait. How many went to the system, or that the connection broke, or has to be given
    /// up because too much waits already.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.queue.len() > MAX_WAITING {
            return Err(io::Error::other(format!("the peer leaves {} bytes waiting", self.queue.len())));
        }
        let at_once = self.stands && self.queue.is_empty();
        let written = if at_once { write_some(&mut self.stream, bytes)? } else { 0 };
        self.queue.extend(bytes.get(written..).unwrap_or_default());
        Ok(written)
    }

    /// Writes on what waits. How many bytes went to the system, or that the connection broke.
    pub(super) fn flush(&mut self, now: Instant) -> io::Result<usize> {
        let mut written = 0;
        while self.stands && !self.queue.is_empty() {
            let (front, _) = self.queue.as_slices();
            let length = write_some(&mut self.stream, front)?;
            if length == 0 {
                break;
            }
            self.queue.drain(..length);
            written += length;
        }
        if self.queue.is_empty() {
            // A connection at rest holds no memory.
            self.queue = VecDeque::new();
        }
        if let Phase::Closing { until } = &mut self.phase
            && written > 0
        {
            *until = now + STALL;
        }
        Ok(written)
    }

    /// Closes it for the machine, and for the peer when everything is written.
    pub(super) fn close(&mut self, now: Instant) -> Fate {
        if self.is_open() {
            self.phase = Phase::Closing { until: now + STALL };
        }
        self.settle(now)
    }

    /// After reading or writing on a closed connection: sends the end as soon as everything was written.
    pub(super) fn settle(&mut self, now: Instant) -> Fate {
        match self.phase {
            Phase::Closing { .. } if self.queue.is_empty() => {
                // A peer that sends no more cannot provoke a reset; one that is gone need not be told anything.
                if self.peer_ended || self.stream.shutdown(Shutdown::Write).is_err() {
                    return Fate::Over;
                }
                self.phase = Phase::Lingering { until: now + LINGER, budget: LINGER_BYTES };
                Fate::Stays
            }
            Phase::Lingering { .. } if self.peer_ended => Fate::Over,
            Phase::Open | Phase::Closing { .. } | Phase::Lingering { .. } => Fate::Stays,
        }
    }
}

fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(0) => break,
            Ok(length) => written += length,
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(written)
}
