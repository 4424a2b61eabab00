//! The first INVITE of a leg: offers in order, credentials, redirections, forks, early answers.

use std::sync::Arc;

use super::acknowledging::{Accepted, Confirmed};
use super::{Body, Description, Inside, Leg, LegEvent, PRODUCT, State, ends, uri_of};
use crate::auth::client::Attempts;
use crate::call::stack::Stack;
use crate::config::HoldSdp;
use crate::ident::Key;
use crate::sip::dialog::{self, Dialog, Sending};
use crate::sip::message::{Method, Name, NameAddr, Response, Status, Uri};
use crate::sip::resolve::Hop;
use crate::sip::sdp;
use crate::sip::transaction::{Client, Wrote};
use crate::sip::transport::{Flow, Secure};

/// How many redirections one call follows (SPEC: at most 5).
const MAX_REDIRECTIONS: usize = 5;

/// What a leg's first INVITE says, kept until it is answered for good.
#[derive(Debug)]
pub(crate) struct Invitation {
    /// The Request-URI.
    pub(crate) target: Arc<str>,
    /// Where it is sent to.
    pub(crate) hop: Hop,
    /// Header lines of its own, each with CR LF.
    pub(crate) lines: Vec<u8>,
    /// The URI of P-Asserted-Identity, for trusted proxies only (RFC 3325 §5).
    pub(crate) asserted: Option<Arc<str>>,
    /// What it offers.
    pub(crate) offer: Offer,
    /// Whether 3xx are followed, and where they have led.
    pub(crate) redirections: Option<Redirections>,
}

/// What an INVITE offers.
#[derive(Clone, Debug)]
pub(crate) enum Offer {
    /// Media that leads nowhere: which of the configured offers is tried.
    Hold(usize),
    /// Nothing: the party is to offer (RFC 3725 §4.4).
    Wanted,
    /// What another party has offered.
    Given(Box<[u8]>),
}

/// Where redirections have led, and where they may still lead.
#[derive(Debug, Default)]
pub(crate) struct Redirections {
    tried: Vec<Arc<str>>,
    /// Best last.
    waiting: Vec<Arc<str>>,
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
    /// The description that it carried.
    body: Description,
    early: Early,
    pub(super) canceled: bool,
}

/// What provisional responses have brought.
#[derive(Debug, Default)]
struct Early {
    /// The tag of the latest (§12.1.2).
    tag: Box<str>,
    /// The RSeq of the last reliable one that was acknowledged (RFC 3262 §4).
    acknowledged: Option<u32>,
    /// The dialog whose offer waits for its answer in PRACK, and the RAck line.
    offering: Option<(Dialog, Vec<u8>)>,
    /// The tag of the dialog whose offer was answered so.
    agreed: Option<Box<str>>,
    /// The answer to our offer, if it came early.
    answer: Option<Description>,
}

impl Inviting {
    pub(super) fn early_tag(&self) -> &str {
        &self.early.tag
    }
}

impl Leg {
    /// Sends the INVITE, as soon as it is known where to.
    pub(super) fn send_invite(&mut self, invitation: Invitation, attempts: Attempts, stack: &mut Stack<'_>) {
        self.cseq += 1;
        let what = (Method::Invite, self.owner());
        let transactions = &mut stack.endpoint.transactions;
        let transaction = transactions.begin(stack.now, what, (&invitation.hop, None), stack.outbox);
        self.state = State::Inviting(Box::new(Inviting {
            transaction,
            cseq: self.cseq,
            invitation,
            attempts,
            credentials: Box::default(),
            body: Description::default(),
            early: Early::default(),
            canceled: false,
        }));
        self.write_invite(stack);
    }

    /// Writes the INVITE for the way that it goes.
    pub(super) fn write_invite(&mut self, stack: &mut Stack<'_>) {
        let State::Inviting(mut inviting) = std::mem::replace(&mut self.state, State::Over) else { return };
        while let Some(flow) = stack.endpoint.transactions.located(inviting.transaction) {
            self.flow = Some(flow);
            if self.write_invite_for(flow, &mut inviting, stack) {
                break;
            }
        }
        self.state = State::Inviting(inviting);
    }

