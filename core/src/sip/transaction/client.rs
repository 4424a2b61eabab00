//! Client transactions: what we sent, sent again until it is answered (RFC 3261 §17.1).

use super::branch::Branch;
use super::step::{Step, Timer};
use super::timers::Timers;
use super::way::Way;
use super::{
    Due, Owner, TransactionEvent, Transactions, client_invite, client_non_invite, follow, set_timer,
};
use crate::Tick;
use crate::ident::{Ident, Key};
use crate::io::Outbox;
use crate::mistakes::{self, Mistake};
use crate::sip::message::{Method, Response, Status};
use crate::sip::transport::Flow;
use crate::time::wheel::{TimerKey, Wheel};

/// What happens to a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A 1xx.
    Provisional,
    /// A 2xx.
    Success,
    /// A final response of 300 or more.
    Failure,
    /// Timer A or E.
    Retransmit,
    /// Timer B, D, F, K or M, or the end of the wait after CANCEL: whichever runs.
    Expire,
    /// CANCEL was sent for it.
    Cancelled,
    /// The peer cannot be reached by its flow.
    Unreachable,
}

#[cfg(test)]
pub(super) const EVENTS: [Event; 7] = [
    Event::Provisional,
    Event::Success,
    Event::Failure,
    Event::Retransmit,
    Event::Expire,
    Event::Cancelled,
    Event::Unreachable,
];

/// What a client transaction's step asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing.
    Ignore,
    /// Send the request again.
    Resend,
    /// Hand the response to the transaction user.
    Pass,
    /// Acknowledge the failure and hand it to the transaction user.
    AcknowledgeAndPass,
    /// Acknowledge the failure again.
    Acknowledge,
    /// Tell the transaction user that no final response came.
    TimedOut,
    /// Tell the transaction user that the peer cannot be reached.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// It is not sent yet: where to is being looked up, or its user has not written it.
    Unsent,
    Invite(client_invite::State),
    NonInvite(client_non_invite::State),
}

impl Machine {
    fn start(method: Method<'_>, timers: &Timers, reliable: bool) -> Step<Machine, Act> {
        match method {
            Method::Invite => client_invite::State::start(timers, reliable).map(Machine::Invite),
            _ => client_non_invite::State::start(timers, reliable).map(Machine::NonInvite),
        }
    }

    fn on(self, event: Event, timers: &Timers, reliable: bool) -> Step<Machine, Act> {
        match self {
            Machine::Unsent => Step::stay(self, Act::Ignore),
            Machine::Invite(state) => state.on(event, timers, reliable).map(Machine::Invite),
            Machine::NonInvite(state) => state.on(event, timers, reliable).map(Machine::NonInvite),
        }
    }

    /// Whether the bytes that are kept may still be sent or read.
    fn keeps_bytes(self) -> bool {
        match self {
            Machine::Unsent => true,
            Machine::Invite(state) => !matches!(state, client_invite::State::Accepted),
            Machine::NonInvite(state) => !matches!(state, client_non_invite::State::Completed),
        }
    }
}

/// A client transaction.
#[derive(Debug)]
pub(crate) struct Client {
    ident: Ident,
    method: Method<'static>,
    owner: Owner,
    machine: Machine,
    expire: Option<TimerKey>,
    cancel: Cancel,
    /// None once it has its 2xx: from then on it waits for copies of that only, and tens of thousands may.
    pub(super) course: Option<Box<Course>>,
}

/// The course of a request until its final response: what it is sent by, and sent again.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// None as long as it is not known.
    pub(super) flow: Option<Flow>,
    /// None for a request whose user has said by which flow it goes, and that was never moved to another.
    pub(super) way: Option<Way>,
    /// Whether anything was heard of the peer.
    pub(super) heard: bool,
    /// The request, as long as it may have to be sent again or CANCEL and ACK are made of it; then the ACK of a
    /// failure.
    bytes: Box<[u8]>,
    /// `Reason` of the CANCEL that is wanted.
    reason: Option<Box<str>>,
    retransmit: Option<TimerKey>,
}

