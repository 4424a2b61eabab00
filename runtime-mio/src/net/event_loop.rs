//! The loop: waits for sockets, time and signals, hands them to the machine, and does what it says.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cordboard_core::io::{
    ConnectionId, Datagram, Input, ListenerId, Output, Parcel, QueryId, SocketId, Wake, WorkerId,
};
use cordboard_core::{Report, Tick};
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Interest, Token, event};

use super::Machine;
use super::bound::Bound;
use super::connections::{Arrival, Connections};
use super::desk::Desk;
use super::pace::Pace;
use super::queries::{Queries, Reply};
use super::readiness::{Readiness, Ready};
use super::team::{self, Letter, Seat};
use super::throttle::Throttle;
use super::tokens::Source;
use super::udp::{Arrivals, Headers, Port, Rest};
use crate::backlog::Backlog;

/// What the loop does besides driving the machine.
pub(crate) trait Host {
    /// A source that the host registered is ready. What is to be handed to the machine is returned.
    fn ready(&mut self, token: usize) -> Vec<Input<'static>>;
    /// The machine wants this in the log.
    fn report(&mut self, report: &Report);
    /// Called at the start, and again when the time that it returned last is over; nothing by default.
    fn pulse(&mut self) -> Option<Duration> {
        None
    }
    /// A turn is over: everything that had come in is done. Nothing by default.
    fn turned(&mut self) {}
    /// A datagram passes, in or out.
    fn passed(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]);
}

/// How many batches of datagrams one socket may bring before the others have their turn.
const BATCHES_A_TURN: usize = 8;
/// How many connections one listener may bring in a turn.
const ACCEPTS_A_TURN: usize = 64;
/// How often one connection, or one name server's socket, may be read in a turn.
const READS_A_TURN: usize = 4;
/// How many bytes are read at once.
const READ: usize = 64 * 1024;
/// After so many inputs what came of them is done, at the latest.
const INPUTS_AT_ONCE: usize = 64;
/// After running out of file descriptors, accepting pauses for so long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// So long at most datagrams wait for the streams of one turn.
const PATIENCE: Duration = Duration::from_micros(300);
/// How long the last answers may take to be written, once the machine has drained.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sockets, connections and the clock of one machine.
pub(crate) struct EventLoop<M> {
    readiness: Readiness,
    seat: Seat<M>,
    /// Until the machine is there, who has them at its desk.
    ports: Vec<Port>,
    /// Connections of HTTP that were ever taken.
    taken: usize,
    listeners: Vec<TcpListener>,
    /// The number of the first listener, and how many of them, from 0 on, are for all workers.
    first_listener: usize,
    shared_listeners: usize,
    connections: Connections,
    queries: Queries,
    /// What may have more than was taken in its last turn.
    unfinished: Vec<Source>,
    backlog: Backlog,
    pace: Pace,
    /// When datagrams were taken last.
    received: Instant,
    accept_again: Option<Instant>,
    next_pulse: Option<Instant>,
    pulse_every: Option<Duration>,
    start: Instant,
    /// The time of this turn.
    now: Instant,
    /// Inputs handed in since the outbox was emptied last.
    inputs: usize,
    /// Inputs handed in during this turn.
    turn_inputs: usize,
    /// What came of doing what the machine said, to be told to it.
    news: VecDeque<Input<'static>>,
    /// Whether something was left in our own mailbox by ourselves.
    own_mail: bool,
    /// For each port.
    inbound: Vec<Headers>,
    outbound: Headers,
    arrivals: Arrivals,
    buffer: Box<[u8]>,
    pauses: Throttle,
    drained: bool,
}

/// The place of a loop among those of a service, which a thread can be started with.
pub(crate) struct Place<M> {
    bound: Bound,
    readiness: Readiness,
    seat: Seat<M>,
    first_listener: usize,
    shared_listeners: usize,
}

