//! The first INVITE of a leg: offers in order, credentials, redirections, forks.

use super::{Confirmed, Inside, Leg, LegEvent, PRODUCT, State, ends};
use crate::auth::client::Attempts;
use crate::call::stack::Stack;
use crate::config::HoldSdp;
use crate::ident::Key;
use crate::sip::dialog::{self, Dialog, Sending};
use crate::sip::message::{Method, Name, NameAddr, Response, Status, Uri};
use crate::sip::screen::ALLOW;
use crate::sip::sdp;
use crate::sip::transaction::{Client, send};

/// How many redirections one call follows (SPEC: at most 5).
const MAX_REDIRECTIONS: usize = 5;

/// What a leg's first INVITE says, kept until it is answered for good.
#[derive(Debug)]
pub(crate) struct Invitation {
    /// The Request-URI.
    pub(crate) target: Box<str>,
    /// Header lines of its own, each with CR LF.
    pub(crate) lines: Box<[u8]>,
    /// The URI of P-Asserted-Identity, for trusted proxies only (RFC 3325 §5).
    pub(crate) asserted: Option<Box<str>>,
    /// Which of the configured offers is tried.
    pub(crate) offer: usize,
    /// Whether 3xx are followed, and where they have led.
    pub(crate) redirections: Option<Redirections>,
}

/// Where redirections have led, and where they may still lead.
#[derive(Debug, Default)]
pub(crate) struct Redirections {
    tried: Vec<Box<str>>,
    /// Best last.
    waiting: Vec<Box<str>>,
    followed: usize,
}

#[derive(Debug)]
pub(super) struct Inviting {
    pub(super) transaction: Key<Client>,
    cseq: u32,
    invitation: Invitation,
    attempts: Attempts,
    /// The credentials that the INVITE carried, which its ACK repeats (§22.1).
    credentials: Box<[u8]>,
    /// The RSeq of the last reliable provisional response that was acknowledged (RFC 3262 §4).
    acknowledged: Option<u32>,
    pub(super) canceled: bool,
}

impl Leg {
    pub(super) fn send_invite(
        &mut self,
        invitation: Invitation,
        mut attempts: Attempts,
        stack: &mut Stack<'_>,
    ) -> Inviting {
        self.cseq += 1;
        self.origin.version = self.origin.version.wrapping_add(1);
        let Stack { now, outbox, endpoint } = stack;
        let kinds = &endpoint.config.calls.hold_sdp;
        let kind = kinds.get(invitation.offer).copied().unwrap_or(HoldSdp::Sendonly);
        let mut body = Vec::with_capacity(256);
        sdp::write_hold(&mut body, kind, endpoint.locals.media_host(self.flow), self.origin);
        let mut credentials = Vec::new();
        let about = ("INVITE", &*invitation.target, &*body);
        let secrets = self.credentials.as_deref();
        self.session.write(about, secrets, &mut attempts, &mut endpoint.random, &mut credentials);
        let (call_id, tag) = (self.call_id.text(), self.ident.text());
        let (flow, cseq) = (self.flow, self.cseq);
        let sent_by = endpoint.locals.sent_by(flow);
        let trusted = endpoint.trusts(flow);
        let ends = ends(self, call_id.as_str(), tag.as_str());
        let owner = self.owner();
        let transaction =
            endpoint.transactions.request(*now, Method::Invite, flow, owner, outbox, |out, branch| {
                let sending = Sending { transport: flow.transport(), sent_by, branch, cseq };
                let mut writer = dialog::request(out, Method::Invite, &invitation.target, ends, sending);
                writer.field_parts(Name::Contact, &["<sip:cordboard@", sent_by, ">"]);
                writer
                    .field(Name::Allow, ALLOW)
                    .field(Name::Supported, "100rel")
                    .field(Name::UserAgent, PRODUCT);
                if let Some(asserted) = invitation.asserted.as_deref().filter(|_| trusted) {
                    writer.field_parts(Name::PAssertedIdentity, &["<", asserted, ">"]);
                }
                writer.lines(|out| out.extend_from_slice(&invitation.lines));
                writer.lines(|out| out.extend_from_slice(&credentials));
                writer.body(sdp::MEDIA_TYPE, |out| out.extend_from_slice(&body));
            });
        Inviting {
            transaction,
            cseq,
            invitation,
            attempts,
            credentials: credentials.into(),
            acknowledged: None,
            canceled: false,
        }
    }

    pub(super) fn invite_response(&mut self, response: &Response<'_>, stack: &mut Stack<'_>) -> LegEvent {
        let status = response.status;
        if status.is_provisional() {
            self.acknowledge_provisional(response, stack);
            return LegEvent::Progress(status);
        }
        let State::Inviting(inviting) = std::mem::replace(&mut self.state, State::Over) else {
            return LegEvent::Nothing;
        };
        if status.is_success() {
            self.confirm(&inviting, response, stack);
            return LegEvent::Answered;
        }
        if inviting.canceled {
            return LegEvent::Failed(status, None);
        }
        self.try_again(*inviting, response, stack)
    }

    /// Sends the INVITE another way, if the failure allows one.
    fn try_again(&mut self, inviting: Inviting, response: &Response<'_>, stack: &mut Stack<'_>) -> LegEvent {
        let Inviting { mut invitation, mut attempts, .. } = inviting;
        let status = response.status;
        if status.is_challenge() {
            if let Err(why) = self.challenged(response, &mut attempts, stack) {
                return LegEvent::Failed(status, Some(why));
            }
        } else if matches!(status, Status::NOT_ACCEPTABLE_HERE | Status::NOT_ACCEPTABLE_ANYWHERE) {
            invitation.offer += 1;
            if invitation.offer >= stack.endpoint.config.calls.hold_sdp.len() {
                return LegEvent::Failed(status, None);
            }
        } else {
            let Some(target) = invitation.redirected(response) else { return LegEvent::Failed(status, None) };
            let Some(flow) = stack.endpoint.route(&target) else { return LegEvent::Failed(status, None) };
            invitation.target = target;
            self.flow = flow;
        }
        self.state = State::Inviting(Box::new(self.send_invite(invitation, attempts, stack)));
        LegEvent::Nothing
    }

