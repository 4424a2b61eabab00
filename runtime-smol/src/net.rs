//! Sockets and connections of one machine: a task each, which tell the loop what happens.

mod bound;
mod connection;
mod datagrams;
#[path = "../../runtime-mio/src/net/dial.rs"]
mod dial;
#[path = "../../runtime-mio/src/net/errors.rs"]
mod errors;
mod question;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};

use cordboard_core::io::{
    Close, ConnectionId, Datagram, Input, ListenerId, Outbox, Output, QueryId, SocketId, Wake,
};
use cordboard_core::{Controller, Tick};
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;
use smol::{Async, LocalExecutor, Timer};

use crate::backlog::Backlog;
pub(crate) use bound::Bound;
use connection::{Connection, Origin};
use question::Question;

/// How many events may wait for the loop; tasks that have more wait themselves.
const WAITING: usize = 1024;
/// After so many events what came of them is done, at the latest.
const EVENTS_AT_ONCE: usize = 64;
/// After running out of file descriptors, accepting pauses for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the last answers may take to be written, once the machine has drained.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a task tells the loop.
pub(crate) enum Event {
    /// A datagram came in.
    Datagram(SocketId, SocketAddr, Vec<u8>),
    /// A listener accepted a connection.
    Accepted(ListenerId, TcpStream, SocketAddr),
    /// A connection that core opened stands.
    Connected(ConnectionId),
    /// Bytes came in.
    Received(ConnectionId, Vec<u8>),
    /// So many bytes were written.
    Written(ConnectionId, usize),
    /// The peer closed the connection, or it broke, or could not be opened.
    Ended(ConnectionId),
    /// A datagram did not reach this address.
    Unreachable(SocketId, SocketAddr),
    /// A name server has answered.
    Answer(QueryId, Vec<u8>),
    /// A name server does not listen.
    Unanswered(QueryId),
    /// Something for the machine from outside of the network.
    Told(Input<'static>),
}

/// The loop that drives one controller.
pub(crate) struct Net<'e> {
    executor: Rc<LocalExecutor<'e>>,
    controller: Controller,
    outbox: Outbox,
    sockets: Vec<Rc<Async<UdpSocket>>>,
    connections: HashMap<ConnectionId, Connection>,
    questions: HashMap<QueryId, Question>,
    next: u64,
    start: Instant,
    wake: Wake,
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    /// Held by every connection that has something to write; the other end tells when none is left.
    alive: (Sender<()>, Receiver<()>),
    /// What came of doing what the machine said, to be told to it.
    news: Vec<Input<'static>>,
    backlog: Backlog,
    /// Whether there were datagrams among the events taken together last.
    has_datagrams: bool,
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
            questions: HashMap::new(),
            next: 0,
            start: Instant::now(),
            wake: Wake::Idle,
            sender,
            receiver,
            alive: smol::channel::bounded(1),
            news: Vec::new(),
            backlog: Backlog::new(Instant::now()),
            has_datagrams: false,
            drained: false,
        };
        for (place, socket) in net.sockets.iter().enumerate() {
            let (socket, sender) = (socket.clone(), net.sender.clone());
            net.executor.spawn(datagrams::receive(SocketId(place as u16), socket, sender)).detach();
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
            // A stream that always has more delays nobody else by more than its turn.
            let nothing_waits = self.receiver.is_empty() || !std::mem::take(&mut self.has_datagrams);
            let event = self.next_event().await;
            if nothing_waits {
                if self.backlog.rest() {
                    self.hand_in(Input::Behind(Duration::ZERO));
                }
                self.backlog.begin(Instant::now());
            }
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
        self.backlog.took(1);
        match event {
            Event::Datagram(socket, from, bytes) => {
                self.has_datagrams = true;
                self.hand_in(Input::Datagram(Datagram { socket, from, bytes: &bytes }));
            }
            Event::Accepted(listener, stream, peer) => {
                let connection = ConnectionId(self.next);
                self.next += 1;
                match self.start(connection, stream, Origin::Accepted) {
                    Ok(()) => self.hand_in(Input::Accepted { listener, connection, peer }),
                    Err(error) => tracing::warn!(%error, "a connection cannot be used"),
                }
            }
            Event::Connected(connection) if self.connections.contains_key(&connection) => {
                self.hand_in(Input::Connected { connection });
            }
            Event::Received(connection, bytes) if self.connections.contains_key(&connection) => {
                if let Some(behind) = self.backlog.news(Instant::now()) {
                    self.hand_in(Input::Behind(behind));
                }
                self.hand_in(Input::Received { connection, bytes: &bytes });
            }
            Event::Written(connection, bytes) if self.connections.contains_key(&connection) => {
                self.hand_in(Input::Written { connection, bytes });
            }
            Event::Ended(connection) if self.connections.contains_key(&connection) => {
                // The answer to the last bytes goes out before nobody knows the connection any more.
                self.perform();
                if let Some(open) = self.connections.remove(&connection) {
                    open.close(Close::Flushed, &self.executor);
                    self.hand_in(Input::Lost { connection });
                }
            }
            Event::Unreachable(socket, to) => self.hand_in(Input::Unreachable { socket, to }),
            Event::Answer(query, bytes) if self.questions.contains_key(&query) => {
                self.hand_in(Input::Answer { query, bytes: &bytes });
            }
            Event::Unanswered(query) if self.questions.contains_key(&query) => {
                self.hand_in(Input::Unanswered { query });
            }
            // Of what the machine has forgotten it wants to hear nothing.
            Event::Connected(_) | Event::Received(..) | Event::Written(..) | Event::Ended(_) => {}
            Event::Answer(..) | Event::Unanswered(_) => {}
            Event::Told(input) => self.hand_in(input),
        }
    }

    /// Does everything that the machine said, and what it says to what came of that.
    fn perform(&mut self) {
        while !self.outbox.is_empty() {
            self.perform_once();
            for input in std::mem::take(&mut self.news) {
                self.hand_in(input);
            }
        }
        crate::log::flush();
    }

    /// Does what lies in the outbox.
    fn perform_once(&mut self) {
        let mut outbox = std::mem::take(&mut self.outbox);
        while let Some(output) = outbox.pop() {
            match output {
                Output::Datagram { socket, to, bytes, .. } => self.send(socket, to, bytes),
                Output::Write { connection, bytes } => {
                    self.write(connection, bytes);
                }
                Output::Close { connection, how } => {
                    if let Some(connection) = self.connections.remove(&connection) {
                        connection.close(how, &self.executor);
                    }
                }
                Output::Report(report) => crate::log::write(report),
                Output::Connect { connection, from, to } => self.open(connection, from, to),
                Output::Query { query, server, bytes } => {
                    if let Err(error) = self.ask(query, server, bytes) {
                        tracing::debug!(query = query.0, %server, %error, "asking a name server");
                        self.news.push(Input::Unanswered { query });
                    }
                }
                Output::QueryOver { query } => drop(self.questions.remove(&query)),
                Output::Drained => self.drained = true,
                other => tracing::error!(?other, "this runtime cannot do what core asks for"),
            }
        }
        outbox.clear();
        self.outbox = outbox;
    }

    fn send(&mut self, id: SocketId, to: SocketAddr, bytes: &[u8]) {
        let Some(socket) = self.sockets.get(usize::from(id.0)) else { return };
        let mut unreachable = Vec::new();
        datagrams::send(socket.get_ref(), to, bytes, &mut unreachable);
        self.news.extend(unreachable.into_iter().map(|to| Input::Unreachable { socket: id, to }));
    }

    fn start(&mut self, id: ConnectionId, stream: TcpStream, origin: Origin) -> io::Result<()> {
        let alive = self.alive.0.clone();
        let connection = Connection::start(id, (stream, origin), &self.executor, &self.sender, alive)?;
        self.connections.insert(id, connection);
        Ok(())
    }

    fn open(&mut self, id: ConnectionId, from: IpAddr, to: SocketAddr) {
        let begun = dial::connect(from, to).and_then(|stream| self.start(id, stream, Origin::Opened));
        if let Err(error) = begun {
            tracing::debug!(connection = id.0, %from, %to, %error, "opening a connection");
            self.news.push(Input::Lost { connection: id });
        }
    }

    fn write(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some(connection) = self.connections.get(&id) else { return };
        if let Err(error) = connection.write(bytes) {
            tracing::debug!(connection = id.0, %error, "writing");
            // To drop it closes it.
            self.connections.remove(&id);
            self.news.push(Input::Lost { connection: id });
        }
    }

    fn ask(&mut self, query: QueryId, server: SocketAddr, message: &[u8]) -> io::Result<()> {
        // Another server gets another port: the old one's address may not even lead there.
        if !self.questions.get(&query).is_some_and(|question| question.is_to(server)) {
            self.questions.remove(&query);
            let question = Question::new(query, server, &self.executor, &self.sender)?;
            self.questions.insert(query, question);
        }
        self.questions.get(&query).map_or(Ok(()), |question| question.ask(message))
    }

    /// After the last call: what waits is written, for a bounded time.
    async fn bid_farewell(&mut self) {
        for (_, connection) in std::mem::take(&mut self.connections) {
            connection.close(Close::Flushed, &self.executor);
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

#[cfg(test)]
mod tests;
