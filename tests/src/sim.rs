//! Simulation: the controller, an exchange and many phones in virtual time, all from one seed, and what may never happen
//! watched at every step. No socket, no clock: the same seed makes the same run to the byte, on every machine.

pub mod dice;
mod network;
pub mod oracles;
pub mod scenario;
mod stages;
pub mod trace;
mod web;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use cordboard_core::config::Config;
use cordboard_core::digest::Verifiers;
use cordboard_core::io::{
    ConnectionId, Datagram, Input, ListenerId, Outbox, Output, Parcel, SocketId, Wake, Worker, WorkerId,
};
use cordboard_core::softphone::{Exchange, ExchangeConfig, Phone, PhoneConfig, Subscriber, Temper};
use cordboard_core::users::{Directory, SipCredentials, User};
use cordboard_core::{Controller, Epoch, Seed, Tick};

use dice::Dice;
use network::{End, Flight, Network, Pipes};
use oracles::records::Records;
use oracles::wire::Wire;
use oracles::{Violation, wrong};
use scenario::{Act, Scenario};
use trace::Trace;

/// The domain and the realm of everything.
pub(crate) const DOMAIN: &str = "example.com";
/// What nobody may ever read in a message or in the log.
const PIN: &str = "pin-of-the-agent";
const PASSWORD: &str = "password-of-";
/// As long as a message on a connection takes.
const LATENCY: Duration = Duration::from_millis(5);
/// How often the records are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A run of more events never rests.
const MOST_EVENTS: u64 = 3_000_000;

/// Which party of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Controller(WorkerId),
    Exchange,
    Phone(usize),
}

/// What happens at a time.
#[derive(Debug)]
enum Event {
    /// A datagram arrives.
    Arrive(Flight),
    /// A message arrives on a connection, at the end that is not the controller's.
    OnPipe(End, Vec<u8>),
    /// A message arrives on a connection at the controller.
    FromPipe(End, Vec<u8>),
    /// A connection that the controller has opened stands.
    Connected(End),
    /// One that it wanted to open has failed.
    Refused(End),
    /// Somebody does something.
    Act(usize),
    /// A phone is there again.
    Return(usize),
    /// The records are looked at.
    Look,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Stands for all that happened.
    pub trace: u64,
    /// How many things happened.
    pub events: u64,
    /// How long it took, in virtual time.
    pub time: Duration,
    /// Calls that were taken.
    pub placed: u64,
    /// Calls that stood between two phones when the faults were over.
    pub connected: u64,
}

/// A run that went wrong.
#[derive(Debug)]
pub struct Failure {
    /// What may never happen.
    pub violation: Violation,
    /// The last things that happened; all of them, if that was asked for.
    pub lines: Vec<String>,
}

/// A run.
pub struct Sim {
    seed: u64,
    scenario: Scenario,
    now: Tick,
    /// One for each worker.
    controllers: Vec<Controller>,
    /// What they have for each other.
    parcels: VecDeque<(WorkerId, Parcel)>,
    /// Which of them HTTP comes to, and what happens before a parcel arrives.
    turns: Dice,
    exchange: Exchange,
    /// `None` while it is away.
    phones: Vec<Option<Phone>>,
    lives: u64,
    wakes: BTreeMap<Place, Tick>,
    events: BTreeMap<(Tick, u64), Event>,
    happened: u64,
    network: Network,
    pipes: Pipes,
    accepted: u64,
    outbox: Outbox,
    http: Vec<u8>,
    /// The connection on which HTTP is spoken.
    asking: Option<End>,
    wire: Wire,
    records: Records,
    secrets: Vec<String>,
    trace: Trace,
    placed: u64,
    connected: u64,
    /// The faults are over.
    healed: bool,
}

/// The SIP port of the controller's first worker; those of the others follow.
const FIRST_PORT: u16 = 6050;

/// The SIP address of a worker of the controller.
fn worker_address(worker: WorkerId) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], FIRST_PORT + u16::from(worker.0)))
}

/// The exchange's address.
fn exchange_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5060))
}

/// The address of the phone of user N + 1.
fn phone_address(number: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7001 + number as u16))
}

fn user(number: usize) -> String {
    format!("user{}", number + 1)
}

fn verifiers(name: &str) -> Verifiers {
    Verifiers::of(name, DOMAIN, &format!("{PASSWORD}{name}"))
}

