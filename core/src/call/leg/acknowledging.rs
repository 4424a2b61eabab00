//! The INVITEs of ours that were answered 2xx, and the ACKs of these (RFC 3261 §13.2.2.4).

use super::{Body, Description, Inside, Leg, State};
use crate::auth::client::Attempts;
use crate::call::stack::Stack;
use crate::ident::{Ident, Key};
use crate::mistakes::{self, Mistake};
use crate::sip::dialog::{Dialog, Sending};
use crate::sip::message::{Head, Method, Response};
use crate::sip::sdp;
use crate::sip::transaction::{Branch, Client, Wrote};
use crate::sip::transport::{Flow, Locals};

/// A dialog that stands.
#[derive(Debug)]
pub(super) struct Confirmed {
    pub(super) dialog: Dialog,
    /// The INVITE that made it.
    first: Accepted,
    /// The latest one within it that was answered 2xx.
    latest: Option<Box<Accepted>>,
}

/// An INVITE of ours with its 2xx.
#[derive(Debug)]
pub(super) struct Accepted {
    key: Key<Client>,
    cseq: u32,
    /// What the INVITE carried, which its ACK repeats (§22.1).
    credentials: Box<[u8]>,
    ack: Ack,
}

/// The ACK of a 2xx.
#[derive(Debug)]
enum Ack {
    /// The answer for it is waited for, if the 2xx brought this offer; else that somebody says so.
    Wanted { offer: Box<[u8]> },
    /// It is being found out where it goes.
    Unsent { key: Key<Client>, answer: Option<Description> },
    /// It is sent again for each copy of the 2xx (§13.2.2.4).
    Sent(SentAck),
}

/// What an ACK is made of. It takes less room than its bytes, which are the same each time.
#[derive(Debug)]
struct SentAck {
    /// Of its branch.
    ident: Ident,
    answer: Option<Description>,
    /// How it was sent, if the leg sends otherwise now.
    former: Option<Box<Former>>,
}

/// The way that a leg's requests went, and its dialog.
#[derive(Clone, Debug)]
struct Former {
    flow: Flow,
    dialog: Dialog,
}

impl Confirmed {
    /// The dialog that the first 2xx makes.
    pub(super) fn new(dialog: Dialog, accepted: Accepted) -> Self {
        Self { dialog, first: accepted, latest: None }
    }

    /// Another INVITE has its 2xx. Copies come of the first and of the latest only: of any other its peer has had the ACK.
    pub(super) fn accept(&mut self, accepted: Accepted) {
        self.latest = Some(Box::new(accepted));
    }

    fn accepted(&self) -> impl Iterator<Item = &Accepted> {
        std::iter::once(&self.first).chain(self.latest.as_deref())
    }

    fn accepted_mut(&mut self) -> (&Dialog, [Option<&mut Accepted>; 2]) {
        let Self { dialog, first, latest } = self;
        (dialog, [Some(first), latest.as_deref_mut()])
    }

    fn find(&mut self, is_it: impl Fn(&Accepted) -> bool) -> Option<(&Dialog, &mut Accepted)> {
        let (dialog, accepted) = self.accepted_mut();
        Some((dialog, accepted.into_iter().flatten().find(|accepted| is_it(accepted))?))
    }

    /// Whether this is an INVITE that was answered 2xx.
    pub(super) fn has_accepted(&self, key: Key<Client>) -> bool {
        self.accepted().any(|accepted| accepted.key == key)
    }

    /// Takes the Contact of a message from the peer as the dialog's remote target; requests went by `flow` so far.
    pub(super) fn refresh_target(&mut self, head: &Head<'_>, flow: Option<Flow>) {
        let Some(dialog) = self.dialog.refresh_target(head) else { return };
        if let Some(flow) = flow {
            self.keep_acks(&Former { flow, dialog });
        }
    }

    /// From now on requests are sent otherwise; ACKs stay as they were.
    fn keep_acks(&mut self, former: &Former) {
        for accepted in self.accepted_mut().1.into_iter().flatten() {
            if let Ack::Sent(ack) = &mut accepted.ack {
                ack.former.get_or_insert_with(|| Box::new(former.clone()));
            }
        }
    }

