//! Requests within a leg's dialog: the peer's.

use super::pending::Invited;
use super::{Answering, Body, Description, Leg, PRODUCT, Passing, State};
use crate::call::stack::Stack;
use crate::config::HoldSdp;
use crate::ident::Key;
use crate::sip::message::{Method, Name, Request, Status, Writer};
use crate::sip::screen::Usage;
use crate::sip::sdp;
use crate::sip::session_timer::{Agreement, MIN_SE};
use crate::sip::transaction::Reply;
use crate::sip::transport::Secure;

/// Seconds after which a request that came into another one may be tried again, at the most (RFC 3261 §14.2).
const RETRY_WITHIN: u32 = 10;

impl Leg {
    /// Checks the order of a request from the peer (§12.2.2) and takes its Contact; 500 if it is out of order.
    pub(crate) fn take_request(&mut self, answering: &Answering<'_>) -> Result<(), Status> {
        let State::Confirmed(confirmed) = &mut self.state else { return Ok(()) };
        confirmed.dialog.take_cseq(answering.request).map_err(|_| Status::SERVER_ERROR)?;
        if matches!(answering.request.method, Method::Invite | Method::Update | Method::Notify) {
            confirmed.refresh_target(answering.request, self.flow);
        }
        Ok(())
    }

    /// Refuses an offer that cannot be taken now (RFC 3261 §14.2, RFC 3311 §5.2) or asks for too short a session
    /// (RFC 4028 §9); else, what is agreed on the session.
    pub(crate) fn take_offer(
        &mut self,
        answering: &Answering<'_>,
        stack: &mut Stack<'_>,
    ) -> Option<Option<Agreement>> {
        let Answering { key, request, .. } = *answering;
        let offers = request.method == Method::Invite || !request.body.is_empty();
        if offers && self.invited().is_some() {
            let seconds = stack.endpoint.random.below(RETRY_WITHIN + 1);
            self.refuse(answering, Status::SERVER_ERROR, stack, |writer| {
                writer.number(Name::RetryAfter, seconds);
            });
            return None;
        }
        if offers && (self.has_offer_out() || self.is_unacknowledged()) {
            let transactions = &mut stack.endpoint.transactions;
            transactions.respond_plain(stack.now, key, request, Status::REQUEST_PENDING, stack.outbox);
            return None;
        }
        let most = stack.endpoint.session_interval().filter(|_| self.usage == Usage::Bridge);
        match most.map(|most| Agreement::with(request, most)).transpose() {
            Ok(agreement) => Some(agreement),
            Err(status) => {
                self.refuse(answering, status, stack, |writer| {
                    writer.number(Name::MinSe, MIN_SE);
                });
                None
            }
        }
    }

