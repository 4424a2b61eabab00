//! A leg: our SIP dialog with one party, from the INVITE to the answer to BYE (RFC 3261 §12 to §15).
//!
//! It answers challenges, tries the offers in order, follows redirections, acknowledges and hangs up forks, and
//! reports what its call has to know as a [`LegEvent`].

mod invite;
mod within;

use std::sync::Arc;

use smallvec::SmallVec;

use crate::auth::client::{Attempts, Challenger, Session, Unanswerable};
use crate::call::Call;
use crate::call::stack::Stack;
use crate::ident::{Ident, Key};
use crate::sip::dialog::{Dialog, Ends};
use crate::sip::message::{Method, Name, Request, Response, Status};
use crate::sip::sdp::Origin;
use crate::sip::transaction::{Client, Owner, Server};
use crate::sip::transport::Flow;
use crate::users::SipCredentials;
pub(crate) use invite::Invitation;
use invite::Inviting;

/// What our product is called in User-Agent and Server.
pub(crate) const PRODUCT: &str = concat!("Cordboard/", env!("CARGO_PKG_VERSION"));

/// One leg.
#[derive(Debug)]
pub(crate) struct Leg {
    /// Whose it is.
    pub(crate) call: Key<Call>,
    ident: Ident,
    call_id: Ident,
    /// Our name-addr.
    local: Box<str>,
    /// The party's name-addr.
    remote: Box<str>,
    credentials: Option<Arc<SipCredentials>>,
    session: Session,
    flow: Flow,
    cseq: u32,
    origin: Origin,
    state: State,
    outstanding: SmallVec<[Outstanding; 1]>,
    outside: Vec<Outside>,
    /// The peer's re-INVITE whose 2xx waits for ACK.
    unacknowledged: Option<Key<Server>>,
}

#[derive(Debug)]
enum State {
    /// The INVITE has no final response yet.
    Inviting(Box<Inviting>),
    /// The dialog stands.
    Confirmed(Confirmed),
    /// There is no dialog (any more).
    Over,
}

#[derive(Debug)]
struct Confirmed {
    dialog: Dialog,
    invite: Key<Client>,
    cseq: u32,
    /// Sent again for each copy of the 2xx (§13.2.2.4).
    ack: Box<[u8]>,
}

/// A request of ours within the dialog that has no final response yet.
#[derive(Debug)]
struct Outstanding {
    key: Key<Client>,
    request: Inside,
    attempts: Attempts,
}

/// A request of ours in another dialog of the same call, an early one or a fork's, that has no final response yet.
#[derive(Debug)]
struct Outside {
    key: Key<Client>,
    dialog: Dialog,
    request: Inside,
    attempts: Attempts,
}

/// A request within a dialog, kept so that it can be sent again with credentials.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    /// The method.
    pub(crate) method: Method<'static>,
    /// Header lines of its own, each with CR LF.
    pub(crate) lines: Box<[u8]>,
}

/// What a call has to know of its leg.
#[derive(Debug)]
pub(crate) enum LegEvent {
    /// A provisional response to INVITE.
    Progress(Status),
    /// The party picked up, and was acknowledged.
    Answered,
    /// The INVITE failed for good; `Unanswerable` when a challenge was the reason.
    Failed(Status, Option<Unanswerable>),
    /// A request of ours within the dialog has its final response, or counts as having one.
    Done(Inside, Status, ReferSub),
    /// Nothing that the call has to know.
    Nothing,
}

/// What a 2xx to REFER says of the subscription (RFC 4488 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReferSub {
    /// NOTIFYs will come.
    Watched,
    /// `Refer-Sub: false`: none will.
    Unwatched,
}

/// Who a new leg is between.
#[derive(Debug)]
pub(crate) struct Between {
    /// Our name-addr.
    pub(crate) local: Box<str>,
    /// The party's name-addr.
    pub(crate) remote: Box<str>,
    /// What challenges are answered with.
    pub(crate) credentials: Option<Arc<SipCredentials>>,
    /// The way of the first request.
    pub(crate) flow: Flow,
}