    /// Sends the ACK of a 2xx that came again once more; `flow` is the way that requests go now.
    fn acknowledge_again(&self, accepted: &Accepted, flow: Option<Flow>, stack: &mut Stack<'_>) {
        let Ack::Sent(SentAck { ident, answer, former }) = &accepted.ack else { return };
        let former = former.as_deref();
        let Some(flow) = former.map(|former| former.flow).or(flow) else { return };
        let dialog = former.map_or(&self.dialog, |former| &former.dialog);
        let Stack { now, outbox, endpoint } = stack;
        let (locals, branch) = (&endpoint.locals, Branch::of(*ident));
        endpoint.transactions.send(*now, flow, outbox, |out| {
            let sending = sending(locals, flow, branch.as_str(), accepted.cseq);
            accepted.write_ack(dialog, answer.as_deref(), sending, out);
        });
    }
}

impl Accepted {
    /// This INVITE was answered 2xx, which brought this offer.
    pub(super) fn new(key: Key<Client>, cseq: u32, credentials: Box<[u8]>, offer: &[u8]) -> Self {
        Self { key, cseq, credentials, ack: Ack::Wanted { offer: offer.into() } }
    }

    fn is_unacknowledged(&self) -> bool {
        matches!(self.ack, Ack::Wanted { .. })
    }

    fn unanswered_offer(&self) -> Option<&[u8]> {
        match &self.ack {
            Ack::Wanted { offer } => Some(offer),
            Ack::Unsent { .. } | Ack::Sent(_) => None,
        }
    }

    /// Whether its ACK holds an answer, as far as that is known yet.
    fn is_answered(&self) -> bool {
        match &self.ack {
            Ack::Wanted { .. } | Ack::Unsent { .. } => true,
            Ack::Sent(ack) => ack.answer.is_some(),
        }
    }

    fn is_unsent(&self, as_key: Key<Client>) -> bool {
        matches!(&self.ack, Ack::Unsent { key, .. } if *key == as_key)
    }

    fn write_ack(&self, dialog: &Dialog, answer: Option<&[u8]>, sending: Sending<'_>, out: &mut Vec<u8>) {
        let mut writer = dialog.request(out, Method::Ack, sending);
        writer.lines(|out| out.extend_from_slice(&self.credentials));
        match answer {
            Some(answer) => writer.body(sdp::MEDIA_TYPE, |out| out.extend_from_slice(answer)),
            None => writer.end(),
        }
    }
}

fn sending<'a>(locals: &'a Locals, flow: Flow, branch: &'a str, cseq: u32) -> Sending<'a> {
    Sending { transport: flow.transport(), sent_by: locals.sent_by(flow), branch, cseq }
}

impl Leg {
    /// Acknowledges the 2xx that waits for it, with the answer to its offer if it brought one (§13.2.2.4).
    pub(crate) fn acknowledge(&mut self, answer: Option<Description>, stack: &mut Stack<'_>) {
        if mistakes::on(Mistake::SkipAck) {
            return;
        }
        let answer = answer.map(confused);
        let what = (Method::Ack, self.owner());
        let State::Confirmed(confirmed) = &mut self.state else { return };
        let Some((dialog, waiting)) = confirmed.find(Accepted::is_unacknowledged) else { return };
        let key = stack.begin_within(what, dialog.next_hop(), self.flow);
        waiting.ack = Ack::Unsent { key, answer: answer.clone() };
        self.write_ack(key, stack);
        if let Some(answer) = answer {
            self.agree(answer);
        }
    }

    /// Requests go this way now.
    pub(super) fn go_by(&mut self, flow: Flow) {
        let before = self.flow.replace(flow).filter(|before| *before != flow);
        if let (State::Confirmed(confirmed), Some(flow)) = (&mut self.state, before) {
            let dialog = confirmed.dialog.clone();
            confirmed.keep_acks(&Former { flow, dialog });
        }
    }

