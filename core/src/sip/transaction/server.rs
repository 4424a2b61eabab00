//! Server transactions: what came to us, and its answer as often as it comes (RFC 3261 §17.2).

use super::matching::Matching;
use super::reliable_2xx::Unacknowledged;
use super::step::{Step, Timer};
use super::timers::Timers;
use super::{Due, Owner, TransactionEvent, Transactions, server_invite, server_non_invite, set_timer};
use crate::Tick;
use crate::ident::{IdentText, Key};
use crate::io::Outbox;
use crate::mistakes::{self, Mistake};
use crate::sip::message::{Message, Method, Name, Request, Status, Via, Writer, parse};
use crate::sip::transport::Flow;
use crate::time::wheel::TimerKey;

/// What happens to a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The request came again.
    Request,
    /// ACK with the branch of the INVITE came.
    Ack,
    /// The transaction user answers 1xx.
    Provisional,
    /// The transaction user answers 2xx.
    Success,
    /// The transaction user answers 300 or more.
    Failure,
    /// Timer G, or the time at which a 100 is due.
    Retransmit,
    /// Timer H, I, J or L, whichever runs.
    Expire,
}

#[cfg(test)]
pub(super) const EVENTS: [Event; 7] = [
    Event::Request,
    Event::Ack,
    Event::Provisional,
    Event::Success,
    Event::Failure,
    Event::Retransmit,
    Event::Expire,
];

/// What a server transaction's step asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing.
    Ignore,
    /// Send the response that the transaction user has given.
    Send,
    /// Send the last response again, if there is one.
    Resend,
    /// Send 100 Trying.
    Trying,
    /// Hand the ACK of a 2xx to the transaction user.
    PassAck,
    /// Tell the transaction user that no ACK came.
    NoAck,
    /// Drop what the transaction user has given: it comes too late or may not be sent.
    Refuse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    Invite(server_invite::State),
    NonInvite(server_non_invite::State),
}

impl Machine {
    fn start(method: Method<'_>, timers: &Timers) -> Step<Machine, Act> {
        match method {
            Method::Invite => server_invite::State::start().map(Machine::Invite),
            _ => server_non_invite::State::start(timers).map(Machine::NonInvite),
        }
    }

    fn on(self, event: Event, timers: &Timers, reliable: bool) -> Step<Machine, Act> {
        match self {
            Machine::Invite(state) => state.on(event, timers, reliable).map(Machine::Invite),
            Machine::NonInvite(state) => state.on(event, timers, reliable).map(Machine::NonInvite),
        }
    }

    fn is_unanswered(self) -> bool {
        matches!(
            self,
            Machine::Invite(server_invite::State::Proceeding)
                | Machine::NonInvite(server_non_invite::State::Trying | server_non_invite::State::Proceeding)
        )
    }
}

/// A server transaction.
#[derive(Debug)]
pub(crate) struct Server {
    matching: Matching,
    merging: Option<Matching>,
    owner: Option<Owner>,
    /// Where responses go.
    flow: Flow,
    machine: Machine,
    stored: Stored,
    /// The request, if it is answered later than in the call that brought it.
    held: Option<Box<[u8]>>,
    /// A 2xx that is sent again until ACK comes.
    unacknowledged: Option<Unacknowledged>,
    retransmit: Option<TimerKey>,
    expire: Option<TimerKey>,
}

/// The last response, to be sent again.
#[derive(Debug)]
enum Stored {
    Nothing,
    /// One that tells nothing but its status: made anew of the request that came again.
    Plain(Status),
    Bytes(Box<[u8]>),
}