#[derive(Clone, Copy, Debug)]
enum Cancel {
    No,
    /// To be sent as soon as a provisional response has come (§9.1).
    Wanted,
    Sent(Key<Client>),
}

impl Client {
    /// One that is to be written when it is known where it goes.
    pub(super) fn unsent(ident: Ident, method: Method<'static>, owner: Owner) -> Self {
        Self {
            ident,
            method,
            owner,
            machine: Machine::Unsent,
            expire: None,
            cancel: Cancel::No,
            course: Some(Box::default()),
        }
    }

    pub(super) fn ident(&self) -> Ident {
        self.ident
    }

    pub(super) fn branch(&self) -> Branch {
        if mistakes::on(Mistake::ReuseBranch) && self.method == Method::Bye {
            return Branch::of(Ident::new(Key::<Client>::from_bits(0), 0));
        }
        Branch::of(self.ident)
    }

    pub(super) fn method(&self) -> Method<'static> {
        self.method
    }

    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    pub(super) fn is_unsent(&self) -> bool {
        self.machine == Machine::Unsent
    }

    /// Whether it is wanted to be cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        !matches!(self.cancel, Cancel::No) || self.method == Method::Cancel
    }

    /// Whether a response is waited for that only this way brings.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(
            self.machine,
            Machine::Invite(client_invite::State::Calling { .. })
                | Machine::NonInvite(
                    client_non_invite::State::Trying { .. } | client_non_invite::State::Proceeding
                )
        )
    }

    fn is_reliable(&self) -> bool {
        self.flow().is_some_and(Flow::is_reliable)
    }

    /// The way that it goes, if that is known and not forgotten with its 2xx.
    pub(super) fn flow(&self) -> Option<Flow> {
        self.course.as_ref()?.flow
    }

    /// It goes this way now.
    pub(super) fn set_flow(&mut self, flow: Option<Flow>) {
        if let Some(course) = &mut self.course {
            course.flow = flow;
        }
    }

    /// Where it goes and else could.
    pub(super) fn way(&self) -> Option<&Way> {
        self.course.as_ref()?.way.as_ref()
    }

    /// Where it goes and else could.
    pub(super) fn way_mut(&mut self) -> Option<&mut Way> {
        self.course.as_mut()?.way.as_mut()
    }

    /// Nothing has to be sent any more, if this was the answer that it waited for.
    pub(super) fn succeeded(&mut self) {
        if !self.machine.keeps_bytes() {
            self.course = None;
        }
    }

    fn bytes(&self) -> &[u8] {
        self.course.as_ref().map_or(&[], |course| &course.bytes)
    }

    fn keep(&mut self, bytes: Box<[u8]>) {
        if let Some(course) = &mut self.course {
            course.bytes = bytes;
        }
    }

    fn keep_reason(&mut self, reason: Option<&str>) {
        if let Some(course) = &mut self.course {
            course.reason = reason.map(Into::into);
        }
    }

    fn stop_retransmitting(&mut self, wheel: &mut Wheel<Due>) {
        if let Some(course) = &mut self.course {
            wheel.stop_taken(&mut course.retransmit);
        }
    }

    /// It was sent, as these bytes.
    pub(super) fn start(&mut self, sent: Box<[u8]>, timers: &Timers, reliable: bool) -> (Timer, Timer) {
        let start = Machine::start(self.method, timers, reliable);
        // No machine ends as it starts.
        self.machine = start.next.unwrap_or(Machine::NonInvite(client_non_invite::State::Completed));
        self.keep(sent);
        (start.retransmit, start.expire)
    }

    /// It is to be written once more.
    pub(super) fn unsend(&mut self, wheel: &mut Wheel<Due>) {
        self.machine = Machine::Unsent;
        self.keep(Box::default());
        self.stay(wheel);
        self.stop_retransmitting(wheel);
        wheel.stop_taken(&mut self.expire);
    }

    /// Nobody waits for its answer any more; what comes all the same is nobody's.
    pub(super) fn abandon(&mut self, wheel: &mut Wheel<Due>) {
        self.owner = Owner::NOBODY;
        self.stop_retransmitting(wheel);
    }

    pub(super) fn set_timers(
        &mut self,
        wheel: &mut Wheel<Due>,
        now: Tick,
        key: Key<Client>,
        (retransmit, expire): (Timer, Timer),
    ) {
        if let Some(course) = &mut self.course {
            set_timer(wheel, now, &mut course.retransmit, retransmit, Due::ClientRetransmit(key));
        }
        set_timer(wheel, now, &mut self.expire, expire, Due::ClientExpire(key));
    }

    pub(super) fn held_bytes(&self) -> usize {
        let reason = |course: &Course| course.reason.as_ref().map_or(0, |reason| reason.len());
        self.course.as_ref().map_or(0, |course| course.bytes.len() + reason(course))
    }
}

