//! SIP messages that come in: to the call that they belong to, or answered here.

use super::leg::{Answering, Leg, LegEvent};
use super::stack::Stack;
use super::{Call, Calls, sequence};
use crate::Tick;
use crate::ident::{Ident, Key};
use crate::io::Outbox;
use crate::mistakes::{self, Mistake};
use crate::report::Report;
use crate::sip::dialog::{Dialog, Ends, Sending};
use crate::sip::message::{
    Fault, Message, Method, Name, Rejected, Request, Response, Status, Uri, Writer, parse,
};
use crate::sip::resolve::{Hop, HopHost};
use crate::sip::screen::{Usage, screen};
use crate::sip::sdp;
use crate::sip::transaction::{Client, Incoming, Owner, Reply, Server, TransactionEvent, Wrote};
use crate::sip::transport::Flow;

/// What a refused peer is asked to wait, in seconds.
const RETRY_AFTER: u32 = 5;

impl Calls {
    /// Takes one message: what a datagram carried, or what was cut out of a stream.
    pub(super) fn message(&mut self, now: Tick, bytes: &[u8], flow: Flow, outbox: &mut Outbox) {
        let limits = &self.endpoint.config.limits;
        let from = flow.remote();
        if bytes.len() > limits.sip_message {
            let why = Fault::TooLong { has: bytes.len(), most: limits.sip_message };
            outbox.report(Report::SipRefused { from, why });
            return;
        }
        let most = limits.sip_headers;
        match parse(bytes) {
            Ok(Message::Response(response)) if response.header_count() <= most => {
                self.response(now, &response, flow, outbox);
            }
            Ok(Message::Request(request)) if request.header_count() <= most => {
                self.request(now, &request, flow, outbox);
            }
            Ok(message) => {
                outbox.report(Report::SipRefused { from, why: Fault::TooManyHeaders(most) });
                self.refuse(now, &message, flow, Status::MESSAGE_TOO_LARGE, outbox);
            }
            Err(rejected) => self.refuse_unreadable(now, &rejected, flow, outbox),
        }
    }

    /// Refuses a message without looking closer; nothing is remembered of it.
    pub(super) fn refuse(
        &mut self,
        now: Tick,
        message: &Message<'_>,
        flow: Flow,
        status: Status,
        outbox: &mut Outbox,
    ) {
        if let Message::Request(request) = message
            && request.method != Method::Ack
        {
            self.refuse_request(now, request, flow, status, outbox);
        }
    }

    fn refuse_request(
        &mut self,
        now: Tick,
        request: &Request<'_>,
        flow: Flow,
        status: Status,
        outbox: &mut Outbox,
    ) {
        let transactions = &mut self.endpoint.transactions;
        let tag = transactions.tag_without_transaction(&request.via);
        transactions.send(now, flow.for_response(&request.via), outbox, |out| {
            let mut writer = Writer::answer(out, request, flow.remote(), status, Some(tag.as_str()));
            if status == Status::UNAVAILABLE {
                writer.number(Name::RetryAfter, RETRY_AFTER);
            }
            writer.end();
        });
    }

    pub(super) fn refuse_unreadable(
        &mut self,
        now: Tick,
        rejected: &Rejected<'_>,
        flow: Flow,
        outbox: &mut Outbox,
    ) {
        outbox.report(Report::SipRefused { from: flow.remote(), why: rejected.fault });
        let Some(via) = rejected.via() else { return };
        let transactions = &mut self.endpoint.transactions;
        let tag = transactions.tag_without_transaction(via);
        transactions.send(now, flow.for_response(via), outbox, |out| {
            Writer::refusal(out, rejected, flow.remote(), tag.as_str());
        });
    }

    fn response(&mut self, now: Tick, response: &Response<'_>, flow: Flow, outbox: &mut Outbox) {
        // Not ours to answer for (§18.1.2).
        if !self.endpoint.locals.wrote(&response.via) {
            outbox.report(Report::Stray(flow.remote()));
            return;
        }
        let strays = self.endpoint.transactions.strays();
        let said = outbox.len();
        let Some(told) = self.endpoint.transactions.response(now, response, outbox) else {
            if self.endpoint.transactions.strays() > strays {
                outbox.report(Report::Stray(flow.remote()));
            }
            return;
        };
        let leg = Key::from_bits(told.owner.0);
        let Some((call, id)) =
            self.legs.get(leg).and_then(|leg: &Leg| Some((leg.call, self.calls.get(leg.call)?.ident)))
        else {
            let mut stack = Stack { now, outbox: &mut *outbox, endpoint: &mut self.endpoint };
            let late = response.status.is_success() && response.cseq.method == Method::Invite;
            let ident = response.from.tag().and_then(Ident::parse);
            // Another server was tried meanwhile.
            let leg = ident.and_then(|ident| {
                self.legs.get_mut(ident.key()).filter(|leg| leg.is(ident, response.call_id))
            });
            if mistakes::on(Mistake::AbandonLate2xx) {
                return;
            }
            if let Some(leg) = leg.filter(|_| late) {
                leg.let_go(response, &mut stack);
            } else if !late {
                self.departed.response((told.owner, told.key), response, &mut stack);
            } else if !self.departed.late_2xx(response, &mut stack) {
                self.orphan(now, response, flow, outbox);
            }
            return;
        };
        // What the transaction acknowledged by itself stays before what the call goes on to say.
        outbox.enter_since(said, sequence(call));
        self.turn(now, call, outbox, |flow, desk| {
            let event = desk.with(leg, |leg, stack| leg.response(told.key, response, stack));
            let Some(event) = event else { return };
            if let LegEvent::Failed(_, Some(why)) = &event {
                let call = id.text().to_string();
                desk.stack.outbox.report(Report::Unanswerable { call, why: why.why() });
            }
            flow.leg_event(leg, event, Some(response), desk);
        });
    }

