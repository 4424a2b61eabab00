//! Requests that come in.

use super::{Due, Line, LineState, Phone, repeat_last};
use crate::auth::client::{Attempts, Session};
use crate::ident::{Ident, Key};
use crate::io::Outbox;
use crate::sip::dialog::Dialog;
use crate::sip::message::{Method, Name, Request, Status};
use crate::sip::sdp::MEDIA_TYPE;
use crate::sip::transaction::{Incoming, Owner, Reply, Server};
use crate::sip::transport::Flow;
use crate::softphone::temper::Pickup;

const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, REFER, NOTIFY, PRACK, UPDATE, INFO, MESSAGE";

impl Phone {
    pub(super) fn request(&mut self, request: &Request<'_>, flow: Flow, outbox: &mut Outbox) {
        match self.transactions.receive(self.now, request, flow, outbox) {
            Incoming::Retransmission | Incoming::Acknowledged | Incoming::Refused => {}
            Incoming::Ack { .. } => self.acknowledged(request),
            Incoming::Cancel { server, invite } => self.canceled(request, server, invite, outbox),
            Incoming::New(key) | Incoming::Merged(key) => match (self.line_of(request), request.method) {
                (Some(line), _) => self.inside(line, key, request, outbox),
                (None, Method::Invite) if request.to.tag().is_none() => self.ring(key, request, outbox),
                (None, Method::Options) if request.to.tag().is_none() => self.tell(key, request, outbox),
                (None, _) => self.plain(key, request, Status::NO_SUCH_DIALOG, outbox),
            },
        }
    }

    fn plain(&mut self, key: Key<Server>, request: &Request<'_>, status: Status, outbox: &mut Outbox) {
        self.transactions.respond_plain(self.now, key, request, status, outbox);
    }

    fn tell(&mut self, key: Key<Server>, request: &Request<'_>, outbox: &mut Outbox) {
        let reply = Reply { status: Status::OK, to_tag: None };
        self.transactions.respond(self.now, key, request, reply, outbox, |mut writer| {
            writer.field(Name::Allow, ALLOW);
            writer.end();
        });
    }

    fn line_of(&self, request: &Request<'_>) -> Option<Key<Line>> {
        let ident = Ident::parse(request.to.tag()?)?;
        let key = ident.key();
        let line = self.lines.get(key).filter(|line| line.ident == ident)?;
        line.dialog.as_ref()?.is_of(request, request.from.tag()).then_some(key)
    }

    /// A new call: it rings, or is refused for what it offers.
    fn ring(&mut self, key: Key<Server>, request: &Request<'_>, outbox: &mut Outbox) {
        if self.refuses(request) {
            self.plain(key, request, Status::NOT_ACCEPTABLE_HERE, outbox);
            return;
        }
        let secret = self.random.bits();
        let line = self.lines.insert_with(|line| {
            let ident = Ident::new(line, secret);
            Line {
                ident,
                state: LineState::Ringing(key),
                dialog: Dialog::from_request(request, ident.text().as_str()),
                watcher: None,
                referral: None,
                refers: 0,
                session: Session::default(),
                attempts: Attempts::default(),
                outstanding: Vec::new(),
                remote_sdp: String::from_utf8_lossy(request.body).into_owned(),
                target: String::new(),
                call_id: request.call_id.to_owned(),
                cseq: 0,
                invited: request.cseq.number,
            }
        });
        self.counts.rung += 1;
        self.transactions.hold(key, request);
        self.transactions.own(key, Owner(line.to_bits()));
        let temper = &self.config.temper;
        if temper.pickup == Pickup::Answer && temper.ring.is_zero() {
            self.pick(line, outbox);
            return;
        }
        let (ring, reliable) = (temper.ring, temper.reliable);
        let status = if temper.forwards { Status::FORWARDED } else { Status::RINGING };
        let contact = self.contact();
        self.respond_held(line, key, status, outbox, |writer| {
            writer.field(Name::Contact, &contact);
            if reliable {
                writer.field(Name::Require, "100rel").field(Name::RSeq, "1");
            }
        });
        self.wheel.start(self.now, ring, Due::Pick(line));
    }

