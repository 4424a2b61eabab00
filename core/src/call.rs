//! Calls: the legs, what is done with them, and the record of it.
//!
//! [`Calls`] is the transaction user of all SIP traffic: datagrams go in, orders go in, and what is to be sent is
//! appended to the outbox.

mod bridge;
mod contacts;
mod departed;
mod desk;
mod flow;
mod inviting;
mod leg;
mod messages;
mod names;
pub(crate) mod order;
mod outcome;
mod place;
pub(crate) mod progress;
pub(crate) mod record;
mod refer;
mod renaming;
mod replaces;
pub(crate) mod stack;
mod wire;

use crate::mistakes::{self, Mistake};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::Tick;
use crate::auth::lockout::siphash::Keyed;
use crate::config::Config;
use crate::ident::{Ident, Key, Table};
use crate::io::{Outbox, Reason, Sequence, Wake, Worker};
use crate::random::{Consumer, Random, Seed};
use crate::report::{CallEnded, Report};
use crate::sip::message::Status;
use crate::sip::resolve::{Families, Resolver};
use crate::sip::transaction::{Timers, TransactionEvent, Transactions};
use crate::sip::transport::{Locals, Streams, Transport};
use crate::time::wheel::{TimerKey, Wheel};
use contacts::Contacts;
use departed::Departed;
use desk::Desk;
use flow::Flow;
use leg::Leg;
use names::Names;
use order::CallName;
pub(crate) use outcome::Outcome;
use progress::{Progress, Way};
use record::Record;
use stack::{Endpoint, Stack};

/// How many timers of calls fire in one turn.
const TIMERS_AT_ONCE: usize = 1024;

/// One call, from the order to the end of its record's time.
#[derive(Debug)]
pub(crate) struct Call {
    ident: Ident,
    name: CallName,
    flow: Flow,
    record: Record,
    cache_time: Duration,
    timer: Option<(Tick, TimerKey)>,
}

/// How many of each there are, and what was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) calls: usize,
    pub(crate) in_progress: usize,
    pub(crate) legs: usize,
    pub(crate) timers: usize,
    pub(crate) contacts: usize,
}

/// All calls of one controller, and the SIP side that they share.
#[derive(Debug)]
pub(crate) struct Calls {
    endpoint: Endpoint,
    calls: Table<Call>,
    legs: Table<Leg>,
    departed: Departed,
    names: Names,
    wheel: Wheel<Key<Call>>,
    in_progress: usize,
    /// Calls that are neither in progress nor over: what may still be notified is waited for.
    lingering: usize,
    /// How many may be in progress: this worker's part of `max_calls`, which it may lend.
    permits: usize,
    /// How many records of calls that are over are kept.
    most_records: usize,
    /// Calls that are over, oldest first; some may be forgotten already.
    ended: VecDeque<Key<Call>>,
    draining: bool,
    expired: Vec<TransactionEvent>,
}

impl Call {
    /// The identifier by which anybody may ask for it.
    pub(crate) fn id(&self) -> Ident {
        self.ident
    }

    /// Agent, calling and called party.
    pub(crate) fn name(&self) -> &CallName {
        &self.name
    }

    /// Whether it is not over yet.
    pub(crate) fn is_in_progress(&self) -> bool {
        self.flow.is_in_progress()
    }

    /// How far it has got, in one word for people and JSON.
    pub(crate) fn state(&self) -> &'static str {
        self.flow.state()
    }
}