    /// A 2xx to an INVITE whose leg is over, from a fork that was slow: it is acknowledged and hung up (§13.2.2.4).
    fn orphan(&mut self, now: Tick, response: &Response<'_>, flow: Flow, outbox: &mut Outbox) {
        let ends = Ends {
            call_id: response.call_id,
            local: response.from.without_params(),
            local_tag: response.from.tag().unwrap_or_default(),
            remote: response.to.without_params(),
        };
        let dialog = Dialog::from_response(ends, response.cseq.number, response, response.to.uri.raw);
        let hop = Uri::parse(dialog.next_hop()).ok().and_then(|uri| Hop::of(&uri));
        for (method, cseq) in
            [(Method::Ack, response.cseq.number), (Method::Bye, response.cseq.number.wrapping_add(1000))]
        {
            let transactions = &mut self.endpoint.transactions;
            // A hop that leads nowhere is reached by the way that the response came by; one that has to be looked up too.
            let known = hop.clone().filter(|hop| matches!(hop.host, HopHost::Address(_)));
            let hop = known.unwrap_or(Hop::to(flow.kind(), flow.remote()));
            let key = transactions.begin(now, (method, Owner::NOBODY), (&hop, Some(flow)), outbox);
            while let Some(flow) = transactions.located(key) {
                let sent_by = self.endpoint.locals.sent_by(flow);
                let wrote = transactions.write(now, key, outbox, |out, branch| {
                    dialog
                        .request(out, method, Sending { transport: flow.transport(), sent_by, branch, cseq })
                        .end();
                });
                if wrote != Wrote::Again {
                    break;
                }
            }
        }
    }

    pub(super) fn expired(&mut self, now: Tick, event: TransactionEvent, outbox: &mut Outbox) {
        match event {
            TransactionEvent::Located { owner, key, instead_of } => {
                if let Some((leg, call)) = self.call_of(owner) {
                    self.turn(now, call, outbox, |_, desk| {
                        desk.with(leg, |leg, stack| leg.located(key, instead_of, stack));
                    });
                } else {
                    let mut stack = Stack { now, outbox, endpoint: &mut self.endpoint };
                    self.departed.located((owner, key), instead_of, &mut stack);
                }
                // Its leg may be over by now, or not want it any more.
                self.endpoint.transactions.drop_unwritten(key);
            }
            TransactionEvent::TimedOut { owner, key } => {
                self.no_response(now, owner, (key, Status::REQUEST_TIMEOUT), outbox);
            }
            TransactionEvent::TransportFailed { owner, key } => {
                self.no_response(now, owner, (key, Status::UNAVAILABLE), outbox);
            }
            // A phone that never acknowledges our answer has lost the dialog (§14.2).
            TransactionEvent::NoAck { owner: Some(owner), .. } => {
                let Some((_, call)) = self.call_of(owner) else { return };
                self.turn(now, call, outbox, |flow, desk| flow.hang_up(desk));
            }
            TransactionEvent::NoAck { owner: None, .. } | TransactionEvent::ServerTimedOut { .. } => {}
        }
    }

    fn no_response(
        &mut self,
        now: Tick,
        owner: Owner,
        (key, status): (Key<Client>, Status),
        outbox: &mut Outbox,
    ) {
        let Some((leg, call)) = self.call_of(owner) else { return };
        self.turn(now, call, outbox, |flow, desk| {
            let event = desk.with(leg, |leg, stack| leg.no_response(key, status, stack));
            if let Some(event) = event {
                flow.leg_event(leg, event, None, desk);
            }
        });
    }

    fn call_of(&self, owner: Owner) -> Option<(Key<Leg>, Key<Call>)> {
        let key = Key::<Leg>::from_bits(owner.0);
        self.legs.get(key).map(|leg| (key, leg.call))
    }

