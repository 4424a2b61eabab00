//! What workers do for each other: a request comes in at any of them, its call belongs to one.
//!
//! A call belongs to the worker that a keyed hash of agent and called party names, which a transfer does not change. Whoever
//! a request came to reads it and hands the order over; the answer comes back to the connection, which waits
//! for it. A nonce is judged by the worker that issued it, so that nothing can be replayed at another one.

use std::hash::BuildHasher;
use std::net::IpAddr;

use super::Controller;
use super::streams::From;
use crate::Tick;
use crate::auth::lockout::siphash::Keyed;
use crate::auth::server::Gate;
use crate::call::order::{CallName, Refusal};
use crate::call::{Call, Calls};
use crate::http::{OwnedRequest, Request};
use crate::ident::Key;
use crate::io::{ConnectionId, Outbox, Parcel, Worker, WorkerId};
use crate::random::Random;
use crate::rest::{Action, Answer, Caller, Error, Listed, Show};

/// The connection that an answer is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) worker: WorkerId,
    pub(super) connection: ConnectionId,
}

/// What a request asks, once it is known who asks.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) origin: Origin,
    pub(super) show: Show,
    pub(super) caller: Caller,
    pub(super) action: Action,
    /// The Authentication-Info that the answer tells.
    pub(super) info: Option<String>,
}

/// What one worker hands to another.
#[derive(Debug)]
enum Errand {
    /// A request whose nonce the receiver has issued.
    Login { origin: Origin, from: From, request: OwnedRequest },
    /// An order for a call of the receiver's.
    Order(Order),
    /// A list of all calls, to which the receiver adds its own.
    List { order: Order, listed: Listed },
    /// What a request is answered with.
    Answer { connection: ConnectionId, answer: Answer },
    /// A login from there has failed.
    LoginFailed(IpAddr),
    /// An order for which its worker has no permit: whoever can spare some lends them.
    Borrow { borrower: WorkerId, order: Order },
    /// So many permits come back with the order.
    Lend { permits: usize, order: Order },
}

/// Which worker is to do what.
#[derive(Debug)]
pub(super) struct Owners {
    worker: Worker,
    hasher: Keyed,
}

/// Whose an order is.
enum Owner {
    Ours,
    Other(WorkerId),
    All,
}

impl Owners {
    /// The same for all workers that share the randomness.
    pub(super) fn new(worker: Worker, random: &mut Random) -> Self {
        Self { worker, hasher: Keyed::new(random) }
    }

    fn of(&self, action: &Action) -> Owner {
        if self.worker.of <= 1 {
            return Owner::Ours;
        }
        let owner = match action {
            Action::Place(placing, _) => self.of_name(&placing.name()),
            Action::Transfer(name, ..) | Action::Progress(name) | Action::HangUp(name) => self.of_name(name),
            Action::ShowCall(id) | Action::HangUpCall(id) => {
                let key: Key<Call> = id.key();
                key.worker()
            }
            Action::List => return Owner::All,
            Action::Options(_) => return Owner::Ours,
        };
        // A number that no worker has is in no identifier of ours.
        if owner == self.worker.id || owner.0 >= self.worker.of { Owner::Ours } else { Owner::Other(owner) }
    }

    fn of_name(&self, name: &CallName) -> WorkerId {
        let hash = self.hasher.hash_one((&*name.agent, name.called.text()));
        WorkerId((hash % u64::from(self.worker.of)) as u8)
    }

    /// The other worker that has issued the nonce of these credentials.
    pub(super) fn issuer(&self, authorization: Option<&str>) -> Option<WorkerId> {
        if self.worker.of <= 1 {
            return None;
        }
        let issuer = Gate::issuer(authorization?)?;
        (issuer != self.worker.id && issuer.0 < self.worker.of).then_some(issuer)
    }

    /// The origin of what came in on a connection of ours.
    pub(super) fn origin(&self, connection: ConnectionId) -> Origin {
        Origin { worker: self.worker.id, connection }
    }

    /// Has another worker judge a request.
    pub(super) fn log_in(
        &self,
        to: WorkerId,
        (origin, from): (Origin, From),
        request: &Request<'_>,
        outbox: &mut Outbox,
    ) {
        let request = OwnedRequest::of(request);
        outbox.hand_over(to, Errand::Login { origin, from, request }.parcel());
    }

    /// Tells all others of a failed login.
    pub(super) fn login_failed(&self, address: IpAddr, outbox: &mut Outbox) {
        for other in self.worker.others() {
            outbox.hand_over(other, Errand::LoginFailed(address).parcel());
        }
    }
}

impl Errand {
    fn parcel(self) -> Parcel {
        Parcel(Box::new(self))
    }
}

