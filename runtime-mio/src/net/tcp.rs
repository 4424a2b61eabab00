//! Stream connections: reading, writing what can be written and queueing the rest, and closing so that the last answer
//! arrives.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};

/// How long a closed connection is still read from, so that a reset does not destroy what was written last.
const LINGER: Duration = Duration::from_secs(2);
/// How much of what a client still sends is thrown away meanwhile.
const LINGER_BYTES: usize = 16 << 20;

/// Binds a listener.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(TcpListener::from_std(socket.into()))
}

enum Phase {
    Open,
    /// Closed when the queue is empty.
    Closing,
    /// Everything was written; what still comes in is thrown away.
    Lingering {
        until: Instant,
        budget: usize,
    },
}

/// One connection.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    queue: VecDeque<u8>,
    phase: Phase,
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Keep,
    /// It is gone, or to be forgotten.
    Drop,
}

/// What reading brought.
pub(super) enum Got {
    /// So many bytes; more may be there.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The peer has closed, or the connection broke.
    End,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, queue: VecDeque::new(), phase: Phase::Open }
    }

    /// Whether the machine still wants what comes in.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Reads once into `buffer`.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Got {
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Got::End,
                Ok(length) => Got::Bytes(length),
                Err(e) if e.kind() == ErrorKind::WouldBlock => Got::Nothing,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => Got::End,
            };
        }
    }

    /// Throws away what comes in on a closed connection.
    pub(super) fn discard(&mut self, buffer: &mut [u8]) -> Verdict {
        loop {
            match self.read(buffer) {
                Got::Bytes(length) => match &mut self.phase {
                    Phase::Lingering { budget, .. } if *budget > length => *budget -= length,
                    Phase::Closing => {}
                    _ => return Verdict::Drop,
                },
                Got::Nothing => return Verdict::Keep,
                Got::End => return Verdict::Drop,
            }
        }
    }

    /// Writes bytes behind those that wait. How many went to the system, or that the connection broke.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        if self.queue.is_empty() {
            written = write_some(&mut self.stream, bytes)?;
        }
        self.queue.extend(bytes.get(written..).unwrap_or_default());
        Ok(written)
    }

    /// Writes on what waits.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        let mut written = 0;
        while !self.queue.is_empty() {
            let (front, _) = self.queue.as_slices();
            let length = write_some(&mut self.stream, front)?;
            if length == 0 {
                break;
            }
            self.queue.drain(..length);
            written += length;
        }
        Ok(written)
    }

    /// Closes when everything was written.
    pub(super) fn close(&mut self) {
        self.phase = Phase::Closing;
    }

    /// After writing on a closing connection: whether it now lingers, and until when.
    pub(super) fn try_finish(&mut self) -> Option<Instant> {
        if !matches!(self.phase, Phase::Closing) || !self.queue.is_empty() {
            return None;
        }
        let until = Instant::now() + LINGER;
        self.phase = Phase::Lingering { until, budget: LINGER_BYTES };
        // A peer that is gone already has nothing to be told.
        if self.stream.shutdown(Shutdown::Write).is_err() {
            self.phase = Phase::Lingering { until, budget: 0 };
        }
        Some(until)
    }

    /// Whether its lingering is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Lingering { until, .. } if until <= now)
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
