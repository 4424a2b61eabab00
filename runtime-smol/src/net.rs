//! Sockets and connections of one machine: a task each, which tell the loop what happens.

mod connection;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use cordboard_core::io::{Close, ConnectionId, Datagram, Input, ListenerId, Outbox, Output, SocketId, Wake};
use cordboard_core::{Controller, Tick};
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;
use smol::{Async, LocalExecutor, Timer};

use connection::Connection;

/// How many events may wait for the loop; tasks that have more wait themselves.
const WAITING: usize = 1024;
/// After so many events what came of them is done, at the latest.
const EVENTS_AT_ONCE: usize = 64;
/// The longest datagram there is.
const LONGEST: usize = 65_536;
/// After running out of file descriptors, accepting pauses for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the last answers may take to be written, once the machine has drained.
const FAREWELL: Duration = Duration::from_secs(2);
/// What is asked for as socket buffers.
const SOCKET_BUFFER: usize = 1 << 20;

/// What a task tells the loop.
pub(crate) enum Event {
    /// A datagram came in.
    Datagram(SocketId, SocketAddr, Vec<u8>),
    /// A listener accepted a connection.
    Accepted(ListenerId, TcpStream, SocketAddr),
    /// Bytes came in.
    Received(ConnectionId, Vec<u8>),
    /// So many bytes were written.
    Written(ConnectionId, usize),
    /// The peer closed the connection, or it broke.
    Ended(ConnectionId),
    /// Something for the machine from outside of the network.
    Told(Input<'static>),
}

/// Sockets and listeners that are bound and not driven yet.
pub(crate) struct Bound {
    sockets: Vec<UdpSocket>,
    listeners: Vec<TcpListener>,
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
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A system that gives less gives what it can.
    drop(socket.set_recv_buffer_size(SOCKET_BUFFER));
    drop(socket.set_send_buffer_size(SOCKET_BUFFER));
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// The loop that drives one controller.
pub(crate) struct Net<'e> {
    executor: Rc<LocalExecutor<'e>>,
    controller: Controller,
    outbox: Outbox,
    sockets: Vec<Rc<Async<UdpSocket>>>,
    connections: HashMap<ConnectionId, Connection>,
    next: u64,
    start: Instant,
    wake: Wake,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    /// Held by every connection that has something to write; the other end tells when none is left.
    alive: (Sender<()>, Receiver<()>),
    drained: bool,
}

impl<'e> Net<'e> {
    /// A loop over bound sockets; its tasks run on this executor.
    pub(crate) fn new(
        executor: Rc<LocalExecutor<'e>>,
        controller: Controller,
        bound: Bound,
    ) -> io::Result<Self> {
        let (sender, receiver) = smol::channel::bounded(WAITING);
        let sockets = bound.sockets.into_iter().map(|socket| Async::new(socket).map(Rc::new));
        let net = Self {
            executor,
            controller,
            outbox: Outbox::new(),
            sockets: sockets.collect::<io::Result<_>>()?,
            connections: HashMap::new(),
            next: 0,
            start: Instant::now(),
            wake: Wake::Idle,
            sender,
            receiver,
            alive: smol::channel::bounded(1),
            drained: false,
        };
        for (place, socket) in net.sockets.iter().enumerate() {
            let (socket, sender) = (socket.clone(), net.sender.clone());
            net.executor.spawn(receive(SocketId(place as u16), socket, sender)).detach();
        }
        for (place, listener) in bound.listeners.into_iter().enumerate() {
            let listener = Async::new(listener)?;
            net.executor.spawn(accept(ListenerId(place as u16), listener, net.sender.clone())).detach();
        }
        Ok(net)
    }

    /// Where whoever has something to tell the machine sends it.
    pub(crate) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// Runs until the machine has drained.
    pub(crate) async fn run(&mut self, first: Vec<Input<'static>>) {
        self.hand_in(Input::Timeout);
        first.into_iter().for_each(|input| self.hand_in(input));
        self.perform();
        while !self.drained {
            let event = self.next_event().await;
            if let Some(event) = event {
                self.take(event);
            }
            for _ in 1..EVENTS_AT_ONCE {
                let Ok(event) = self.receiver.try_recv() else { break };
                self.take(event);
            }
            if matches!(self.wake, Wake::At(at, _) if at <= self.tick()) {
                self.hand_in(Input::Timeout);
            }
            self.perform();
        }
        self.bid_farewell().await;
    }