impl<M: Machine> Place<M> {
    /// The places of workers, each with its own bound sockets and room for so many connections of HTTP. The first has all
    /// listeners; what it accepts there by HTTP it deals out to those with room. The others lack those of HTTP.
    pub(crate) fn team(workers: Vec<(Bound, usize)>) -> io::Result<Vec<Self>> {
        let all = workers.iter().map(|_| Readiness::new()).collect::<io::Result<Vec<_>>>()?;
        let rooms: Vec<_> =
            all.iter().zip(&workers).map(|(its, (_, room))| (its.registry(), *room)).collect();
        let seats = team::seats(&rooms, Instant::now())?;
        let listeners = |at: usize| workers.get(at).map(|(bound, _)| bound.listeners.len());
        let most = listeners(0).unwrap_or(0);
        let shared_listeners = most - listeners(1).unwrap_or(most);
        let places = workers.into_iter().zip(all).zip(seats).enumerate();
        Ok(places
            .map(|(at, (((bound, _), readiness), seat))| {
                let first_listener = if at == 0 { 0 } else { shared_listeners };
                Self { bound, readiness, seat, first_listener, shared_listeners }
            })
            .collect())
    }

    /// The loop, in the thread that it is to run in.
    pub(crate) fn take(self) -> io::Result<EventLoop<M>> {
        EventLoop::at(self)
    }
}

/// Who is driven.
struct Driven<'a, M, H> {
    desk: &'a mut Desk<M>,
    host: &'a mut H,
}

impl<M: Machine> EventLoop<M> {
    /// A loop over bound sockets.
    pub(crate) fn new(bound: Bound) -> io::Result<Self> {
        let mut alone = Place::team(vec![(bound, usize::MAX)])?;
        alone.pop().ok_or_else(|| io::Error::other("there is no loop"))?.take()
    }

    fn at(place: Place<M>) -> io::Result<Self> {
        let Place { bound, readiness, seat, first_listener, shared_listeners } = place;
        let Bound { sockets, addresses, mut listeners, .. } = bound;
        let ports = sockets.into_iter().zip(addresses).enumerate().map(|(place, (socket, address))| {
            Port::new(socket, address, readiness.of_datagrams(), Source::Port(place).token())
        });
        let ports = ports.collect::<io::Result<Vec<_>>>()?;
        for (place, listener) in listeners.iter_mut().enumerate() {
            readiness.registry().register(listener, Source::Listener(place).token(), Interest::READABLE)?;
        }
        let now = seat.start();
        Ok(Self {
            readiness,
            seat,
            inbound: ports.iter().map(|_| Headers::new()).collect(),
            outbound: Headers::new(),
            ports,
            taken: 0,
            listeners,
            first_listener,
            shared_listeners,
            connections: Connections::default(),
            queries: Queries::default(),
            unfinished: Vec::new(),
            backlog: Backlog::new(now),
            pace: Pace::new(now),
            received: now,
            accept_again: None,
            next_pulse: None,
            pulse_every: None,
            start: now,
            now,
            inputs: 0,
            turn_inputs: 0,
            news: VecDeque::new(),
            own_mail: false,
            arrivals: Arrivals::new(),
            buffer: vec![0; READ].into_boxed_slice(),
            pauses: Throttle::default(),
            drained: false,
        })
    }

    /// Registers a source of the host's; its token must be below [`HOST_TOKENS`](super::tokens::HOST_TOKENS).
    pub(crate) fn register(&self, source: &mut impl event::Source, token: usize) -> io::Result<()> {
        self.readiness.registry().register(source, Token(token), Interest::READABLE)
    }

    /// Hands a machine its first inputs, and runs until it has drained.
    pub(crate) fn run<H: Host>(
        &mut self,
        machine: M,
        host: &mut H,
        first: Vec<Input<'static>>,
    ) -> io::Result<()> {
        let seat = self.seat.clone();
        let mut desk = Desk::new(machine, std::mem::take(&mut self.ports));
        let mut ready = Ready::new();
        self.now = Instant::now();
        self.pulse(host);
        let mut driven = Driven { desk: &mut desk, host };
        self.hand_in(&mut driven, Input::Timeout);
        first.into_iter().for_each(|input| self.hand_in(&mut driven, input));
        self.settle(&mut driven);
        let mut wake = desk.await_wake();
        seat.set_desk(Some(desk));
        while !self.drained {
            self.pace.took(std::mem::take(&mut self.turn_inputs), self.now);
            let timeout = self.timeout(wake);
            self.wait(&mut ready, timeout)?;
            wake = self.sit_down(&seat, host, |own, driven| own.turn(&ready, driven));
            host.turned();
        }
        seat.set_desk(None);
        self.bid_farewell(&mut ready)
    }

