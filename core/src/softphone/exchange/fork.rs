//! Calls to a user with several phones: all ring, the first to answer has the call (RFC 3261 §16.7).

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::Exchange;
use crate::io::{Outbox, SocketId};
use crate::sip::message::{Message, Method, Name, Request, Response, Status, Writer, escape_user, parse};

/// How many forked calls are remembered; the oldest go first.
const MAX_FORKS: usize = 1000;

/// The phones that ring together, and the calls at which they do.
#[derive(Debug, Default)]
pub(super) struct Forks {
    phones: Vec<(String, Vec<SocketAddr>)>,
    calls: VecDeque<Fork>,
}

/// One INVITE and where it went.
#[derive(Debug)]
struct Fork {
    branches: Vec<Branch>,
    answered: bool,
}

#[derive(Debug)]
struct Branch {
    id: u64,
    to: SocketAddr,
    /// The INVITE as it was forwarded: its ACK and its CANCEL are made of it.
    invite: Box<[u8]>,
    failed: Option<Status>,
}

impl Forks {
    pub(super) fn add_phones(&mut self, user: &str, phones: Vec<SocketAddr>) {
        self.phones.push((user.to_owned(), phones));
    }

    fn phones_of(&self, user: &str) -> Vec<SocketAddr> {
        let found = self.phones.iter().find(|(name, _)| name == user);
        found.map(|(_, phones)| phones.clone()).unwrap_or_default()
    }

    fn enter(&mut self, branches: Vec<Branch>) {
        let first = branches.first().map(|branch| branch.id);
        if self.calls.iter().any(|fork| fork.branches.first().map(|branch| branch.id) == first) {
            return;
        }
        if self.calls.len() >= MAX_FORKS {
            self.calls.pop_front();
        }
        self.calls.push_back(Fork { branches, answered: false });
    }
}

impl Exchange {
    /// Forwards a request to a phone, and a new call (with its CANCEL and the ACK of its failure) to all phones that
    /// its user has. Only new calls tell phones of one user apart: what comes later goes by Contact.
    pub(super) fn forward_all(
        &mut self,
        request: &Request<'_>,
        from: SocketAddr,
        uri: &str,
        to: SocketAddr,
        outbox: &mut Outbox,
    ) {
        let first = self.branch(request);
        let sent = self.forward((request, from), (uri, to), first, outbox).into();
        let user = request.uri.user_unescaped().unwrap_or_default().into_owned();
        let inside = request.to.tag().is_some();
        let forks = match request.method {
            Method::Invite | Method::Cancel => !inside,
            Method::Ack => request.first(Name::Route).is_none(),
            _ => false,
        };
        let by_user = request.uri.address().is_none();
        let further = if forks && by_user { self.forks.phones_of(&user) } else { Vec::new() };
        if further.is_empty() {
            return;
        }
        let mut branches = vec![Branch { id: first, to, invite: sent, failed: None }];
        for (place, to) in further.into_iter().enumerate() {
            let id = first.wrapping_add(place as u64 + 1);
            let uri = format!("sip:{}@{to}", escape_user(&user));
            let invite = self.forward((request, from), (&uri, to), id, outbox).into();
            branches.push(Branch { id, to, invite, failed: None });
        }
        if request.method == Method::Invite {
            self.forks.enter(branches);
        }
    }

    /// Whether a response goes on to the caller. Failures of forked calls are acknowledged here, and go on only when
    /// nobody can answer any more, the last of them for all.
    pub(super) fn passes_fork(&mut self, response: &Response<'_>, outbox: &mut Outbox) -> bool {
        let status = response.status;
        if response.cseq.method != Method::Invite || status.is_provisional() {
            return true;
        }
        let Some(id) = response.via.magic().and_then(|branch| u64::from_str_radix(branch, 16).ok()) else {
            return true;
        };
        let has = |fork: &&mut Fork| fork.branches.iter().any(|branch| branch.id == id);
        let Some(fork) = self.forks.calls.iter_mut().find(has) else { return true };
        if status.is_success() {
            if !std::mem::replace(&mut fork.answered, true) {
                fork.cancel_others(id, outbox);
            }
            return true;
        }
        let Some(branch) = fork.branches.iter_mut().find(|branch| branch.id == id) else { return true };
        branch.follow(Method::Ack, response.to.raw, outbox);
        if branch.failed.replace(status).is_some() {
            return false;
        }
        if status.code() >= 600 {
            fork.cancel_others(id, outbox);
        }
        !fork.answered && fork.branches.iter().all(|branch| branch.failed.is_some())
    }
}

impl Fork {
    fn cancel_others(&self, but: u64, outbox: &mut Outbox) {
        for branch in self.branches.iter().filter(|branch| branch.id != but && branch.failed.is_none()) {
            let Ok(Message::Request(invite)) = parse(&branch.invite) else { continue };
            branch.follow(Method::Cancel, invite.to.raw, outbox);
        }
    }
}

impl Branch {
    /// Sends what is made of the INVITE: its CANCEL (§9.1), or the ACK of its failure (§17.1.1.3).
    fn follow(&self, method: Method<'_>, to: &str, outbox: &mut Outbox) {
        let Ok(Message::Request(invite)) = parse(&self.invite) else { return };
        outbox.datagram(SocketId(0), self.to, |out| {
            let mut writer = Writer::request(out, method, invite.uri.raw);
            writer.field(Name::Via, invite.via.raw);
            for route in invite.lines(Name::Route) {
                writer.field(Name::Route, route);
            }
            writer.field(Name::MaxForwards, "70").field(Name::From, invite.from.raw).field(Name::To, to);
            writer.field(Name::CallId, invite.call_id);
            writer.cseq(invite.cseq.number, method);
            writer.end();
        });
    }
}
