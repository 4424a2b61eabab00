//! One connection of SIP: its TLS session, its framing, and how long it may wait for what.

use std::net::SocketAddr;
use std::time::Duration;

use super::framing::{Framer, Piece};
use super::{Place, Wire};
use crate::Tick;
use crate::io::{Close, ConnectionId, Outbox};
use crate::report::Opened;
use crate::time::wheel::TimerKey;
use crate::tls::{Session, TlsFault, TlsHost};

/// How long a connection may take to stand, TLS handshake and all.
pub(super) const OPENING_TIME: Duration = Duration::from_secs(5);
/// After so long without anything said, whoever opened the connection asks whether the peer is there (RFC 5626 §4.4.1).
const PING_AFTER: Duration = Duration::from_secs(110);
/// How long a peer that has answered before may take to answer (RFC 5626 §4.4.1).
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// More may not wait to be written: a peer that takes nothing is gone.
const MOST_UNSENT: usize = 1 << 20;

/// One connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) wire: Wire,
    /// The peer.
    pub(super) remote: SocketAddr,
    /// Which of our addresses the peer is told.
    pub(super) place: Place,
    pub(super) origin: Origin,
    session: Option<Session>,
    phase: Phase,
    framer: Framer,
    /// Bytes handed out and not yet reported as written.
    unsent: usize,
    /// When the message that is not whole began to come.
    amid_since: Option<Tick>,
    /// When a message passed last.
    used: Tick,
    /// When anything passed last.
    heard: Tick,
    ping: Ping,
    pub(super) timer: Option<(Tick, TimerKey)>,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// We did.
    Ours,
    /// The peer did.
    Peers,
    /// The peer did, and there were too many already: what comes first is refused.
    TooMany,
}

#[derive(Debug)]
enum Phase {
    /// It is not to be opened before this time; what is to be written waits.
    Waiting { until: Tick, since: Tick, queue: Vec<u8> },
    /// It is being opened, or its handshake is not over.
    Opening { since: Tick },
    /// It stands.
    Up,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    /// The peer has never answered one.
    Unknown,
    /// It does.
    Answered,
    /// It was asked, and has to answer if it does at all.
    Asked { since: Tick, must: bool },
}

/// What time asks of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing yet.
    Nothing,
    /// It may be opened now.
    Open,
    /// Ask the peer whether it is there.
    Ping,
    /// It has rested for long enough.
    Idle,
    /// It is given up, for this reason.
    Failed(&'static str),
}

/// The times that the configuration sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) message: Duration,
    pub(super) idle: Duration,
}

impl Stream {
    pub(super) fn new(
        now: Tick,
        (wire, remote, place): (Wire, SocketAddr, Place),
        origin: Origin,
        session: Option<Session>,
    ) -> Self {
        let stands = origin != Origin::Ours && session.is_none();
        Self {
            wire,
            remote,
            place,
            origin,
            session,
            phase: if stands { Phase::Up } else { Phase::Opening { since: now } },
            framer: Framer::default(),
            unsent: 0,
            amid_since: None,
            used: now,
            heard: now,
            ping: Ping::Unknown,
            timer: None,
        }
    }

    /// It is not to be opened yet.
    pub(super) fn wait(&mut self, now: Tick, until: Tick) {
        self.phase = Phase::Waiting { until, since: now, queue: Vec::new() };
    }

    /// Its time to be opened has come; what was to be written follows the opening.
    pub(super) fn open(&mut self, id: ConnectionId, outbox: &mut Outbox) {
        let Phase::Waiting { since, queue, .. } = &mut self.phase else { return };
        let (since, queue) = (*since, std::mem::take(queue));
        self.phase = Phase::Opening { since };
        match &mut self.session {
            Some(_) => self.flush(id, outbox),
            None => self.unsent += outbox.write(id, |out| out.extend_from_slice(&queue)),
        }
    }

    /// It stands, but for a handshake of TLS.
    pub(super) fn connected(&mut self, now: Tick) {
        if self.session.is_none() {
            self.phase = Phase::Up;
        }
        (self.heard, self.used) = (now, now);
    }

    /// Who opened it.
    pub(super) fn opened(&self) -> Opened {
        match self.origin {
            Origin::Ours => Opened::ByUs,
            Origin::Peers | Origin::TooMany => Opened::ByPeer,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up)
    }

