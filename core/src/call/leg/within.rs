//! Requests within a leg's dialog: ours.

use super::acknowledging::{Accepted, Confirmed};
use super::pending::{Outside, Outstanding};
use super::{Attempts, Inside, Leg, LegEvent, Passing, Purpose, ReferSub, State};
use crate::call::stack::Stack;
use crate::ident::Key;
use crate::mistakes::{self, Mistake};
use crate::sip::dialog::{Dialog, Sending};
use crate::sip::message::{Method, Name, Response, Writer};
use crate::sip::transaction::{Client, Server, Wrote};
use crate::sip::transport::{Flow, Secure};

impl Leg {
    /// Sends a request within the dialog; nothing happens when there is none.
    pub(crate) fn request(&mut self, request: Inside, stack: &mut Stack<'_>) {
        self.send_within(request, Attempts::default(), stack);
    }

    /// Hangs up: BYE, with these header lines. The dialog is forgotten with its answer.
    pub(crate) fn hang_up(&mut self, lines: &[u8], stack: &mut Stack<'_>) {
        if mistakes::on(Mistake::SkipBye) {
            self.state = State::Over;
            return;
        }
        self.request(Inside::plain(Method::Bye, lines.into()), stack);
    }

    /// The leg is over. An INVITE of ours that its peer has never answered for good is cancelled, or its transaction would
    /// wait for ever.
    pub(crate) fn abandon(&mut self, stack: &mut Stack<'_>) {
        self.cancel(None, stack);
        let invites = self.outstanding().filter(|outstanding| outstanding.request.method == Method::Invite);
        for outstanding in invites {
            stack.endpoint.transactions.cancel(stack.now, outstanding.key, None, stack.outbox);
        }
    }

    /// Whether an offer is on its way, from either side: another one would meet 491 (RFC 3261 §14.1).
    pub(crate) fn is_negotiating(&self) -> bool {
        self.invited().is_some() || self.is_unacknowledged() || self.has_offer_out()
    }

    /// Whether an INVITE or UPDATE of ours within the dialog waits for its answer.
    pub(crate) fn has_offer_out(&self) -> bool {
        let offers = |outstanding: &Outstanding| {
            let request = &outstanding.request;
            request.method == Method::Invite || (request.method == Method::Update && request.body.is_some())
        };
        self.outstanding().any(offers)
    }

    fn send_within(&mut self, request: Inside, attempts: Attempts, stack: &mut Stack<'_>) {
        let what = (request.method, self.owner());
        let State::Confirmed(confirmed) = &mut self.state else { return };
        confirmed.dialog.used_cseq(self.cseq);
        self.cseq = confirmed.dialog.next_cseq();
        let key = stack.begin_within(what, confirmed.dialog.next_hop(), self.flow);
        let credentials = Box::default();
        let outstanding = Outstanding { key, cseq: self.cseq, credentials, request, attempts };
        self.write_outstanding(outstanding, stack);
    }

    /// Writes a request within the dialog for the way that it goes.
    pub(super) fn write_within(&mut self, key: Key<Client>, stack: &mut Stack<'_>) {
        if let Some(outstanding) = self.take_outstanding(key) {
            self.write_outstanding(outstanding, stack);
        }
    }

    fn write_outstanding(&mut self, mut outstanding: Outstanding, stack: &mut Stack<'_>) {
        while let Some(flow) = stack.endpoint.transactions.located(outstanding.key) {
            self.go_by(flow);
            if self.write_within_for(flow, &mut outstanding, stack) {
                break;
            }
        }
        self.await_within(outstanding);
    }

    /// Whether it goes this way.
    fn write_within_for(&mut self, flow: Flow, outstanding: &mut Outstanding, stack: &mut Stack<'_>) -> bool {
        let Outstanding { key, cseq, request, attempts, .. } = outstanding;
        let State::Confirmed(Confirmed { dialog, .. }) = &self.state else { return true };
        let Stack { now, outbox, endpoint } = stack;
        let mut credentials = Vec::new();
        let body = request.body.as_ref().map_or(&[][..], |body| &body.bytes);
        let about = (request.method.as_str(), dialog.target(), body);
        let secrets = self.credentials.as_deref();
        self.session.write(about, secrets, attempts, &mut endpoint.random, &mut credentials);
        let locals = &endpoint.locals;
        let sent = endpoint.transactions.write(*now, *key, outbox, |out, branch| {
            let sent_by = locals.sent_by(flow);
            let sending = Sending { transport: flow.transport(), sent_by, branch, cseq: *cseq };
            let mut writer = dialog.request(out, request.method, sending);
            if has_contact(request.method) {
                locals.contact(&mut writer, flow, Secure::of(dialog.target()));
            }
            if matches!(request.method, Method::Invite | Method::Update) {
                writer.field(Name::Allow, self.usage.allow());
                self.write_timer(if wants_reliable(request) { "100rel" } else { "" }, &mut writer);
            }
            writer
                .lines(|out| out.extend_from_slice(&request.lines))
                .lines(|out| out.extend_from_slice(&credentials));
            finish(writer, request);
        });
        // Its ACK repeats them (§22.1).
        if request.method == Method::Invite {
            outstanding.credentials = credentials.into();
        }
        sent != Wrote::Again
    }