impl Sim {
    /// A run of this seed; with `lines` all that happens is kept.
    pub fn new(seed: u64, lines: bool) -> Self {
        let scenario = Scenario::of(seed);
        let mut dice = Dice::new(seed, 3);
        let place = |phone: Option<usize>| phone.map_or(exchange_address(), phone_address);
        let network = Network::new(seed, &scenario, place);
        let controllers = controllers(&scenario, Seed(dice.seed()));
        let exchange = exchange(&scenario, Seed(dice.seed()));
        let mut sim = Self {
            seed,
            now: Tick::ZERO,
            controllers,
            parcels: VecDeque::new(),
            turns: Dice::new(seed, 4),
            exchange,
            phones: Vec::new(),
            lives: 0,
            wakes: BTreeMap::new(),
            events: BTreeMap::new(),
            happened: 0,
            network,
            pipes: Pipes::default(),
            accepted: 0,
            outbox: Outbox::new(),
            http: Vec::new(),
            asking: None,
            wire: Wire::default(),
            records: Records::default(),
            secrets: secrets(scenario.tempers.len()),
            trace: Trace::new(lines),
            placed: 0,
            connected: 0,
            healed: false,
            scenario,
        };
        sim.phones = (0..sim.scenario.tempers.len()).map(|number| Some(sim.phone(number))).collect();
        for number in 0..sim.scenario.acts.len() {
            let at = Tick::ZERO + sim.scenario.acts[number].0;
            sim.plan(at, Event::Act(number));
        }
        sim.plan(Tick::ZERO + LOOK, Event::Look);
        sim
    }

    /// Lets it run to its end.
    pub fn run(mut self) -> Result<Summary, Failure> {
        match self.play() {
            Ok(()) => Ok(Summary {
                trace: self.trace.hash(),
                events: self.trace.events(),
                time: self.now.since(Tick::ZERO),
                placed: self.placed,
                connected: self.connected,
            }),
            Err(violation) => Err(Failure { violation, lines: self.trace.lines().to_vec() }),
        }
    }

    /// What this run's seed has decided.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// A phone, as it comes from the factory.
    fn phone(&mut self, number: usize) -> Phone {
        self.lives += 1;
        let seed = Dice::new(self.seed, 100 + self.lives).seed();
        let name = user(number);
        let credentials =
            SipCredentials { username: name.clone(), realm: DOMAIN.into(), verifiers: verifiers(&name) };
        let config = PhoneConfig {
            user: name,
            domain: DOMAIN.into(),
            address: phone_address(number),
            exchange: exchange_address(),
            credentials: Some(credentials),
            temper: self.scenario.tempers[number].clone(),
        };
        Phone::new(config, &Seed(seed))
    }

    fn plan(&mut self, at: Tick, event: Event) {
        self.happened += 1;
        self.events.insert((at, self.happened), event);
    }

    fn address(place: Place) -> SocketAddr {
        match place {
            Place::Controller(worker) => worker_address(worker),
            Place::Exchange => exchange_address(),
            Place::Phone(number) => phone_address(number),
        }
    }

    fn at(&self, address: SocketAddr) -> Option<Place> {
        let phones = self.phones.len();
        match address.port() {
            port if self.workers().any(|worker| worker_address(worker).port() == port) => {
                Some(Place::Controller(WorkerId((port - FIRST_PORT) as u8)))
            }
            5060 => Some(Place::Exchange),
            port => {
                let number = usize::from(port.checked_sub(7001)?);
                (number < phones).then_some(Place::Phone(number))
            }
        }
    }

    fn workers(&self) -> impl Iterator<Item = WorkerId> + use<> {
        (0..self.scenario.workers).map(WorkerId)
    }

    fn hand(&mut self, place: Place, input: Input<'_>) -> Result<(), Violation> {
        let (now, outbox) = (self.now, &mut self.outbox);
        let wake = match place {
            Place::Controller(worker) => self.controllers[usize::from(worker.0)].handle(now, input, outbox),
            Place::Exchange => self.exchange.handle(now, input, outbox),
            Place::Phone(number) => match &mut self.phones[number] {
                Some(phone) => phone.handle(now, input, outbox),
                None => Wake::Idle,
            },
        };
        match wake {
            Wake::Idle => self.wakes.remove(&place),
            Wake::At(tick, _) => self.wakes.insert(place, tick),
        };
        if let Place::Controller(worker) = place {
            let audited = self.controllers[usize::from(worker.0)].audit();
            audited.map_err(|why| Violation(format!("the tables disagree: {why}")))?;
            self.parcels.extend(self.outbox.parcels());
        }
        self.take_out(place)
    }