/// What came of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// CANCEL was sent, now or before, in this transaction, which reports nothing: the INVITE's final response counts.
    Sent(Key<Client>),
    /// No provisional response has come yet; CANCEL is sent when one does (§9.1).
    Waiting,
    /// It was never sent, and is over now.
    Unsent,
    /// The INVITE has its final response, is none, or is over.
    TooLate,
}

/// A response that the owner of a client transaction has to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientEvent {
    /// Whose the transaction is.
    pub(crate) owner: Owner,
    /// The transaction.
    pub(crate) key: Key<Client>,
    /// What the response is to it.
    pub(crate) kind: ResponseKind,
}

/// What a response is to its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseKind {
    /// A 1xx.
    Provisional,
    /// The one final response: of 300 or more to INVITE, which has been acknowledged, or any to another request.
    Final,
    /// A 2xx to INVITE, which its user acknowledges: the first, a copy of it, or that of another fork (RFC 6026 §7.2).
    Success2xx,
}

#[cfg(any(test, feature = "softphone"))]
impl Transactions {
    /// Sends a request by this flow in a new transaction: `write` appends it whole, with the branch that it is given.
    ///
    /// Never for CANCEL, which [`cancel`](Self::cancel) makes, nor for the ACK of a 2xx, which has no transaction
    /// ([`send`](Self::send)).
    pub(crate) fn request(
        &mut self,
        now: Tick,
        method: Method<'static>,
        flow: Flow,
        owner: Owner,
        outbox: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>, &str),
    ) -> Key<Client> {
        let secret = self.random.bits();
        let key = self.clients.insert_with(|key| Client::unsent(Ident::new(key, secret), method, owner));
        let branch = Branch::of(Ident::new(key, secret));
        let sent: Box<[u8]> =
            self.transport.send(now, flow, outbox, |out| write(out, branch.as_str())).into();
        if let Some(client) = self.clients.get_mut(key) {
            client.set_flow(Some(flow));
            let timers = client.start(sent, &self.timers, flow.is_reliable());
            client.set_timers(&mut self.wheel, now, key, timers);
        }
        key
    }
}

impl Transactions {
    /// Cancels an INVITE: at once if a provisional response has come, else when one does. Its final response is
    /// waited for 64*T1 from then (§9.1). `reason` is the value of a `Reason` header field (RFC 3326).
    ///
    /// Asked again it sends nothing more.
    pub(crate) fn cancel(
        &mut self,
        now: Tick,
        key: Key<Client>,
        reason: Option<&str>,
        outbox: &mut Outbox,
    ) -> Cancelled {
        if let Some(owner) = self.forget_unsent(key) {
            self.told.push(TransactionEvent::TimedOut { owner, key });
            return Cancelled::Unsent;
        }
        let Some(client) = self.clients.get_mut(key) else { return Cancelled::TooLate };
        match (client.machine, &client.cancel) {
            (Machine::Invite(client_invite::State::Calling { .. }), Cancel::No) => {
                client.cancel = Cancel::Wanted;
                client.keep_reason(reason);
                Cancelled::Waiting
            }
            (Machine::Invite(client_invite::State::Calling { .. }), _) => Cancelled::Waiting,
            (Machine::Invite(client_invite::State::Proceeding), Cancel::Sent(cancel)) => {
                Cancelled::Sent(*cancel)
            }
            (Machine::Invite(client_invite::State::Proceeding), _) => {
                self.send_cancel(now, key, reason, outbox)
            }
            (_, _) => Cancelled::TooLate,
        }
    }

