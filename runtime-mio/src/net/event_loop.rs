//! The loop: waits for sockets, time and signals, hands them to the machine, and does what it says.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cordboard_core::io::{Close, ConnectionId, Datagram, Input, ListenerId, Outbox, Output, SocketId, Wake};
use cordboard_core::{Report, Tick};
use mio::event::Source;
use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Token};

use super::Machine;
use super::tcp::{self, Connection, Got, Verdict};
use super::udp::{self, Receiver, Sender};

/// What the loop does besides driving the machine.
pub(crate) trait Host {
    /// A source that the host registered is ready. What is to be handed to the machine is returned.
    fn ready(&mut self, token: usize) -> Vec<Input<'static>>;
    /// The machine wants this in the log.
    fn report(&mut self, report: &Report);
    /// Called at least this often; nothing by default.
    fn pulse(&mut self) -> Option<Duration> {
        None
    }
    /// A datagram passes, in or out.
    fn passed(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]);
}

/// How many batches of datagrams one socket may bring before the others have their turn.
const BATCHES_A_TURN: usize = 8;
/// How many connections one listener may bring in a turn.
const ACCEPTS_A_TURN: usize = 64;
/// After running out of file descriptors, accepting pauses for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Tokens below are the host's.
pub(crate) const HOST_TOKENS: usize = 16;
const SOCKET_TOKENS: usize = 1 << 16;
const CONNECTION_TOKENS: usize = 1 << 20;

/// Sockets, connections and the clock of one machine.
pub(crate) struct EventLoop {
    poll: Poll,
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
    listeners: Vec<TcpListener>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    lingering: VecDeque<(Instant, u64)>,
    /// Sockets and listeners that may have more than was taken in their last turn.
    unfinished: Vec<usize>,
    accept_again: Option<Instant>,
    start: Instant,
    outbox: Outbox,
    /// Taken out while what it holds is handed to the machine.
    receiver: Option<Receiver>,
    sender: Sender,
    buffer: Box<[u8]>,
    /// What was written, to be told to the machine.
    written: Vec<(ConnectionId, usize)>,
    lost: Vec<ConnectionId>,
    drained: bool,
}

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
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
    listeners: Vec<TcpListener>,
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

