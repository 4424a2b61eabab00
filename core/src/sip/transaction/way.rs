//! Where a request goes: to the servers that RFC 3263 finds, one after the other until one answers.

use crate::mistakes::{self, Mistake};
use std::net::SocketAddr;
use std::time::Duration;

use super::client::{Client, Course};
use super::step::Timer;
use super::{Due, Owner, TransactionEvent, Transactions};
use crate::Tick;
use crate::config::SipTransport;
use crate::ident::{Ident, Key};
use crate::io::{ConnectionId, Outbox};
use crate::report::Report;
use crate::sip::message::{Method, Status};
use crate::sip::resolve::{Hop, HopHost, Located, LookupId, Target, Targets, Unresolved};
use crate::sip::transport::{Flow, Wire};
use crate::time::wheel::{TimerKey, Wheel};
use crate::tls::TlsHost;

/// Longer requests do not go by datagrams, where it can be helped (RFC 3261 §18.1.1).
const LONGEST_DATAGRAM: usize = 1300;
/// As often a request's last server may be found unreachable before it is given up: one that starts again has until then.
const STRIKES: u8 = 4;
/// The same for BYE, nearly as long as the transaction lasts: whom it does not reach is left alone in a call.
const FAREWELL_STRIKES: u8 = 8;

/// Where a request goes, and where else it could.
#[derive(Debug, Default)]
pub(super) struct Way {
    lookup: Option<LookupId>,
    /// What is left when the name leads nowhere.
    fallback: Option<Flow>,
    target: Option<Target>,
    /// Servers that are still untried, the next one last.
    others: Targets,
    /// Whom a server's certificate has to be for.
    host: Option<TlsHost>,
    strikes: u8,
    /// Whether it was found unreachable since it was last sent: what is told of other requests on its flow is no news.
    struck: bool,
    size: Size,
    move_on: Option<TimerKey>,
}

/// What came of a request's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Size {
    /// It goes the way that its server was found by.
    #[default]
    Fits,
    /// It is too long for datagrams: by TCP.
    Moved,
    /// It is too long, but there is no TCP: by datagrams all the same.
    Stays,
}

/// What came of writing a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// It is to be written once more, for the way that it is [located](Transactions::located) at now.
    Again,
    /// It went out, and its transaction runs.
    Sent,
    /// It was an ACK, and went out: this way, with the branch of this identifier.
    Acknowledged { flow: Flow, ident: Ident },
}

