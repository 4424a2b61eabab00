//! Being referred: the answer to REFER, and the NOTIFYs that tell what came of it (RFC 3515).

use std::collections::VecDeque;

use super::{Due, Line, LineState, Phone, STEP, repeat_last};
use crate::ident::Key;
use crate::io::Outbox;
use crate::sip::message::{Method, Name, NameAddr, Request, Status};
use crate::sip::sdp::MEDIA_TYPE;
use crate::sip::transaction::{Reply, Server};
use crate::softphone::temper::{Notices, Notify, WhenLeft};

/// The subscription of whoever referred us.
#[derive(Debug)]
pub(super) struct Watcher {
    waiting: VecDeque<Notify>,
    /// Whether the call that was asked for will add to them.
    following: bool,
    /// Whether we hang up after the next NOTIFY.
    hang_up: bool,
}

const SIPFRAG: &str = "message/sipfrag;version=2.0";
const TERMINATED: &str = "terminated;reason=noresource";

impl Phone {
    pub(super) fn referred(
        &mut self,
        key: Key<Line>,
        server: Key<Server>,
        request: &Request<'_>,
        outbox: &mut Outbox,
    ) {
        let script = self.config.temper.referral.clone();
        self.counts.referred += 1;
        let Some(line) = self.lines.get_mut(key) else { return };
        if script.needs_ack && matches!(line.state, LineState::Up { unacknowledged: Some(_) }) {
            self.transactions.respond_plain(self.now, server, request, Status::REQUEST_PENDING, outbox);
            return;
        }
        line.refers += 1;
        let first = line.refers == 1;
        let answer = script.first_answer.filter(|_| first).unwrap_or(script.answer);
        let target = request.first(Name::ReferTo).and_then(|value| NameAddr::parse(value).ok());
        let target = target.map(|target| target.uri.raw.split('?').next().unwrap_or_default().to_owned());
        let status = match &target {
            Some(_) => Status::new(answer).unwrap_or(Status::SERVER_ERROR),
            None => Status::BAD_REQUEST,
        };
        let notices = match &script.notices {
            Notices::Script(notices) => notices.clone().into(),
            Notices::Follow { .. } => {
                VecDeque::from([Notify::status("SIP/2.0 100 Trying", "active;expires=60")])
            }
        };
        let following = matches!(script.notices, Notices::Follow { .. });
        let accepted = status.is_success() && !script.unwatched;
        if accepted {
            line.referral = Some(Watcher { waiting: notices, following, hang_up: script.hang_up });
        }
        if accepted && script.notify_first {
            self.notify_all(key, outbox);
        }
        let contact = self.contact();
        let reply = Reply { status, to_tag: None };
        self.transactions.respond(self.now, server, request, reply, outbox, |mut writer| {
            writer.field(Name::Contact, &contact);
            if script.unwatched {
                writer.field(Name::ReferSub, "false");
            }
            writer.end();
        });
        if script.dies {
            self.die();
            return;
        }
        if !status.is_success() {
            return;
        }
        if script.hold {
            let body = self.sdp("sendonly");
            self.within(key, Method::Invite, &[], Some((MEDIA_TYPE, &body)), outbox);
        }
        self.notify_next(key, outbox);
        if let (true, Some(target)) = (following, target) {
            self.call(&target, Some(key).filter(|_| accepted), outbox);
        }
    }

    fn notify_all(&mut self, key: Key<Line>, outbox: &mut Outbox) {
        while self
            .lines
            .get(key)
            .and_then(|line| line.referral.as_ref())
            .is_some_and(|w| !w.waiting.is_empty())
        {
            self.notify_one(key, outbox);
        }
        self.end_referral(key);
    }

    /// Sends the next NOTIFY; the one behind it follows after a step.
    pub(super) fn notify_next(&mut self, key: Key<Line>, outbox: &mut Outbox) {
        self.notify_one(key, outbox);
        let waiting = self.lines.get(key).and_then(|line| line.referral.as_ref()).map(|w| w.waiting.len());
        match waiting {
            Some(1..) => {
                self.wheel.start(self.now, STEP, Due::Notify(key));
            }
            Some(0) => self.end_referral(key),
            None => {}
        }
    }

    /// The subscription is served when nothing will be added to it any more.
    fn end_referral(&mut self, key: Key<Line>) {
        if let Some(line) = self.lines.get_mut(key)
            && line.referral.as_ref().is_some_and(|watcher| watcher.waiting.is_empty() && !watcher.following)
        {
            line.referral = None;
        }
    }

    /// Whoever referred us has hung up.
    pub(super) fn left(&mut self, key: Key<Line>, outbox: &mut Outbox) {
        let when_left = self.config.temper.referral.when_left;
        let Some(line) = self.lines.get_mut(key) else { return };
        let Some(referral) = line.referral.as_mut().filter(|referral| referral.following) else { return };
        match when_left {
            WhenLeft::Notifies => {}
            WhenLeft::Reports500 => {
                referral.following = false;
                let line = "SIP/2.0 500 Connection reset by peer";
                referral.waiting.push_back(Notify::status(line, TERMINATED));
                self.notify_next(key, outbox);
            }
            WhenLeft::FallsSilent => line.referral = None,
        }
    }

    fn notify_one(&mut self, key: Key<Line>, outbox: &mut Outbox) {
        let Some(watcher) = self.lines.get_mut(key).and_then(|line| line.referral.as_mut()) else { return };
        let Some(notify) = watcher.waiting.pop_front() else { return };
        let hang_up = std::mem::take(&mut watcher.hang_up);
        let fields = [(Name::Event, "refer"), (Name::SubscriptionState, notify.state.as_str())];
        let body = notify.body.as_deref().map(|body| (SIPFRAG, body));
        self.within(key, Method::Notify, &fields, body, outbox);
        if self.config.temper.referral.notifies_twice {
            repeat_last(outbox);
        }
        if hang_up && matches!(self.lines.get(key).map(|line| &line.state), Some(LineState::Up { .. })) {
            self.within(key, Method::Bye, &[], None, outbox);
            self.end(key);
        }
    }

    /// The call that was asked for has got on.
    pub(super) fn tell_watcher(
        &mut self,
        watcher: Key<Line>,
        status: Status,
        reason: &str,
        outbox: &mut Outbox,
    ) {
        let script = &self.config.temper.referral;
        let Notices::Follow { ringing } = script.notices else { return };
        let Some(line) = self.lines.get_mut(watcher) else { return };
        let Some(referral) = line.referral.as_mut() else { return };
        if script.forgets_final && status.is_final() {
            line.referral = None;
            return;
        }
        let reason = if reason.is_empty() { status.phrase() } else { reason };
        let line = format!("SIP/2.0 {status} {reason}");
        if status.is_provisional() {
            if !ringing || status == Status::TRYING {
                return;
            }
            referral.waiting.push_back(Notify::status(&line, "active;expires=60"));
        } else {
            referral.following = false;
            let stays = script.failure_stays_active && !status.is_success();
            let state = if stays { "active" } else { TERMINATED };
            referral.waiting.push_back(Notify::status(&line, state));
        }
        self.notify_next(watcher, outbox);
    }
}