impl super::Core {
    /// Carries an order out, or has the worker whose it is do so: then the answer comes later.
    pub(super) fn order(&mut self, now: Tick, order: Order, outbox: &mut Outbox) -> Option<Answer> {
        match self.owners.of(&order.action) {
            Owner::Ours => self.execute(now, order, outbox),
            Owner::Other(worker) => {
                outbox.hand_over(worker, Errand::Order(order).parcel());
                None
            }
            Owner::All if self.owners.worker.id == WorkerId(0) => {
                self.list(order, Listed::default(), outbox).map(|(_, answer)| answer)
            }
            Owner::All => {
                let listed = Listed::default();
                outbox.hand_over(WorkerId(0), Errand::List { order, listed }.parcel());
                None
            }
        }
    }

    /// Carries out an order that is ours.
    fn execute(&mut self, now: Tick, order: Order, outbox: &mut Outbox) -> Option<Answer> {
        let worker = self.owners.worker;
        if worker.of > 1 && matches!(order.action, Action::Place(..)) && self.calls.lacks_permit() {
            let borrow = Errand::Borrow { borrower: worker.id, order };
            outbox.hand_over(worker.next(), borrow.parcel());
            return None;
        }
        let Order { show, caller, action, info, .. } = order;
        let answer = self.carry_out(now, action, &caller, show, outbox);
        Some(informed(answer.unwrap_or_else(|error| show.error(&error)), info))
    }

    /// Adds our calls to a list; the last worker has the answer, and whose it is.
    fn list(&self, order: Order, mut listed: Listed, outbox: &mut Outbox) -> Option<(Origin, Answer)> {
        let visible = |call: &&Call| order.caller.may_see(&call.name().agent, &self.users);
        let calls = self.calls.all().filter(visible).map(|call| self.calls.progress(call));
        order.show.list(calls, &mut listed);
        let worker = self.owners.worker;
        if worker.next() == WorkerId(0) {
            return Some((order.origin, informed(order.show.listed(&listed), order.info)));
        }
        outbox.hand_over(worker.next(), Errand::List { order, listed }.parcel());
        None
    }

    /// Lends another worker what permits we can spare, or sends its order on to the next who may.
    fn lend(&mut self, borrower: WorkerId, order: Order, outbox: &mut Outbox) {
        let next = self.owners.worker.next();
        match self.calls.spare_permits() {
            0 if next != borrower => outbox.hand_over(next, Errand::Borrow { borrower, order }.parcel()),
            permits => outbox.hand_over(borrower, Errand::Lend { permits, order }.parcel()),
        }
    }
}

/// The answer with what whoever logged in is told.
pub(super) fn informed(answer: Answer, info: Option<String>) -> Answer {
    match info {
        Some(info) => answer.with("Authentication-Info", info),
        None => answer,
    }
}

impl Controller {
    /// Takes what another worker has for us.
    pub(super) fn handed_over(&mut self, now: Tick, parcel: Parcel, outbox: &mut Outbox) {
        let Ok(errand) = parcel.0.downcast::<Errand>() else { return };
        let (origin, answer) = match *errand {
            Errand::Login { origin, from, request } => {
                (origin, self.core.attend(now, &request.request(), (from, origin), outbox))
            }
            Errand::Order(order) => (order.origin, self.core.execute(now, order, outbox)),
            Errand::List { order, listed } => match self.core.list(order, listed, outbox) {
                Some((origin, answer)) => (origin, Some(answer)),
                None => return,
            },
            Errand::Answer { connection, answer } => {
                self.streams.answered(now, connection, answer, &mut self.core, outbox);
                return;
            }
            Errand::LoginFailed(address) => {
                self.core.gate.failed_elsewhere(now, address);
                return;
            }
            Errand::Borrow { borrower, order } => {
                self.core.lend(borrower, order, outbox);
                return;
            }
            Errand::Lend { permits: 0, order } => {
                let error = Error::Refused(Refusal::TooMany);
                (order.origin, Some(informed(order.show.error(&error), order.info)))
            }
            Errand::Lend { permits, order } => {
                self.core.calls.take_permits(permits);
                (order.origin, self.core.execute(now, order, outbox))
            }
        };
        let Some(answer) = answer else { return };
        if origin.worker == self.core.owners.worker.id {
            self.streams.answered(now, origin.connection, answer, &mut self.core, outbox);
        } else {
            let connection = origin.connection;
            outbox.hand_over(origin.worker, Errand::Answer { connection, answer }.parcel());
        }
    }
}

impl Calls {
    /// Half of the permits that are not needed now, but at least one if there is any; they are the other's then.
    fn spare_permits(&mut self) -> usize {
        self.give_permits(|free| free.div_ceil(2))
    }
}
