//! Requests of the phone within a dialog, and the challenges that they meet.

use super::{Line, Phone};
use crate::auth::client::{Attempts, Challenger};
use crate::ident::Key;
use crate::io::{Outbox, SocketId};
use crate::sip::dialog::Sending;
use crate::sip::message::{Method, Name, Response, Status, Uri};
use crate::sip::transaction::{Client, Owner};
use crate::sip::transport::Flow;

/// A request within a dialog that waits for its answer.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) client: Key<Client>,
    inside: Inside,
}

/// What such a request says, kept so that it can be sent again with credentials.
#[derive(Debug)]
struct Inside {
    method: Method<'static>,
    fields: Vec<(Name, String)>,
    body: Option<(&'static str, Vec<u8>)>,
    attempts: Attempts,
}

impl Phone {
    /// Sends a request within a line's dialog, with header lines of its own and perhaps a body.
    pub(super) fn within(
        &mut self,
        key: Key<Line>,
        method: Method<'static>,
        fields: &[(Name, &str)],
        body: Option<(&'static str, &[u8])>,
        outbox: &mut Outbox,
    ) {
        let inside = Inside {
            method,
            fields: fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            body: body.map(|(kind, body)| (kind, body.to_vec())),
            attempts: Attempts::default(),
        };
        self.send_inside(key, inside, outbox);
    }

    fn send_inside(&mut self, key: Key<Line>, mut inside: Inside, outbox: &mut Outbox) {
        let contact = self.contact();
        let Some(line) = self.lines.get_mut(key) else { return };
        let Some(dialog) = &mut line.dialog else { return };
        let cseq = dialog.next_cseq();
        let address = Uri::parse(dialog.next_hop()).ok().and_then(|uri| uri.address());
        let flow = Flow::Udp { socket: SocketId(0), remote: address.unwrap_or(self.config.exchange) };
        let sent_by = self.locals.sent_by(flow);
        let Inside { method, fields, body, attempts } = &mut inside;
        let mut credentials = Vec::new();
        let about =
            (method.as_str(), dialog.target(), body.as_ref().map_or(&[][..], |(_, body)| body.as_slice()));
        let secrets = self.config.credentials.as_ref();
        line.session.write(about, secrets, attempts, &mut self.random, &mut credentials);
        let dialog = &*dialog;
        let owner = Owner(key.to_bits());
        let client = self.transactions.request(self.now, *method, flow, owner, outbox, |out, branch| {
            let sending = Sending { transport: flow.transport(), sent_by, branch, cseq };
            let mut writer = dialog.request(out, *method, sending);
            writer.field(Name::Contact, &contact);
            for (name, value) in fields {
                writer.field(*name, value);
            }
            writer.lines(|out| out.extend_from_slice(&credentials));
            match body {
                Some((kind, body)) => writer.body(kind, |out| out.extend_from_slice(body)),
                None => writer.end(),
            }
        });
        line.outstanding.push(Outstanding { client, inside });
    }

    /// Takes the answer to a request within a line's dialog; whether that was a challenge that is answered.
    pub(super) fn answered_inside(
        &mut self,
        key: Key<Line>,
        client: Key<Client>,
        response: &Response<'_>,
        outbox: &mut Outbox,
    ) -> bool {
        if response.status.is_provisional() {
            return false;
        }
        let Some(line) = self.lines.get_mut(key) else { return false };
        let Some(at) = line.outstanding.iter().position(|outstanding| outstanding.client == client) else {
            return false;
        };
        let Outstanding { mut inside, .. } = line.outstanding.remove(at);
        if !response.status.is_challenge() || !self.challenged(key, response, &mut inside.attempts) {
            return false;
        }
        self.send_inside(key, inside, outbox);
        true
    }

    /// Takes the challenges of a 401 or 407; whether the request is to be sent again.
    pub(super) fn challenged(
        &mut self,
        key: Key<Line>,
        response: &Response<'_>,
        attempts: &mut Attempts,
    ) -> bool {
        let (challenger, name) = if response.status == Status::UNAUTHORIZED {
            (Challenger::Server, Name::WwwAuthenticate)
        } else {
            (Challenger::Proxy, Name::ProxyAuthenticate)
        };
        let Some(line) = self.lines.get_mut(key) else { return false };
        let credentials = self.config.credentials.as_ref();
        line.session.take(challenger, response.lines(name), credentials, attempts, &mut self.random).is_ok()
    }
}
