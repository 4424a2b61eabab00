//! Requests within a leg's dialog, ours and the peer's.

use super::{Answering, Attempts, Inside, Leg, LegEvent, Outside, Outstanding, PRODUCT, ReferSub, State};
use crate::call::stack::Stack;
use crate::ident::Key;
use crate::sip::dialog::{Dialog, Sending};
use crate::sip::message::{Method, Name, Response, Status};
use crate::sip::screen::ALLOW;
use crate::sip::sdp;
use crate::sip::transaction::{Client, Reply};

impl Leg {
    /// Sends a request within the dialog; nothing happens when there is none.
    pub(crate) fn request(&mut self, request: Inside, stack: &mut Stack<'_>) {
        self.send_within(request, Attempts::default(), stack);
    }

    /// Hangs up: BYE. The dialog is forgotten with its answer.
    pub(crate) fn hang_up(&mut self, reason: Option<&str>, stack: &mut Stack<'_>) {
        let lines = reason.map(|reason| format!("Reason: {reason}\r\n")).unwrap_or_default();
        self.request(Inside { method: Method::Bye, lines: lines.into_bytes().into() }, stack);
    }

    fn send_within(&mut self, request: Inside, mut attempts: Attempts, stack: &mut Stack<'_>) {
        let owner = self.owner();
        let State::Confirmed(confirmed) = &mut self.state else { return };
        confirmed.dialog.used_cseq(self.cseq);
        self.cseq = confirmed.dialog.next_cseq();
        let Stack { now, outbox, endpoint } = stack;
        let flow = endpoint.route_within(confirmed.dialog.next_hop(), self.flow);
        let mut credentials = Vec::new();
        let about = (request.method.as_str(), confirmed.dialog.target(), &[][..]);
        let secrets = self.credentials.as_deref();
        self.session.write(about, secrets, &mut attempts, &mut endpoint.random, &mut credentials);
        let sent_by = endpoint.locals.sent_by(flow);
        let (dialog, cseq) = (&confirmed.dialog, self.cseq);
        let key = endpoint.transactions.request(*now, request.method, flow, owner, outbox, |out, branch| {
            let sending = Sending { transport: flow.transport(), sent_by, branch, cseq };
            let mut writer = dialog.request(out, request.method, sending);
            if request.method == Method::Refer {
                writer.field_parts(Name::Contact, &["<sip:cordboard@", sent_by, ">"]);
            }
            writer.lines(|out| out.extend_from_slice(&request.lines));
            writer.lines(|out| out.extend_from_slice(&credentials));
            writer.end();
        });
        self.outstanding.push(Outstanding { key, request, attempts });
    }

    pub(super) fn response_within(
        &mut self,
        key: Key<Client>,
        response: &Response<'_>,
        stack: &mut Stack<'_>,
    ) -> LegEvent {
        if response.status.is_provisional() {
            return LegEvent::Nothing;
        }
        let Some(Outstanding { request, mut attempts, .. }) = self.take_outstanding(key) else {
            self.response_outside(key, response, stack);
            return LegEvent::Nothing;
        };
        // Nothing but the BYE itself is tried again behind a BYE.
        let leaving = self.outstanding.iter().any(|other| other.request.method == Method::Bye);
        if response.status.is_challenge()
            && self.is_up()
            && !leaving
            && self.challenged(response, &mut attempts, stack).is_ok()
        {
            self.send_within(request, attempts, stack);
            return LegEvent::Nothing;
        }
        let unwatched =
            response.first(Name::ReferSub).is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        let sub = if unwatched { ReferSub::Unwatched } else { ReferSub::Watched };
        LegEvent::Done(request, response.status, sub)
    }

    /// Sends a request in another dialog than the leg's own: PRACK in an early one, BYE to a fork that lost.
    /// Challenges are answered; apart from that its answer is of no interest.
    pub(super) fn send_outside(
        &mut self,
        dialog: Dialog,
        request: Inside,
        mut attempts: Attempts,
        stack: &mut Stack<'_>,
    ) {
        self.cseq += 1;
        let (owner, cseq) = (self.owner(), self.cseq);
        let Stack { now, outbox, endpoint } = stack;
        let flow = endpoint.route_within(dialog.next_hop(), self.flow);
        let method = request.method;
        let mut credentials = Vec::new();
        let about = (method.as_str(), dialog.target(), &[][..]);
        let secrets = self.credentials.as_deref();
        self.session.write(about, secrets, &mut attempts, &mut endpoint.random, &mut credentials);
        let sent_by = endpoint.locals.sent_by(flow);
        let key = endpoint.transactions.request(*now, method, flow, owner, outbox, |out, branch| {
            let sending = Sending { transport: flow.transport(), sent_by, branch, cseq };
            let mut writer = dialog.request(out, method, sending);
            writer
                .lines(|out| out.extend_from_slice(&request.lines))
                .lines(|out| out.extend_from_slice(&credentials));
            writer.end();
        });
        self.outside.push(Outside { key, dialog, request, attempts });
    }

