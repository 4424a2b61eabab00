//! SIP messages that come in: to the call that they belong to, or answered here.

use std::net::SocketAddr;

use super::leg::{Answering, Leg, LegEvent};
use super::{Call, Calls};
use crate::Tick;
use crate::ident::{Ident, Key};
use crate::io::{Datagram, Outbox};
use crate::report::Report;
use crate::sip::dialog::{Dialog, Ends, Sending};
use crate::sip::message::{Fault, Message, Method, Name, Rejected, Request, Response, Status, Writer, parse};
use crate::sip::screen::{ALLOW, screen};
use crate::sip::sdp;
use crate::sip::subscription::Notification;
use crate::sip::transaction::{Incoming, Owner, Reply, Server, TransactionEvent, send};
use crate::sip::transport::Flow;

impl Calls {
    /// Takes one datagram.
    pub(crate) fn datagram(&mut self, now: Tick, datagram: Datagram<'_>, outbox: &mut Outbox) {
        let flow = Flow::Udp { socket: datagram.socket, remote: datagram.from };
        // Keep-alives of any kind (RFC 5626 §3.5) and empty datagrams.
        if datagram.bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        let limits = &self.endpoint.config.limits;
        if datagram.bytes.len() > limits.sip_message {
            let why = Fault::TooLong { has: datagram.bytes.len(), most: limits.sip_message };
            outbox.report(Report::SipRefused { from: datagram.from, why });
            return;
        }
        let most = limits.sip_headers;
        match parse(datagram.bytes) {
            Ok(Message::Response(response)) if response.header_count() <= most => {
                self.response(now, &response, flow, outbox);
            }
            Ok(Message::Request(request)) if request.header_count() <= most => {
                self.request(now, &request, flow, outbox);
            }
            Ok(message) => refuse_long(&message, flow, datagram.from, most, outbox),
            Err(rejected) => refuse_unreadable(&rejected, flow, datagram.from, outbox),
        }
    }

    fn response(&mut self, now: Tick, response: &Response<'_>, flow: Flow, outbox: &mut Outbox) {
        // Not ours to answer for (§18.1.2).
        if !self.endpoint.locals.wrote(&response.via) {
            outbox.report(Report::Stray(flow.remote()));
            return;
        }
        let strays = self.endpoint.transactions.strays();
        let Some(told) = self.endpoint.transactions.response(now, response, outbox) else {
            if self.endpoint.transactions.strays() > strays {
                outbox.report(Report::Stray(flow.remote()));
            }
            return;
        };
        let leg = Key::from_bits(told.owner.0);
        let Some(call) = self.legs.get(leg).map(|leg: &Leg| leg.call) else {
            self.orphan(response, flow, outbox);
            return;
        };
        self.turn(now, call, outbox, |call, leg, stack| {
            let event = leg.response(told.key, response, stack);
            if let LegEvent::Failed(_, Some(why)) = &event {
                let call = call.ident.text().to_string();
                stack.outbox.report(Report::Unanswerable { call, why: why.why() });
            }
            call.note(&event, response.reason, now);
            call.flow.leg_event(&event, leg, &mut call.record, stack);
        });
    }

    /// A 2xx to an INVITE whose leg is over, from a fork that was slow: it is acknowledged and hung up (§13.2.2.4).
    fn orphan(&mut self, response: &Response<'_>, flow: Flow, outbox: &mut Outbox) {
        if !response.status.is_success() || response.cseq.method != Method::Invite {
            return;
        }
        let ends = Ends {
            call_id: response.call_id,
            local: response.from.without_params(),
            local_tag: response.from.tag().unwrap_or_default(),
            remote: response.to.without_params(),
        };
        let dialog = Dialog::from_response(ends, response.cseq.number, response, response.to.uri.raw);
        let flow = self.endpoint.route_within(dialog.next_hop(), flow);
        for (method, cseq) in
            [(Method::Ack, response.cseq.number), (Method::Bye, response.cseq.number.wrapping_add(1000))]
        {
            let branch = self.endpoint.transactions.fresh_branch();
            let sent_by = self.endpoint.locals.sent_by(flow);
            let sending = Sending { transport: flow.transport(), sent_by, branch: branch.as_str(), cseq };
            send(outbox, flow, |out| dialog.request(out, method, sending).end());
        }
    }

    pub(super) fn expired(&mut self, now: Tick, event: TransactionEvent, outbox: &mut Outbox) {
        match event {
            TransactionEvent::TimedOut { owner, key } | TransactionEvent::TransportFailed { owner, key } => {
                let Some(call) = self.call_of(owner) else { return };
                self.turn(now, call, outbox, |call, leg, stack| {
                    let event = leg.no_response(key);
                    call.note(&event, Status::REQUEST_TIMEOUT.phrase(), now);
                    call.flow.leg_event(&event, leg, &mut call.record, stack);
                });
            }
            // A phone that never acknowledges our answer has lost the dialog (§14.2).
            TransactionEvent::NoAck { owner: Some(owner), .. } => {
                let Some(call) = self.call_of(owner) else { return };
                self.turn(now, call, outbox, |call, leg, stack| call.flow.hang_up(leg, stack));
            }
            TransactionEvent::NoAck { owner: None, .. } | TransactionEvent::ServerTimedOut { .. } => {}
        }
    }