impl Leg {
    /// A leg that sends its INVITE now.
    pub(crate) fn invite(
        key: Key<Leg>,
        call: Key<Call>,
        between: Between,
        invitation: Invitation,
        stack: &mut Stack<'_>,
    ) -> Self {
        let random = &mut stack.endpoint.random;
        let mut leg = Self {
            call,
            ident: Ident::new(key, random.bits()),
            call_id: Ident::new(key, random.bits()),
            local: between.local,
            remote: between.remote,
            credentials: between.credentials,
            session: Session::default(),
            flow: between.flow,
            cseq: 0,
            origin: Origin { session: random.below(u32::MAX), version: 0 },
            state: State::Over,
            outstanding: SmallVec::new(),
            outside: Vec::new(),
            unacknowledged: None,
        };
        leg.state = State::Inviting(Box::new(leg.send_invite(invitation, Attempts::default(), stack)));
        leg
    }

    /// Our tag, which says whose a message is.
    pub(crate) fn ident(&self) -> Ident {
        self.ident
    }

    /// `Call-ID`.
    pub(crate) fn call_id(&self) -> Ident {
        self.call_id
    }

    /// Whether the dialog stands.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Confirmed(_))
    }

    fn owner(&self) -> Owner {
        Owner(self.ident.key::<Leg>().to_bits())
    }

    /// Takes a response that belongs to this leg.
    pub(crate) fn response(
        &mut self,
        key: Key<Client>,
        response: &Response<'_>,
        stack: &mut Stack<'_>,
    ) -> LegEvent {
        match &self.state {
            State::Inviting(inviting) if inviting.transaction == key => self.invite_response(response, stack),
            State::Confirmed(confirmed) if confirmed.invite == key => {
                self.later_2xx(response, stack);
                LegEvent::Nothing
            }
            _ => self.response_within(key, response, stack),
        }
    }

    /// No response came to a request of this leg: it counts as 408 (§8.1.3.1).
    pub(crate) fn no_response(&mut self, key: Key<Client>) -> LegEvent {
        match &self.state {
            State::Inviting(inviting) if inviting.transaction == key => {
                self.state = State::Over;
                LegEvent::Failed(Status::REQUEST_TIMEOUT, None)
            }
            _ => {
                drop(self.take_outside(key));
                self.take_outstanding(key).map_or(LegEvent::Nothing, |outstanding| {
                    LegEvent::Done(outstanding.request, Status::REQUEST_TIMEOUT, ReferSub::Watched)
                })
            }
        }
    }

    /// Gives up calling: CANCEL, as soon as that is allowed (§9.1). A 2xx that crosses it makes the leg stand all the same.
    pub(crate) fn cancel(&mut self, reason: Option<&str>, stack: &mut Stack<'_>) {
        if let State::Inviting(inviting) = &mut self.state {
            inviting.canceled = true;
            let key = inviting.transaction;
            stack.endpoint.transactions.cancel(stack.now, key, reason, stack.outbox);
        }
    }

    /// Forgets the dialog: the peer has hung up, or knows nothing of it.
    pub(crate) fn end(&mut self) {
        self.state = State::Over;
    }

    fn take_outstanding(&mut self, key: Key<Client>) -> Option<Outstanding> {
        let at = self.outstanding.iter().position(|outstanding| outstanding.key == key)?;
        Some(self.outstanding.remove(at))
    }

    /// Takes the challenges of a 401 or 407.
    fn challenged(
        &mut self,
        response: &Response<'_>,
        attempts: &mut Attempts,
        stack: &mut Stack<'_>,
    ) -> Result<(), Unanswerable> {
        let (challenger, name) = if response.status == Status::UNAUTHORIZED {
            (Challenger::Server, Name::WwwAuthenticate)
        } else {
            (Challenger::Proxy, Name::ProxyAuthenticate)
        };
        let credentials = self.credentials.as_deref();
        self.session.take(challenger, response.lines(name), credentials, attempts, &mut stack.endpoint.random)
    }

    /// Whether a request from the peer is of this leg's dialog.
    pub(crate) fn owns(&self, request: &Request<'_>) -> bool {
        match &self.state {
            State::Confirmed(confirmed) => confirmed.dialog.is_of(request, request.from.tag()),
            // What overtakes the 2xx can be known by its Call-ID and our unguessable tag only.
            State::Inviting(_) => request.call_id == self.call_id.text().as_str(),
            State::Over => false,
        }
    }
}

fn ends<'a>(leg: &'a Leg, call_id: &'a str, local_tag: &'a str) -> Ends<'a> {
    Ends { call_id, local: &leg.local, local_tag, remote: &leg.remote }
}

/// The answer to a request that a leg took.
pub(crate) struct Answering<'a> {
    /// The server transaction.
    pub(crate) key: Key<Server>,
    /// The request.
    pub(crate) request: &'a Request<'a>,
    /// The way that it came by.
    pub(crate) flow: Flow,
}