    fn send_cancel(
        &mut self,
        now: Tick,
        key: Key<Client>,
        reason: Option<&str>,
        outbox: &mut Outbox,
    ) -> Cancelled {
        let Some(invite) = self.clients.get(key) else { return Cancelled::TooLate };
        let (owner, ident) = (invite.owner, invite.ident);
        let (Some(flow), Some(read)) = (invite.flow(), follow::read(invite.bytes())) else {
            return Cancelled::TooLate;
        };
        let flow = self.transport.revived(now, flow, invite.host(), outbox);
        let sent: Box<[u8]> =
            self.transport.send(now, flow, outbox, |out| follow::write_cancel(out, &read, reason)).into();
        let cancel = self.clients.insert(Client::unsent(ident, Method::Cancel, owner));
        if let Some(client) = self.clients.get_mut(cancel) {
            client.set_flow(Some(flow));
            let timers = client.start(sent, &self.timers, flow.is_reliable());
            client.set_timers(&mut self.wheel, now, cancel, timers);
        }
        if let Some(invite) = self.clients.get_mut(key) {
            invite.cancel = Cancel::Sent(cancel);
        }
        self.client_event(now, key, Event::Cancelled);
        Cancelled::Sent(cancel)
    }

    /// Takes a response whose topmost Via is ours ([`Locals::wrote`](crate::sip::transport::Locals::wrote)).
    ///
    /// Tells whose it is if the owner has to see it: each provisional, the first final, each 2xx to INVITE. Copies
    /// are absorbed, failures of INVITE acknowledged here. One that belongs to no transaction is dropped and counted.
    pub(crate) fn response(
        &mut self,
        now: Tick,
        response: &Response<'_>,
        outbox: &mut Outbox,
    ) -> Option<ClientEvent> {
        let Some(key) = self.client_of(response) else {
            self.strays += 1;
            return None;
        };
        let (event, kind) = self.kind_of(key, response.status)?;
        let act = self.client_event(now, key, event);
        self.heard(key, response.status);
        match act {
            Act::AcknowledgeAndPass => self.acknowledge(now, key, response, outbox),
            Act::Acknowledge => self.resend(now, key, outbox),
            Act::Pass if event == Event::Provisional => self.cancel_wanted(now, key, outbox),
            _ => {}
        }
        let unavailable = response.status == Status::UNAVAILABLE;
        if unavailable && matches!(act, Act::Pass | Act::AcknowledgeAndPass) && self.reroute(now, key, outbox)
        {
            return None;
        }
        let client = self.clients.get(key)?;
        // The answer to a CANCEL interests nobody: what counts is that of its INVITE.
        let pass = matches!(act, Act::Pass | Act::AcknowledgeAndPass) && client.method != Method::Cancel;
        pass.then_some(ClientEvent { owner: client.owner, key, kind })
    }

    /// The transaction of a response: by the branch, then by the method in CSeq, since CANCEL shares the branch of
    /// its INVITE (§17.1.3).
    fn client_of(&self, response: &Response<'_>) -> Option<Key<Client>> {
        let ident = Branch::read(response.via.branch()?)?;
        let key = ident.key();
        let client = self.clients.get(key).filter(|client| client.ident == ident)?;
        if client.method == response.cseq.method {
            return Some(key);
        }
        match client.cancel {
            Cancel::Sent(cancel) if response.cseq.method == Method::Cancel => {
                self.clients.get(cancel).map(|_| cancel)
            }
            _ => None,
        }
    }

    fn kind_of(&self, key: Key<Client>, status: Status) -> Option<(Event, ResponseKind)> {
        let method = self.clients.get(key)?.method;
        Some(if status.is_provisional() {
            (Event::Provisional, ResponseKind::Provisional)
        } else if !status.is_success() {
            (Event::Failure, ResponseKind::Final)
        } else if method == Method::Invite {
            (Event::Success, ResponseKind::Success2xx)
        } else {
            (Event::Success, ResponseKind::Final)
        })
    }