impl Server {
    pub(super) fn held_bytes(&self) -> usize {
        let stored = match &self.stored {
            Stored::Nothing | Stored::Plain(_) => 0,
            Stored::Bytes(bytes) => bytes.len(),
        };
        stored + self.held.as_ref().map_or(0, |held| held.len())
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A new one: to be answered, or [`hold`](Transactions::hold)ed and answered later.
    New(Key<Server>),
    /// A new one that has come by another path already: a UAS answers 482 (§8.2.2.2), a proxy takes it as new.
    Merged(Key<Server>),
    /// A copy; it was answered as the first one, if that is.
    Retransmission,
    /// The ACK of a failure, which was waiting for it.
    Acknowledged,
    /// An ACK of a 2xx, or of nothing: for the dialog that it names.
    Ack {
        /// The INVITE whose branch it has. An ACK of a 2xx should have its own, but phones differ.
        of: Option<Key<Server>>,
    },
    /// A CANCEL, to be answered 481 if it means no INVITE, else 200 (§9.2).
    Cancel {
        /// The CANCEL.
        server: Key<Server>,
        /// The INVITE that it means; to be answered 487 if it still [is unanswered](Transactions::is_unanswered).
        invite: Option<Key<Server>>,
    },
    /// There are too many transactions; it was answered 503.
    Refused,
}

/// What a response says before its further header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply<'a> {
    /// The status.
    pub(crate) status: Status,
    /// Our tag, for a request whose To has none; without it the transaction has a tag of its own (§8.2.6.2).
    pub(crate) to_tag: Option<&'a str>,
}

/// What a refused peer is asked to wait, in seconds.
const RETRY_AFTER: u32 = 5;

impl Transactions {
    /// Our tag in the answer to a request that has no transaction: the same for each copy (§8.2.7).
    pub(crate) fn tag_without_transaction(&self, via: &Via<'_>) -> IdentText {
        self.matching_key.tag_of(via)
    }

    /// Takes a request that came by `flow`.
    pub(crate) fn receive(
        &mut self,
        now: Tick,
        request: &Request<'_>,
        flow: Flow,
        outbox: &mut Outbox,
    ) -> Incoming {
        if request.method == Method::Ack {
            return self.receive_ack(now, request);
        }
        let matching = self.matching_key.transaction(request, request.method);
        if let Some(key) = self.matching.get(&matching).copied() {
            self.retransmitted(now, key, request, outbox);
            return Incoming::Retransmission;
        }
        let back = flow.for_response(&request.via);
        if self.servers.len() >= self.most_servers {
            let tag = self.matching_key.tag(matching);
            self.transport.send(now, back, outbox, |out| {
                let status = Status::UNAVAILABLE;
                let mut writer = Writer::answer(out, request, back.remote(), status, Some(tag.as_str()));
                writer.number(Name::RetryAfter, RETRY_AFTER);
                writer.end();
            });
            return Incoming::Refused;
        }
        let merging = self.matching_key.merging(request);
        let merged = merging.is_some_and(|merging| self.merging.contains_key(&merging));
        let key = self.insert_server(now, request.method, (matching, merging), back);
        match request.method {
            Method::Cancel => {
                let invite = self.matching_key.transaction(request, Method::Invite);
                Incoming::Cancel { server: key, invite: self.matching.get(&invite).copied() }
            }
            _ if merged => Incoming::Merged(key),
            _ => Incoming::New(key),
        }
    }

    fn insert_server(
        &mut self,
        now: Tick,
        method: Method<'_>,
        (matching, merging): (Matching, Option<Matching>),
        flow: Flow,
    ) -> Key<Server> {
        let start = Machine::start(method, &self.timers);
        // No machine ends as it starts.
        let machine = start.next.unwrap_or(Machine::NonInvite(server_non_invite::State::Completed));
        let key = self.servers.insert(Server {
            matching,
            merging,
            owner: None,
            flow,
            machine,
            stored: Stored::Nothing,
            held: None,
            unacknowledged: None,
            retransmit: None,
            expire: None,
        });
        self.matching.insert(matching, key);
        if let Some(merging) = merging {
            self.merging.entry(merging).or_insert(key);
        }
        self.set_server(now, key, start.retransmit, start.expire);
        key
    }