impl Calls {
    /// No calls yet.
    pub(crate) fn new(config: Config, locals: Locals, seed: &Seed, worker: Worker) -> Self {
        let locals = Arc::new(locals);
        let timers = Timers { t1: config.sip.t1, t2: config.sip.t2, t4: config.sip.t4 };
        let proxy = config.sip.proxy.as_ref().map(|proxy| proxy.hop().clone());
        let (v4, v6) = locals.families();
        let resolver =
            Resolver::new(Random::new(seed, Consumer::Resolver), locals.transports(), Families { v4, v6 });
        let http = config.http.https.len() + config.http.http.len();
        let streams = Streams::new(&locals, &config.limits, u16::try_from(http).unwrap_or(u16::MAX));
        let transport = Transport::new(locals.clone(), Some(streams));
        let mut keys = Random::new(seed, Consumer::HashKeys);
        let random = Random::new(seed, Consumer::Transactions);
        let transactions = Transactions::new(random, keys.bytes(), timers, (transport, resolver));
        let contacts = Contacts::new(Keyed::new(&mut keys));
        let permits = worker.share(config.calls.max_calls);
        Self {
            endpoint: Endpoint {
                transactions,
                locals,
                random: Random::new(seed, Consumer::Calls),
                config,
                proxy,
                contacts,
            },
            calls: Table::of_worker(worker.id),
            legs: Table::default(),
            departed: Departed::default(),
            names: Names::new(Keyed::new(&mut keys)),
            wheel: Wheel::new(),
            in_progress: 0,
            lingering: 0,
            permits,
            most_records: permits.max(1),
            ended: VecDeque::new(),
            draining: false,
            expired: Vec::new(),
        }
    }

    /// The latest call of this name whose record is still kept.
    pub(crate) fn find(&self, name: &CallName) -> Option<&Call> {
        self.calls.get(self.names.find(name, &self.calls)?)
    }

    /// The call with this identifier.
    pub(crate) fn get(&self, ident: Ident) -> Option<&Call> {
        self.calls.get(ident.key()).filter(|call| call.ident == ident)
    }

