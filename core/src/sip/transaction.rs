//! Transactions (RFC 3261 §17 with RFC 6026 and RFC 4320): requests and their responses, retransmitted and matched.
//!
//! [`Transactions`] owns them all. Bytes and time go in, datagrams are appended to the outbox, and what the
//! transaction user has to know is returned.

mod client;
mod follow;
mod matching;
mod server;
mod timers;

use hashbrown::HashMap;

use crate::Tick;
use crate::ident::{Ident, Key, Table};
use crate::io::Outbox;
use crate::random::Random;
use crate::sip::message::{Message, Method, Request, Response, Status, Writer, parse};
use crate::sip::transport::Flow;
use crate::time::wheel::{TimerKey, Wheel};
use matching::{Matching, MatchingKey, PassthroughBuilder};
use timers::Timer;
pub(crate) use timers::Timers;

/// Whose a transaction is: a number of the transaction user's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) u64);

/// How many timers fire in one call of [`Transactions::timeout`].
const TIMERS_AT_ONCE: usize = 1024;

/// The magic cookie of RFC 3261 §8.1.1.7.
const MAGIC: &str = "z9hG4bK";

/// A client transaction.
#[derive(Debug)]
pub(crate) struct Client {
    ident: Ident,
    method: Method<'static>,
    owner: Owner,
    flow: Flow,
    state: client::State,
    /// What was sent, as long as it may have to be sent again or ACK and CANCEL are made of it.
    request: Box<[u8]>,
    retransmit: Option<TimerKey>,
    expire: Option<TimerKey>,
    cancel: Cancel,
}

#[derive(Debug)]
enum Cancel {
    No,
    /// Sent as soon as a provisional response has come (§9.1).
    Wanted(Option<Box<str>>),
    Sent(Key<Client>),
}

/// A server transaction.
#[derive(Debug)]
pub(crate) struct Server {
    matching: Matching,
    flow: Flow,
    state: server::State,
    last: Last,
    /// Whom to tell when no ACK comes.
    owner: Option<Owner>,
    /// The request, where it is answered later than in the call that brought it.
    held: Option<Box<[u8]>>,
    retransmit: Option<TimerKey>,
    expire: Option<TimerKey>,
}

/// The last response, to be sent again.
#[derive(Debug)]
enum Last {
    None,
    /// Nothing but what the request itself tells: made anew of the request that came again.
    Plain(Status),
    Bytes(Box<[u8]>),
}

/// Response events to the owner of a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientEvent {
    /// Whose it is.
    pub(crate) owner: Owner,
    /// The transaction.
    pub(crate) key: Key<Client>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A new one, to be answered.
    New(Key<Server>),
    /// A CANCEL, to be answered; and the INVITE that it means, if that waits for its final response.
    Cancel(Key<Server>, Option<Key<Server>>),
    /// An ACK that is not of a failure: of a 2xx, or of nothing.
    Ack,
    /// Dealt with here.
    Absorbed,
}

/// What time has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// No final response came: to be taken as 408 (§8.1.3.1).
    NoResponse(ClientEvent),
    /// No ACK came for a response to INVITE.
    NoAck(Key<Server>, Option<Owner>),
}

#[derive(Clone, Copy, Debug)]
enum Due {
    ClientRetransmit(Key<Client>),
    ClientExpire(Key<Client>),
    ServerRetransmit(Key<Server>),
    ServerExpire(Key<Server>),
}

/// How many of each live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) clients: usize,
    pub(crate) servers: usize,
    pub(crate) timers: usize,
}

/// All transactions of one controller.
#[derive(Debug)]
pub(crate) struct Transactions {
    clients: Table<Client>,
    servers: Table<Server>,
    matching: HashMap<Matching, Key<Server>, PassthroughBuilder>,
    matching_key: MatchingKey,
    wheel: Wheel<Due>,
    random: Random,
    timers: Timers,
}

impl Transactions {
    /// No transactions yet.
    pub(crate) fn new(mut random: Random, timers: Timers) -> Self {
        let matching_key = MatchingKey(random.bits(), random.bits());
        Self {
            clients: Table::default(),
            servers: Table::default(),
            matching: HashMap::default(),
            matching_key,
            wheel: Wheel::new(),
            random,
            timers,
        }
    }