impl Transactions {
    /// Begins a request that goes to the next hop that a URI names. Once it is [`located`](Self::located) it is to be
    /// [`write`](Self::write)n; if that takes its time, [`TransactionEvent::Located`] tells.
    ///
    /// `fallback` is the way that is left when the name leads nowhere. An ACK of a 2xx goes so too; it is no transaction
    /// and over when it is written.
    pub(crate) fn begin(
        &mut self,
        now: Tick,
        (method, owner): (Method<'static>, Owner),
        (hop, fallback): (&Hop, Option<Flow>),
        outbox: &mut Outbox,
    ) -> Key<Client> {
        let secret = self.random.bits();
        let key = self.clients.insert_with(|key| Client::unsent(Ident::new(key, secret), method, owner));
        let host = match &hop.host {
            HopHost::Name(name) => TlsHost::Name(name.clone()),
            HopHost::Address(address) => TlsHost::Address(*address),
        };
        let mut way = Way { fallback, host: Some(host), ..Way::default() };
        match self.resolver.locate(now, hop, outbox) {
            Located::Now(targets) => self.aim(now, key, (way, targets), outbox),
            Located::Later(lookup) => {
                self.lookups.insert(lookup, key);
                way.lookup = Some(lookup);
                self.put_way(key, way);
            }
            Located::Never(why) => self.astray(now, key, (way, why), outbox),
        }
        key
    }

    fn put_way(&mut self, key: Key<Client>, way: Way) {
        if let Some(course) = self.course_mut(key) {
            course.way = Some(way);
        }
    }

    fn course_mut(&mut self, key: Key<Client>) -> Option<&mut Course> {
        self.clients.get_mut(key)?.course.as_deref_mut()
    }

    /// The way of a request that was begun and is to be written; `None` if it is written, or over, or its name is still
    /// being looked up.
    pub(crate) fn located(&self, key: Key<Client>) -> Option<Flow> {
        self.clients.get(key).filter(|client| client.is_unsent())?.flow()
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_over(&self, key: Key<Client>) -> bool {
        self.clients.get(key).is_none()
    }

    /// Sends a request that is [`located`](Self::located): `write` appends it whole, with the branch that it is given.
    ///
    /// [`Wrote::Again`] if it has to be written once more, for another way: it is too long for this one (§18.1.1).
    pub(crate) fn write(
        &mut self,
        now: Tick,
        key: Key<Client>,
        outbox: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>, &str),
    ) -> Wrote {
        let by_flow = self.located(key);
        let (Some(flow), Some(client)) = (by_flow, self.clients.get(key)) else { return Wrote::Sent };
        let (ident, branch, method) = (client.ident(), client.branch(), client.method());
        let by_tcp = self.tcp_instead(now, key, flow);
        let sent = self.transport.send(now, flow, outbox, |out| write(out, branch.as_str()));
        let too_long = sent.len() > LONGEST_DATAGRAM;
        if let Some(remote) = by_tcp.filter(|_| too_long) {
            self.move_to_tcp(now, key, remote, outbox);
            return Wrote::Again;
        }
        if method == Method::Ack {
            self.clients.remove(key);
            return Wrote::Acknowledged { flow, ident };
        }
        if let Some(client) = self.clients.get_mut(key) {
            let mut step = client.start(sent.into(), &self.timers, flow.is_reliable());
            if mistakes::on(Mistake::DropTimer) {
                step.1 = Timer::Keep;
            }
            client.set_timers(&mut self.wheel, now, key, step);
            client.wait_for_next(&mut self.wheel, now, key, self.timers.t1.saturating_mul(8));
        }
        Wrote::Sent
    }

    /// Where a request that is too long for datagrams could go by TCP.
    fn tcp_instead(&self, now: Tick, key: Key<Client>, flow: Flow) -> Option<SocketAddr> {
        let Flow::Udp { remote, .. } = flow else { return None };
        let way = self.clients.get(key)?.way();
        let fits = way.is_none_or(|way| way.size == Size::Fits);
        let streams = self.transport.streams.as_ref()?;
        (fits && !streams.is_absent(now, Wire::Tcp, remote)).then_some(remote)
    }

    /// Takes the request that was just sent back, to go by TCP.
    fn move_to_tcp(&mut self, now: Tick, key: Key<Client>, remote: SocketAddr, outbox: &mut Outbox) {
        outbox.take_back();
        let flow = self.transport.flow_to(now, (SipTransport::Tcp, remote), None, outbox);
        let Some(course) = self.course_mut(key) else { return };
        let way = course.way.get_or_insert_default();
        way.size = if flow.is_some() { Size::Moved } else { Size::Stays };
        course.flow = flow.or(course.flow);
    }

    /// Aims at the first of these servers that something of ours leads to.
    fn aim(
        &mut self,
        now: Tick,
        key: Key<Client>,
        (mut way, mut targets): (Way, Targets),
        outbox: &mut Outbox,
    ) {
        if targets.len() > 1 {
            self.dead.order(now, &mut targets);
        }
        targets.reverse();
        way.others = targets;
        while let Some(target) = way.others.pop() {
            let aim = (target.transport, target.address);
            if let Some(flow) = self.transport.flow_to(now, aim, way.host.as_ref(), outbox) {
                way.target = Some(target);
                if let Some(course) = self.course_mut(key) {
                    course.flow = Some(flow);
                    course.way = Some(way);
                }
                return;
            }
        }
        self.astray(now, key, (way, Unresolved::Foreign), outbox);
    }

    /// The name of a request's next hop leads nowhere.
    fn astray(&mut self, now: Tick, key: Key<Client>, (way, why): (Way, Unresolved), outbox: &mut Outbox) {
        if let Some(fallback) = way.fallback {
            let flow = self.transport.revived(now, fallback, way.host.as_ref(), outbox);
            if let Some(course) = self.course_mut(key) {
                course.flow = Some(flow);
                course.way = Some(way);
            }
            return;
        }
        let name = match way.host {
            Some(TlsHost::Name(name)) => name,
            Some(TlsHost::Address(address)) => address.to_string().into(),
            None => Box::default(),
        };
        outbox.report(Report::Unresolved { name, why: why.to_string() });
        if let Some(client) = self.clients.remove(key) {
            self.told.push(TransactionEvent::TransportFailed { owner: client.owner(), key });
        }
    }

    /// Takes what the resolver has found.
    pub(crate) fn resolved(&mut self, now: Tick, outbox: &mut Outbox) {
        while let Some((lookup, found)) = self.resolver.take_finished() {
            let Some(key) = self.lookups.remove(&lookup) else { continue };
            let Some(client) = self.clients.get_mut(key) else { continue };
            let owner = client.owner();
            let way = client.course.as_mut().and_then(|course| course.way.take()).unwrap_or_default();
            match found {
                Ok(targets) => self.aim(now, key, (way, targets), outbox),
                Err(why) => self.astray(now, key, (way, why), outbox),
            }
            if self.located(key).is_some() {
                self.told.push(TransactionEvent::Located { owner, key, instead_of: None });
            }
        }
    }

    /// Forgets a request that was never sent; whose it was, if it was one.
    pub(super) fn forget_unsent(&mut self, key: Key<Client>) -> Option<Owner> {
        let client = self.clients.get(key).filter(|client| client.is_unsent())?;
        let owner = client.owner();
        if let Some(lookup) = client.way().and_then(|way| way.lookup) {
            self.lookups.remove(&lookup);
            self.resolver.forget(lookup);
        }
        self.clients.remove(key);
        Some(owner)
    }

    /// Something was heard of a request's server.
    pub(super) fn heard(&mut self, key: Key<Client>, status: Status) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(course) = &mut client.course else { return };
        course.heard = true;
        if let Some(way) = &mut course.way {
            self.wheel.stop_taken(&mut way.move_on);
            if let Some(target) = way.target
                && status != Status::UNAVAILABLE
            {
                self.dead.worked(target);
            }
        }
        if status.is_success() {
            client.succeeded();
        }
    }

