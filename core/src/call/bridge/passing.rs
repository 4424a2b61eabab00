//! Requests and responses that pass from one party to the other: bodies untouched but for the origin of SDP, header
//! fields but for those that belong to one dialog or one hop (RFC 7092 §3.1).

use std::borrow::Cow;

use super::{Bridge, Stage};
use crate::call::desk::Desk;
use crate::call::leg::{Answering, Body, Inside, Leg, Passed, Passing, Purpose};
use crate::ident::Key;
use crate::sip::message::{Head, Method, Name, Request, Response, Status, Writer};
use crate::sip::screen::Usage;
use crate::sip::transaction::{Reply, Server};

/// How many REFERs are remembered for the NOTIFYs that name them.
const MAX_REFERRALS: usize = 8;

impl Bridge {
    /// Takes a request of a party within its dialog. `refer_to` is the Refer-To that the other party is to get, where
    /// it must name a dialog as that one's peer knows it.
    pub(crate) fn request(
        &mut self,
        leg: Key<Leg>,
        answering: &Answering<'_>,
        refer_to: Option<&str>,
        desk: &mut Desk<'_, '_>,
    ) {
        let request = answering.request;
        match (request.method, self.partner(leg)) {
            (Method::Bye, _) => {
                plain(answering, Status::OK, desk);
                self.peer_hung_up(leg, &passed_lines(request), desk);
            }
            (Method::Options, _) => tell(answering, desk),
            (Method::Update, _) if request.body.is_empty() => {
                desk.with(leg, |leg, stack| leg.answer_offer(answering, stack));
            }
            (_, Some(to)) => self.pass(leg, to, answering, refer_to, desk),
            (Method::Invite | Method::Update, None) if desk.legs.get(leg).is_some_and(Leg::is_up) => {
                desk.with(leg, |leg, stack| leg.answer_offer(answering, stack));
            }
            (Method::Invite | Method::Update, None) => plain(answering, Status::REQUEST_PENDING, desk),
            (Method::Notify | Method::Prack, None) => plain(answering, Status::NO_SUCH_DIALOG, desk),
            (_, None) => plain(answering, Status::TEMPORARILY_UNAVAILABLE, desk),
        }
    }

    fn pass(
        &mut self,
        from: Key<Leg>,
        to: Key<Leg>,
        answering: &Answering<'_>,
        refer_to: Option<&str>,
        desk: &mut Desk<'_, '_>,
    ) {
        let request = answering.request;
        let Some(method) = request.method.known() else { return };
        let offers = matches!(method, Method::Invite | Method::Update);
        let mut session = None;
        if offers {
            let taken = desk.with(from, |leg, stack| leg.take_offer(answering, stack)).flatten();
            let Some(agreement) = taken else { return };
            session = agreement;
            if desk.legs.get(to).is_some_and(Leg::is_negotiating) {
                plain(answering, Status::REQUEST_PENDING, desk);
                return;
            }
        }
        let Some(lines) = self.lines_to_pass((from, to), request, refer_to, desk) else {
            plain(answering, Status::NO_SUCH_DIALOG, desk);
            return;
        };
        let body = desk.with(to, |leg, stack| described(leg, request, stack)).flatten();
        desk.with(from, |leg, stack| leg.hold(answering, stack));
        let passing = Passing {
            server: answering.key,
            from,
            session,
            offers: offers && !request.body.is_empty(),
            reliable: request.has_token(Name::Supported, "100rel")
                || request.has_token(Name::Require, "100rel"),
        };
        let purpose = Purpose::Pass(Box::new(passing));
        desk.with(to, |leg, stack| {
            leg.request(Inside { method, lines, body, purpose }, stack);
        });
        if method == Method::Refer
            && let Some(number) = desk.legs.get(to).map(Leg::last_cseq)
        {
            if self.referrals.len() >= MAX_REFERRALS {
                self.referrals.remove(0);
            }
            self.referrals.push((from, request.cseq.number, number));
        }
    }