    /// Whether it goes this way.
    fn write_invite_for(&mut self, flow: Flow, inviting: &mut Inviting, stack: &mut Stack<'_>) -> bool {
        let Inviting { transaction, cseq, invitation, attempts, .. } = inviting;
        let body = self.offered(&invitation.offer, stack);
        let Stack { now, outbox, endpoint } = stack;
        let mut credentials = Vec::new();
        let about = ("INVITE", &*invitation.target, &*body);
        let secrets = self.credentials.as_deref();
        self.session.write(about, secrets, attempts, &mut endpoint.random, &mut credentials);
        let (call_id, tag) = (self.call_id.text(), self.ident.text());
        let trusted = endpoint.trusts(flow);
        let ends = ends(self, call_id.as_str(), tag.as_str());
        let locals = &endpoint.locals;
        let sent = endpoint.transactions.write(*now, *transaction, outbox, |out, branch| {
            let sending =
                Sending { transport: flow.transport(), sent_by: locals.sent_by(flow), branch, cseq: *cseq };
            let mut writer = dialog::request(out, Method::Invite, &invitation.target, ends, sending);
            locals.contact(&mut writer, flow, Secure::of(&invitation.target));
            writer.field(Name::Allow, self.usage.allow());
            self.write_timer("100rel", &mut writer);
            writer.field(Name::UserAgent, PRODUCT);
            if let Some(asserted) = invitation.asserted.as_deref().filter(|_| trusted) {
                writer.field_parts(Name::PAssertedIdentity, &["<", asserted, ">"]);
            }
            writer.lines(|out| out.extend_from_slice(&invitation.lines));
            writer.lines(|out| out.extend_from_slice(&credentials));
            if body.is_empty() {
                writer.end();
            } else {
                writer.body(sdp::MEDIA_TYPE, |out| out.extend_from_slice(&body));
            }
        });
        inviting.credentials = credentials.into();
        inviting.body = body;
        sent != Wrote::Again
    }

    fn offered(&mut self, offer: &Offer, stack: &Stack<'_>) -> Description {
        match offer {
            Offer::Wanted => Description::default(),
            Offer::Given(description) => self.describe(description, stack),
            Offer::Hold(place) => {
                let endpoint = &*stack.endpoint;
                let kind = endpoint.config.calls.hold_sdp.get(*place).copied().unwrap_or(HoldSdp::Sendonly);
                let mut body = Vec::with_capacity(256);
                let host = endpoint.locals.media_host(self.flow);
                sdp::write_hold(&mut body, kind, host, self.media.next());
                body.into()
            }
        }
    }

    /// Asks a party that [wants an offer](LegEvent::WantsOffer) again, with this one.
    pub(crate) fn offer(&mut self, description: &[u8], stack: &mut Stack<'_>) {
        let State::Refused(mut invitation) = std::mem::replace(&mut self.state, State::Over) else { return };
        invitation.offer = Offer::Given(description.into());
        self.send_invite(*invitation, Attempts::default(), stack);
    }