    fn take_out(&mut self, place: Place) -> Result<(), Violation> {
        let mut outbox = std::mem::take(&mut self.outbox);
        let mut written = Vec::new();
        let worker = if let Place::Controller(worker) = place { worker } else { WorkerId(0) };
        while let Some(output) = outbox.pop() {
            match output {
                Output::Datagram { to, bytes, .. } => self.send(place, to, bytes)?,
                Output::Connect { connection, to, .. } => self.connect((worker, connection), to),
                Output::Write { connection, bytes } => {
                    self.write((worker, connection), bytes)?;
                    written.push((connection, bytes.len()));
                }
                Output::Close { connection, .. } => {
                    self.pipes.close((worker, connection));
                }
                Output::Report(report) => {
                    let line = report.to_string();
                    self.check_secrets(&line)?;
                    self.trace.note(self.now, || line);
                }
                _ => {}
            }
        }
        self.outbox = outbox;
        for (connection, bytes) in written {
            self.hand(place, Input::Written { connection, bytes })?;
        }
        Ok(())
    }

    fn check_secrets(&self, text: &str) -> Result<(), Violation> {
        match self.secrets.iter().find(|secret| text.contains(secret.as_str())) {
            Some(secret) => wrong(format!("the secret {secret} is told in:\n{text}")),
            None => Ok(()),
        }
    }

    /// Somebody sends a datagram.
    fn send(&mut self, place: Place, to: SocketAddr, bytes: &[u8]) -> Result<(), Violation> {
        let from = Self::address(place);
        self.trace.message(self.now, from, to, bytes);
        if matches!(place, Place::Controller(_)) {
            self.check_secrets(&String::from_utf8_lossy(bytes))?;
            self.wire.sends(self.now, to, bytes, true)?;
        }
        // Where connections are spoken, what goes to the controller takes one.
        if self.scenario.by_tcp && place == Place::Exchange {
            if let Some(pipe) = self.pipes.at(to) {
                self.plan(self.now + LATENCY, Event::FromPipe(pipe, bytes.to_vec()));
                return Ok(());
            }
            if let Some(Place::Controller(worker)) = self.at(to) {
                let pipe = self.pipe_of_exchange(worker)?;
                self.plan(self.now + LATENCY, Event::FromPipe(pipe, bytes.to_vec()));
                return Ok(());
            }
        }
        let flight = Flight { from, to, bytes: bytes.to_vec() };
        for (at, flight) in self.network.carry(self.now, &flight) {
            self.plan(at, Event::Arrive(flight));
        }
        Ok(())
    }

    /// The connection that the exchange sends requests to a worker on: one that is there, or a new one.
    fn pipe_of_exchange(&mut self, worker: WorkerId) -> Result<End, Violation> {
        if let Some(pipe) = self.pipes.with(worker, exchange_address()) {
            return Ok(pipe);
        }
        let connection = ConnectionId(self.accepted);
        self.accepted += 1;
        let peer = self.pipes.open((worker, connection), exchange_address());
        // The controller hears of it in its own turn.
        let mut outbox = std::mem::take(&mut self.outbox);
        let accepted = Input::Accepted { listener: ListenerId(1), connection, peer };
        let wake = self.controllers[usize::from(worker.0)].handle(self.now, accepted, &mut outbox);
        self.outbox = outbox;
        if let Wake::At(tick, _) = wake {
            self.wakes.insert(Place::Controller(worker), tick);
        }
        Ok((worker, connection))
    }

    fn connect(&mut self, connection: End, to: SocketAddr) {
        if self.scenario.by_tcp && to == exchange_address() {
            self.pipes.open(connection, to);
            self.plan(self.now + LATENCY, Event::Connected(connection));
        } else {
            self.plan(self.now + LATENCY, Event::Refused(connection));
        }
    }

    /// The controller writes to a connection.
    fn write(&mut self, connection: End, bytes: &[u8]) -> Result<(), Violation> {
        if self.asking == Some(connection) {
            self.http.extend_from_slice(bytes);
            return Ok(());
        }
        let Some(peer) = self.pipes.get(connection).map(|pipe| pipe.peer) else { return Ok(()) };
        for message in self.pipes.take(connection, bytes) {
            self.trace.message(self.now, worker_address(connection.0), peer, &message);
            self.check_secrets(&String::from_utf8_lossy(&message))?;
            self.wire.sends(self.now, peer, &message, false)?;
            self.plan(self.now + 2 * LATENCY, Event::OnPipe(connection, message));
        }
        Ok(())
    }