    fn response_outside(&mut self, key: Key<Client>, response: &Response<'_>, stack: &mut Stack<'_>) {
        let Some(Outside { dialog, request, mut attempts, .. }) = self.take_outside(key) else { return };
        if response.status.is_challenge() && self.challenged(response, &mut attempts, stack).is_ok() {
            self.send_outside(dialog, request, attempts, stack);
        }
    }

    /// Takes a request in another dialog out, if that is one: it has its answer, or will have none.
    pub(super) fn take_outside(&mut self, key: Key<Client>) -> Option<Outside> {
        let at = self.outside.iter().position(|outside| outside.key == key)?;
        Some(self.outside.remove(at))
    }

    /// Checks the order of a request from the peer (§12.2.2) and takes its Contact; 500 if it is out of order.
    pub(crate) fn take_request(&mut self, answering: &Answering<'_>) -> Result<(), Status> {
        let State::Confirmed(confirmed) = &mut self.state else { return Ok(()) };
        confirmed.dialog.take_cseq(answering.request).map_err(|_| Status::SERVER_ERROR)?;
        if matches!(answering.request.method, Method::Invite | Method::Update | Method::Notify) {
            confirmed.dialog.refresh_target(answering.request);
        }
        Ok(())
    }

    /// Answers a re-INVITE or UPDATE by ourselves: media still leads nowhere (RFC 3261 §14.2, RFC 3311 §5.2).
    pub(crate) fn answer_offer(&mut self, answering: &Answering<'_>, stack: &mut Stack<'_>) {
        let request = answering.request;
        let is_sdp = request.content_type().is_some_and(|kind| kind.eq_ignore_ascii_case(sdp::MEDIA_TYPE));
        let has_body = !request.body.is_empty();
        let Stack { now, outbox, endpoint } = stack;
        if has_body && !is_sdp {
            let reply = Reply { status: Status::UNSUPPORTED_MEDIA_TYPE, to_tag: None };
            endpoint.transactions.respond(*now, answering.key, request, reply, outbox, |mut writer| {
                writer.field(Name::Accept, sdp::MEDIA_TYPE);
                writer.end();
            });
            return;
        }
        self.origin.version = self.origin.version.wrapping_add(1);
        let host = endpoint.locals.media_host(self.flow);
        let mut body = Vec::with_capacity(256);
        let answered = if has_body {
            sdp::write_answer(&mut body, request.body, host, self.origin)
        } else if request.method == Method::Invite {
            let kind = endpoint.config.calls.hold_sdp.first().copied();
            sdp::write_hold(&mut body, kind.unwrap_or(crate::config::HoldSdp::Sendonly), host, self.origin);
            Some(())
        } else {
            Some(())
        };
        let status = if answered.is_some() { Status::OK } else { Status::NOT_ACCEPTABLE_HERE };
        let contact = endpoint.locals.sent_by(answering.flow).to_owned();
        let reply = Reply { status, to_tag: None };
        endpoint.transactions.respond(*now, answering.key, request, reply, outbox, |mut writer| {
            writer.field_parts(Name::Contact, &["<sip:cordboard@", &contact, ">"]);
            writer.field(Name::Allow, ALLOW).field(Name::Server, PRODUCT);
            if body.is_empty() {
                writer.end();
            } else {
                writer.body(sdp::MEDIA_TYPE, |out| out.extend_from_slice(&body));
            }
        });
        if status == Status::OK && request.method == Method::Invite {
            stack.endpoint.transactions.own(answering.key, self.owner());
            self.unacknowledged = Some(answering.key);
        }
    }

    /// The peer has acknowledged our 2xx to its re-INVITE.
    pub(crate) fn acknowledged(&mut self, stack: &mut Stack<'_>) {
        if let Some(key) = self.unacknowledged.take() {
            stack.endpoint.transactions.acknowledged(stack.now, key);
        }
    }
}