    /// All calls whose records are kept, in no order that means anything but always the same.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().map(|(_, call)| call)
    }

    /// What is shown of a call.
    pub(crate) fn progress<'a>(&'a self, call: &'a Call) -> Progress<'a> {
        let way = match &call.flow {
            Flow::Refer(refer) => Way::Refer { call_id: refer.call_id },
            Flow::Bridge(bridge) => Way::Invite { dialogs: bridge.shown(&self.legs) },
        };
        Progress { id: call.ident, name: &call.name, state: call.state(), record: &call.record, way }
    }

    /// Takes no new calls any more.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether no call is in progress.
    pub(crate) fn is_quiet(&self) -> bool {
        self.in_progress == 0
    }

    /// Whether a new call would be taken, were there a permit for it.
    pub(crate) fn lacks_permit(&self) -> bool {
        !self.draining && self.in_progress >= self.permits
    }

    /// Gives away as many permits as `part` says of those that no call needs.
    pub(crate) fn give_permits(&mut self, part: impl FnOnce(usize) -> usize) -> usize {
        let free = self.permits.saturating_sub(self.in_progress);
        let given = part(free).min(free);
        self.permits -= given;
        given
    }

    /// Takes permits that another worker gave away.
    pub(crate) fn take_permits(&mut self, permits: usize) {
        self.permits += permits;
    }

    /// How many of each live.
    pub(crate) fn count(&self) -> Count {
        Count {
            calls: self.calls.len(),
            in_progress: self.in_progress,
            legs: self.legs.len() + self.departed.len(),
            timers: self.wheel.len(),
            contacts: self.endpoint.contacts.len(),
        }
    }

    /// Checks that calls, legs, names and timers belong together; the error says which do not.
    pub(crate) fn audit(&self) -> Result<(), String> {
        let in_progress = self.calls.iter().filter(|(_, call)| call.is_in_progress()).count();
        if in_progress != self.in_progress {
            return Err(format!("{in_progress} calls are in progress, {} are counted", self.in_progress));
        }
        let lingering = self.calls.iter().filter(|(_, call)| call.flow.is_lingering()).count();
        if lingering != self.lingering {
            return Err(format!("{lingering} calls linger, {} are counted", self.lingering));
        }
        for (key, call) in self.calls.iter() {
            let legs = call.flow.legs();
            if legs.iter().any(|leg| self.legs.get(*leg).is_none_or(|leg| leg.call != key)) {
                return Err(format!("call {key:?} has a leg that is not its own"));
            }
            if call.flow.is_over() && call.timer.is_none() {
                return Err(format!("call {key:?} is over and will never be forgotten"));
            }
            let deadline = call.flow.deadline(&self.legs);
            if deadline != call.timer.map(|(at, _)| at) && !call.flow.is_over() {
                return Err(format!("call {key:?} waits for another time than its timer"));
            }
        }
        let owned: usize = self.calls.iter().map(|(_, call)| call.flow.legs().len()).sum();
        if owned != self.legs.len() {
            return Err(format!("calls have {owned} legs, there are {}", self.legs.len()));
        }
        let orphans = self.legs.iter().filter(|(_, leg)| self.calls.get(leg.call).is_none()).count();
        let timers = self.calls.iter().filter(|(_, call)| call.timer.is_some()).count();
        match (orphans, timers == self.wheel.len(), self.names.are_of(&self.calls)) {
            (0, true, true) => Ok(()),
            _ => Err(format!(
                "{orphans} legs without a call, {timers} timers of {}, {} names of {} calls",
                self.wheel.len(),
                self.names.len(),
                self.calls.len()
            )),
        }
    }

    /// How many lookups, and questions to name servers, there are.
    pub(crate) fn lookups(&self) -> (usize, usize) {
        self.endpoint.transactions.lookups()
    }

    /// How many transactions live.
    pub(crate) fn transactions(&self) -> crate::sip::transaction::Census {
        self.endpoint.transactions.census()
    }

    /// When [`timeout`](Self::timeout) is to be called next, and for what.
    pub(crate) fn next(&self) -> Wake {
        let at = |tick: Option<Tick>, reason| tick.map_or(Wake::Idle, |tick| Wake::At(tick, reason));
        let calls = [self.wheel.next(), self.endpoint.contacts.next(), self.departed.next()];
        let calls = calls.into_iter().flatten().min();
        let transactions = &self.endpoint.transactions;
        let streams = transactions.transport.streams.as_ref().and_then(Streams::next);
        at(transactions.next(), Reason::Transaction)
            .earlier(at(calls, Reason::Call))
            .earlier(at(streams, Reason::Connection))
            .earlier(at(transactions.next_of_resolver(), Reason::Resolver))
    }

    /// Ends a call, whatever its state; whether there was one in progress.
    pub(crate) fn hang_up(&mut self, now: Tick, id: Ident, outbox: &mut Outbox) -> bool {
        let key: Key<Call> = id.key();
        let in_progress = self.calls.get(key).is_some_and(|call| call.ident == id && call.is_in_progress());
        if in_progress {
            self.turn(now, key, outbox, |flow, desk| flow.hang_up(desk));
        }
        in_progress
    }

    /// Ends all calls.
    pub(crate) fn hang_up_all(&mut self, now: Tick, outbox: &mut Outbox) {
        let all: Vec<Ident> = self.all().map(Call::id).collect();
        for id in all {
            self.hang_up(now, id, outbox);
        }
    }

    /// How many connections of SIP there are, how many timers of theirs, and how many bytes they hold.
    pub(crate) fn connections(&self) -> (usize, usize, usize) {
        let streams = self.endpoint.transactions.transport.streams.as_ref();
        streams.map_or((0, 0, 0), |streams| (streams.len(), streams.timers(), streams.bytes_held()))
    }

    /// Fires what is due; called without need it does nothing.
    pub(crate) fn timeout(&mut self, now: Tick, outbox: &mut Outbox) {
        let mut expired = std::mem::take(&mut self.expired);
        self.endpoint.transactions.timeout(now, outbox, &mut expired);
        for event in expired.drain(..) {
            self.expired(now, event, outbox);
        }
        self.expired = expired;
        self.endpoint.contacts.expire(now);
        self.departed.expire(now);
        self.with_resolver(now, outbox, |resolver, outbox| resolver.timeout(now, outbox));
        let transport = &mut self.endpoint.transactions.transport;
        if let Some(streams) = &mut transport.streams {
            streams.timeout(now, &transport.locals, outbox);
        }
        for _ in 0..TIMERS_AT_ONCE {
            let Some(key) = self.wheel.pop(now) else { return };
            self.call_due(now, key, outbox);
        }
    }

    fn call_due(&mut self, now: Tick, key: Key<Call>, outbox: &mut Outbox) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.timer = None;
        if call.flow.is_over() {
            if !mistakes::on(Mistake::LeakRecord) {
                self.forget(key);
            }
            return;
        }
        self.turn(now, key, outbox, |flow, desk| flow.timeout(desk));
    }

    /// Lets something happen to a call, and then does what follows from where that led.
    fn turn(
        &mut self,
        now: Tick,
        key: Key<Call>,
        outbox: &mut Outbox,
        happen: impl FnOnce(&mut Flow, &mut Desk<'_, '_>),
    ) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let before = outbox.enter(Some(sequence(key)));
        let was_in_progress = call.flow.is_in_progress();
        let was_lingering = call.flow.is_lingering();
        let most_lingering = self.endpoint.config.calls.max_calls;
        let mut stack = Stack { now, outbox: &mut *outbox, endpoint: &mut self.endpoint };
        let (legs, departed, record) = (&mut self.legs, &mut self.departed, &mut call.record);
        let mut desk = Desk { call: key, legs, departed, record, stack: &mut stack };
        happen(&mut call.flow, &mut desk);
        call.flow.fall_back(&mut desk);
        // Else nothing but time would bound them.
        if !was_lingering && call.flow.is_lingering() && self.lingering >= most_lingering {
            call.flow.timeout(&mut desk);
        }
        if was_in_progress && !call.flow.is_in_progress() {
            self.in_progress -= 1;
        }
        match (was_lingering, call.flow.is_lingering()) {
            (false, true) => self.lingering += 1,
            (true, false) => self.lingering -= 1,
            _ => {}
        }
        self.rename(now, key);
        outbox.enter(before);
        let Some(call) = self.calls.get(key) else { return };
        if !call.flow.is_over() {
            let deadline = call.flow.deadline(&self.legs);
            self.set_timer(key, deadline);
        } else if call.record.ended.is_none() {
            self.end(now, key, outbox);
        }
    }

    fn set_timer(&mut self, key: Key<Call>, deadline: Option<Tick>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.timer.map(|(at, _)| at) == deadline {
            return;
        }
        if let Some((_, timer)) = call.timer.take() {
            self.wheel.stop(timer);
        }
        call.timer = deadline.map(|at| (at, self.wheel.start_at(at, key)));
    }

    /// The call is over: its record is kept for its time.
    fn end(&mut self, now: Tick, key: Key<Call>, outbox: &mut Outbox) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.record.ended = Some(now);
        outbox.report(Report::CallEnded(CallEnded {
            id: call.ident,
            agent: call.name.agent.clone(),
            calling: call.name.calling.shared_uri(),
            called: call.name.called.shared_uri(),
            result: call.result(),
            duration: now.since(call.record.placed),
        }));
        self.keep_record(now, key);
    }

    /// The record of a call that is over is kept for its time.
    fn keep_record(&mut self, now: Tick, key: Key<Call>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if call.cache_time.is_zero() {
            self.forget(key);
            return;
        }
        call.record.settle();
        call.flow.settle();
        let until = now + call.cache_time;
        self.set_timer(key, Some(until));
        self.ended.push_back(key);
        self.bound_records();
    }

    /// Records of calls that are over take no more room than as many calls: beyond, the oldest go before their time.
    fn bound_records(&mut self) {
        while self.ended.len() > self.most_records {
            if let Some(oldest) = self.ended.pop_front() {
                self.forget(oldest);
            }
        }
        while self.ended.front().is_some_and(|key| self.calls.get(*key).is_none()) {
            self.ended.pop_front();
        }
    }

    fn forget(&mut self, key: Key<Call>) {
        self.set_timer(key, None);
        let Some(call) = self.calls.remove(key) else { return };
        self.names.remove(&call.name, key);
    }
}

/// The order that the messages of a call keep among each other, on either leg.
fn sequence(key: Key<Call>) -> Sequence {
    Sequence(key.to_bits() as u32)
}

impl Call {
    /// What came of it, in a few words and perhaps a status: the outcome, or the last status of the INVITE.
    fn result(&self) -> (&'static str, Option<Status>) {
        match self.record.outcome {
            Some(outcome) => (outcome.word(), outcome.status()),
            None => ("not reached", self.record.last_status().filter(|status| status.is_final())),
        }
    }
}
