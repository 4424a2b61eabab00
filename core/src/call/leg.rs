//! A leg: our SIP dialog with one party, from the INVITE to the answer to BYE (RFC 3261 §12 to §15).
//!
//! It answers challenges, tries the offers in order, follows redirections, acknowledges and hangs up forks, and
//! reports what its call has to know as a [`LegEvent`].

mod acknowledging;
mod asked;
mod invite;
mod media;
mod pending;
mod watch;
mod within;

use std::borrow::Cow;
use std::sync::Arc;

use crate::Tick;
use crate::auth::client::{Attempts, Challenger, Session, Unanswerable};
use crate::call::Call;
use crate::call::progress::{DialogState, ShownDialog};
use crate::call::stack::Stack;
use crate::ident::{Ident, Key};
use crate::sip::dialog::{Dialog, Ends};
use crate::sip::message::{Method, Name, NameAddr, Request, Response, Status};
use crate::sip::screen::Usage;
use crate::sip::session_timer::{MIN_SE, Watch};
use crate::sip::transaction::{Client, Owner, Server};
use crate::sip::transport::Flow;
use crate::users::SipCredentials;
use acknowledging::Confirmed;
pub(crate) use asked::Passed;
use invite::Inviting;
pub(crate) use invite::{Invitation, Offer};
pub(crate) use media::Description;
use media::Media;
use pending::{Pending, Which};

/// What our product is called in User-Agent and Server.
pub(crate) const PRODUCT: &str = concat!("Cordboard/", env!("CARGO_PKG_VERSION"));

/// One leg.
#[derive(Debug)]
pub(crate) struct Leg {
    /// Whose it is.
    pub(crate) call: Key<Call>,
    /// What its dialog is for, which decides what the peer may ask.
    pub(crate) usage: Usage,
    /// How it is found out that the peer is still there.
    pub(crate) watch: Watch,
    ident: Ident,
    call_id: Ident,
    /// None once the dialog stands, which has them.
    parties: Option<Box<Parties>>,
    credentials: Option<Arc<SipCredentials>>,
    session: Session,
    /// Until when its INVITE may still be answered, though it was given up or another fork has answered.
    late_until: Tick,
    /// The way that was gone last.
    flow: Option<Flow>,
    cseq: u32,
    media: Media,
    /// The session interval that we ask for, in seconds (RFC 4028).
    interval: u32,
    /// The smallest one that everybody on the way takes, as far as we know.
    least_interval: u32,
    takes_update: bool,
    state: State,
    /// None while nothing is, as most of the time.
    pending: Option<Box<Pending>>,
}

/// Who a leg is between.
#[derive(Debug)]
struct Parties {
    /// Our name-addr.
    local: Box<str>,
    /// The party's name-addr.
    remote: Box<str>,
}

#[derive(Debug)]
enum State {
    /// The INVITE has no final response yet.
    Inviting(Box<Inviting>),
    /// The party refused an INVITE without an offer; it may be asked again with one.
    Refused(Box<Invitation>),
    /// The dialog stands.
    Confirmed(Confirmed),
    /// There is no dialog (any more).
    Over,
}

/// A body and its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    /// `Content-Type`, with its parameters.
    pub(crate) kind: Cow<'static, str>,
    /// The body.
    pub(crate) bytes: Description,
}

/// A request within a dialog, kept so that it can be sent again with credentials.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    /// The method.
    pub(crate) method: Method<'static>,
    /// Header lines of its own, each with CR LF.
    pub(crate) lines: Vec<u8>,
    /// The body, if there is one.
    pub(crate) body: Option<Body>,
    /// What it is for.
    pub(crate) purpose: Purpose,
}

/// What a request within a dialog is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// What its method says: REFER, BYE, PRACK.
    Plain,
    /// Another party's offer, in a re-INVITE.
    Offer,
    /// A re-INVITE that asks for an offer (RFC 3725 §4.3).
    Solicit,
    /// A re-INVITE that brings back the media of before.
    Restore,
    /// The session is refreshed (RFC 4028 §7.4).
    Refresh,
    /// OPTIONS: is the peer still there?
    Ping,
    /// A request of the other leg's party.
    Pass(Box<Passing>),
}