    fn refuses(&self, request: &Request<'_>) -> bool {
        let body = String::from_utf8_lossy(request.body);
        let named = body
            .lines()
            .filter_map(|line| line.strip_prefix("a="))
            .find(|attribute| ["sendrecv", "sendonly", "recvonly", "inactive"].contains(attribute));
        let kind = if body.contains("m=") { named.unwrap_or("sendrecv") } else { "nomedia" };
        !body.is_empty() && self.config.temper.refuses_offers.iter().any(|refused| refused == kind)
    }

    fn respond_held(
        &mut self,
        line: Key<Line>,
        key: Key<Server>,
        status: Status,
        outbox: &mut Outbox,
        more: impl FnOnce(&mut crate::sip::message::Writer<'_>),
    ) {
        let Some(tag) = self.lines.get(line).map(|line| line.ident.text()) else { return };
        let reply = Reply { status, to_tag: Some(tag.as_str()) };
        self.transactions.respond_held(self.now, key, reply, outbox, |mut writer| {
            more(&mut writer);
            writer.end();
        });
    }

    /// The ringing is over: it does what its temper says.
    pub(super) fn pick(&mut self, key: Key<Line>, outbox: &mut Outbox) {
        let Some(LineState::Ringing(server)) = self.lines.get(key).map(|line| &line.state) else { return };
        let server = *server;
        match self.config.temper.pickup {
            Pickup::Answer => self.accept(key, server, outbox),
            Pickup::Refuse(status) => {
                self.refuse_held(server, status, outbox);
                self.end(key);
            }
            Pickup::Never | Pickup::DespiteCancel => {}
        }
    }

    fn accept(&mut self, key: Key<Line>, server: Key<Server>, outbox: &mut Outbox) {
        let Some(tag) = self.lines.get(key).map(|line| line.ident.text()) else { return };
        let held = self.transactions.held(server).unwrap_or_default();
        let (contact, body) = (self.contact(), self.sdp(answer_to(held)));
        self.counts.answered += 1;
        let reply = Reply { status: Status::OK, to_tag: Some(tag.as_str()) };
        self.transactions.respond_held(self.now, server, reply, outbox, |mut writer| {
            writer.field(Name::Contact, &contact).field(Name::Allow, ALLOW);
            writer.body(MEDIA_TYPE, |out| out.extend_from_slice(&body));
        });
        if self.config.temper.answers_twice {
            repeat_last(outbox);
        }
        if let Some(line) = self.lines.get_mut(key) {
            line.state = LineState::Up { unacknowledged: Some(server) };
        }
        if let Some(after) = self.config.temper.hangs_up_after {
            self.wheel.start(self.now, after, Due::HangUp(key));
        }
    }

    /// Answers a held INVITE with a failure.
    pub(super) fn refuse_held(&mut self, server: Key<Server>, status: u16, outbox: &mut Outbox) {
        let reply = Reply { status: Status::new(status).unwrap_or(Status::SERVER_ERROR), to_tag: None };
        self.transactions.respond_held(self.now, server, reply, outbox, |writer| writer.end());
    }

    fn acknowledged(&mut self, request: &Request<'_>) {
        let Some(key) = self.line_of(request) else { return };
        // That of a proxy's own refusal may come along.
        if self.lines.get(key).is_none_or(|line| line.invited != request.cseq.number) {
            return;
        }
        self.describe(key, request.body);
        if self.config.temper.ignores_acks {
            return;
        }
        if let Some(Line { state: LineState::Up { unacknowledged }, .. }) = self.lines.get_mut(key)
            && let Some(server) = unacknowledged.take()
        {
            self.transactions.acknowledged(self.now, server);
        }
    }

    fn canceled(
        &mut self,
        request: &Request<'_>,
        server: Key<Server>,
        invite: Option<Key<Server>>,
        outbox: &mut Outbox,
    ) {
        let Some(invite) = invite else {
            self.plain(server, request, Status::NO_SUCH_DIALOG, outbox);
            return;
        };
        self.plain(server, request, Status::OK, outbox);
        if !self.transactions.is_unanswered(invite) {
            return;
        }
        let ringing = |line: &Line| matches!(line.state, LineState::Ringing(key) if key == invite);
        let line = self.lines.iter().find(|(_, line)| ringing(line)).map(|(key, _)| key);
        let Some(line) = line else { return };
        if self.config.temper.pickup == Pickup::DespiteCancel {
            self.accept(line, invite, outbox);
        } else {
            self.refuse_held(invite, 487, outbox);
            self.end(line);
        }
    }

    fn inside(&mut self, line: Key<Line>, key: Key<Server>, request: &Request<'_>, outbox: &mut Outbox) {
        let Some(known) = self.lines.get_mut(line) else { return };
        let up = matches!(known.state, LineState::Up { .. });
        if known.dialog.as_mut().is_some_and(|dialog| dialog.take_cseq(request).is_err()) {
            self.plain(key, request, Status::SERVER_ERROR, outbox);
            return;
        }
        match request.method {
            Method::Bye => self.hung_up(line, key, request, outbox),
            Method::Refer if up => self.referred(line, key, request, outbox),
            Method::Invite | Method::Update if up => self.renegotiated(line, key, request, outbox),
            Method::Refer | Method::Invite | Method::Update => {
                self.plain(key, request, Status::NO_SUCH_DIALOG, outbox);
            }
            Method::Options => self.tell(key, request, outbox),
            Method::Prack | Method::Notify | Method::Info | Method::Message => {
                self.plain(key, request, Status::OK, outbox);
            }
            _ => {
                let reply = Reply { status: Status::METHOD_NOT_ALLOWED, to_tag: None };
                self.transactions.respond(self.now, key, request, reply, outbox, |mut writer| {
                    writer.field(Name::Allow, ALLOW);
                    writer.end();
                });
            }
        }
    }

    /// The peer hangs up, perhaps before the call was answered (RFC 3261 §15.1.2).
    fn hung_up(&mut self, line: Key<Line>, key: Key<Server>, request: &Request<'_>, outbox: &mut Outbox) {
        let status = if self.config.temper.forgets { Status::NO_SUCH_DIALOG } else { Status::OK };
        self.plain(key, request, status, outbox);
        if let Some(LineState::Ringing(server)) = self.lines.get(line).map(|line| &line.state) {
            self.refuse_held(*server, 487, outbox);
        }
        self.end(line);
        self.left(line, outbox);
    }

    /// A re-INVITE or UPDATE: an offer is answered, and a re-INVITE without one gets ours.
    fn renegotiated(
        &mut self,
        line: Key<Line>,
        key: Key<Server>,
        request: &Request<'_>,
        outbox: &mut Outbox,
    ) {
        let busy = |line: &Line| matches!(line.state, LineState::Up { unacknowledged: Some(_) });
        if request.method == Method::Invite && self.lines.get(line).is_some_and(busy) {
            // Our answer to the last INVITE is not acknowledged.
            self.plain(key, request, Status::REQUEST_PENDING, outbox);
            return;
        }
        let (contact, body) = (self.contact(), self.sdp(answer_to(request.body)));
        let silent = request.body.is_empty() && request.method == Method::Update;
        let reply = Reply { status: Status::OK, to_tag: None };
        self.transactions.respond(self.now, key, request, reply, outbox, |mut writer| {
            writer.field(Name::Contact, &contact);
            if silent {
                writer.end();
            } else {
                writer.body(MEDIA_TYPE, |out| out.extend_from_slice(&body));
            }
        });
        self.describe(line, request.body);
        if request.method == Method::Invite
            && let Some(known) = self.lines.get_mut(line)
        {
            known.state = LineState::Up { unacknowledged: Some(key) };
            known.invited = request.cseq.number;
            self.transactions.own(key, Owner(line.to_bits()));
        }
    }
}

/// The direction that answers an offer's (RFC 3264 §6.1); without an offer, both.
fn answer_to(offer: &[u8]) -> &'static str {
    let says = |attribute: &[u8]| memchr::memmem::find(offer, attribute).is_some();
    if says(b"a=sendonly") {
        "recvonly"
    } else if says(b"a=recvonly") {
        "sendonly"
    } else if says(b"a=inactive") {
        "inactive"
    } else {
        "sendrecv"
    }
}