    pub(super) fn response_within(
        &mut self,
        key: Key<Client>,
        response: &Response<'_>,
        stack: &mut Stack<'_>,
    ) -> LegEvent {
        if response.status.is_provisional() {
            return self.passes(key).map_or(LegEvent::Nothing, LegEvent::Passes);
        }
        let Some(outstanding) = self.take_outstanding(key) else {
            self.response_outside(key, response, stack);
            return LegEvent::Nothing;
        };
        let Outstanding { cseq, credentials, request, mut attempts, .. } = outstanding;
        // Nothing but the BYE itself is tried again behind a BYE.
        let leaving = self.outstanding().any(|other| other.request.method == Method::Bye);
        let again = self.is_up() && !leaving;
        if again && self.is_to_be_sent_again(&request, response, &mut attempts, stack) {
            self.send_within(request, attempts, stack);
            return LegEvent::Nothing;
        }
        if response.status.is_success() {
            self.succeeded(&request, (key, cseq, credentials), response, stack);
        }
        let unwatched =
            response.first(Name::ReferSub).is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        let sub = if unwatched { ReferSub::Unwatched } else { ReferSub::Watched };
        LegEvent::Done(request, response.status, sub)
    }

    fn is_to_be_sent_again(
        &mut self,
        request: &Inside,
        response: &Response<'_>,
        attempts: &mut Attempts,
        stack: &mut Stack<'_>,
    ) -> bool {
        if response.status.is_challenge() {
            return self.challenged(response, attempts, stack).is_ok();
        }
        matches!(request.method, Method::Invite | Method::Update) && self.raise_interval(response)
    }

    /// A 2xx refreshes target and session; that of an INVITE is acknowledged as soon as there is an answer for it.
    fn succeeded(
        &mut self,
        request: &Inside,
        (key, cseq, credentials): (Key<Client>, u32, Box<[u8]>),
        response: &Response<'_>,
        stack: &mut Stack<'_>,
    ) {
        if !matches!(request.method, Method::Invite | Method::Update) {
            return;
        }
        self.refreshed(stack.now, response);
        let State::Confirmed(confirmed) = &mut self.state else { return };
        confirmed.refresh_target(response, self.flow);
        if request.method == Method::Invite {
            let offer = if request.body.is_some() { &[][..] } else { response.body };
            confirmed.accept(Accepted::new(key, cseq, credentials, offer));
            if request.body.is_some() {
                self.acknowledge(None, stack);
            }
        }
        if let Some(body) = request.body.as_ref().filter(|body| body.is_sdp()) {
            self.agree(body.bytes.clone());
        }
    }

    /// The request that this one of ours passes on.
    fn passes(&self, key: Key<Client>) -> Option<Passing> {
        let outstanding = self.outstanding().find(|outstanding| outstanding.key == key)?;
        match &outstanding.request.purpose {
            Purpose::Pass(passing) => Some((**passing).clone()),
            _ => None,
        }
    }

    /// The requests that are passed on by this leg and not answered yet.
    pub(crate) fn passing(&self) -> impl Iterator<Item = &Passing> {
        self.outstanding().filter_map(|outstanding| match &outstanding.request.purpose {
            Purpose::Pass(passing) => Some(&**passing),
            _ => None,
        })
    }

    /// Cancels the INVITE that passes this one on (§9.1).
    pub(crate) fn cancel_passing(&mut self, server: Key<Server>, lines: Option<&str>, stack: &mut Stack<'_>) {
        let is_it = |outstanding: &&Outstanding| {
            outstanding.request.method == Method::Invite
                && matches!(&outstanding.request.purpose, Purpose::Pass(passing) if passing.server == server)
        };
        if let Some(outstanding) = self.outstanding().find(is_it) {
            stack.endpoint.transactions.cancel(stack.now, outstanding.key, lines, stack.outbox);
        }
    }