    /// Acknowledges a failure. The ACK takes the place of the INVITE, of which nothing else is needed now.
    fn acknowledge(&mut self, now: Tick, key: Key<Client>, response: &Response<'_>, outbox: &mut Outbox) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let ack = match (follow::read(client.bytes()), client.flow()) {
            (Some(invite), Some(flow)) => {
                self.transport.send(now, flow, outbox, |out| follow::write_ack(out, &invite, response)).into()
            }
            (_, _) => Box::default(),
        };
        client.keep(ack);
    }

    pub(super) fn resend(&mut self, now: Tick, key: Key<Client>, outbox: &mut Outbox) {
        if let Some(client) = self.clients.get_mut(key).filter(|client| !client.bytes().is_empty())
            && let Some(flow) = client.flow()
        {
            client.resent();
            self.transport.send(now, flow, outbox, |out| out.extend_from_slice(client.bytes()));
        }
    }

    fn cancel_wanted(&mut self, now: Tick, key: Key<Client>, outbox: &mut Outbox) {
        let Some(client) = self.clients.get_mut(key) else { return };
        match client.cancel {
            Cancel::Wanted => {
                let reason = client.course.as_mut().and_then(|course| course.reason.take());
                self.send_cancel(now, key, reason.as_deref(), outbox);
            }
            // Another server was tried meanwhile.
            Cancel::No if client.owner == Owner::NOBODY && client.method == Method::Invite => {
                self.send_cancel(now, key, None, outbox);
            }
            Cancel::No | Cancel::Sent(_) => {}
        }
    }

    /// Nothing reaches the peer of this request (§17.1.4).
    pub(super) fn give_up(&mut self, now: Tick, key: Key<Client>) {
        let Some(client) = self.clients.get(key) else { return };
        let (owner, method) = (client.owner, client.method);
        let act = self.client_event(now, key, Event::Unreachable);
        if act == Act::Failed && method != Method::Cancel {
            self.told.push(TransactionEvent::TransportFailed { owner, key });
        }
    }

    pub(super) fn client_due(
        &mut self,
        now: Tick,
        key: Key<Client>,
        event: Event,
        outbox: &mut Outbox,
        events: &mut Vec<TransactionEvent>,
    ) {
        let Some(client) = self.clients.get(key) else { return };
        let (owner, method) = (client.owner, client.method);
        match self.client_event(now, key, event) {
            Act::Resend => self.resend(now, key, outbox),
            // That of a CANCEL is followed by that of its INVITE.
            Act::TimedOut if method != Method::Cancel => {
                events.push(TransactionEvent::TimedOut { owner, key });
                if let Some(client) = self.clients.get_mut(key) {
                    client.abandon(&mut self.wheel);
                    client.stay_for_good(&mut self.wheel);
                }
            }
            _ => {}
        }
    }

    fn end_client(&mut self, now: Tick, key: Key<Client>) {
        if let Some(client) = self.clients.get_mut(key) {
            client.set_timers(&mut self.wheel, now, key, (Timer::Stop, Timer::Stop));
            client.stay(&mut self.wheel);
            self.clients.remove(key);
        }
    }

    /// Steps the machine; the act is left to the caller.
    fn client_event(&mut self, now: Tick, key: Key<Client>, event: Event) -> Act {
        let Some(client) = self.clients.get_mut(key) else { return Act::Ignore };
        let step = client.machine.on(event, &self.timers, client.is_reliable());
        if mistakes::on(Mistake::IgnoreAnswer) && event == Event::Success && client.method != Method::Invite {
            return step.act;
        }
        if let Some(next) = step.next {
            client.machine = next;
            if matches!((event, &client.cancel), (Event::Success | Event::Failure, Cancel::Wanted)) {
                client.cancel = Cancel::No;
                client.keep_reason(None);
            }
            if !next.keeps_bytes() {
                client.keep(Box::default());
            }
        }
        client.set_timers(&mut self.wheel, now, key, (step.retransmit, step.expire));
        if step.next.is_none() {
            client.stay(&mut self.wheel);
            let over = self.clients.remove(key);
            // It has reached its aim or never will, and its answer would find nobody.
            if let Some(Client { cancel: Cancel::Sent(cancel), .. }) = over {
                self.end_client(now, cancel);
            }
        }
        step.act
    }
}