    /// The header lines of a request that is passed on; `None` if it answers an INVITE that is not there.
    fn lines_to_pass(
        &self,
        (from, to): (Key<Leg>, Key<Leg>),
        request: &Request<'_>,
        refer_to: Option<&str>,
        desk: &Desk<'_, '_>,
    ) -> Option<Vec<u8>> {
        let mut lines = passed_lines(request);
        let mut writer = Writer::lines_only(&mut lines);
        let required: Vec<&str> =
            request.values(Name::Require).filter(|token| !token.eq_ignore_ascii_case("timer")).collect();
        if !required.is_empty() {
            writer.field(Name::Require, &required.join(", "));
        }
        match request.method {
            Method::Refer => {
                let asked = refer_to.or_else(|| request.first(Name::ReferTo)).unwrap_or_default();
                writer.field(Name::ReferTo, asked);
            }
            Method::Notify => {
                let event = request.first(Name::Event).unwrap_or_default();
                writer.field(Name::Event, &self.event_for(to, event));
            }
            Method::Prack => {
                let rseq = request.number(Name::RAck)?;
                let cseq = desk.legs.get(to)?.cseq_of_passing_invite(from)?;
                writer.field(Name::RAck, &format!("{rseq} {cseq} INVITE"));
            }
            _ => {}
        }
        Some(lines)
    }

    /// `Event` as the party on this leg knows it: its `id` is the CSeq number of the REFER (RFC 3515 §2.4.6).
    fn event_for(&self, to: Key<Leg>, event: &str) -> String {
        let Some((package, id)) = event.split_once(";id=") else { return event.to_owned() };
        let end = id.find(';').unwrap_or(id.len());
        let (id, rest) = id.split_at_checked(end).unwrap_or((id, ""));
        let known = self.referrals.iter().rev().find(|(from, _, other)| {
            *from == to && id.trim().parse::<u32>().is_ok_and(|number| number == *other)
        });
        match known {
            Some((_, number, _)) => format!("{package};id={number}{rest}"),
            None => event.to_owned(),
        }
    }

    /// A provisional response passes back.
    pub(super) fn pass_provisional(
        &mut self,
        passing: &Passing,
        response: &Response<'_>,
        desk: &mut Desk<'_, '_>,
    ) {
        let Some(method) = response.cseq.method.known() else { return };
        if response.status == Status::TRYING || method != Method::Invite {
            return;
        }
        let mut lines = passed_lines(response);
        let reliable = passing.reliable && response.has_token(Name::Require, "100rel");
        if let Some(rseq) = response.number(Name::RSeq).filter(|_| reliable) {
            Writer::lines_only(&mut lines).field(Name::Require, "100rel").number(Name::RSeq, rseq);
        }
        desk.with(passing.from, |leg, stack| {
            let body = described(leg, response, stack);
            if let Some(body) = body.as_ref().filter(|body| reliable && body.is_sdp()) {
                leg.agree(body.bytes.clone());
            }
            let passed = Passed { status: response.status, method, lines: &lines, body };
            leg.answer_held(passing, passed, None, stack);
        });
    }