    /// The timers' values.
    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    /// When [`timeout`](Self::timeout) is to be called next.
    pub(crate) fn next(&self) -> Option<Tick> {
        self.wheel.next()
    }

    /// How many live.
    pub(crate) fn count(&self) -> Count {
        Count { clients: self.clients.len(), servers: self.servers.len(), timers: self.wheel.len() }
    }

    /// Sends a request, which `write` appends with the branch it is given, in a new client transaction.
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
        let (state, retransmit, expire) =
            client::State::start(method == Method::Invite, &self.timers, flow.is_reliable());
        let key = self.clients.insert_with(|key| Client {
            ident: Ident::new(key, secret),
            method,
            owner,
            flow,
            state,
            request: Box::default(),
            retransmit: None,
            expire: None,
            cancel: Cancel::No,
        });
        let branch = branch(Ident::new(key, secret));
        let sent = send(outbox, flow, |out| write(out, &branch));
        if let Some(client) = self.clients.get_mut(key) {
            client.request = sent.into();
        }
        self.set_client(now, key, retransmit, expire);
        key
    }

    /// A branch for a request without a transaction: ACK for a 2xx (§17.1.1.3).
    pub(crate) fn fresh_branch(&mut self) -> String {
        format!("{MAGIC}{:016x}{:016x}", self.random.bits(), self.random.bits())
    }

    /// Cancels an INVITE: at once if a provisional response has come, else when one does (§9.1).
    ///
    /// Its final response is then waited for 64*T1 at most. Does nothing when it has one already.
    pub(crate) fn cancel(&mut self, now: Tick, key: Key<Client>, reason: Option<&str>, outbox: &mut Outbox) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if !matches!(client.cancel, Cancel::No) {
            return;
        }
        match client.state {
            client::State::Calling { .. } => client.cancel = Cancel::Wanted(reason.map(Into::into)),
            client::State::InviteProceeding => self.send_cancel(now, key, reason, outbox),
            _ => {}
        }
    }

    fn send_cancel(&mut self, now: Tick, key: Key<Client>, reason: Option<&str>, outbox: &mut Outbox) {
        let Some(invite) = self.clients.get_mut(key) else { return };
        let (flow, owner, ident) = (invite.flow, invite.owner, invite.ident);
        let sent = send(outbox, flow, |out| follow::write_cancel(out, &invite.request, reason)).into();
        let (state, retransmit, expire) = client::State::start(false, &self.timers, flow.is_reliable());
        let cancel = self.clients.insert(Client {
            ident,
            method: Method::Cancel,
            owner,
            flow,
            state,
            request: sent,
            retransmit: None,
            expire: None,
            cancel: Cancel::No,
        });
        if let Some(invite) = self.clients.get_mut(key) {
            invite.cancel = Cancel::Sent(cancel);
        }
        self.set_client(now, cancel, retransmit, expire);
        self.set_client(now, key, Timer::Keep, Timer::Start(self.timers.long()));
    }

    /// Takes a response. Returns whose it is when the transaction user has to see it: every provisional, the
    /// first final, and every 2xx to INVITE. What belongs to no transaction of ours gives nothing.
    ///
    /// The unguessable branch tells more than the sent-by check of §18.1.2 would.
    pub(crate) fn response(
        &mut self,
        now: Tick,
        response: &Response<'_>,
        outbox: &mut Outbox,
    ) -> Result<Option<ClientEvent>, Stray> {
        let key = self.client_of(response).ok_or(Stray)?;
        let event = match response.status {
            status if status.is_provisional() => client::Event::Provisional,
            status if status.is_success() => client::Event::Success,
            _ => client::Event::Failure,
        };
        let client = self.clients.get(key).ok_or(Stray)?;
        let owner = client.owner;
        let step = client.state.on(event, &self.timers, client.flow.is_reliable());
        if matches!(step.act, client::Act::Ack | client::Act::AckAndPass) {
            send(outbox, client.flow, |out| follow::write_ack(out, &client.request, response));
        }
        let pass = matches!(step.act, client::Act::Pass | client::Act::AckAndPass);
        // The answer to a CANCEL interests nobody: what counts is that of its INVITE.
        let pass = pass && client.method != Method::Cancel;
        self.step_client(now, key, step);
        if event == client::Event::Provisional {
            self.cancel_wanted(now, key, outbox);
        }
        Ok(pass.then_some(ClientEvent { owner, key }))
    }

    fn client_of(&self, response: &Response<'_>) -> Option<Key<Client>> {
        let ident = Ident::parse(response.via.branch()?.strip_prefix(MAGIC)?)?;
        let mut key: Key<Client> = ident.key();
        let mut client = self.clients.get(key).filter(|client| client.ident == ident)?;
        if response.cseq.method == Method::Cancel
            && let Cancel::Sent(cancel) = client.cancel
        {
            key = cancel;
            client = self.clients.get(key)?;
        }
        (client.method == response.cseq.method).then_some(key)
    }

    fn cancel_wanted(&mut self, now: Tick, key: Key<Client>, outbox: &mut Outbox) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Cancel::Wanted(reason) = &mut client.cancel {
            let reason = reason.take();
            self.send_cancel(now, key, reason.as_deref(), outbox);
        }
    }

    fn step_client(&mut self, now: Tick, key: Key<Client>, step: client::Step) {
        match step.next {
            Some(next) => {
                if let Some(client) = self.clients.get_mut(key) {
                    client.state = next;
                    if !next.keeps_request() {
                        client.request = Box::default();
                    }
                }
                self.set_client(now, key, step.retransmit, step.expire);
            }
            None => {
                self.set_client(now, key, Timer::Stop, Timer::Stop);
                self.clients.remove(key);
            }
        }
    }

    fn set_client(&mut self, now: Tick, key: Key<Client>, retransmit: Timer, expire: Timer) {
        let Some(client) = self.clients.get_mut(key) else { return };
        set(&mut self.wheel, now, &mut client.retransmit, retransmit, Due::ClientRetransmit(key));
        set(&mut self.wheel, now, &mut client.expire, expire, Due::ClientExpire(key));
    }

    /// Takes a request that came by `flow`. What is new has to be answered.
    pub(crate) fn receive(&mut self, now: Tick, request: &Request<'_>, flow: Flow, outbox: &mut Outbox) -> Incoming {
        let base = if request.method == Method::Ack { Method::Invite } else { request.method };
        let matching = self.matching_key.of(request, base);
        if let Some(key) = self.matching.get(&matching).copied() {
            let event = if request.method == Method::Ack { server::Event::Ack } else { server::Event::Request };
            return self.again(now, key, event, request, flow, outbox);
        }
        if request.method == Method::Ack {
            return Incoming::Ack;
        }
        let (state, retransmit, expire) = server::State::start(request.method == Method::Invite);
        let key = self.servers.insert(Server {
            matching,
            flow: flow.for_response(&request.via),
            state,
            last: Last::None,
            owner: None,
            held: None,
            retransmit: None,
            expire: None,
        });
        self.matching.insert(matching, key);
        self.set_server(now, key, retransmit, expire);
        if request.method == Method::Cancel {
            let invite = self.matching.get(&self.matching_key.of(request, Method::Invite)).copied();
            let waiting = |key: &Key<Server>| self.servers.get(*key).is_some_and(|s| !s.state.is_answered());
            return Incoming::Cancel(key, invite.filter(waiting));
        }
        Incoming::New(key)
    }

    fn again(
        &mut self,
        now: Tick,
        key: Key<Server>,
        event: server::Event,
        request: &Request<'_>,
        flow: Flow,
        outbox: &mut Outbox,
    ) -> Incoming {
        let Some(server) = self.servers.get_mut(key) else { return Incoming::Absorbed };
        // The ACK of a 2xx has a branch of its own, but phones exist that use the INVITE's: the dialog has to see it.
        if event == server::Event::Ack && matches!(server.state, server::State::Accepted { .. }) {
            return Incoming::Ack;
        }
        let step = server.state.on(event, &self.timers, server.flow.is_reliable());
        if step.act == server::Act::Resend {
            resend(server, Some((request, flow)), outbox);
        }
        self.step_server(now, key, step);
        Incoming::Absorbed
    }

    /// Keeps a copy of a request that is answered later, with [`answer_held`](Self::answer_held).
    pub(crate) fn hold(&mut self, key: Key<Server>, request: &Request<'_>) {
        if let Some(server) = self.servers.get_mut(key) {
            server.held = Some(request.raw.into());
        }
    }

    /// Answers a request with nothing but a status.
    pub(crate) fn answer_plain(
        &mut self,
        now: Tick,
        key: Key<Server>,
        request: &Request<'_>,
        flow: Flow,
        status: Status,
        outbox: &mut Outbox,
    ) {
        if self.may_answer(now, key, status) {
            let Some(server) = self.servers.get_mut(key) else { return };
            server.last = Last::Plain(status);
            resend(server, Some((request, flow)), outbox);
        }
    }

    /// Answers a request; `finish` appends further header fields and the end. `to_tag` is added to a To without tag.
    pub(crate) fn answer(
        &mut self,
        now: Tick,
        key: Key<Server>,
        request: &Request<'_>,
        flow: Flow,
        reply: (Status, Option<&str>),
        outbox: &mut Outbox,
        finish: impl FnOnce(Writer<'_>),
    ) {
        if self.may_answer(now, key, reply.0) {
            let Some(server) = self.servers.get_mut(key) else { return };
            let sent = send(outbox, server.flow, |out| {
                finish(Writer::answer(out, request, flow.remote(), reply.0, reply.1));
            });
            server.last = Last::Bytes(sent.into());
        }
    }

    /// Answers a held request, as [`answer`](Self::answer) does.
    pub(crate) fn answer_held(
        &mut self,
        now: Tick,
        key: Key<Server>,
        flow: Flow,
        reply: (Status, Option<&str>),
        outbox: &mut Outbox,
        finish: impl FnOnce(Writer<'_>),
    ) {
        let Some(held) = self.servers.get_mut(key).and_then(|server| server.held.take()) else { return };
        if let Ok(Message::Request(request)) = parse(&held) {
            self.answer(now, key, &request, flow, reply, outbox, finish);
        }
        if reply.0.is_provisional()
            && let Some(server) = self.servers.get_mut(key)
        {
            server.held = Some(held);
        }
    }

    /// Names whom to tell when no ACK comes for the answer to an INVITE.
    pub(crate) fn own(&mut self, key: Key<Server>, owner: Owner) {
        if let Some(server) = self.servers.get_mut(key) {
            server.owner = Some(owner);
        }
    }

    /// The transaction user has seen the ACK of its 2xx.
    pub(crate) fn acknowledged(&mut self, now: Tick, key: Key<Server>) {
        let Some(server) = self.servers.get(key) else { return };
        let step = server.state.on(server::Event::Ack, &self.timers, server.flow.is_reliable());
        self.step_server(now, key, step);
    }

    /// Steps the machine by an answer of the user; whether it is to be sent.
    fn may_answer(&mut self, now: Tick, key: Key<Server>, status: Status) -> bool {
        let Some(server) = self.servers.get(key) else { return false };
        let event = match status {
            status if status.is_provisional() => server::Event::Provisional,
            status if status.is_success() => server::Event::Success,
            _ => server::Event::Failure,
        };
        let step = server.state.on(event, &self.timers, server.flow.is_reliable());
        self.step_server(now, key, step);
        step.act == server::Act::Send
    }

    fn step_server(&mut self, now: Tick, key: Key<Server>, step: server::Step) {
        match step.next {
            Some(next) => {
                if let Some(server) = self.servers.get_mut(key) {
                    server.state = next;
                }
                self.set_server(now, key, step.retransmit, step.expire);
            }
            None => {
                self.set_server(now, key, Timer::Stop, Timer::Stop);
                if let Some(server) = self.servers.remove(key) {
                    self.matching.remove(&server.matching);
                }
            }
        }
    }

    fn set_server(&mut self, now: Tick, key: Key<Server>, retransmit: Timer, expire: Timer) {
        let Some(server) = self.servers.get_mut(key) else { return };
        set(&mut self.wheel, now, &mut server.retransmit, retransmit, Due::ServerRetransmit(key));
        set(&mut self.wheel, now, &mut server.expire, expire, Due::ServerExpire(key));
    }

    /// Fires what is due, at most a bounded number; [`next`](Self::next) lies in the past if more is.
    /// Called without need it does nothing.
    pub(crate) fn timeout(&mut self, now: Tick, outbox: &mut Outbox, expired: &mut Vec<Expired>) {
        for _ in 0..TIMERS_AT_ONCE {
            match self.wheel.pop(now) {
                Some(Due::ClientRetransmit(key)) => self.client_due(now, key, client::Event::Retransmit, outbox, expired),
                Some(Due::ClientExpire(key)) => self.client_due(now, key, client::Event::Expire, outbox, expired),
                Some(Due::ServerRetransmit(key)) => self.server_due(now, key, server::Event::Retransmit, outbox, expired),
                Some(Due::ServerExpire(key)) => self.server_due(now, key, server::Event::Expire, outbox, expired),
                None => return,
            }
        }
    }

    fn client_due(
        &mut self,
        now: Tick,
        key: Key<Client>,
        event: client::Event,
        outbox: &mut Outbox,
        expired: &mut Vec<Expired>,
    ) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let step = client.state.on(event, &self.timers, client.flow.is_reliable());
        match step.act {
            client::Act::Resend => {
                send(outbox, client.flow, |out| out.extend_from_slice(&client.request));
            }
            client::Act::TimedOut if client.method != Method::Cancel => {
                expired.push(Expired::NoResponse(ClientEvent { owner: client.owner, key }));
            }
            _ => {}
        }
        self.step_client(now, key, step);
    }

    fn server_due(
        &mut self,
        now: Tick,
        key: Key<Server>,
        event: server::Event,
        outbox: &mut Outbox,
        expired: &mut Vec<Expired>,
    ) {
        let Some(server) = self.servers.get_mut(key) else { return };
        let step = server.state.on(event, &self.timers, server.flow.is_reliable());
        match step.act {
            server::Act::Resend => resend(server, None, outbox),
            server::Act::NoAck => expired.push(Expired::NoAck(key, server.owner)),
            server::Act::Trying => {
                if let Some(Ok(Message::Request(request))) = server.held.as_deref().map(parse) {
                    let source = server.flow.remote();
                    send(outbox, server.flow, |out| {
                        Writer::answer(out, &request, source, Status::TRYING, None).end();
                    });
                }
            }
            _ => {}
        }
        self.step_server(now, key, step);
    }
}