impl EventLoop {
    /// A loop over bound sockets.
    pub(crate) fn new(bound: Bound) -> io::Result<Self> {
        let Bound { mut sockets, addresses, mut listeners, .. } = bound;
        let poll = Poll::new()?;
        for (place, socket) in sockets.iter_mut().enumerate() {
            poll.registry().register(socket, Token(HOST_TOKENS + place), Interest::READABLE)?;
        }
        for (place, listener) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(SOCKET_TOKENS + place), Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            sockets,
            addresses,
            listeners,
            connections: BTreeMap::new(),
            next_connection: 0,
            lingering: VecDeque::new(),
            unfinished: Vec::new(),
            accept_again: None,
            start: Instant::now(),
            outbox: Outbox::new(),
            receiver: Some(Receiver::new()),
            sender: Sender::new(),
            buffer: vec![0; 64 * 1024].into_boxed_slice(),
            written: Vec::new(),
            lost: Vec::new(),
            drained: false,
        })
    }

    /// Registers a source of the host's; its token must be below [`HOST_TOKENS`].
    pub(crate) fn register(&self, source: &mut impl Source, token: usize) -> io::Result<()> {
        self.poll.registry().register(source, Token(token), Interest::READABLE)
    }

    /// The machine's time.
    fn now(&self) -> Tick {
        Tick::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Hands the machine its first inputs, and runs until it has drained.
    pub(crate) fn run(
        &mut self,
        machine: &mut impl Machine,
        host: &mut impl Host,
        first: Vec<Input<'static>>,
    ) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut wake = self.step(machine, host, Input::Timeout);
        for input in first {
            wake = self.step(machine, host, input);
        }
        while !self.drained {
            let timeout = self.timeout(wake, host.pulse());
            match self.poll.poll(&mut events, timeout) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => other?,
            }
            for token in std::mem::take(&mut self.unfinished) {
                wake = self.ready(token, machine, host, wake);
            }
            for event in &events {
                let token = event.token().0;
                if token < HOST_TOKENS {
                    for input in host.ready(token) {
                        wake = self.step(machine, host, input);
                    }
                    continue;
                }
                if token >= CONNECTION_TOKENS && event.is_writable() {
                    wake = self.writable((token - CONNECTION_TOKENS) as u64, machine, host, wake);
                }
                if event.is_readable() || event.is_read_closed() || event.is_error() {
                    wake = self.ready(token, machine, host, wake);
                }
            }
            self.end_lingering();
            if matches!(wake, Wake::At(at, _) if at <= self.now()) {
                wake = self.step(machine, host, Input::Timeout);
            }
        }
        self.flush_all();
        Ok(())
    }

    fn timeout(&mut self, wake: Wake, pulse: Option<Duration>) -> Option<Duration> {
        if !self.unfinished.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        if self.accept_again.is_some_and(|again| again <= now) {
            self.accept_again = None;
            self.unfinished.extend((0..self.listeners.len()).map(|place| SOCKET_TOKENS + place));
            return Some(Duration::ZERO);
        }
        let machine = match wake {
            Wake::Idle => None,
            Wake::At(at, _) => Some(at - self.now()),
        };
        let lingering = self.lingering.front().map(|(until, _)| until.saturating_duration_since(now));
        let accepting = self.accept_again.map(|again| again.saturating_duration_since(now));
        let earliest = [machine, lingering, accepting, pulse].into_iter().flatten().min()?;
        // The system waits in milliseconds: rounded up, or the loop would spin through the last one.
        Some(Duration::from_millis(u64::try_from(earliest.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)))
    }

    fn ready(&mut self, token: usize, machine: &mut impl Machine, host: &mut impl Host, wake: Wake) -> Wake {
        if token >= CONNECTION_TOKENS {
            self.readable((token - CONNECTION_TOKENS) as u64, machine, host, wake)
        } else if token >= SOCKET_TOKENS {
            self.accept(token - SOCKET_TOKENS, machine, host, wake)
        } else {
            self.receive(token - HOST_TOKENS, machine, host, wake)
        }
    }

    fn receive(
        &mut self,
        place: usize,
        machine: &mut impl Machine,
        host: &mut impl Host,
        mut wake: Wake,
    ) -> Wake {
        for _ in 0..BATCHES_A_TURN {
            let Some(socket) = self.sockets.get(place) else { return wake };
            let Some(mut receiver) = self.receiver.take() else { return wake };
            let full = receiver.receive(socket);
            let id = SocketId(place as u16);
            let datagrams: Vec<Datagram<'_>> =
                receiver.datagrams().map(|(from, bytes)| Datagram { socket: id, from, bytes }).collect();
            if let Some(own) = self.addresses.get(place).copied() {
                datagrams.iter().for_each(|datagram| host.passed(datagram.from, own, datagram.bytes));
            }
            if !datagrams.is_empty() {
                wake = self.step(machine, host, Input::Datagrams(&datagrams));
            }
            drop(datagrams);
            self.receiver = Some(receiver);
            if !full {
                return wake;
            }
        }
        self.unfinished.push(HOST_TOKENS + place);
        wake
    }

    fn accept(
        &mut self,
        place: usize,
        machine: &mut impl Machine,
        host: &mut impl Host,
        mut wake: Wake,
    ) -> Wake {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(listener) = self.listeners.get(place) else { return wake };
            let (mut stream, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return wake,
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {
                    continue;
                }
                // Out of file descriptors or memory: those waiting are taken when there is room again.
                Err(e) => {
                    tracing::warn!(error = %e, "accepting pauses");
                    self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
                    return wake;
                }
            };
            let id = self.next_connection;
            self.next_connection += 1;
            if let Err(e) = stream.set_nodelay(true) {
                tracing::debug!(error = %e, "TCP_NODELAY");
            }
            let token = Token(CONNECTION_TOKENS + id as usize);
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(e) = self.poll.registry().register(&mut stream, token, interest) {
                tracing::warn!(error = %e, "a connection cannot be watched");
                continue;
            }
            self.connections.insert(id, Connection::new(stream));
            let (listener, connection) = (ListenerId(place as u16), ConnectionId(id));
            wake = self.step(machine, host, Input::Accepted { listener, connection, peer });
        }
        self.unfinished.push(SOCKET_TOKENS + place);
        wake
    }

    fn readable(
        &mut self,
        id: u64,
        machine: &mut impl Machine,
        host: &mut impl Host,
        mut wake: Wake,
    ) -> Wake {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(connection) = self.connections.get_mut(&id) {
            if !connection.is_open() {
                if connection.discard(&mut buffer) == Verdict::Drop {
                    self.connections.remove(&id);
                }
                break;
            }
            match connection.read(&mut buffer) {
                Got::Bytes(length) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    wake = self.step(machine, host, Input::Received { connection: ConnectionId(id), bytes });
                    // A short read has emptied the socket: what comes later raises a new event.
                    if length < buffer.len() && self.connections.get(&id).is_some_and(Connection::is_open) {
                        break;
                    }
                }
                Got::Nothing => break,
                Got::End => {
                    self.connections.remove(&id);
                    wake = self.step(machine, host, Input::Lost { connection: ConnectionId(id) });
                }
            }
        }
        self.buffer = buffer;
        wake
    }

    fn writable(&mut self, id: u64, machine: &mut impl Machine, host: &mut impl Host, wake: Wake) -> Wake {
        let Some(connection) = self.connections.get_mut(&id) else { return wake };
        match connection.flush() {
            Ok(0) => wake,
            Ok(bytes) => {
                self.finish(id);
                let open = self.connections.get(&id).is_some_and(Connection::is_open);
                if !open {
                    return wake;
                }
                self.step(machine, host, Input::Written { connection: ConnectionId(id), bytes })
            }
            Err(_) => self.broke(id, machine, host, wake),
        }
    }

    fn broke(&mut self, id: u64, machine: &mut impl Machine, host: &mut impl Host, wake: Wake) -> Wake {
        match self.connections.remove(&id) {
            Some(connection) if connection.is_open() => {
                self.step(machine, host, Input::Lost { connection: ConnectionId(id) })
            }
            _ => wake,
        }
    }

    /// Hands one input in and does everything that comes of it.
    fn step(&mut self, machine: &mut impl Machine, host: &mut impl Host, input: Input<'_>) -> Wake {
        let mut wake = machine.handle(self.now(), input, &mut self.outbox);
        loop {
            self.perform(host);
            if let Some((connection, bytes)) = self.written.pop() {
                wake = machine.handle(self.now(), Input::Written { connection, bytes }, &mut self.outbox);
            } else if let Some(connection) = self.lost.pop() {
                wake = machine.handle(self.now(), Input::Lost { connection }, &mut self.outbox);
            } else {
                return wake;
            }
        }
    }

    /// Does what lies in the outbox: datagrams in batches, everything in order.
    fn perform(&mut self, host: &mut impl Host) {
        if self.outbox.is_empty() {
            return;
        }
        let outbox = std::mem::take(&mut self.outbox);
        let mut batch: Vec<(SocketAddr, &[u8])> = Vec::new();
        let mut batch_socket = SocketId(0);
        for output in outbox.outputs() {
            if let Output::Datagram { socket, to, bytes } = output {
                if socket != batch_socket {
                    self.send(batch_socket, &mut batch, host);
                    batch_socket = socket;
                }
                batch.push((to, bytes));
                continue;
            }
            self.send(batch_socket, &mut batch, host);
            match output {
                Output::Write { connection, bytes } => self.write(connection, bytes),
                Output::Close { connection, how } => self.close(connection, how),
                Output::Report(report) => host.report(report),
                Output::Drained => self.drained = true,
                _ => {}
            }
        }
        self.send(batch_socket, &mut batch, host);
        drop(batch);
        self.outbox = outbox;
        self.outbox.clear();
    }

    fn send(&mut self, socket: SocketId, batch: &mut Vec<(SocketAddr, &[u8])>, host: &mut impl Host) {
        let place = usize::from(socket.0);
        if let (Some(socket), Some(own), false) =
            (self.sockets.get(place), self.addresses.get(place), batch.is_empty())
        {
            batch.iter().for_each(|(to, bytes)| host.passed(*own, *to, bytes));
            self.sender.send(socket, batch);
        }
        batch.clear();
    }

    fn write(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id.0) else { return };
        match connection.write(bytes) {
            Ok(0) => {}
            Ok(length) => self.written.push((id, length)),
            Err(_) => {
                self.connections.remove(&id.0);
                self.lost.push(id);
            }
        }
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        match how {
            Close::Now => drop(self.connections.remove(&id.0)),
            Close::Flushed => {
                if let Some(connection) = self.connections.get_mut(&id.0) {
                    connection.close();
                }
                self.finish(id.0);
                // Bytes that came in before the close are thrown away in the next turn.
                self.unfinished.push(CONNECTION_TOKENS + id.0 as usize);
            }
        }
    }

    fn finish(&mut self, id: u64) {
        if let Some(until) = self.connections.get_mut(&id).and_then(Connection::try_finish) {
            self.lingering.push_back((until, id));
        }
    }

    fn end_lingering(&mut self) {
        let now = Instant::now();
        while let Some((until, id)) = self.lingering.front().copied() {
            if until > now {
                return;
            }
            self.lingering.pop_front();
            if self.connections.get(&id).is_some_and(|connection| connection.is_over(now)) {
                self.connections.remove(&id);
            }
        }
    }

    /// Before the end: what can still be written is.
    fn flush_all(&mut self) {
        for connection in self.connections.values_mut() {
            if let Err(e) = connection.flush() {
                tracing::debug!(error = %e, "a last answer was not written");
            }
        }
    }
}