    /// Does something at our desk, and says when the machine wants to be called then.
    fn sit_down<H: Host>(
        &mut self,
        seat: &Seat<M>,
        host: &mut H,
        work: impl FnOnce(&mut Self, &mut Driven<'_, M, H>),
    ) -> Wake {
        let mut desk = seat.desk();
        let Some(desk) = desk.as_deref_mut().and_then(Option::as_mut) else { return Wake::Idle };
        work(self, &mut Driven { desk, host });
        desk.await_wake()
    }

    fn wait(&mut self, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.seat.may_sleep() { timeout } else { Some(Duration::ZERO) };
        let waited = match self.pace.gathers(self.received.elapsed()) {
            Some(left) if self.unfinished.is_empty() => {
                let timeout = timeout.map_or(left, |timeout| timeout.min(left));
                self.readiness.wait_for_streams(ready, timeout)
            }
            _ => self.readiness.wait(ready, timeout),
        };
        self.seat.is_awake();
        waited?;
        self.now = Instant::now();
        // A stream that always has more delays nobody else by more than its turn.
        if !self.leaves_datagrams() {
            self.backlog.begin(self.now);
        }
        Ok(())
    }

    /// Whether datagrams were left in a socket.
    fn leaves_datagrams(&self) -> bool {
        self.unfinished.iter().any(|source| matches!(source, Source::Port(_)))
    }

    /// Tells the machine for how long there has been more to do than was done, if that has changed.
    fn tell_behind<H: Host>(&mut self, driven: &mut Driven<'_, M, H>) {
        if let Some(behind) = self.backlog.news(Instant::now()) {
            self.hand_in(driven, Input::Behind(behind));
        }
    }

    /// Takes what has come in, from each source for a bounded time, and does what has become due. Streams come before
    /// datagrams: whoever asks by HTTP waits for the answer.
    fn turn<H: Host>(&mut self, ready: &Ready, driven: &mut Driven<'_, M, H>) {
        self.read_letters(driven);
        let (ports, streams): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unfinished)
            .into_iter()
            .partition(|source| matches!(source, Source::Port(_)));
        // What a socket has left is of calls in progress, and the system's room for it ends: it comes before new calls.
        ports.into_iter().for_each(|source| self.readable(source, true, driven));
        for source in streams {
            self.readable(source, true, driven);
            self.interleave(driven);
        }
        for event in ready.streams() {
            self.ready(event, driven);
            self.interleave(driven);
        }
        ready.datagrams().for_each(|event| self.ready(event, driven));
        // An answer that is there already comes before the timer that waits for it.
        if matches!(driven.desk.wake(), Wake::At(at, _) if at <= self.tick()) {
            self.hand_in(driven, Input::Timeout);
        }
        // Whoever stands in for us cannot tell that nothing waits any more.
        if !self.leaves_datagrams() && self.backlog.rest() {
            self.hand_in(driven, Input::Behind(Duration::ZERO));
        }
        self.settle(driven);
        while std::mem::take(&mut self.own_mail) {
            self.read_letters(driven);
            self.settle(driven);
        }
        self.seat.have(self.taken, driven.desk.connections());
        self.connections.expire(self.now);
        if self.next_pulse.is_some_and(|next| next <= self.now) {
            self.pulse(driven.host);
        }
    }

    /// Takes datagrams while many streams have their turn, so that the system's room for them does not run out.
    fn interleave<H: Host>(&mut self, driven: &mut Driven<'_, M, H>) {
        if self.now.max(self.received).elapsed() >= PATIENCE {
            for place in 0..driven.desk.ports.len() {
                self.readable(Source::Port(place), false, driven);
            }
        }
    }

    fn ready<H: Host>(&mut self, event: &Event, driven: &mut Driven<'_, M, H>) {
        let source = Source::of(event.token());
        match source {
            Source::Host(token) => {
                for input in driven.host.ready(token) {
                    self.seat.post_all(|| copy(&input).map(Letter::Input));
                    self.hand_in(driven, input);
                }
                return;
            }
            Source::Connection(id) if event.is_writable() || event.is_error() => self.writable(id, driven),
            _ => {}
        }
        let ended = event.is_read_closed() || event.is_error();
        if event.is_readable() || ended {
            self.readable(source, ended, driven);
        }
    }