    fn refuse(
        &mut self,
        answering: &Answering<'_>,
        status: Status,
        stack: &mut Stack<'_>,
        tell: impl FnOnce(&mut Writer<'_>),
    ) {
        let reply = Reply { status, to_tag: None };
        let Stack { now, outbox, endpoint } = stack;
        let Answering { key, request, .. } = *answering;
        endpoint.transactions.respond(*now, key, request, reply, outbox, |mut writer| {
            tell(&mut writer);
            writer.end();
        });
    }

    /// Answers a re-INVITE or UPDATE by ourselves: media leads nowhere yet (RFC 3261 §14.2, RFC 3311 §5.2), or the
    /// UPDATE brings no offer.
    pub(crate) fn answer_offer(&mut self, answering: &Answering<'_>, stack: &mut Stack<'_>) {
        let Some(agreement) = self.take_offer(answering, stack) else { return };
        let request = answering.request;
        if !request.body.is_empty() && !request.is_sdp() {
            self.refuse(answering, Status::UNSUPPORTED_MEDIA_TYPE, stack, |writer| {
                writer.field(Name::Accept, sdp::MEDIA_TYPE);
            });
            return;
        }
        let Some(body) = self.own_answer(request, stack) else {
            self.refuse(answering, Status::NOT_ACCEPTABLE_HERE, stack, |_| {});
            return;
        };
        let lines = agreement.as_ref().map(Agreement::lines).unwrap_or_default();
        let Stack { now, outbox, endpoint } = stack;
        let (locals, secure) = (&endpoint.locals, Secure::of(request.uri.raw));
        let (allow, reply) = (self.usage.allow(), Reply { status: Status::OK, to_tag: None });
        endpoint.transactions.respond(*now, answering.key, request, reply, outbox, |mut writer| {
            locals.contact(&mut writer, answering.flow, secure);
            writer.field(Name::Allow, allow).field(Name::Server, PRODUCT);
            writer.lines(|out| out.extend_from_slice(lines.as_bytes()));
            match &body {
                Some(body) => writer.body(sdp::MEDIA_TYPE, |out| out.extend_from_slice(body)),
                None => writer.end(),
            }
        });
        if let Some(body) = body {
            self.agree(body);
        }
        if let Some(agreement) = agreement {
            self.watch = agreement.watch(stack.now);
        }
        if request.method == Method::Invite {
            stack.endpoint.transactions.own(answering.key, self.owner());
            self.set_invited(Some(Invited {
                server: answering.key,
                cseq: request.cseq.number,
                answers: None,
            }));
        }
    }

    /// The description that answers one which is not passed on; the inner `None` is for an UPDATE without an offer,
    /// the outer for an offer that cannot be read.
    fn own_answer(&mut self, request: &Request<'_>, stack: &Stack<'_>) -> Option<Option<Description>> {
        let host = stack.endpoint.locals.media_host(self.flow);
        let mut body = Vec::with_capacity(256);
        if !request.body.is_empty() {
            sdp::write_answer(&mut body, request.body, host, self.media.next())?;
        } else if request.method == Method::Invite {
            let kind = stack.endpoint.config.calls.hold_sdp.first().copied();
            sdp::write_hold(&mut body, kind.unwrap_or(HoldSdp::Sendonly), host, self.media.next());
        } else {
            return Some(None);
        }
        Some(Some(self.described(body)))
    }

    /// Keeps a request of the peer's that is answered when the other party has.
    pub(crate) fn hold(&mut self, answering: &Answering<'_>, stack: &mut Stack<'_>) {
        let Answering { key, request, .. } = *answering;
        let transactions = &mut stack.endpoint.transactions;
        transactions.hold(key, request);
        transactions.own(key, self.owner());
        if request.method == Method::Invite {
            self.set_invited(Some(Invited { server: key, cseq: request.cseq.number, answers: None }));
        }
    }

    /// Answers a request that was held, as the other party has answered it. `offerer` is that party's leg where its
    /// 2xx brings the offer.
    pub(crate) fn answer_held(
        &mut self,
        passing: &Passing,
        passed: Passed<'_>,
        offerer: Option<Key<Leg>>,
        stack: &mut Stack<'_>,
    ) {
        let Passed { status, method, lines, body } = passed;
        let targets = status.is_success() && matches!(method, Method::Invite | Method::Update);
        let Stack { now, outbox, endpoint } = stack;
        let (locals, flow) = (&endpoint.locals, endpoint.transactions.came_by(passing.server));
        let secure = self.seen_by_peer().map_or(Secure::No, |(.., target)| Secure::of(target));
        let session = passing.session.as_ref().filter(|_| targets);
        let timer = session.map(Agreement::lines).unwrap_or_default();
        let allow = self.usage.allow();
        let reply = Reply { status, to_tag: None };
        endpoint.transactions.respond_held(*now, passing.server, reply, outbox, |mut writer| {
            if targets || (method == Method::Invite && status.is_provisional()) {
                if let Some(flow) = flow {
                    locals.contact(&mut writer, flow, secure);
                }
                writer.field(Name::Allow, allow);
            }
            writer.lines(|out| out.extend_from_slice(timer.as_bytes()));
            writer.lines(|out| out.extend_from_slice(lines));
            match &body {
                Some(body) => writer.body(&body.kind, |out| out.extend_from_slice(&body.bytes)),
                None => writer.end(),
            }
        });
        if let Some(session) = session {
            self.watch = session.watch(*now);
        }
        self.has_answered(passing, status, offerer);
        if let Some(body) = body.filter(|body| status.is_success() && body.is_sdp()) {
            self.agree(body.bytes);
        }
    }

    fn has_answered(&mut self, passing: &Passing, status: Status, offerer: Option<Key<Leg>>) {
        let Some(invited) = self.invited().filter(|invited| invited.server == passing.server) else { return };
        if status.is_success() {
            self.set_invited(Some(Invited { answers: offerer, ..invited }));
        } else if status.is_final() {
            self.set_invited(None);
        }
    }

    /// The peer acknowledges our 2xx to its re-INVITE; the leg whose offer that brought, if it waits for the answer.
    pub(crate) fn acknowledged(&mut self, ack: &Request<'_>, stack: &mut Stack<'_>) -> Option<Key<Leg>> {
        let invited = self.invited().filter(|invited| invited.cseq == ack.cseq.number)?;
        if stack.endpoint.transactions.is_unanswered(invited.server) {
            return None;
        }
        stack.endpoint.transactions.acknowledged(stack.now, invited.server);
        self.set_invited(None);
        invited.answers
    }
}

/// An answer that one party has given and the other one gets.
#[derive(Debug)]
pub(crate) struct Passed<'a> {
    /// The status.
    pub(crate) status: Status,
    /// The method of the request that it answers.
    pub(crate) method: Method<'static>,
    /// Header lines, each with CR LF.
    pub(crate) lines: &'a [u8],
    /// The body.
    pub(crate) body: Option<Body>,
}