    /// Whether it was not even tried to open it.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. })
    }

    /// Whether the peer has shown a certificate that is good for this host.
    pub(super) fn is_for(&self, host: &TlsHost) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_for(host))
    }

    /// Bytes held back because they are no whole message.
    pub(super) fn held(&self) -> usize {
        let queued = if let Phase::Waiting { queue, .. } = &self.phase { queue.len() } else { 0 };
        self.framer.held() + queued
    }

    /// Sends a whole message.
    pub(super) fn send(&mut self, now: Tick, id: ConnectionId, message: &[u8], outbox: &mut Outbox) {
        self.used = now;
        self.write(id, message, outbox);
    }

    fn write(&mut self, id: ConnectionId, bytes: &[u8], outbox: &mut Outbox) {
        match (&mut self.session, &mut self.phase) {
            (Some(session), _) => {
                // It fails only when the session is over, which is told when it is read.
                if session.send(bytes).is_ok() {
                    self.flush(id, outbox);
                }
            }
            (None, Phase::Waiting { queue, .. }) => queue.extend_from_slice(bytes),
            (None, _) => self.unsent += outbox.write(id, |out| out.extend_from_slice(bytes)),
        }
    }

    fn flush(&mut self, id: ConnectionId, outbox: &mut Outbox) {
        if let (Some(session), false) = (&mut self.session, matches!(self.phase, Phase::Waiting { .. })) {
            self.unsent += outbox.write(id, |out| session.flush(out));
        }
    }

    /// Takes bytes from the wire; each piece that is whole goes to `each`.
    pub(super) fn received(
        &mut self,
        now: Tick,
        id: ConnectionId,
        bytes: &[u8],
        (most, each): (usize, &mut dyn FnMut(Piece<'_>)),
        outbox: &mut Outbox,
    ) -> Result<(), TlsFault> {
        self.heard = now;
        if let Ping::Asked { .. } = self.ping {
            self.ping = Ping::Answered;
        }
        let mut plain = Vec::new();
        let told = match &mut self.session {
            None => Ok(bytes),
            Some(session) => {
                let told = session.received(bytes, &mut plain);
                if session.is_established() && matches!(self.phase, Phase::Opening { .. }) {
                    self.phase = Phase::Up;
                }
                told.map(|()| plain.as_slice())
            }
        };
        // After a fault the alert that explains it goes out.
        self.flush(id, outbox);
        self.framer.take(told?, most, |piece| {
            // A ping shows that the peer is there, not that it needs the connection.
            if piece != Piece::Ping {
                self.used = now;
            }
            each(piece);
        });
        self.amid_since = if self.framer.is_amid() { self.amid_since.or(Some(now)) } else { None };
        Ok(())
    }

    /// The peer has said that it sends no more.
    pub(super) fn is_over(&self) -> bool {
        self.session.as_ref().is_some_and(Session::peer_closed)
    }

    /// Answers a ping.
    pub(super) fn pong(&mut self, id: ConnectionId, outbox: &mut Outbox) {
        self.write(id, b"\r\n", outbox);
    }

    /// Asks the peer whether it is there.
    pub(super) fn ping(&mut self, now: Tick, id: ConnectionId, outbox: &mut Outbox) {
        self.ping = Ping::Asked { since: now, must: self.ping == Ping::Answered };
        self.write(id, b"\r\n\r\n", outbox);
    }

    /// So many bytes went to the system.
    pub(super) fn written(&mut self, bytes: usize) {
        self.unsent = self.unsent.saturating_sub(bytes);
    }

    /// Whether the peer takes nothing of what is sent.
    pub(super) fn is_stuck(&self) -> bool {
        self.unsent > MOST_UNSENT || self.held() > MOST_UNSENT
    }

    /// Says goodbye, if it is one that hears that.
    pub(super) fn close(&mut self, id: ConnectionId, how: Close, outbox: &mut Outbox) {
        // Nobody has heard yet of one that waits to be opened.
        if matches!(self.phase, Phase::Waiting { .. }) {
            return;
        }
        if let Some(session) = &mut self.session
            && how == Close::Flushed
        {
            session.close();
            self.flush(id, outbox);
        }
        outbox.close(id, how);
    }

    /// When to look at it again.
    pub(super) fn deadline(&self, times: Times) -> Tick {
        let idle = self.used + times.idle;
        let opening = if self.origin == Origin::Ours { OPENING_TIME } else { times.message };
        match &self.phase {
            Phase::Waiting { until, since, .. } => (*until).min(*since + OPENING_TIME),
            Phase::Opening { since } => *since + opening,
            Phase::Up => {
                let amid = self.amid_since.map(|since| since + times.message);
                let refused = (self.origin == Origin::TooMany).then(|| self.used + times.message);
                [Some(idle), amid, refused, self.ping_due()].into_iter().flatten().min().unwrap_or(idle)
            }
        }
    }

    fn ping_due(&self) -> Option<Tick> {
        match self.ping {
            Ping::Asked { since, must: true } => Some(since + PONG_WITHIN),
            Ping::Asked { since, must: false } => Some(since + PING_AFTER),
            Ping::Unknown | Ping::Answered => {
                (self.origin == Origin::Ours).then(|| self.heard.max(self.used) + PING_AFTER)
            }
        }
    }

    /// What is overdue.
    pub(super) fn overdue(&self, now: Tick, times: Times) -> Overdue {
        match &self.phase {
            Phase::Waiting { since, .. } if *since + OPENING_TIME <= now => {
                Overdue::Failed("could not be opened: the peer was not there before")
            }
            Phase::Waiting { until, .. } if *until <= now => Overdue::Open,
            Phase::Opening { .. } if self.deadline(times) <= now => Overdue::Failed(match self.origin {
                Origin::Ours => "could not be opened in time",
                Origin::Peers | Origin::TooMany => "the TLS handshake took too long",
            }),
            Phase::Waiting { .. } | Phase::Opening { .. } => Overdue::Nothing,
            Phase::Up => self.overdue_up(now, times),
        }
    }

    fn overdue_up(&self, now: Tick, times: Times) -> Overdue {
        if self.amid_since.is_some_and(|since| since + times.message <= now) {
            return Overdue::Failed("a message did not come to its end in time");
        }
        if self.used + times.idle <= now {
            return Overdue::Idle;
        }
        if self.origin == Origin::TooMany && self.used + times.message <= now {
            return Overdue::Idle;
        }
        match (self.ping, self.ping_due()) {
            (_, None) => Overdue::Nothing,
            (_, Some(at)) if at > now => Overdue::Nothing,
            (Ping::Asked { must: true, .. }, _) => Overdue::Failed("the peer answers no keep-alive any more"),
            _ => Overdue::Ping,
        }
    }
}