    /// The next event, or none if the time has come first.
    async fn next_event(&self) -> Option<Event> {
        let event = async { self.receiver.recv().await.ok() };
        match self.wake {
            Wake::Idle => event.await,
            Wake::At(at, _) => {
                let at = self.start + Duration::from_micros(at.as_micros());
                let time = async {
                    Timer::at(at).await;
                    None
                };
                event.or(time).await
            }
        }
    }

    fn tick(&self) -> Tick {
        Tick::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn hand_in(&mut self, input: Input<'_>) {
        self.wake = self.controller.handle(self.tick(), input, &mut self.outbox);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Datagram(socket, from, bytes) => {
                self.hand_in(Input::Datagram(Datagram { socket, from, bytes: &bytes }));
            }
            Event::Accepted(listener, stream, peer) => {
                let id = ConnectionId(self.next);
                self.next += 1;
                match Connection::open(id, stream, &self.executor, &self.sender, self.alive.0.clone()) {
                    Ok(connection) => {
                        self.connections.insert(id, connection);
                        self.hand_in(Input::Accepted { listener, connection: id, peer });
                    }
                    Err(error) => tracing::warn!(%error, "a connection cannot be used"),
                }
            }
            Event::Received(connection, bytes) if self.connections.contains_key(&connection) => {
                self.hand_in(Input::Received { connection, bytes: &bytes });
            }
            Event::Written(connection, bytes) if self.connections.contains_key(&connection) => {
                self.hand_in(Input::Written { connection, bytes });
            }
            Event::Ended(connection) if self.connections.contains_key(&connection) => {
                // The answer to the last bytes goes out before nobody knows the connection any more.
                self.perform();
                if let Some(open) = self.connections.remove(&connection) {
                    open.close(Close::Flushed);
                    self.hand_in(Input::Lost { connection });
                }
            }
            Event::Received(..) | Event::Written(..) | Event::Ended(_) => {}
            Event::Told(input) => self.hand_in(input),
        }
    }

    /// Does what lies in the outbox.
    fn perform(&mut self) {
        let mut outbox = std::mem::take(&mut self.outbox);
        while let Some(output) = outbox.pop() {
            match output {
                Output::Datagram { socket, to, bytes } => self.send(socket, to, bytes),
                Output::Write { connection, bytes } => {
                    if let Some(connection) = self.connections.get(&connection) {
                        connection.write(bytes);
                    }
                }
                Output::Close { connection, how } => {
                    if let Some(connection) = self.connections.remove(&connection) {
                        connection.close(how);
                    }
                }
                Output::Report(report) => crate::log::write(report),
                Output::Drained => self.drained = true,
                other => tracing::error!(?other, "this runtime cannot do what core asks for"),
            }
        }
        outbox.clear();
        self.outbox = outbox;
    }

    fn send(&self, socket: SocketId, to: SocketAddr, bytes: &[u8]) {
        let Some(socket) = self.sockets.get(usize::from(socket.0)) else { return };
        // What the system has no room for is lost, as on the way: SIP sends it again.
        if let Err(error) = socket.get_ref().send_to(bytes, to) {
            tracing::debug!(%error, %to, "a datagram is lost");
        }
    }

    /// After the last call: what waits is written, for a bounded time.
    async fn bid_farewell(&mut self) {
        for (_, connection) in std::mem::take(&mut self.connections) {
            connection.close(Close::Flushed);
        }
        let (alive, gone) = std::mem::replace(&mut self.alive, smol::channel::bounded(1));
        drop(alive);
        let written = async {
            // Nothing is ever sent: this ends when nobody could.
            while gone.recv().await.is_ok() {}
        };
        let time = async {
            Timer::after(FAREWELL).await;
        };
        written.or(time).await;
    }
}

async fn receive(id: SocketId, socket: Rc<Async<UdpSocket>>, sender: Sender<Event>) {
    let mut buffer = vec![0; LONGEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                if sender.send(Event::Datagram(id, from, bytes)).await.is_err() {
                    return;
                }
            }
            // An error of an earlier datagram (RFC 1122 §4.1.3.3) is told here, and says nothing of the socket.
            Err(error) => tracing::debug!(%error, "receiving a datagram"),
        }
    }
}

async fn accept(id: ListenerId, listener: Async<TcpListener>, sender: Sender<Event>) {
    loop {
        match listener.read_with(TcpListener::accept).await {
            Ok((stream, peer)) => {
                if sender.send(Event::Accepted(id, stream, peer)).await.is_err() {
                    return;
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            Err(error) => {
                tracing::warn!(%error, "accepting connections pauses");
                Timer::after(ACCEPT_PAUSE).await;
            }
        }
    }
}