    /// Sends a request to the next server in its list, in a transaction of its own (RFC 3263 §4.3); whether there is one.
    /// What the old one still hears is nobody's.
    pub(super) fn reroute(&mut self, now: Tick, key: Key<Client>, outbox: &mut Outbox) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return false };
        let goes_on = client.way().is_some_and(|way| !way.others.is_empty()) && !client.is_cancelled();
        let way = client.course.as_mut().filter(|_| goes_on).and_then(|course| course.way.take());
        let Some(mut way) = way else { return false };
        let (method, owner) = (client.method(), client.owner());
        client.abandon(&mut self.wheel);
        self.wheel.stop_taken(&mut way.move_on);
        if let Some(target) = way.target.take() {
            self.dead.failed(now, target);
        }
        let secret = self.random.bits();
        let next = self.clients.insert_with(|key| Client::unsent(Ident::new(key, secret), method, owner));
        let mut others = std::mem::take(&mut way.others);
        others.reverse();
        let way = Way { host: way.host, fallback: way.fallback, ..Way::default() };
        self.aim(now, next, (way, others), outbox);
        self.told.push(TransactionEvent::Located { owner, key: next, instead_of: Some(key) });
        true
    }

    /// Nobody answers: the next server's turn.
    pub(super) fn move_on(&mut self, now: Tick, key: Key<Client>, outbox: &mut Outbox) {
        let Some(course) = self.course_mut(key) else { return };
        if let Some(way) = &mut course.way {
            way.move_on = None;
        }
        if !course.heard {
            self.reroute(now, key, outbox);
        }
    }

    /// Datagrams do not reach the peer of this flow (§18.4); whether that concerns a request.
    pub(crate) fn unreachable(&mut self, now: Tick, flow: Flow, outbox: &mut Outbox) -> bool {
        self.unreached(now, |other| other == flow, outbox)
    }

    /// A connection broke, or could not be opened.
    pub(crate) fn broken(&mut self, now: Tick, connection: ConnectionId, outbox: &mut Outbox) {
        self.unreached(now, |flow| flow.is_on(connection), outbox);
    }

    /// Sends the requests whose way broke by another one, or tells that they cannot be answered (§17.1.4). An INVITE that
    /// has had a provisional response goes on waiting.
    ///
    /// Looks at all client transactions: to be called when the system reports an error, not for each message.
    ///
    /// Whether there were any.
    fn unreached(&mut self, now: Tick, is_it: impl Fn(Flow) -> bool, outbox: &mut Outbox) -> bool {
        let on_it = self.clients.iter().filter(|(_, client)| client.flow().is_some_and(&is_it));
        let keys: Vec<Key<Client>> = on_it.map(|(key, _)| key).collect();
        for key in &keys {
            self.strike(now, *key, outbox);
        }
        !keys.is_empty()
    }

    fn strike(&mut self, now: Tick, key: Key<Client>, outbox: &mut Outbox) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if !client.is_waiting() {
            return;
        }
        let (owner, patience) = (client.owner(), client.patience());
        let Some(course) = &mut client.course else { return };
        let way = course.way.get_or_insert_default();
        if way.size == Size::Moved {
            way.size = Size::Stays;
            let remote = course.flow.map(Flow::remote);
            course.flow = remote.and_then(|remote| self.transport.locals.flow_to(remote));
            client.unsend(&mut self.wheel);
            self.told.push(TransactionEvent::Located { owner, key, instead_of: None });
            return;
        }
        if std::mem::replace(&mut way.struck, true) {
            return;
        }
        way.strikes += 1;
        let (last, host, heard) = (way.strikes >= patience, way.host.clone(), course.heard);
        if !heard && self.reroute(now, key, outbox) {
            return;
        }
        if last {
            self.give_up(now, key);
            return;
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        // Datagrams are sent again by the clock; a connection takes the request once more.
        if let Some(flow @ Flow::Stream { .. }) = client.flow() {
            client.set_flow(Some(self.transport.revived(now, flow, host.as_ref(), outbox)));
            self.resend(now, key, outbox);
        }
    }

    /// The name servers have something to say, or time has: what a lookup or a question waits for.
    pub(crate) fn with_resolver(
        &mut self,
        now: Tick,
        outbox: &mut Outbox,
        act: impl FnOnce(&mut crate::sip::resolve::Resolver, &mut Outbox),
    ) {
        act(&mut self.resolver, outbox);
        self.resolved(now, outbox);
    }

    /// When the resolver is to be called next.
    pub(crate) fn next_of_resolver(&self) -> Option<Tick> {
        self.resolver.next()
    }

    /// How many lookups and questions to name servers there are.
    pub(crate) fn lookups(&self) -> (usize, usize) {
        let census = self.resolver.census();
        (census.lookups, census.queries)
    }

    /// What happened since this was last asked, other than by time.
    pub(crate) fn take_told(&mut self) -> Vec<TransactionEvent> {
        std::mem::take(&mut self.told)
    }
}