    fn request(&mut self, now: Tick, request: &Request<'_>, flow: Flow, outbox: &mut Outbox) {
        match self.endpoint.transactions.receive(now, request, flow, outbox) {
            Incoming::Retransmission if mistakes::on(Mistake::AnswerTwice) => {
                self.refuse_request(now, request, flow, Status::NO_SUCH_DIALOG, outbox);
            }
            Incoming::Retransmission | Incoming::Acknowledged | Incoming::Refused => {}
            Incoming::Ack { .. } => {
                let Some(leg) = self.leg_of(request) else { return };
                let Some(call) = self.legs.get(leg).map(|leg| leg.call) else { return };
                self.turn(now, call, outbox, |flow, desk| flow.acknowledged(leg, request, desk));
            }
            Incoming::Cancel { server: key, invite } => {
                let status = if invite.is_some() { Status::OK } else { Status::NO_SUCH_DIALOG };
                self.answer(now, key, request, status, outbox);
                if let Some(invite) = invite {
                    self.canceled(now, invite, request, outbox);
                }
            }
            Incoming::Merged(key) => self.answer(now, key, request, Status::LOOP_DETECTED, outbox),
            Incoming::New(key) => {
                let answering = Answering { key, request, flow };
                self.new_request(now, &answering, outbox);
            }
        }
    }

    /// An INVITE that waits for its answer is one that passes to another party (§9.2).
    fn canceled(&mut self, now: Tick, invite: Key<Server>, cancel: &Request<'_>, outbox: &mut Outbox) {
        if !self.endpoint.transactions.is_unanswered(invite) {
            return;
        }
        let owner = self.endpoint.transactions.owner(invite);
        let Some((leg, call)) = owner.and_then(|owner| self.call_of(owner)) else { return };
        self.turn(now, call, outbox, |flow, desk| flow.canceled(leg, invite, cancel, desk));
    }

    fn answer(
        &mut self,
        now: Tick,
        key: Key<Server>,
        request: &Request<'_>,
        status: Status,
        outbox: &mut Outbox,
    ) {
        self.endpoint.transactions.respond_plain(now, key, request, status, outbox);
    }

    /// Answers a request that belongs to no leg.
    fn answer_with(
        &mut self,
        now: Tick,
        answering: &Answering<'_>,
        status: Status,
        outbox: &mut Outbox,
        finish: impl FnOnce(Writer<'_>),
    ) {
        let Answering { key, request, .. } = *answering;
        let reply = Reply { status, to_tag: None };
        self.endpoint.transactions.respond(now, key, request, reply, outbox, finish);
    }

    fn new_request(&mut self, now: Tick, answering: &Answering<'_>, outbox: &mut Outbox) {
        let request = answering.request;
        let leg = self.leg_of(request);
        let usage = leg.and_then(|leg| self.legs.get(leg)).map_or(Usage::Outside, |leg| leg.usage);
        if let Err(objection) = screen(request, usage) {
            self.answer_with(now, answering, objection.status(), outbox, |writer| objection.finish(writer));
            return;
        }
        match leg {
            Some(leg) => self.request_within(now, leg, answering, outbox),
            None if request.to.tag().is_some() => {
                let Answering { key, request, .. } = *answering;
                self.answer(now, key, request, Status::NO_SUCH_DIALOG, outbox);
            }
            None => self.request_outside(now, answering, outbox),
        }
    }

    /// Nobody can call the controller; it tells what it is to whoever asks.
    fn request_outside(&mut self, now: Tick, answering: &Answering<'_>, outbox: &mut Outbox) {
        match answering.request.method {
            Method::Options => self.answer_with(now, answering, Status::OK, outbox, |writer| {
                finish_options(writer, Usage::Outside);
            }),
            Method::Invite => {
                self.answer_with(now, answering, Status::FORBIDDEN, outbox, |writer| writer.end())
            }
            _ => self.answer_with(now, answering, Status::NO_SUCH_DIALOG, outbox, |writer| writer.end()),
        }
    }

    fn leg_of(&self, request: &Request<'_>) -> Option<Key<Leg>> {
        let ident = Ident::parse(request.to.tag()?)?;
        let key = ident.key();
        self.legs.get(key).filter(|leg| leg.ident() == ident && leg.owns(request)).map(|_| key)
    }

    fn request_within(&mut self, now: Tick, leg: Key<Leg>, answering: &Answering<'_>, outbox: &mut Outbox) {
        let Some(call) = self.legs.get(leg).map(|leg| leg.call) else { return };
        let refer_to = self.refer_to(answering.request);
        self.turn(now, call, outbox, |flow, desk| {
            let Answering { key, request, .. } = *answering;
            let in_order = desk.with(leg, |leg, _| leg.take_request(answering));
            // A NOTIFY that was overtaken by a later one still tells what happened, and is answered 200.
            if let Some(Err(status)) = in_order
                && request.method != Method::Notify
            {
                let transactions = &mut desk.stack.endpoint.transactions;
                transactions.respond_plain(now, key, request, status, desk.stack.outbox);
                return;
            }
            flow.request(leg, answering, refer_to.as_deref(), desk);
        });
    }
}

/// Ends the answer to OPTIONS with what we take.
pub(super) fn finish_options(mut writer: Writer<'_>, usage: Usage) {
    writer.field(Name::Allow, usage.allow()).field(Name::Accept, sdp::MEDIA_TYPE);
    writer.field(Name::Supported, "100rel");
    writer.end();
}