    /// A final response passes back, or that there was none.
    pub(super) fn pass_back(
        &mut self,
        leg: Key<Leg>,
        method: Method<'static>,
        passing: &Passing,
        (status, response): (Status, Option<&Response<'_>>),
        desk: &mut Desk<'_, '_>,
    ) {
        let accepted = method == Method::Invite && status.is_success();
        let brings = response.is_some_and(|response| !response.body.is_empty());
        let offerer = (accepted && !passing.offers && brings).then_some(leg);
        let lines = response.map(|response| passed_lines(response)).unwrap_or_default();
        let status = match status {
            // Whom a challenge is meant for is us, and we had no answer.
            status if status.is_challenge() => Status::FORBIDDEN,
            // To another request than INVITE a 408 may not be sent (RFC 4320 §4.2).
            Status::REQUEST_TIMEOUT if method != Method::Invite => Status::SERVER_TIMEOUT,
            status => status,
        };
        let answered = desk.with(passing.from, |from, stack| {
            let body = response.and_then(|response| described(from, response, stack));
            let passed = Passed { status, method, lines: &lines, body };
            from.answer_held(passing, passed, offerer, stack);
            from.is_up()
        });
        if accepted && (offerer.is_none() || answered != Some(true)) {
            desk.with(leg, Leg::decline_offer);
        }
    }

    /// A party acknowledges what passed to it.
    pub(crate) fn acknowledged(&mut self, leg: Key<Leg>, ack: &Request<'_>, desk: &mut Desk<'_, '_>) {
        let offerer = desk.with(leg, |leg, stack| leg.acknowledged(ack, stack)).flatten();
        let Some(offerer) = offerer else { return };
        desk.with(offerer, |leg, stack| {
            if ack.body.is_empty() || !ack.is_sdp() {
                leg.decline_offer(stack);
            } else {
                let answer = leg.describe(ack.body, stack);
                leg.acknowledge(Some(answer), stack);
            }
        });
    }

    /// A party gives up a re-INVITE that passes.
    pub(crate) fn canceled(
        &mut self,
        leg: Key<Leg>,
        invite: Key<Server>,
        cancel: &Request<'_>,
        desk: &mut Desk<'_, '_>,
    ) {
        let reason = cancel.first(Name::Reason);
        if let Some(to) = self.partner(leg) {
            desk.with(to, |leg, stack| leg.cancel_passing(invite, reason, stack));
        }
    }

    /// Whoever asked something of this party, or was asked by it, gets an answer now: it is leaving.
    pub(super) fn answer_what_passes(&self, key: Key<Leg>, desk: &mut Desk<'_, '_>) {
        if self.stage == Stage::Over {
            return;
        }
        // It may not be counted among the call's legs any more.
        let others = self.legs().filter(|leg| *leg != key).chain([key]);
        for to in others {
            let passing: Vec<Passing> = desk.legs.get(to).map_or(Vec::new(), |leg| {
                leg.passing().filter(|passing| to == key || passing.from == key).cloned().collect()
            });
            for passing in passing {
                desk.with(to, |leg, stack| leg.cancel_passing(passing.server, None, stack));
                let transactions = &mut desk.stack.endpoint.transactions;
                let reply = Reply { status: Status::REQUEST_TERMINATED, to_tag: None };
                transactions.respond_held(
                    desk.stack.now,
                    passing.server,
                    reply,
                    desk.stack.outbox,
                    |writer| {
                        writer.end();
                    },
                );
            }
        }
    }
}

fn plain(answering: &Answering<'_>, status: Status, desk: &mut Desk<'_, '_>) {
    let transactions = &mut desk.stack.endpoint.transactions;
    transactions.respond_plain(desk.stack.now, answering.key, answering.request, status, desk.stack.outbox);
}

fn tell(answering: &Answering<'_>, desk: &mut Desk<'_, '_>) {
    let reply = Reply { status: Status::OK, to_tag: None };
    let Answering { key, request, .. } = *answering;
    let transactions = &mut desk.stack.endpoint.transactions;
    transactions.respond(desk.stack.now, key, request, reply, desk.stack.outbox, |writer| {
        crate::call::messages::finish_options(writer, Usage::Bridge);
    });
}

/// A message's body as the party on this leg gets it.
fn described(leg: &mut Leg, head: &Head<'_>, stack: &mut crate::call::stack::Stack<'_>) -> Option<Body> {
    if head.body.is_empty() {
        return None;
    }
    let kind = head.first(Name::ContentType).unwrap_or("application/octet-stream");
    let bytes = if head.is_sdp() { leg.describe(head.body, stack) } else { head.body.into() };
    Some(Body { kind: Cow::Owned(kind.to_owned()), bytes })
}

/// The header lines of a message that the other party gets as well.
fn passed_lines(head: &Head<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut writer = Writer::lines_only(&mut lines);
    for (name, text, value) in head.all() {
        match name {
            Name::Other => writer.other(text, value),
            name if passes(name) => writer.field(name, value),
            _ => continue,
        };
    }
    lines
}

/// Whether a header field tells something to the other party, and not only of this dialog, this hop or its sender's
/// own abilities.
fn passes(name: Name) -> bool {
    match name {
        Name::Accept
        | Name::AlertInfo
        | Name::AllowEvents
        | Name::CallInfo
        | Name::ContentDisposition
        | Name::ContentEncoding
        | Name::ContentLanguage
        | Name::Date
        | Name::Expires
        | Name::Reason
        | Name::ReferSub
        | Name::ReferredBy
        | Name::Replaces
        | Name::RetryAfter
        | Name::Subject
        | Name::SubscriptionState
        | Name::Warning => true,
        Name::Allow
        | Name::AnswerMode
        | Name::AuthenticationInfo
        | Name::Authorization
        | Name::CSeq
        | Name::CallId
        | Name::Contact
        | Name::ContentLength
        | Name::ContentType
        | Name::Event
        | Name::From
        | Name::MaxForwards
        | Name::MinExpires
        | Name::MinSe
        | Name::PAssertedIdentity
        | Name::ProxyAuthenticate
        | Name::ProxyAuthorization
        | Name::ProxyRequire
        | Name::RAck
        | Name::RSeq
        | Name::RecordRoute
        | Name::ReferTo
        | Name::RequestDisposition
        | Name::Require
        | Name::Route
        | Name::Server
        | Name::SessionExpires
        | Name::Supported
        | Name::Timestamp
        | Name::To
        | Name::Unsupported
        | Name::UserAgent
        | Name::Via
        | Name::WwwAuthenticate
        | Name::Other => false,
    }
}