    fn confirm(&mut self, inviting: &Inviting, response: &Response<'_>, stack: &mut Stack<'_>) {
        let dialog = self.dialog_of(response, &inviting.invitation.target);
        let ack = self.send_ack(&dialog, inviting.cseq, &inviting.credentials, stack);
        self.state =
            State::Confirmed(Confirmed { dialog, invite: inviting.transaction, cseq: inviting.cseq, ack });
    }

    fn dialog_of(&self, response: &Response<'_>, target: &str) -> Dialog {
        let (call_id, tag) = (self.call_id.text(), self.ident.text());
        let ends = ends(self, call_id.as_str(), tag.as_str());
        Dialog::from_response(ends, self.cseq, response, target)
    }

    fn send_ack(&self, dialog: &Dialog, cseq: u32, credentials: &[u8], stack: &mut Stack<'_>) -> Box<[u8]> {
        let endpoint = &mut *stack.endpoint;
        let flow = endpoint.route_within(dialog.next_hop(), self.flow);
        let branch = endpoint.transactions.fresh_branch();
        let sent_by = endpoint.locals.sent_by(flow);
        let sending = Sending { transport: flow.transport(), sent_by, branch: branch.as_str(), cseq };
        let sent = send(stack.outbox, flow, |out| {
            let mut writer = dialog.request(out, Method::Ack, sending);
            writer.lines(|out| out.extend_from_slice(credentials));
            writer.end();
        });
        sent.into()
    }

    /// A 2xx after the first: sent again, it is acknowledged again; of another fork, it is acknowledged and hung up
    /// (§13.2.2.4).
    pub(super) fn later_2xx(&mut self, response: &Response<'_>, stack: &mut Stack<'_>) {
        let State::Confirmed(confirmed) = &self.state else { return };
        if response.to.tag().unwrap_or_default() == confirmed.dialog.remote_tag() {
            let flow = stack.endpoint.route_within(confirmed.dialog.next_hop(), self.flow);
            send(stack.outbox, flow, |out| out.extend_from_slice(&confirmed.ack));
            return;
        }
        let fork = self.dialog_of(response, confirmed.dialog.target());
        self.send_ack(&fork, confirmed.cseq, &[], stack);
        // The fork has lost.
        let bye = Inside { method: Method::Bye, lines: Box::default() };
        self.send_outside(fork, bye, Attempts::default(), stack);
    }

    /// PRACK, if the provisional response asks for one (RFC 3262 §4).
    fn acknowledge_provisional(&mut self, response: &Response<'_>, stack: &mut Stack<'_>) {
        let Some(rseq) = response.number(Name::RSeq).filter(|_| response.has_token(Name::Require, "100rel"))
        else {
            return;
        };
        let State::Inviting(inviting) = &mut self.state else { return };
        // One that came again, or out of order, is not acknowledged.
        if response.status == Status::TRYING
            || inviting.acknowledged.is_some_and(|last| rseq != last.wrapping_add(1))
        {
            return;
        }
        inviting.acknowledged = Some(rseq);
        let target = inviting.invitation.target.clone();
        let early = self.dialog_of(response, &target);
        let line = format!("RAck: {rseq} {} INVITE\r\n", response.cseq.number);
        let prack = Inside { method: Method::Prack, lines: line.into_bytes().into() };
        self.send_outside(early, prack, Attempts::default(), stack);
    }
}

impl Invitation {
    /// The next target after a failure: the best Contact of a 3xx, or of one before that is still untried.
    fn redirected(&mut self, response: &Response<'_>) -> Option<Box<str>> {
        let redirections = self.redirections.as_mut()?;
        if redirections.tried.is_empty() {
            redirections.tried.push(self.target.clone());
        }
        if response.status.is_redirect() {
            redirections.enter(response);
        }
        let next = redirections.waiting.pop()?;
        if redirections.followed >= MAX_REDIRECTIONS {
            return None;
        }
        redirections.followed += 1;
        redirections.tried.push(next.clone());
        Some(next)
    }
}

impl Redirections {
    /// Notes the Contacts of a 3xx, by q (§20.10), but those that were tried already.
    fn enter(&mut self, response: &Response<'_>) {
        let mut contacts: Vec<(u16, NameAddr<'_>)> = response
            .contacts()
            .filter_map(Result::ok)
            .filter(|contact| contact.uri.scheme.is_sip())
            .map(|contact| (q_of(&contact), contact))
            .collect();
        contacts.sort_by_key(|(q, _)| *q);
        for (_, contact) in contacts.into_iter().take(MAX_REDIRECTIONS * 2) {
            let uri = without_headers(&contact.uri);
            let same = |other: &str| Uri::parse(other).is_ok_and(|other| other.equals(&contact.uri));
            if !self.tried.iter().chain(&self.waiting).any(|other| same(other)) {
                self.waiting.push(uri.into());
            }
        }
    }
}

/// `q` in thousandths; 1 when it is not given.
fn q_of(contact: &NameAddr<'_>) -> u16 {
    let Some(q) = contact.params.value("q").and_then(|q| q.parse::<f32>().ok()) else { return 1000 };
    (q.clamp(0.0, 1.0) * 1000.0) as u16
}

fn without_headers<'a>(uri: &Uri<'a>) -> &'a str {
    uri.raw.split('?').next().unwrap_or(uri.raw)
}