/// A request that came on one leg and was sent on by another.
#[derive(Clone, Debug)]
pub(crate) struct Passing {
    /// Its server transaction.
    pub(crate) server: Key<Server>,
    /// The leg that it came on.
    pub(crate) from: Key<Leg>,
    /// What the session timer's header lines in its 2xx say.
    pub(crate) session: Option<crate::sip::session_timer::Agreement>,
    /// Whether it had an offer.
    pub(crate) offers: bool,
    /// Whether reliable provisional responses can be passed back (RFC 3262).
    pub(crate) reliable: bool,
}

impl Inside {
    /// A request that is for what its method says.
    pub(crate) fn plain(method: Method<'static>, lines: Vec<u8>) -> Self {
        Self { method, lines, body: None, purpose: Purpose::Plain }
    }
}

/// What a call has to know of its leg.
#[derive(Debug)]
pub(crate) enum LegEvent {
    /// A provisional response to the first INVITE.
    Progress(Status),
    /// So was this one, and it brings an offer that is to be answered by [`Leg::prack`] (RFC 3262 §5).
    EarlyOffer(Status),
    /// The party picked up. Where it brought an offer, [`Leg::acknowledge`] answers it; else it was acknowledged.
    Answered,
    /// The party takes no INVITE without an offer: [`Leg::offer`] asks it again.
    WantsOffer(Status),
    /// The INVITE failed for good; `Unanswerable` when a challenge was the reason.
    Failed(Status, Option<Unanswerable>),
    /// A provisional response to a request that passes through.
    Passes(Passing),
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

/// Who a new leg is between, and what for.
#[derive(Debug)]
pub(crate) struct Between {
    /// Our name-addr.
    pub(crate) local: Box<str>,
    /// The party's name-addr.
    pub(crate) remote: Box<str>,
    /// What challenges are answered with.
    pub(crate) credentials: Option<Arc<SipCredentials>>,
    /// What for.
    pub(crate) usage: Usage,
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
        let interval = stack.endpoint.session_interval().unwrap_or_default();
        let random = &mut stack.endpoint.random;
        let mut leg = Self {
            call,
            usage: between.usage,
            watch: Watch::Off,
            ident: Ident::new(key, random.bits()),
            call_id: Ident::new(key, random.bits()),
            parties: Some(Box::new(Parties { local: between.local, remote: between.remote })),
            credentials: between.credentials,
            late_until: Tick::ZERO,
            session: Session::default(),
            flow: None,
            cseq: 0,
            media: Media::new(random.below(u32::MAX)),
            interval,
            least_interval: MIN_SE,
            takes_update: false,
            state: State::Over,
            pending: None,
        };
        leg.send_invite(invitation, Attempts::default(), stack);
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

    /// Whether the first INVITE waits for its final response.
    pub(crate) fn is_inviting(&self) -> bool {
        matches!(self.state, State::Inviting(_))
    }

    /// The dialog as it is shown.
    pub(crate) fn shown(&self) -> ShownDialog<'_> {
        let (remote_tag, state) = match &self.state {
            State::Inviting(inviting) => (inviting.early_tag(), DialogState::Early),
            State::Refused(_) => ("", DialogState::Early),
            State::Confirmed(confirmed) => (confirmed.dialog.remote_tag(), DialogState::Confirmed),
            State::Over => ("", DialogState::Terminated),
        };
        ShownDialog {
            call_id: self.call_id,
            local_tag: self.ident,
            remote_tag,
            local_party: uri_of(self.local()),
            remote_party: uri_of(self.remote()),
            state,
        }
    }

    fn local(&self) -> &str {
        let before = self.parties.as_ref().map_or("", |parties| &parties.local);
        self.dialog().map_or(before, Dialog::local)
    }

    fn remote(&self) -> &str {
        let before = self.parties.as_ref().map_or("", |parties| &parties.remote);
        self.dialog().map_or(before, Dialog::remote)
    }

