//! Calls that the phone places, and the answers to its requests.

use super::{Due, Line, LineState, Phone};
use crate::auth::client::{Attempts, Session};
use crate::ident::{Ident, Key};
use crate::io::Outbox;
use crate::sip::dialog::{self, Dialog, Ends, Sending};
use crate::sip::message::{Method, Name, Response, Status};
use crate::sip::sdp::MEDIA_TYPE;
use crate::sip::transaction::{Client, Owner};

impl Phone {
    /// Calls a URI; `watcher` is the line on which that was asked for.
    pub(super) fn call(&mut self, target: &str, watcher: Option<Key<Line>>, outbox: &mut Outbox) {
        let (secret, call_id) = (self.random.bits(), format!("{:016x}", self.random.bits()));
        let line = self.lines.insert_with(|key| Line {
            ident: Ident::new(key, secret),
            state: LineState::Down,
            dialog: None,
            watcher,
            referral: None,
            refers: 0,
            session: Session::default(),
            attempts: Attempts::default(),
            outstanding: Vec::new(),
            remote_sdp: String::new(),
            target: target.to_owned(),
            call_id,
            cseq: 0,
            invited: 0,
        });
        self.counts.placed += 1;
        self.send_invite(line, outbox);
    }

    fn local(&self) -> String {
        format!("<sip:{}@{}>", self.config.user, self.config.domain)
    }

    fn send_invite(&mut self, key: Key<Line>, outbox: &mut Outbox) {
        let (local, contact, body) = (self.local(), self.contact(), self.sdp("sendrecv"));
        let Some(target) = self.lines.get(key).map(|line| line.target.clone()) else { return };
        // New calls go to the exchange, whatever they are addressed to.
        let flow = self.flow_to(self.config.exchange);
        let Some(line) = self.lines.get_mut(key) else { return };
        line.cseq += 1;
        let mut credentials = Vec::new();
        let about = ("INVITE", target.as_str(), body.as_slice());
        let secrets = self.config.credentials.as_ref();
        line.session.write(about, secrets, &mut line.attempts, &mut self.random, &mut credentials);
        let (tag, cseq, remote) = (line.ident.text(), line.cseq, format!("<{target}>"));
        let ends = Ends { call_id: &line.call_id, local: &local, local_tag: tag.as_str(), remote: &remote };
        let sent_by = self.locals.sent_by(flow);
        let owner = Owner(key.to_bits());
        let client =
            self.transactions.request(self.now, Method::Invite, flow, owner, outbox, |out, branch| {
                let sending = Sending { transport: flow.transport(), sent_by, branch, cseq };
                let mut writer = dialog::request(out, Method::Invite, &target, ends, sending);
                writer.field(Name::Contact, &contact);
                writer.lines(|out| out.extend_from_slice(&credentials));
                writer.body(MEDIA_TYPE, |out| out.extend_from_slice(&body));
            });
        line.state = LineState::Calling(client);
    }

    pub(super) fn response(
        &mut self,
        key: Key<Line>,
        client: Key<Client>,
        response: &Response<'_>,
        outbox: &mut Outbox,
    ) {
        let Some(line) = self.lines.get(key) else { return };
        if matches!(line.state, LineState::Calling(calling) if calling == client) {
            self.invite_response(key, response, outbox);
            return;
        }
        if self.answered_inside(key, client, response, outbox) {
            return;
        }
        // The 2xx of our own re-INVITE, or of an INVITE that came again.
        let accepted = response.cseq.method == Method::Invite && response.status.is_success();
        if accepted && !self.config.temper.referral.never_acknowledges {
            self.describe(key, response.body);
            self.acknowledge(key, response, outbox);
        }
    }

    fn invite_response(&mut self, key: Key<Line>, response: &Response<'_>, outbox: &mut Outbox) {
        let status = response.status;
        let Some(line) = self.lines.get_mut(key) else { return };
        let watcher = line.watcher;
        if status.is_challenge() {
            let mut attempts = std::mem::take(&mut line.attempts);
            let answerable = self.challenged(key, response, &mut attempts);
            let Some(line) = self.lines.get_mut(key) else { return };
            line.attempts = attempts;
            if answerable {
                self.send_invite(key, outbox);
                return;
            }
        }
        self.describe(key, response.body);
        let Some(line) = self.lines.get_mut(key) else { return };
        if status.is_success() {
            let local = format!("<sip:{}@{}>", self.config.user, self.config.domain);
            let (tag, remote) = (line.ident.text(), format!("<{}>", line.target));
            let ends =
                Ends { call_id: &line.call_id, local: &local, local_tag: tag.as_str(), remote: &remote };
            line.dialog = Some(Dialog::from_response(ends, line.cseq, response, &line.target));
            line.state = LineState::Up { unacknowledged: None };
            self.acknowledge(key, response, outbox);
            if let Some(after) = self.config.temper.hangs_up_after {
                self.wheel.start(self.now, after, Due::HangUp(key));
            }
        } else if status.is_final() {
            self.end(key);
        }
        if let Some(watcher) = watcher {
            self.tell_watcher(watcher, status, response.reason, outbox);
        }
    }

    fn acknowledge(&mut self, key: Key<Line>, response: &Response<'_>, outbox: &mut Outbox) {
        let Some(dialog) = self.lines.get(key).and_then(|line| line.dialog.as_ref()) else { return };
        let flow = self.route(dialog.next_hop());
        let branch = self.transactions.fresh_branch();
        let sent_by = self.locals.sent_by(flow);
        let cseq = response.cseq.number;
        let sending = Sending { transport: flow.transport(), sent_by, branch: branch.as_str(), cseq };
        self.transactions.send(self.now, flow, outbox, |out| dialog.request(out, Method::Ack, sending).end());
    }

    pub(super) fn no_response(&mut self, key: Key<Line>, client: Key<Client>, outbox: &mut Outbox) {
        let Some(line) = self.lines.get_mut(key) else { return };
        line.outstanding.retain(|outstanding| outstanding.client != client);
        if matches!(line.state, LineState::Calling(calling) if calling == client) {
            let watcher = line.watcher;
            self.end(key);
            if let Some(watcher) = watcher {
                self.tell_watcher(watcher, Status::REQUEST_TIMEOUT, "", outbox);
            }
        }
    }
}
