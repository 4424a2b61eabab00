//! The network: datagrams that get lost, doubled, late and spoilt, and connections that break.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use cordboard_core::Tick;
use cordboard_core::io::{ConnectionId, WorkerId};
use cordboard_core::sip::message::parse;

use super::dice::Dice;
use super::scenario::{Scenario, Weather};
use crate::mail::whole;

/// How long a datagram is on its way at least.
const LATENCY: Duration = Duration::from_millis(5);

/// A datagram, or a message on a connection, on its way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    /// Who sent it.
    pub(super) from: SocketAddr,
    /// Where it goes.
    pub(super) to: SocketAddr,
    /// What it is.
    pub(super) bytes: Vec<u8>,
}

/// What becomes of datagrams.
#[derive(Debug)]
pub(super) struct Network {
    weather: Weather,
    partitions: Vec<(SocketAddr, Tick, Tick)>,
    /// Who often says what nobody can read.
    broken: BTreeSet<SocketAddr>,
    dice: Dice,
}

/// How many of a hundred messages of a broken phone cannot be read.
const BROKEN: u64 = 25;

impl Network {
    pub(super) fn new(seed: u64, scenario: &Scenario, place: impl Fn(Option<usize>) -> SocketAddr) -> Self {
        let (weather, partitions) = (scenario.weather, &scenario.partitions);
        let broken = scenario.broken.iter().map(|phone| place(Some(*phone))).collect();
        let at = |time: Duration| Tick::ZERO + time;
        let partitions = partitions.iter().map(|p| (place(p.phone), at(p.from), at(p.to))).collect();
        Self { weather, partitions, broken, dice: Dice::new(seed, 2) }
    }

    /// From now on all is well.
    pub(super) fn heal(&mut self) {
        self.weather = Weather::default();
        self.partitions.clear();
        self.broken.clear();
    }

    fn is_cut(&self, now: Tick, address: SocketAddr) -> bool {
        self.partitions.iter().any(|(place, from, to)| *place == address && (*from..*to).contains(&now))
    }

    /// When the copies of a datagram arrive, and each as what.
    pub(super) fn carry(&mut self, now: Tick, flight: &Flight) -> Vec<(Tick, Flight)> {
        let too_long = self.weather.mtu.is_some_and(|mtu| flight.bytes.len() > mtu);
        let lost = self.dice.happens(self.weather.lost);
        let copies = if self.dice.happens(self.weather.doubled) { 2 } else { 1 };
        if lost || too_long || self.is_cut(now, flight.from) || self.is_cut(now, flight.to) {
            return Vec::new();
        }
        (0..copies)
            .map(|_| {
                let at = now + LATENCY + self.dice.time(self.weather.late);
                let mut flight = flight.clone();
                let broken = self.broken.contains(&flight.from) && self.dice.happens(BROKEN);
                if self.dice.below(1000) < self.weather.spoilt || broken {
                    let mut spoilt = flight.bytes.clone();
                    self.spoil(&mut spoilt);
                    // What still says something, but something else, no checksum would have let pass.
                    if parse(&spoilt).is_err() {
                        flight.bytes = spoilt;
                    }
                }
                (at, flight)
            })
            .collect()
    }

    /// Changes a byte, cuts the end off, or repeats a piece.
    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        let at = self.dice.below(bytes.len() as u64) as usize;
        match self.dice.below(3) {
            0 => bytes[at] = self.dice.bits() as u8,
            1 => bytes.truncate(at),
            _ => {
                let piece = bytes[at..].to_vec();
                bytes.extend(piece);
            }
        }
    }
}

/// A connection between the controller and a peer, seen from the peer.
#[derive(Debug)]
pub(super) struct Pipe {
    /// Where the peer's end is.
    pub(super) peer: SocketAddr,
    /// Who listens behind it.
    pub(super) behind: SocketAddr,
    held: Vec<u8>,
}

/// The controller's end of a connection: which worker's, and its id there.
pub(super) type End = (WorkerId, ConnectionId);

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    pipes: BTreeMap<End, Pipe>,
    ports: u16,
}

impl Pipes {
    /// A connection is made, with whoever is behind it.
    pub(super) fn open(&mut self, id: End, behind: SocketAddr) -> SocketAddr {
        self.ports = self.ports.wrapping_add(1);
        let peer = SocketAddr::new(behind.ip(), 20_000 + self.ports % 20_000);
        self.pipes.insert(id, Pipe { peer, behind, held: Vec::new() });
        peer
    }

    pub(super) fn get(&self, id: End) -> Option<&Pipe> {
        self.pipes.get(&id)
    }

    /// The connection whose other end is there.
    pub(super) fn at(&self, peer: SocketAddr) -> Option<End> {
        self.pipes.iter().find(|(_, pipe)| pipe.peer == peer).map(|(id, _)| *id)
    }

    /// The latest connection of a worker with whoever listens there.
    pub(super) fn with(&self, worker: WorkerId, behind: SocketAddr) -> Option<End> {
        let mut pipes = self.pipes.iter().rev();
        pipes.find(|((of, _), pipe)| *of == worker && pipe.behind == behind).map(|(id, _)| *id)
    }

    pub(super) fn close(&mut self, id: End) -> bool {
        self.pipes.remove(&id).is_some()
    }

    /// All that are open.
    pub(super) fn all(&self) -> Vec<End> {
        self.pipes.keys().copied().collect()
    }

    /// Takes bytes from the controller; the whole messages among them are returned. Keep-alives are of no interest.
    pub(super) fn take(&mut self, id: End, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let Some(pipe) = self.pipes.get_mut(&id) else { return messages };
        pipe.held.extend_from_slice(bytes);
        loop {
            let blank = pipe.held.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            pipe.held.drain(..blank);
            let Some(length) = whole(&pipe.held) else { return messages };
            messages.push(pipe.held.drain(..length).collect());
        }
    }
}