    fn dialog(&self) -> Option<&Dialog> {
        match &self.state {
            State::Confirmed(confirmed) => Some(&confirmed.dialog),
            State::Inviting(_) | State::Refused(_) | State::Over => None,
        }
    }

    /// Whose its requests are.
    pub(crate) fn owner(&self) -> Owner {
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
            State::Confirmed(confirmed) if confirmed.has_accepted(key) => {
                self.later_2xx(key, response, stack);
                LegEvent::Nothing
            }
            _ => self.response_within(key, response, stack),
        }
    }

    /// It is known where a request of this leg goes: it is written for that way. `instead_of` is the one that it takes
    /// the place of.
    pub(crate) fn located(
        &mut self,
        key: Key<Client>,
        instead_of: Option<Key<Client>>,
        stack: &mut Stack<'_>,
    ) {
        let former = instead_of.unwrap_or(key);
        if let State::Inviting(inviting) = &mut self.state
            && inviting.transaction == former
        {
            inviting.transaction = key;
            self.write_invite(stack);
            return;
        }
        match self.pending.as_mut().and_then(|pending| pending.goes_on(former, key)) {
            Some(Which::Within) => self.write_within(key, stack),
            Some(Which::Outside) => self.write_outside(key, stack),
            None => self.write_ack(key, stack),
        }
    }

    /// No response came to a request of this leg: it counts as 408, or as 503 if the peer cannot be reached (§8.1.3.1).
    pub(crate) fn no_response(
        &mut self,
        key: Key<Client>,
        status: Status,
        stack: &mut Stack<'_>,
    ) -> LegEvent {
        match &self.state {
            State::Inviting(inviting) if inviting.transaction == key => {
                self.may_be_answered_late(stack);
                self.state = State::Over;
                LegEvent::Failed(status, None)
            }
            _ => {
                drop(self.take_outside(key));
                self.take_outstanding(key).map_or(LegEvent::Nothing, |outstanding| {
                    LegEvent::Done(outstanding.request, status, ReferSub::Watched)
                })
            }
        }
    }

    fn may_be_answered_late(&mut self, stack: &Stack<'_>) {
        self.late_until = stack.now + stack.endpoint.config.sip.t1.saturating_mul(64);
    }

    /// Until when a phone may still answer that has to be let go with credentials; nobody keeps others for that.
    pub(crate) fn may_be_answered_until(&self) -> Option<Tick> {
        self.session.was_challenged().then_some(self.late_until)
    }

    /// Whether it is the one with this tag and this Call-ID.
    pub(crate) fn is(&self, ident: Ident, call_id: &str) -> bool {
        self.ident == ident && self.call_id.text().as_str() == call_id
    }

    /// Acknowledges a 2xx that nobody waits for, and hangs up.
    pub(crate) fn let_go(&mut self, response: &Response<'_>, stack: &mut Stack<'_>) {
        let dialog = self.dialog_of(response, response.to.uri.raw);
        let cseq = response.cseq.number;
        self.send_outside(
            (dialog.clone(), cseq),
            Inside::plain(Method::Ack, Vec::new()),
            Attempts::default(),
            stack,
        );
        if !self.outside().any(|outside| outside.dialog.remote_tag() == dialog.remote_tag()) {
            self.send_next_outside(dialog, Inside::plain(Method::Bye, Vec::new()), stack);
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
            State::Refused(_) | State::Over => false,
        }
    }

    /// What names the dialog to its peer, as `Replaces` does (RFC 3891 §3), and where the peer is reached.
    pub(crate) fn seen_by_peer(&self) -> Option<(&str, &str, &str, &str)> {
        let dialog = self.dialog()?;
        Some((dialog.call_id(), dialog.remote_tag(), dialog.local_tag(), dialog.target()))
    }
}

/// The URI of a name-addr.
fn uri_of(name_addr: &str) -> &str {
    NameAddr::parse(name_addr).map_or(name_addr, |address| address.uri.raw)
}

fn ends<'a>(leg: &'a Leg, call_id: &'a str, local_tag: &'a str) -> Ends<'a> {
    Ends { call_id, local: leg.local(), local_tag, remote: leg.remote() }
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