    /// Takes what other workers have left.
    fn read_letters<H: Host>(&mut self, driven: &mut Driven<'_, M, H>) {
        for letter in self.seat.letters() {
            match letter {
                Letter::Parcel(parcel) => {
                    self.tell_behind(driven);
                    self.hand_in(driven, Input::Handover(parcel));
                }
                Letter::Input(input) => self.hand_in(driven, input),
                Letter::Stream { listener, stream, peer } => {
                    match self.connections.adopt(stream, self.readiness.registry()) {
                        Ok(connection) => {
                            self.taken += 1;
                            self.hand_in(driven, Input::Accepted { listener, connection, peer });
                        }
                        Err(error) => {
                            self.taken += 1;
                            tracing::warn!(%error, "a connection cannot be used");
                        }
                    }
                }
                Letter::Beat => {}
                Letter::Drained => self.drained = true,
            }
        }
    }

    fn writable<H: Host>(&mut self, id: ConnectionId, driven: &mut Driven<'_, M, H>) {
        if let Some(input) = self.connections.establish(id) {
            self.hand_in(driven, input);
        }
        self.news.extend(self.connections.flush(id, self.now));
    }

    fn pulse(&mut self, host: &mut impl Host) {
        // Who watches the service is told that it lives only if every worker does.
        if self.pulse_every.is_none() || self.seat.all_beat() {
            self.pulse_every = host.pulse();
        } else {
            tracing::warn!("a worker has not answered since the last pulse");
        }
        self.next_pulse = self.pulse_every.and_then(|after| self.now.checked_add(after));
    }

    /// The machine's time.
    fn tick(&self) -> Tick {
        Tick::from_micros(u64::try_from((self.now - self.start).as_micros()).unwrap_or(u64::MAX))
    }