/// A response that belongs to no transaction of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stray;

fn branch(ident: Ident) -> String {
    let mut branch = String::with_capacity(MAGIC.len() + crate::ident::IDENT_LENGTH);
    branch.push_str(MAGIC);
    branch.push_str(ident.text().as_str());
    branch
}

/// Sends a message without a transaction.
pub(crate) fn send(outbox: &mut Outbox, flow: Flow, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
    match flow {
        Flow::Udp { socket, remote } => outbox.datagram(socket, remote, write),
    }
}

/// Sends the last response again; a plain one is made of the request that came (again).
fn resend(server: &Server, request: Option<(&Request<'_>, Flow)>, outbox: &mut Outbox) {
    match (&server.last, request) {
        (Last::Bytes(bytes), _) => {
            send(outbox, server.flow, |out| out.extend_from_slice(bytes));
        }
        (Last::Plain(status), Some((request, flow))) => {
            send(outbox, server.flow, |out| {
                Writer::answer(out, request, flow.remote(), *status, None).end();
            });
        }
        (Last::Plain(_), None) | (Last::None, _) => {}
    }
}

fn set(wheel: &mut Wheel<Due>, now: Tick, timer: &mut Option<TimerKey>, what: Timer, due: Due) {
    match what {
        Timer::Keep => {}
        Timer::Stop => wheel.stop_taken(timer),
        Timer::Start(after) => {
            wheel.stop_taken(timer);
            *timer = Some(wheel.start(now, after, due));
        }
    }
}

#[cfg(test)]
mod tests;