    fn call_of(&self, owner: Owner) -> Option<Key<Call>> {
        self.legs.get(Key::<Leg>::from_bits(owner.0)).map(|leg| leg.call)
    }

    fn request(&mut self, now: Tick, request: &Request<'_>, flow: Flow, outbox: &mut Outbox) {
        match self.endpoint.transactions.receive(now, request, flow, outbox) {
            Incoming::Retransmission | Incoming::Acknowledged | Incoming::Refused => {}
            Incoming::Ack { .. } => {
                if let Some(leg) = self.leg_of(request) {
                    let call = self.legs.get(leg).map(|leg| leg.call);
                    let Some(call) = call else { return };
                    self.turn(now, call, outbox, |_, leg, stack| leg.acknowledged(stack));
                }
            }
            // Whatever INVITE it means was answered in the turn that brought it, so there is nothing to cancel (§9.2).
            Incoming::Cancel { server: key, invite } => {
                let status = if invite.is_some() { Status::OK } else { Status::NO_SUCH_DIALOG };
                self.answer(now, key, request, status, outbox);
            }
            Incoming::Merged(key) => self.answer(now, key, request, Status::LOOP_DETECTED, outbox),
            Incoming::New(key) => {
                let answering = Answering { key, request, flow };
                self.new_request(now, &answering, outbox);
            }
        }
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
        if let Err(objection) = screen(request) {
            self.answer_with(now, answering, objection.status(), outbox, |writer| objection.finish(writer));
            return;
        }
        match self.leg_of(request) {
            Some(leg) => {
                let Some(call) = self.legs.get(leg).map(|leg| leg.call) else { return };
                self.request_within(now, call, answering, outbox);
            }
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
            Method::Options => self.answer_with(now, answering, Status::OK, outbox, finish_options),
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

    fn request_within(&mut self, now: Tick, call: Key<Call>, answering: &Answering<'_>, outbox: &mut Outbox) {
        self.turn(now, call, outbox, |call, leg, stack| {
            let Answering { key, request, .. } = *answering;
            let in_order = leg.take_request(answering);
            // A NOTIFY that was overtaken by a later one still tells what happened, and is answered 200.
            if let Err(status) = in_order
                && request.method != Method::Notify
            {
                stack.endpoint.transactions.respond_plain(now, key, request, status, stack.outbox);
                return;
            }
            let plain = |status, stack: &mut super::Stack<'_>| {
                stack.endpoint.transactions.respond_plain(now, key, request, status, stack.outbox);
            };
            match request.method {
                Method::Bye => {
                    plain(Status::OK, stack);
                    call.flow.peer_hung_up(leg, &mut call.record, now);
                }
                Method::Notify => match Notification::read(request) {
                    Some(notification) => {
                        plain(Status::OK, stack);
                        call.flow.notified(&notification, leg, &mut call.record, stack);
                    }
                    None => plain(Status::BAD_EVENT, stack),
                },
                Method::Invite | Method::Update => leg.answer_offer(answering, stack),
                Method::Options => {
                    let reply = Reply { status: Status::OK, to_tag: None };
                    stack.endpoint.transactions.respond(
                        now,
                        key,
                        request,
                        reply,
                        stack.outbox,
                        finish_options,
                    );
                }
                _ => plain(Status::NO_SUCH_DIALOG, stack),
            }
        });
    }
}

impl Call {
    /// Notes what the record shows of an event on the leg.
    fn note(&mut self, event: &LegEvent, reason: &str, now: Tick) {
        match event {
            LegEvent::Progress(status) | LegEvent::Failed(status, _) => {
                self.record.response(now, *status, reason)
            }
            LegEvent::Answered => self.record.response(now, Status::OK, reason),
            LegEvent::Done(..) | LegEvent::Nothing => {}
        }
    }
}

fn finish_options(mut writer: Writer<'_>) {
    writer.field(Name::Allow, ALLOW).field(Name::Accept, sdp::MEDIA_TYPE).field(Name::Supported, "100rel");
    writer.end();
}

/// Refuses a message with more header fields than are wanted.
fn refuse_long(message: &Message<'_>, flow: Flow, from: SocketAddr, most: usize, outbox: &mut Outbox) {
    outbox.report(Report::SipRefused { from, why: Fault::TooManyHeaders(most) });
    if let Message::Request(request) = message
        && request.method != Method::Ack
    {
        send(outbox, flow.for_response(&request.via), |out| {
            Writer::answer(out, request, from, Status::MESSAGE_TOO_LARGE, None).end();
        });
    }
}

fn refuse_unreadable(rejected: &Rejected<'_>, flow: Flow, from: SocketAddr, outbox: &mut Outbox) {
    outbox.report(Report::SipRefused { from, why: rejected.fault });
    let Some(via) = rejected.via() else { return };
    send(outbox, flow.for_response(via), |out| Writer::refusal(out, rejected, from));
}