    /// Cancels the INVITE within the dialog that waits for its answer (§9.1); whether there is one.
    pub(crate) fn cancel_offer(&mut self, stack: &mut Stack<'_>) -> bool {
        let is_it = |outstanding: &&Outstanding| outstanding.request.method == Method::Invite;
        let Some(outstanding) = self.outstanding().find(is_it) else { return false };
        stack.endpoint.transactions.cancel(stack.now, outstanding.key, None, stack.outbox);
        true
    }

    /// The CSeq number of the INVITE that passes on one of the peer's on leg `from`.
    pub(crate) fn cseq_of_passing_invite(&self, from: Key<Leg>) -> Option<u32> {
        let is_it = |outstanding: &&Outstanding| {
            outstanding.request.method == Method::Invite
                && matches!(&outstanding.request.purpose, Purpose::Pass(passing) if passing.from == from)
        };
        self.outstanding().find(is_it).map(|outstanding| outstanding.cseq)
    }

    /// The CSeq number of the latest request of ours.
    pub(crate) fn last_cseq(&self) -> u32 {
        self.cseq
    }

    /// Sends the next request in another dialog than the leg's own: PRACK in an early one, BYE to a fork that lost.
    /// Challenges are answered; apart from that its answer is of no interest.
    pub(super) fn send_next_outside(&mut self, dialog: Dialog, request: Inside, stack: &mut Stack<'_>) {
        self.cseq += 1;
        self.send_outside((dialog, self.cseq), request, Attempts::default(), stack);
    }

    /// The same with this CSeq number, which is that of its INVITE for an ACK.
    pub(super) fn send_outside(
        &mut self,
        (dialog, cseq): (Dialog, u32),
        request: Inside,
        attempts: Attempts,
        stack: &mut Stack<'_>,
    ) {
        let what = (request.method, self.owner());
        let key = stack.begin_within(what, dialog.next_hop(), self.flow);
        self.await_outside(Box::new(Outside { key, cseq, dialog, request, attempts }));
        self.write_outside(key, stack);
    }

    /// Writes a request in another dialog for the way that it goes.
    pub(super) fn write_outside(&mut self, key: Key<Client>, stack: &mut Stack<'_>) {
        let Some(mut outside) = self.take_outside(key) else { return };
        let Outside { cseq, dialog, request, attempts, .. } = &mut *outside;
        let Stack { now, outbox, endpoint } = stack;
        let method = request.method;
        while let Some(flow) = endpoint.transactions.located(key) {
            let mut credentials = Vec::new();
            let body = request.body.as_ref().map_or(&[][..], |body| &body.bytes);
            let about = (method.as_str(), dialog.target(), body);
            let secrets = self.credentials.as_deref().filter(|_| method != Method::Ack);
            self.session.write(about, secrets, attempts, &mut endpoint.random, &mut credentials);
            let sent_by = endpoint.locals.sent_by(flow);
            let sent = endpoint.transactions.write(*now, key, outbox, |out, branch| {
                let sending = Sending { transport: flow.transport(), sent_by, branch, cseq: *cseq };
                let mut writer = dialog.request(out, method, sending);
                writer
                    .lines(|out| out.extend_from_slice(&request.lines))
                    .lines(|out| out.extend_from_slice(&credentials));
                finish(writer, request);
            });
            if sent != Wrote::Again {
                break;
            }
        }
        // Nothing answers an ACK: once it is sent, it is over.
        if method != Method::Ack || !endpoint.transactions.is_over(key) {
            self.await_outside(outside);
        }
    }

    /// Takes the answer to a request in another dialog; a challenge is answered.
    pub(crate) fn response_outside(
        &mut self,
        key: Key<Client>,
        response: &Response<'_>,
        stack: &mut Stack<'_>,
    ) {
        let Some(outside) = self.take_outside(key) else { return };
        let Outside { dialog, request, mut attempts, .. } = *outside;
        if response.status.is_challenge() && self.challenged(response, &mut attempts, stack).is_ok() {
            self.cseq += 1;
            self.send_outside((dialog, self.cseq), request, attempts, stack);
        }
    }
}

/// Whether a request says where we are reached.
fn has_contact(method: Method<'_>) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Refer | Method::Notify)
}

fn finish(writer: Writer<'_>, request: &Inside) {
    match &request.body {
        Some(body) => writer.body(&body.kind, |out| out.extend_from_slice(&body.bytes)),
        None => writer.end(),
    }
}

/// Whether reliable provisional responses can be passed back to whoever sent the request.
fn wants_reliable(request: &Inside) -> bool {
    let passes = matches!(&request.purpose, Purpose::Pass(passing) if passing.reliable);
    passes && request.method == Method::Invite
}