    /// Writes the ACK of a 2xx for the way that it goes.
    pub(super) fn write_ack(&mut self, key: Key<Client>, stack: &mut Stack<'_>) {
        let State::Confirmed(confirmed) = &mut self.state else { return };
        let Some((dialog, accepted)) = confirmed.find(|accepted| accepted.is_unsent(key)) else { return };
        let Stack { now, outbox, endpoint } = stack;
        let Ack::Unsent { answer, .. } = &accepted.ack else { return };
        let answer = answer.clone();
        while let Some(flow) = endpoint.transactions.located(key) {
            let locals = &endpoint.locals;
            let sent = endpoint.transactions.write(*now, key, outbox, |out, branch| {
                let sending = sending(locals, flow, branch, accepted.cseq);
                accepted.write_ack(dialog, answer.as_deref(), sending, out);
            });
            if let Wrote::Acknowledged { flow, ident } = sent {
                let otherwise = self.flow != Some(flow);
                let former = otherwise.then(|| Box::new(Former { flow, dialog: dialog.clone() }));
                accepted.ack = Ack::Sent(SentAck { ident, answer, former });
                return;
            }
        }
    }

    /// The offer that the 2xx brought which waits for [`acknowledge`](Self::acknowledge).
    pub(crate) fn unanswered_offer(&self) -> Option<&[u8]> {
        let State::Confirmed(confirmed) = &self.state else { return None };
        let waiting = confirmed.accepted().find(|accepted| accepted.is_unacknowledged());
        waiting.and_then(Accepted::unanswered_offer)
    }

    /// Acknowledges the 2xx that waits for it, if there is one; nobody is there to hear what it offers.
    pub(crate) fn decline_offer(&mut self, stack: &mut Stack<'_>) {
        let Some(offer) = self.unanswered_offer().map(<[u8]>::to_vec) else { return };
        let answer = self.hold_answer(&offer, stack);
        self.acknowledge(answer, stack);
    }

    /// Whether a 2xx of the peer's waits for [`acknowledge`](Self::acknowledge).
    pub(crate) fn is_unacknowledged(&self) -> bool {
        match &self.state {
            State::Confirmed(confirmed) => confirmed.accepted().any(Accepted::is_unacknowledged),
            State::Inviting(_) | State::Refused(_) | State::Over => false,
        }
    }

    /// A 2xx after the first: sent again, it is acknowledged again; of another fork, it is acknowledged and hung up
    /// (§13.2.2.4).
    pub(super) fn later_2xx(&mut self, key: Key<Client>, response: &Response<'_>, stack: &mut Stack<'_>) {
        let State::Confirmed(confirmed) = &self.state else { return };
        let Some(accepted) = confirmed.accepted().find(|accepted| accepted.key == key) else { return };
        if response.to.tag().unwrap_or_default() == confirmed.dialog.remote_tag() {
            confirmed.acknowledge_again(accepted, self.flow, stack);
            return;
        }
        let (cseq, fork) = (accepted.cseq, self.dialog_of(response, confirmed.dialog.target()));
        let answer = if accepted.is_answered() { self.answer_for_nobody(response, stack) } else { None };
        let mut ack = Inside::plain(Method::Ack, Vec::new());
        ack.body = answer.map(Body::sdp);
        self.send_outside((fork.clone(), cseq), ack, Attempts::default(), stack);
        // The fork has lost.
        self.send_next_outside(fork, Inside::plain(Method::Bye, Vec::new()), stack);
    }

    /// What a fork that lost is answered, if its 2xx brings an offer: when the first one's did.
    fn answer_for_nobody(&self, response: &Response<'_>, stack: &Stack<'_>) -> Option<Description> {
        if response.body.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(256);
        let host = stack.endpoint.locals.media_host(self.flow);
        // Another dialog has another session.
        let origin = sdp::Origin { session: response.cseq.number, version: 1 };
        sdp::write_answer(&mut out, response.body, host, origin)?;
        Some(out.into())
    }
}

/// The answer that goes out, but for a deliberate fault.
fn confused(answer: Description) -> Description {
    if !mistakes::on(Mistake::ConfuseMedia) {
        return answer;
    }
    String::from_utf8_lossy(&answer).replace("m=audio 4", "m=audio 5").into_bytes().into()
}