    pub(super) fn invite_response(&mut self, response: &Response<'_>, stack: &mut Stack<'_>) -> LegEvent {
        let status = response.status;
        if status.is_provisional() {
            return self.provisional(response, stack);
        }
        let State::Inviting(inviting) = std::mem::replace(&mut self.state, State::Over) else {
            return LegEvent::Nothing;
        };
        if status.is_success() {
            self.confirm(*inviting, response, stack);
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
        match (&mut invitation.offer, status) {
            (_, status) if status.is_challenge() => {
                if let Err(why) = self.challenged(response, &mut attempts, stack) {
                    return LegEvent::Failed(status, Some(why));
                }
            }
            (_, Status::INTERVAL_TOO_SMALL) if self.raise_interval(response) => {}
            (Offer::Wanted, status) if refuses_to_offer(status) => {
                self.state = State::Refused(Box::new(invitation));
                return LegEvent::WantsOffer(status);
            }
            (Offer::Hold(place), Status::NOT_ACCEPTABLE_HERE | Status::NOT_ACCEPTABLE_ANYWHERE) => {
                *place += 1;
                if *place >= stack.endpoint.config.calls.hold_sdp.len() {
                    return LegEvent::Failed(status, None);
                }
            }
            _ => {
                let Some(target) = invitation.redirected(response) else {
                    return LegEvent::Failed(status, None);
                };
                let Some(hop) = stack.endpoint.hop(&target) else {
                    return LegEvent::Failed(status, None);
                };
                invitation.target = target;
                invitation.hop = hop;
            }
        }
        self.send_invite(invitation, attempts, stack);
        LegEvent::Nothing
    }

    fn confirm(&mut self, inviting: Inviting, response: &Response<'_>, stack: &mut Stack<'_>) {
        let Inviting { transaction: key, cseq, invitation, credentials, body, early, .. } = inviting;
        let mut dialog = self.dialog_of(response, &invitation.target);
        dialog.used_cseq(self.cseq);
        if let Offer::Hold(place @ 1..) = invitation.offer {
            stack.endpoint.contacts.takes_offer(stack.now, uri_of(self.remote()), place);
        }
        // Whatever the first offer's dialog agreed on early holds for its own 2xx only.
        let agreed = early.agreed.as_deref() == response.to.tag();
        let offered = !matches!(invitation.offer, Offer::Wanted);
        let offer = if offered { &[][..] } else { response.body };
        let accepted = Accepted::new(key, cseq, credentials, offer);
        self.may_be_answered_late(stack);
        self.session.accepted();
        self.state = State::Confirmed(Confirmed::new(dialog, accepted));
        self.parties = None;
        self.refreshed(stack.now, response);
        if offered {
            self.agree(body);
        }
        if offered || (agreed && early.agreed.is_some()) {
            self.acknowledge(None, stack);
        }
        self.set_early_answer(early.answer);
    }

    pub(super) fn dialog_of(&self, response: &Response<'_>, target: &str) -> Dialog {
        let (call_id, tag) = (self.call_id.text(), self.ident.text());
        let ends = ends(self, call_id.as_str(), tag.as_str());
        Dialog::from_response(ends, self.cseq, response, target)
    }

    /// Takes a provisional response; PRACK follows if it asks for one (RFC 3262 §4).
    fn provisional(&mut self, response: &Response<'_>, stack: &mut Stack<'_>) -> LegEvent {
        let progress = LegEvent::Progress(response.status);
        let State::Inviting(inviting) = &mut self.state else { return progress };
        if let Some(tag) = response.to.tag().filter(|tag| **tag != *inviting.early.tag) {
            inviting.early.tag = tag.into();
        }
        let reliable = response.has_token(Name::Require, "100rel") && response.status != Status::TRYING;
        let Some(rseq) = response.number(Name::RSeq).filter(|_| reliable) else { return progress };
        // One that came again, or out of order, is not acknowledged.
        if inviting.early.acknowledged.is_some_and(|last| rseq != last.wrapping_add(1)) {
            return progress;
        }
        let brings = !response.body.is_empty() && response.is_sdp();
        let offers = brings && matches!(inviting.invitation.offer, Offer::Wanted);
        let answers = brings && !offers;
        // Of several forks that offer one is answered; the others' offers have to wait for their 2xx.
        let taken = inviting.early.offering.is_some() || inviting.early.agreed.is_some();
        if offers && taken && inviting.early.agreed.as_deref() != response.to.tag() {
            return progress;
        }
        inviting.early.acknowledged = Some(rseq);
        if answers {
            inviting.early.answer = Some(response.body.into());
        }
        let target = inviting.invitation.target.clone();
        let early = self.dialog_of(response, &target);
        let line = format!("RAck: {rseq} {} INVITE\r\n", response.cseq.number).into_bytes();
        if offers && let State::Inviting(inviting) = &mut self.state {
            inviting.early.offering = Some((early, line));
            return LegEvent::EarlyOffer(response.status);
        }
        self.send_next_outside(early, Inside::plain(Method::Prack, line), stack);
        progress
    }

    /// Answers the offer that came early (RFC 3262 §5).
    pub(crate) fn prack(&mut self, answer: Description, stack: &mut Stack<'_>) {
        let State::Inviting(inviting) = &mut self.state else { return };
        let Some((dialog, line)) = inviting.early.offering.take() else { return };
        inviting.early.agreed = Some(dialog.remote_tag().into());
        let mut prack = Inside::plain(Method::Prack, line);
        prack.body = Some(Body::sdp(answer.clone()));
        self.agree(answer);
        self.send_next_outside(dialog, prack, stack);
    }

    /// The answer to our offer is of no use: nothing was offered.
    pub(crate) fn forget_early_answer(&mut self) {
        drop(self.take_early_answer());
    }

    /// The party's answer to our offer: that of the 2xx, or the one that came early.
    pub(crate) fn answer_in(&mut self, response: &Response<'_>) -> Option<Description> {
        let early = self.take_early_answer();
        if response.body.is_empty() || !response.is_sdp() { early } else { Some(response.body.into()) }
    }
}

/// The ways in which phones say that they take no INVITE without an offer (SPEC 3).
fn refuses_to_offer(status: Status) -> bool {
    matches!(
        status,
        Status::BAD_REQUEST
            | Status::UNSUPPORTED_MEDIA_TYPE
            | Status::NOT_ACCEPTABLE_HERE
            | Status::NOT_ACCEPTABLE_ANYWHERE
    )
}

impl Invitation {
    /// The next target after a failure: the best Contact of a 3xx, or of one before that is still untried.
    fn redirected(&mut self, response: &Response<'_>) -> Option<Arc<str>> {
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
            let uri = contact.uri.without_headers();
            let same = |other: &str| match (Uri::parse(other), Uri::parse(uri)) {
                (Ok(other), Ok(uri)) => other.equals(&uri),
                _ => false,
            };
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