    /// How long nothing is to be done unless something comes in; `None` for ever.
    fn timeout(&mut self, wake: Wake) -> Option<Duration> {
        let now = Instant::now();
        if self.accept_again.is_some_and(|again| again <= now) {
            self.accept_again = None;
            self.unfinished.extend((0..self.listeners.len()).map(Source::Listener));
        }
        if !self.unfinished.is_empty() {
            return Some(Duration::ZERO);
        }
        let machine = match wake {
            Wake::Idle => None,
            Wake::At(at, _) => self.start.checked_add(Duration::from_micros(at.as_micros())),
        };
        let times = [machine, self.connections.next_end(), self.accept_again, self.next_pulse];
        let left = times.into_iter().flatten().min()?.saturating_duration_since(now);
        // The system waits in milliseconds: rounded up, or the loop would spin through the last one.
        Some(Duration::from_millis(u64::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)))
    }

    /// Takes what came in; `ended` if a short read does not mean that nothing is left, because the end may be.
    fn readable<H: Host>(&mut self, source: Source, ended: bool, driven: &mut Driven<'_, M, H>) {
        let rest = match source {
            Source::Connection(id) => self.read(id, ended, driven),
            Source::Listener(place) => self.accept(place, driven),
            Source::Port(place) if ended && self.receive_errors(place, driven.desk) == Rest::Perhaps => {
                self.receive(place, driven);
                Rest::Perhaps
            }
            Source::Port(place) => self.receive(place, driven),
            Source::Query(query) => self.hear(query, driven),
            Source::Host(_) | Source::Mailbox => Rest::Nothing,
        };
        if matches!(source, Source::Port(_)) {
            // In one turn it may be read several times, and the last one counts.
            self.unfinished.retain(|other| *other != source);
        }
        if rest == Rest::Perhaps {
            self.unfinished.push(source);
        }
    }

    /// Takes what ICMP has said of the datagrams of a socket.
    fn receive_errors(&mut self, place: usize, desk: &mut Desk<M>) -> Rest {
        let rest = desk.ports.get_mut(place).map_or(Rest::Nothing, Port::receive_errors);
        self.take_unreachable(desk);
        rest
    }

    fn take_unreachable(&mut self, desk: &mut Desk<M>) {
        for (place, port) in desk.ports.iter_mut().enumerate() {
            let socket = SocketId(place as u16);
            self.news.extend(port.unreachable().map(|to| Input::Unreachable { socket, to }));
        }
    }

    /// Takes what a name server says.
    fn hear<H: Host>(&mut self, query: QueryId, driven: &mut Driven<'_, M, H>) -> Rest {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut rest = Rest::Perhaps;
        for _ in 0..READS_A_TURN {
            match self.queries.receive(query, &mut buffer) {
                Reply::Bytes(length) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    self.hand_in(driven, Input::Answer { query, bytes });
                }
                Reply::Refused => self.hand_in(driven, Input::Unanswered { query }),
                Reply::Nothing => {
                    rest = Rest::Nothing;
                    break;
                }
            }
        }
        self.buffer = buffer;
        rest
    }

    fn receive<H: Host>(&mut self, place: usize, driven: &mut Driven<'_, M, H>) -> Rest {
        let mut arrivals = std::mem::take(&mut self.arrivals);
        let mut rest = Rest::Perhaps;
        self.received = Instant::now();
        for _ in 0..BATCHES_A_TURN {
            let Some(port) = driven.desk.ports.get_mut(place) else { break };
            let Some(headers) = self.inbound.get_mut(place) else { break };
            rest = port.receive(headers, &mut arrivals);
            let (own, socket) = (port.address(), SocketId(place as u16));
            let datagrams: Vec<Datagram<'_>> =
                arrivals.datagrams().map(|(from, bytes)| Datagram { socket, from, bytes }).collect();
            datagrams.iter().for_each(|datagram| driven.host.passed(datagram.from, own, datagram.bytes));
            if !datagrams.is_empty() {
                self.inputs += datagrams.len();
                self.turn_inputs += datagrams.len();
                self.backlog.took(datagrams.len());
                self.hand_in(driven, Input::Datagrams(&datagrams));
            }
            if rest == Rest::Nothing {
                break;
            }
        }
        self.arrivals = arrivals;
        rest
    }

    fn accept<H: Host>(&mut self, place: usize, driven: &mut Driven<'_, M, H>) -> Rest {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(listener) = self.listeners.get(place) else { return Rest::Nothing };
            let id = ListenerId((self.first_listener + place) as u16);
            let shared = usize::from(id.0) < self.shared_listeners;
            let accepted = match listener.accept() {
                Ok((stream, peer)) => {
                    if shared && let Some(other) = self.seat.deal() {
                        self.seat.post(other, Letter::Stream { listener: id, stream, peer });
                        continue;
                    }
                    self.taken += usize::from(shared);
                    self.connections
                        .adopt(stream, self.readiness.registry())
                        .map(|connection| (connection, peer))
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Rest::Nothing,
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {
                    continue;
                }
                Err(e) => Err(e),
            };
            match accepted {
                Ok((connection, peer)) => {
                    let listener = id;
                    self.hand_in(driven, Input::Accepted { listener, connection, peer });
                }
                // Out of file descriptors or memory: those waiting are taken when there is room again.
                Err(error) => {
                    if let Some(times) = self.pauses.admit(self.now, 1) {
                        tracing::warn!(%error, times, "accepting connections pauses");
                    }
                    self.accept_again = Some(self.now + ACCEPT_PAUSE);
                    return Rest::Nothing;
                }
            }
        }
        Rest::Perhaps
    }

    fn read<H: Host>(&mut self, id: ConnectionId, ended: bool, driven: &mut Driven<'_, M, H>) -> Rest {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut rest = Rest::Perhaps;
        for _ in 0..READS_A_TURN {
            match self.connections.read(id, &mut buffer) {
                Arrival::Bytes(length) => {
                    self.tell_behind(driven);
                    let bytes = buffer.get(..length).unwrap_or_default();
                    self.hand_in(driven, Input::Received { connection: id, bytes });
                    // A short read has emptied the socket: what comes later raises a new event.
                    if length < buffer.len() && !ended {
                        rest = Rest::Nothing;
                        break;
                    }
                }
                Arrival::Discarded => {}
                Arrival::End => {
                    // The answer to the last bytes goes out before nobody knows the connection any more.
                    self.settle(driven);
                    if self.connections.end(id, self.now) {
                        self.hand_in(driven, Input::Lost { connection: id });
                    }
                    rest = Rest::Nothing;
                    break;
                }
                Arrival::Lost => {
                    self.hand_in(driven, Input::Lost { connection: id });
                    rest = Rest::Nothing;
                    break;
                }
                Arrival::Nothing => {
                    rest = Rest::Nothing;
                    break;
                }
            }
        }
        self.buffer = buffer;
        rest
    }

    /// Hands one input in. What comes of it is done with that of others, together and in order.
    fn hand_in<H: Host>(&mut self, driven: &mut Driven<'_, M, H>, input: Input<'_>) {
        driven.desk.handle(self.tick(), input);
        self.inputs += 1;
        self.turn_inputs += 1;
        self.backlog.took(1);
        if self.inputs >= INPUTS_AT_ONCE {
            self.settle(driven);
        }
    }

    /// Does everything that the machine said, and what it says to that.
    fn settle<H: Host>(&mut self, driven: &mut Driven<'_, M, H>) {
        loop {
            self.inputs = 0;
            self.perform(driven);
            let Some(input) = self.news.pop_front() else { return };
            driven.desk.handle(self.tick(), input);
        }
    }

    /// Does what lies in the outbox. Datagrams and streams have no order between each other on the network either: all
    /// datagrams leave first, so that no answer by HTTP says of a request that it left before it did.
    fn perform<H: Host>(&mut self, driven: &mut Driven<'_, M, H>) {
        if !driven.desk.outbox.is_empty() {
            driven.desk.send(&mut self.outbound, driven.host, self.now);
            let mut outbox = std::mem::take(&mut driven.desk.outbox);
            outbox.outputs().for_each(|output| self.carry_out(output, driven.host));
            outbox.clear();
            outbox.parcels().for_each(|(to, parcel)| self.hand_over(to, parcel, driven.host));
            driven.desk.outbox = outbox;
        }
        self.take_unreachable(driven.desk);
    }

    fn carry_out(&mut self, output: Output<'_>, host: &mut impl Host) {
        match output {
            // They have left already.
            Output::Datagram { .. } => {}
            Output::Report(report) => host.report(report),
            Output::Write { connection, bytes } => {
                self.news.extend(self.connections.write(connection, bytes, self.readiness.registry()));
            }
            Output::Close { connection, how } => self.connections.close(connection, how, self.now),
            Output::Connect { connection, from, to } => {
                self.news.extend(self.connections.open(connection, from, to, self.readiness.registry()));
            }
            Output::Query { query, server, bytes } => {
                self.news.extend(self.queries.ask(query, server, bytes, self.readiness.registry()));
            }
            Output::QueryOver { query } => self.queries.over(query),
            Output::Drained => self.drained |= self.seat.drained(),
            other => tracing::error!(?other, "this runtime cannot do what core asks for"),
        }
    }

    /// Hands another worker's machine what ours has for it: at once if nobody is at its desk, which spares waking its
    /// thread and waiting for it; else as a letter.
    fn hand_over(&mut self, to: WorkerId, parcel: Parcel, host: &mut impl Host) {
        let seat = self.seat.clone();
        let mut free = seat.free_desk(to);
        let Some(desk) = free.as_deref_mut().and_then(Option::as_mut) else {
            return seat.post(to, Letter::Parcel(parcel));
        };
        desk.handle(self.tick(), Input::Handover(parcel));
        let done = desk.stand_in(&mut self.outbound, host, self.now);
        for (to, parcel) in desk.outbox.parcels() {
            // What its worker has left for us before comes before.
            self.own_mail |= seat.is(to);
            seat.post(to, Letter::Parcel(parcel));
        }
        if desk.is_awaited_too_late() || !done {
            seat.wake(to);
        }
    }

    /// After the last call: what waits is written, for a bounded time.
    fn bid_farewell(&mut self, ready: &mut Ready) -> io::Result<()> {
        self.listeners.clear();
        let until = self.now + FAREWELL;
        while self.connections.keep_waiting() && self.now < until {
            // Nobody reads them any more, and they would keep us from waiting.
            drop(self.seat.letters());
            self.wait(ready, Some(until.saturating_duration_since(self.now)))?;
            for event in ready.streams() {
                let Source::Connection(id) = Source::of(event.token()) else { continue };
                // The machine is told nothing any more.
                drop((self.connections.establish(id), self.connections.flush(id, self.now)));
            }
        }
        Ok(())
    }
}

/// The same input for another worker, if it is one that all are to have.
pub(crate) fn copy(input: &Input<'_>) -> Option<Input<'static>> {
    match input {
        Input::Reload(users) => Some(Input::Reload(users.clone())),
        Input::Certificate(acceptor) => Some(Input::Certificate(acceptor.clone())),
        Input::SipTls(tls) => Some(Input::SipTls(tls.clone())),
        Input::Names(names) => Some(Input::Names(names.clone())),
        Input::Drain => Some(Input::Drain),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