impl Client {
    /// After so long without any answer the next server is tried, if there is one.
    fn wait_for_next(&mut self, wheel: &mut Wheel<Due>, now: Tick, key: Key<Client>, wait: Duration) {
        if let Some(way) = self.way_mut()
            && !way.others.is_empty()
        {
            wheel.stop_taken(&mut way.move_on);
            way.move_on = Some(wheel.start(now, wait, Due::ClientMoveOn(key)));
        }
    }

    /// How often it may be found unreachable.
    fn patience(&self) -> u8 {
        if self.method() == Method::Bye { FAREWELL_STRIKES } else { STRIKES }
    }

    /// It was sent once more.
    pub(super) fn resent(&mut self) {
        if let Some(way) = self.way_mut() {
            way.struck = false;
        }
    }

    /// Whom its server's certificate has to be for.
    pub(super) fn host(&self) -> Option<&TlsHost> {
        self.way()?.host.as_ref()
    }

    /// No other server is tried any more.
    pub(super) fn stay_for_good(&mut self, wheel: &mut Wheel<Due>) {
        self.stay(wheel);
        if let Some(way) = self.way_mut() {
            way.others.clear();
        }
    }

    /// Stops what the way to the next server runs by.
    pub(super) fn stay(&mut self, wheel: &mut Wheel<Due>) {
        if let Some(way) = self.way_mut() {
            wheel.stop_taken(&mut way.move_on);
        }
    }
}