    fn receive_ack(&mut self, now: Tick, ack: &Request<'_>) -> Incoming {
        let matching = self.matching_key.transaction(ack, Method::Invite);
        let Some(key) = self.matching.get(&matching).copied() else { return Incoming::Ack { of: None } };
        match self.server_event(now, key, Event::Ack) {
            Act::PassAck => Incoming::Ack { of: Some(key) },
            _ => Incoming::Acknowledged,
        }
    }

    fn retransmitted(&mut self, now: Tick, key: Key<Server>, request: &Request<'_>, outbox: &mut Outbox) {
        if self.server_event(now, key, Event::Request) != Act::Resend {
            return;
        }
        let Some(server) = self.servers.get(key) else { return };
        match &server.stored {
            Stored::Nothing => {}
            Stored::Plain(status) => {
                let tag = self.matching_key.tag(server.matching);
                let flow = server.flow;
                self.transport.send(now, flow, outbox, |out| write_plain(out, request, flow, *status, tag));
            }
            Stored::Bytes(bytes) => {
                self.transport.send(now, server.flow, outbox, |out| out.extend_from_slice(bytes));
            }
        }
    }

    /// Keeps a copy of a request that is not answered in the call that brought it: for
    /// [`respond_held`](Self::respond_held), and for the 100 that is sent while its user is silent (§17.2.1,
    /// RFC 4320 §4.1). It goes with the final response.
    pub(crate) fn hold(&mut self, key: Key<Server>, request: &Request<'_>) {
        if let Some(server) = self.servers.get_mut(key).filter(|server| server.machine.is_unanswered()) {
            server.held = Some(request.raw.into());
        }
    }