    /// Something arrives at a worker of the controller.
    fn reach(&mut self, worker: WorkerId, bytes: &[u8]) {
        let own = worker_address(worker);
        let ours = |response: &cordboard_core::sip::message::Response<'_>| {
            response.via.host.address() == Some(own.ip()) && response.via.port == Some(own.port())
        };
        self.wire.reaches(bytes, ours);
    }

    /// Lets the next thing happen, if that is before `until`; whether it did.
    fn step(&mut self, until: Tick) -> Result<bool, Violation> {
        let event = self.events.keys().next().map(|(at, _)| *at);
        let wake =
            self.wakes.iter().min_by_key(|(place, at)| (**at, **place)).map(|(place, at)| (*at, *place));
        match (event, wake) {
            (Some(at), wake) if at <= until && wake.is_none_or(|(wake, _)| at <= wake) => {
                self.now = self.now.max(at);
                if let Some((_, event)) = self.events.pop_first() {
                    self.happen(event)?;
                }
                Ok(true)
            }
            (_, Some((at, place))) if at <= until => {
                self.now = self.now.max(at);
                self.hand(place, Input::Timeout)?;
                Ok(true)
            }
            _ => {
                self.now = self.now.max(until);
                Ok(false)
            }
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Arrive(flight) => self.arrive(&flight),
            Event::OnPipe(pipe, bytes) => match self.pipes.get(pipe).map(|pipe| pipe.peer) {
                Some(from) => self.hand_datagram(Place::Exchange, from, &bytes),
                None => Ok(()),
            },
            Event::FromPipe(pipe, bytes) => {
                if self.pipes.get(pipe).is_none() {
                    return Ok(());
                }
                let (worker, connection) = pipe;
                self.reach(worker, &bytes);
                self.hand(Place::Controller(worker), Input::Received { connection, bytes: &bytes })
            }
            Event::Connected(end) if self.pipes.get(end).is_some() => {
                self.hand(Place::Controller(end.0), Input::Connected { connection: end.1 })
            }
            Event::Connected(_) => Ok(()),
            Event::Refused((worker, connection)) => {
                self.hand(Place::Controller(worker), Input::Lost { connection })
            }
            Event::Act(number) => self.act(self.scenario.acts[number].1.clone()),
            Event::Return(number) => {
                if self.phones[number].is_none() {
                    self.trace.note(self.now, || format!("{} is back", user(number)));
                    self.phones[number] = Some(self.phone(number));
                }
                Ok(())
            }
            Event::Look => self.look(),
        }
    }

    fn arrive(&mut self, flight: &Flight) -> Result<(), Violation> {
        match self.at(flight.to) {
            Some(Place::Phone(number)) if self.phones[number].is_none() => Ok(()),
            Some(place) => {
                if let Place::Controller(worker) = place {
                    self.reach(worker, &flight.bytes);
                }
                self.hand_datagram(place, flight.from, &flight.bytes)
            }
            None => Ok(()),
        }
    }

    fn hand_datagram(&mut self, place: Place, from: SocketAddr, bytes: &[u8]) -> Result<(), Violation> {
        self.hand(place, Input::Datagram(Datagram { socket: SocketId(0), from, bytes }))
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) -> Result<(), Violation> {
        let until = self.now + time;
        while self.step(until)? {
            if self.trace.events() > MOST_EVENTS {
                return wrong("it never rests");
            }
        }
        Ok(())
    }

    /// Lets time pass, but not so far that anybody acts.
    fn pass_network(&mut self, time: Duration) -> Result<(), Violation> {
        let until = self.now + time;
        loop {
            let next = self.events.first_key_value();
            if next.is_some_and(|(_, event)| matches!(event, Event::Act(_) | Event::Look | Event::Return(_)))
                || !self.step(until)?
            {
                return Ok(());
            }
        }
    }

    fn act(&mut self, act: Act) -> Result<(), Violation> {
        self.trace.note(self.now, || format!("{act:?}"));
        match act {
            Act::Post { calling, called, parameters } => self.order(calling, called, &parameters),
            Act::Delete(which) => self.delete(which),
            Act::Transfer(which, target) => self.transfer(which, target),
            Act::HangUp(number) => {
                self.with_phone(number, |phone, now, outbox| phone.hang_up_all(now, outbox))
            }
            Act::Offer(number, direction) => {
                self.with_phone(number, |phone, now, outbox| phone.offer_all(now, direction, outbox))
            }
            Act::Crash(number, time) => {
                self.phones[number] = None;
                self.wakes.remove(&Place::Phone(number));
                self.plan(self.now + time, Event::Return(number));
                Ok(())
            }
            Act::Restart => {
                let seed = Dice::new(self.seed, 1_000_000 + self.now.as_micros()).seed();
                self.exchange = exchange(&self.scenario, Seed(seed));
                self.break_pipes()
            }
            Act::Break => self.break_pipes(),
            Act::Garbage(bytes) => {
                self.reach(WorkerId(0), &bytes);
                self.hand_datagram(Place::Controller(WorkerId(0)), exchange_address(), &bytes)
            }
            Act::Reload => {
                let users = users(self.scenario.tempers.len());
                for worker in self.workers() {
                    self.hand(Place::Controller(worker), Input::Reload(Box::new(users.clone())))?;
                }
                Ok(())
            }
        }
    }

    fn break_pipes(&mut self) -> Result<(), Violation> {
        for (worker, connection) in self.pipes.all() {
            self.pipes.close((worker, connection));
            self.hand(Place::Controller(worker), Input::Lost { connection })?;
        }
        Ok(())
    }

    fn with_phone(
        &mut self,
        number: usize,
        act: impl FnOnce(&mut Phone, Tick, &mut Outbox),
    ) -> Result<(), Violation> {
        let Some(phone) = &mut self.phones[number] else { return Ok(()) };
        act(phone, self.now, &mut self.outbox);
        self.take_out(Place::Phone(number))?;
        self.hand(Place::Phone(number), Input::Timeout)
    }
}

/// What the users' file says.
fn users(phones: usize) -> Directory {
    let known = |name: String, pin: &str| {
        let password = format!("{PASSWORD}{name}");
        User::new(&name, DOMAIN, pin).with_sip_password(&name, DOMAIN, &password)
    };
    let mut all = vec![known("agent".to_owned(), PIN).with_may_act_for(vec!["*".to_owned()])];
    all.extend((0..phones).map(|number| known(user(number), "another pin")));
    Directory::new(all, DOMAIN).expect("the users are right")
}

/// What nobody may read: PINs, passwords, and what stands for them.
fn secrets(phones: usize) -> Vec<String> {
    use cordboard_core::digest::Algorithm;
    let names = (0..phones).map(user).chain(["agent".to_owned()]);
    let ha1s = names.flat_map(|name| {
        [Algorithm::Md5, Algorithm::Sha256]
            .map(|algorithm| algorithm.ha1(&name, DOMAIN, &format!("{PASSWORD}{name}")).as_str().to_owned())
    });
    [PIN.to_owned(), PASSWORD.to_owned()].into_iter().chain(ha1s).collect()
}

/// The controllers of all workers.
fn controllers(scenario: &Scenario, seed: Seed) -> Vec<Controller> {
    let transport = if scenario.by_tcp { ";transport=tcp" } else { "" };
    let config = format!(
        "[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]\n[sip]\ndomain = \"{DOMAIN}\"\n\
         listen = [\"udp:127.0.0.1:{FIRST_PORT}\", \"tcp:127.0.0.1:{FIRST_PORT}\"]\nproxy = \"sip:{}{transport}\"\n\
         [calls]\n{}",
        exchange_address(),
        scenario.calls
    );
    let config = Config::from_toml(&config).expect("the configuration is right");
    let configs = config.for_workers(scenario.workers).expect("there are ports for all");
    let epoch = Epoch::from_unix_millis(1_893_456_000_000);
    let one = |(id, config)| {
        let worker = Worker { id: WorkerId(id), of: scenario.workers };
        let users = users(scenario.tempers.len());
        Controller::for_worker(config, users, seed.clone(), epoch, worker).expect("it has an address")
    };
    (0..).zip(configs).map(one).collect()
}

fn exchange(scenario: &Scenario, seed: Seed) -> Exchange {
    let phones = scenario.tempers.iter().enumerate();
    let mut subscribers: Vec<Subscriber> = phones
        .map(|(number, _): (usize, &Temper)| Subscriber {
            user: user(number),
            phone: Some(phone_address(number)),
            verifiers: verifiers(&user(number)),
        })
        .collect();
    subscribers.push(Subscriber { user: "agent".into(), phone: None, verifiers: verifiers("agent") });
    let config = ExchangeConfig {
        domain: DOMAIN.into(),
        address: exchange_address(),
        subscribers,
        challenge: scenario.challenge,
        redirections: Vec::new(),
    };
    let mut exchange = Exchange::new(config, &seed);
    for (one, other) in &scenario.forks {
        exchange = exchange.with_further_phones(&user(*one), vec![phone_address(*other)]);
    }
    if let Some(lifetime) = scenario.nonce_lifetime {
        exchange = exchange.with_nonce_lifetime(lifetime);
    }
    if !scenario.record_routes {
        exchange = exchange.without_record_route();
    }
    if scenario.by_tcp {
        exchange = exchange.reached_by_tcp();
    }
    exchange
}