    /// The request that was held.
    #[cfg_attr(
        not(any(test, feature = "softphone")),
        expect(dead_code, reason = "the softphone answers later")
    )]
    pub(crate) fn held(&self, key: Key<Server>) -> Option<&[u8]> {
        self.servers.get(key)?.held.as_deref()
    }

    /// Says whose a server transaction is; events about it then tell.
    pub(crate) fn own(&mut self, key: Key<Server>, owner: Owner) {
        if let Some(server) = self.servers.get_mut(key) {
            server.owner = Some(owner);
        }
    }

    /// Whose a server transaction is, if that was said.
    pub(crate) fn owner(&self, key: Key<Server>) -> Option<Owner> {
        self.servers.get(key)?.owner
    }

    /// The way that its response goes back by.
    pub(crate) fn came_by(&self, key: Key<Server>) -> Option<Flow> {
        self.servers.get(key).map(|server| server.flow)
    }

    /// Whether a request waits for its final response; false for a transaction that is over.
    pub(crate) fn is_unanswered(&self, key: Key<Server>) -> bool {
        self.servers.get(key).is_some_and(|server| server.machine.is_unanswered())
    }

    /// Answers a request with a status and nothing else. Nothing but the status is stored, except for an INVITE.
    ///
    /// Tells whether it was sent, as all that respond: the first final response is, and what goes before it; but no
    /// provisional and no 408 to another request than INVITE (RFC 4320 §4).
    pub(crate) fn respond_plain(
        &mut self,
        now: Tick,
        key: Key<Server>,
        request: &Request<'_>,
        status: Status,
        outbox: &mut Outbox,
    ) -> bool {
        if request.method == Method::Invite {
            let reply = Reply { status, to_tag: None };
            return self.respond(now, key, request, reply, outbox, |writer| writer.end());
        }
        let Some((flow, matching)) = self.allowed(now, key, status) else { return false };
        let tag = self.matching_key.tag(matching);
        if mistakes::on(Mistake::SkipAnswer) && request.method == Method::Notify {
            return true;
        }
        self.transport.send(now, flow, outbox, |out| write_plain(out, request, flow, status, tag));
        self.store(key, Stored::Plain(status));
        true
    }

    /// Answers a request; `finish` appends further header fields and the end or a body.
    ///
    /// A 2xx to INVITE is sent again until [`acknowledged`](Self::acknowledged) (§13.3.1.4).
    pub(crate) fn respond(
        &mut self,
        now: Tick,
        key: Key<Server>,
        request: &Request<'_>,
        reply: Reply<'_>,
        outbox: &mut Outbox,
        finish: impl FnOnce(Writer<'_>),
    ) -> bool {
        let Some((flow, matching)) = self.allowed(now, key, reply.status) else { return false };
        let own = self.matching_key.tag(matching);
        let tag = match reply.status {
            Status::TRYING => reply.to_tag,
            _ => Some(reply.to_tag.unwrap_or(own.as_str())),
        };
        let sent = self.transport.send(now, flow, outbox, |out| {
            finish(Writer::answer(out, request, flow.remote(), reply.status, tag));
        });
        let stored = Stored::Bytes(sent.into());
        self.store(key, stored);
        if request.method == Method::Invite && reply.status.is_success() {
            self.repeat(now, key);
        }
        true
    }

    /// Answers a request that was held, as [`respond`](Self::respond) does.
    pub(crate) fn respond_held(
        &mut self,
        now: Tick,
        key: Key<Server>,
        reply: Reply<'_>,
        outbox: &mut Outbox,
        finish: impl FnOnce(Writer<'_>),
    ) -> bool {
        let Some(held) = self.servers.get_mut(key).and_then(|server| server.held.take()) else {
            return false;
        };
        let sent = match parse(&held) {
            Ok(Message::Request(request)) => self.respond(now, key, &request, reply, outbox, finish),
            _ => false,
        };
        if let Some(server) = self.servers.get_mut(key)
            && server.machine.is_unanswered()
        {
            server.held = Some(held);
        }
        sent
    }

    /// Sends a response that came from elsewhere, as a proxy does: `write` appends it whole. Each 2xx to INVITE is
    /// sent, and none repeated, which is the business of who made it (§16.7).
    #[cfg_attr(not(test), expect(dead_code, reason = "proxies need it"))]
    pub(crate) fn relay(
        &mut self,
        now: Tick,
        key: Key<Server>,
        status: Status,
        outbox: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        if !may_send(self.servers.get(key), status)
            || self.server_event(now, key, event_of(status)) != Act::Send
        {
            return false;
        }
        let Some(server) = self.servers.get(key) else { return false };
        let sent = self.transport.send(now, server.flow, outbox, write);
        // Nothing asks for a 2xx to INVITE again: copies of the INVITE are absorbed (RFC 6026 §7.1).
        let stored = match server.machine {
            Machine::Invite(server_invite::State::Accepted) => Stored::Nothing,
            _ => Stored::Bytes(sent.into()),
        };
        self.store(key, stored);
        true
    }

    /// The transaction user has the ACK of its 2xx, which is not sent again.
    pub(crate) fn acknowledged(&mut self, now: Tick, key: Key<Server>) {
        let Some(server) = self.servers.get_mut(key) else { return };
        if server.unacknowledged.take().is_some() {
            server.stored = Stored::Nothing;
            self.set_server(now, key, Timer::Stop, Timer::Keep);
        }
    }

    /// Steps the machine by a response of a user that answers once; where it is to be sent to, if it may be.
    fn allowed(&mut self, now: Tick, key: Key<Server>, status: Status) -> Option<(Flow, Matching)> {
        let server = self.servers.get(key).filter(|server| server.machine.is_unanswered());
        if !may_send(server, status) {
            return None;
        }
        let (flow, matching) = server.map(|server| (server.flow, server.matching))?;
        (self.server_event(now, key, event_of(status)) == Act::Send).then_some((flow, matching))
    }

    fn store(&mut self, key: Key<Server>, stored: Stored) {
        if let Some(server) = self.servers.get_mut(key) {
            server.stored = stored;
            if !server.machine.is_unanswered() {
                server.held = None;
            }
        }
    }

    fn repeat(&mut self, now: Tick, key: Key<Server>) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let first = Unacknowledged::start(&self.timers);
        server.unacknowledged = Some(first);
        self.set_server(now, key, Timer::Start(first.interval()), Timer::Keep);
    }

    pub(super) fn server_due(
        &mut self,
        now: Tick,
        key: Key<Server>,
        event: Event,
        outbox: &mut Outbox,
        events: &mut Vec<TransactionEvent>,
    ) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let owner = server.owner;
        if let Some(last) = server.unacknowledged {
            if event == Event::Retransmit {
                let next = last.again(&self.timers);
                server.unacknowledged = Some(next);
                if let Stored::Bytes(bytes) = &server.stored {
                    self.transport.send(now, server.flow, outbox, |out| out.extend_from_slice(bytes));
                }
                self.set_server(now, key, Timer::Start(next.interval()), Timer::Keep);
                return;
            }
            events.push(TransactionEvent::NoAck { owner, key });
        }
        match self.server_event(now, key, event) {
            Act::Resend => {
                if let Some(server) = self.servers.get(key)
                    && let Stored::Bytes(bytes) = &server.stored
                {
                    self.transport.send(now, server.flow, outbox, |out| out.extend_from_slice(bytes));
                }
            }
            Act::Trying => self.send_trying(now, key, outbox),
            Act::NoAck => events.push(TransactionEvent::ServerTimedOut { owner, key }),
            _ => {}
        }
    }

    fn send_trying(&mut self, now: Tick, key: Key<Server>, outbox: &mut Outbox) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let Some(Ok(Message::Request(request))) = server.held.as_deref().map(parse) else { return };
        let flow = server.flow;
        self.transport.send(now, flow, outbox, |out| {
            Writer::answer(out, &request, flow.remote(), Status::TRYING, None).end();
        });
        server.stored = Stored::Plain(Status::TRYING);
    }

    /// Steps the machine; the act is left to the caller.
    fn server_event(&mut self, now: Tick, key: Key<Server>, event: Event) -> Act {
        let Some(server) = self.servers.get_mut(key) else { return Act::Refuse };
        let step = server.machine.on(event, &self.timers, server.flow.is_reliable());
        match step.next {
            Some(next) => {
                server.machine = next;
                if next == Machine::Invite(server_invite::State::Confirmed) {
                    server.stored = Stored::Nothing;
                }
                self.set_server(now, key, step.retransmit, step.expire);
            }
            None => {
                self.set_server(now, key, Timer::Stop, Timer::Stop);
                self.remove_server(key);
            }
        }
        step.act
    }

    fn remove_server(&mut self, key: Key<Server>) {
        let Some(server) = self.servers.remove(key) else { return };
        self.matching.remove(&server.matching);
        if let Some(merging) = server.merging
            && self.merging.get(&merging) == Some(&key)
        {
            self.merging.remove(&merging);
        }
    }

    fn set_server(&mut self, now: Tick, key: Key<Server>, retransmit: Timer, expire: Timer) {
        let expire = if mistakes::on(Mistake::LeakTransaction) { Timer::Stop } else { expire };
        let Some(server) = self.servers.get_mut(key) else { return };
        set_timer(&mut self.wheel, now, &mut server.retransmit, retransmit, Due::ServerRetransmit(key));
        set_timer(&mut self.wheel, now, &mut server.expire, expire, Due::ServerExpire(key));
    }
}

fn event_of(status: Status) -> Event {
    match status {
        status if status.is_provisional() => Event::Provisional,
        status if status.is_success() => Event::Success,
        _ => Event::Failure,
    }
}

/// Whether this status may be sent at all: to another request than INVITE a 408 comes too late by its own word
/// (RFC 4320 §4.2).
fn may_send(server: Option<&Server>, status: Status) -> bool {
    server.is_some_and(|server| match server.machine {
        Machine::Invite(_) => true,
        Machine::NonInvite(_) => status != Status::REQUEST_TIMEOUT,
    })
}

fn write_plain(out: &mut Vec<u8>, request: &Request<'_>, flow: Flow, status: Status, tag: IdentText) {
    let tag = if status == Status::TRYING { None } else { Some(tag.as_str()) };
    Writer::answer(out, request, flow.remote(), status, tag).end();
}
