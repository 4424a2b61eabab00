//! HTTP and HTTPS connections: bytes to requests, requests to answers.

use std::net::SocketAddr;

use hashbrown::HashMap;

use super::Core;
use super::handover::{Order, Origin, informed};
use crate::Tick;
use crate::auth::lockout::siphash::Keyed;
use crate::auth::server::{Attempt, Verdict};
use crate::call::Call;
use crate::config::Config;
use crate::http::{Connection, Fields, Limits, Next, Persistence, Refusal, Request};
use crate::ident::Ident;
use crate::io::{Close, ConnectionId, ListenerId, Outbox, Worker};
use crate::random::{Consumer, Random, Seed};
use crate::report::{Opened, Report};
use crate::rest::{self, Action, Answer, Asked, Caller, Error, Format, Ignored, Listed, Show};
use crate::time::wheel::{TimerKey, Wheel};
use crate::tls::{Acceptor, Session, TlsFault};

/// How many connections' time limits are looked at in one turn.
const TIMERS_AT_ONCE: usize = 1024;

#[derive(Debug)]
struct Stream {
    peer: SocketAddr,
    listener: ListenerId,
    tls: Option<Session>,
    http: Connection,
    /// Bytes handed out and not yet reported as written.
    unsent: usize,
    timer: Option<(Tick, TimerKey)>,
    /// When it was accepted.
    since: Tick,
    /// There are too many already: what it asks first is refused. By TLS that can be said only after the handshake.
    unwanted: bool,
}

impl Stream {
    /// Until when its handshake has to be over, or what is unwanted has to have asked for something.
    fn opening_deadline(&self, limits: &Limits) -> Option<Tick> {
        let opening = self.unwanted || self.tls.as_ref().is_some_and(|session| !session.is_established());
        opening.then(|| self.since + limits.request_time)
    }

    fn deadline(&self, limits: &Limits) -> Option<Tick> {
        [self.http.deadline(limits), self.opening_deadline(limits)].into_iter().flatten().min()
    }
}

/// All connections.
#[derive(Debug)]
pub(super) struct Streams {
    streams: HashMap<ConnectionId, Stream, Keyed>,
    wheel: Wheel<ConnectionId>,
    limits: Limits,
    most: usize,
    /// Listeners below this place speak TLS.
    tls_listeners: u16,
    plain: Vec<u8>,
    reply: Vec<u8>,
}

/// Whether a connection is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Ends(Close),
}

impl Streams {
    pub(super) fn new(config: &Config, seed: &Seed, worker: Worker) -> Self {
        let limits = &config.limits;
        let mut keys = Random::new(seed, Consumer::StreamKeys);
        Self {
            streams: HashMap::with_hasher(Keyed::new(&mut keys)),
            wheel: Wheel::new(),
            limits: Limits {
                head: limits.http_head,
                body: limits.http_body,
                headers: limits.http_headers,
                request_time: limits.request_time,
                idle_time: limits.idle_time,
                pipelined: limits.pipelined,
            },
            most: worker.share(limits.connections),
            tls_listeners: u16::try_from(config.http.https.len()).unwrap_or(u16::MAX),
            plain: Vec::new(),
            reply: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn timers(&self) -> usize {
        self.wheel.len()
    }

    /// The order does not matter for a sum.
    #[expect(clippy::disallowed_methods, reason = "a sum does not depend on the order")]
    pub(super) fn bytes_held(&self) -> usize {
        self.streams.values().map(|stream| stream.http.held()).sum()
    }

    pub(super) fn next(&self) -> Option<Tick> {
        self.wheel.next()
    }

    pub(super) fn accepted(
        &mut self,
        now: Tick,
        (listener, id, peer): (ListenerId, ConnectionId, SocketAddr),
        acceptor: Option<&Acceptor>,
        core: &mut Core,
        outbox: &mut Outbox,
    ) {
        let secure = listener.0 < self.tls_listeners;
        let session = match (secure, acceptor.map(Acceptor::accept)) {
            (false, _) => None,
            (true, Some(Ok(session))) => Some(session),
            (true, _) => {
                outbox.report(Report::HttpClosed { peer, why: "there is no certificate" });
                outbox.close(id, Close::Now);
                return;
            }
        };
        let unwanted = self.streams.len() >= self.most;
        if unwanted && secure && self.streams.len() >= self.most + self.most / 8 + 16 {
            outbox.report(Report::HttpClosed { peer, why: "there are too many" });
            outbox.close(id, Close::Now);
            return;
        }
        let (http, tls) = (Connection::new(now), session);
        let stream = Stream { peer, listener, tls, http, unsent: 0, timer: None, since: now, unwanted };
        self.streams.insert(id, stream);
        if unwanted && !secure {
            let fate = self.refuse(now, id, &Error::TooManyConnections, core);
            self.conclude(now, id, fate, outbox);
            return;
        }
        self.set_timer(id);
    }

    /// Refuses whatever a connection may ask, once for all.
    fn refuse(&mut self, now: Tick, id: ConnectionId, why: &Error, core: &mut Core) -> Fate {
        let Some(stream) = self.streams.get_mut(&id) else { return Fate::Stays };
        let show = Show { format: Format::Xml, epoch: core.epoch };
        self.reply.clear();
        stream.http.refuse(now, &show.error(why).response(), &mut core.dates, &mut self.reply);
        let sent = stream.tls.as_mut().map_or(Ok(()), |session| session.send(&self.reply));
        Fate::Ends(if sent.is_ok() { Close::Flushed } else { Close::Now })
    }

    pub(super) fn lost(&mut self, id: ConnectionId) {
        if let Some(Stream { timer: Some((_, timer)), .. }) = self.streams.remove(&id) {
            self.wheel.stop(timer);
        }
    }

    pub(super) fn received(
        &mut self,
        now: Tick,
        id: ConnectionId,
        bytes: &[u8],
        core: &mut Core,
        outbox: &mut Outbox,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let fate = match &mut stream.tls {
            None => self.serve(now, id, bytes, core, outbox),
            Some(session) => {
                let mut plain = std::mem::take(&mut self.plain);
                plain.clear();
                let fate = match session.received(bytes, &mut plain) {
                    Ok(()) if stream.unwanted && !plain.is_empty() => {
                        self.refuse(now, id, &Error::TooManyConnections, core)
                    }
                    Ok(()) => self.serve_secure(now, id, &plain, core, outbox),
                    Err(fault) => {
                        outbox.report(Report::Tls {
                            peer: stream.peer,
                            opened: Opened::ByPeer,
                            why: fault.to_string(),
                        });
                        if fault == TlsFault::PlainText {
                            // It understands no alert.
                            stream.tls = None;
                            self.refuse(now, id, &Error::Http(Refusal::PlainHttp), core)
                        } else {
                            Fate::Ends(Close::Flushed)
                        }
                    }
                };
                self.plain = plain;
                fate
            }
        };
        self.conclude(now, id, fate, outbox);
    }

    pub(super) fn written(
        &mut self,
        now: Tick,
        id: ConnectionId,
        bytes: usize,
        core: &mut Core,
        outbox: &mut Outbox,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.unsent = stream.unsent.saturating_sub(bytes);
        stream.http.unsent(now, stream.unsent);
        if !stream.http.is_idle() {
            let fate = self.serve(now, id, &[], core, outbox);
            self.conclude(now, id, fate, outbox);
        }
    }

    /// Another worker has answered the request that a connection waits with; what came in behind it is served too.
    pub(super) fn answered(
        &mut self,
        now: Tick,
        id: ConnectionId,
        answer: Answer,
        core: &mut Core,
        outbox: &mut Outbox,
    ) {
        if self.streams.contains_key(&id) {
            let fate = self.serve_from(now, id, (Some(answer), &[]), core, outbox);
            let fate = self.unless_done(id, fate);
            self.conclude(now, id, fate, outbox);
        }
    }

    /// Serves what came in by TLS.
    fn serve_secure(
        &mut self,
        now: Tick,
        id: ConnectionId,
        plain: &[u8],
        core: &mut Core,
        outbox: &mut Outbox,
    ) -> Fate {
        let fate = self.serve(now, id, plain, core, outbox);
        self.unless_done(id, fate)
    }

    /// A client that sends no more by TLS gets its last answers and then the end.
    fn unless_done(&self, id: ConnectionId, fate: Fate) -> Fate {
        let done =
            |stream: &Stream| stream.http.is_idle() && stream.tls.as_ref().is_some_and(Session::peer_closed);
        if fate == Fate::Stays && self.streams.get(&id).is_some_and(done) {
            return Fate::Ends(Close::Flushed);
        }
        fate
    }

    /// Answers requests as long as there are any and the client takes the answers.
    fn serve(
        &mut self,
        now: Tick,
        id: ConnectionId,
        fresh: &[u8],
        core: &mut Core,
        outbox: &mut Outbox,
    ) -> Fate {
        self.serve_from(now, id, (None, fresh), core, outbox)
    }

    /// As [`serve`](Self::serve), behind the answer to a request that had to wait for it.
    fn serve_from(
        &mut self,
        now: Tick,
        id: ConnectionId,
        (mut first, mut fresh): (Option<Answer>, &[u8]),
        core: &mut Core,
        outbox: &mut Outbox,
    ) -> Fate {
        let Some(stream) = self.streams.get_mut(&id) else { return Fate::Stays };
        self.reply.clear();
        let from = From { peer: stream.peer, listener: stream.listener, tls: stream.tls.is_some() };
        let fate = loop {
            let answer = match first.take() {
                Some(answer) => answer,
                None => match stream.http.poll(now, &mut fresh, &self.limits, &mut self.reply) {
                    Next::Request(request) => match core.answer(now, &request, (from, id), outbox) {
                        Some(answer) => answer,
                        // Another worker has to say: what came in behind the request is kept until then.
                        None => continue,
                    },
                    Next::Refused { refusal, fields } => core.refusal(refusal, fields),
                    Next::Nothing => break Fate::Stays,
                    Next::Close => {
                        let why = "it brings more requests than are kept while others are answered";
                        outbox.report(Report::HttpClosed { peer: from.peer, why });
                        break Fate::Ends(Close::Now);
                    }
                },
            };
            let keep = Persistence::KeepAlive;
            let goes_on =
                stream.http.respond(now, &answer.response(), &mut core.dates, keep, &mut self.reply);
            if goes_on == Persistence::Close {
                break Fate::Ends(Close::Flushed);
            }
        };
        if let Some(session) = &mut stream.tls
            && session.send(&self.reply).is_err()
        {
            return Fate::Ends(Close::Now);
        }
        fate
    }

    /// Writes what is to be written, and closes what is to be closed.
    fn conclude(&mut self, now: Tick, id: ConnectionId, fate: Fate, outbox: &mut Outbox) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let length = match &mut stream.tls {
            None => outbox.write(id, |out| out.append(&mut self.reply)),
            Some(session) => {
                self.reply.clear();
                if fate == Fate::Ends(Close::Flushed) {
                    session.close();
                }
                outbox.write(id, |out| session.flush(out))
            }
        };
        stream.unsent += length;
        stream.http.unsent(now, stream.unsent);
        match fate {
            Fate::Stays => self.set_timer(id),
            Fate::Ends(how) => {
                outbox.close(id, how);
                self.lost(id);
            }
        }
    }

    fn set_timer(&mut self, id: ConnectionId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let deadline = stream.deadline(&self.limits);
        match (stream.timer, deadline) {
            (Some((at, _)), Some(deadline)) if at == deadline => return,
            // A later deadline is looked up when the timer fires: most never do.
            (Some((at, _)), Some(deadline)) if at < deadline => return,
            (Some((_, timer)), _) => {
                self.wheel.stop(timer);
            }
            (None, _) => {}
        }
        stream.timer = deadline.map(|at| (at, self.wheel.start_at(at, id)));
    }

    pub(super) fn timeout(&mut self, now: Tick, core: &mut Core, outbox: &mut Outbox) {
        for _ in 0..TIMERS_AT_ONCE {
            let Some(id) = self.wheel.pop(now) else { return };
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.timer = None;
            self.reply.clear();
            if stream.opening_deadline(&self.limits).is_some_and(|deadline| deadline <= now) {
                let why = "it was not set up in time (limits.request_time)";
                outbox.report(Report::HttpClosed { peer: stream.peer, why });
                self.conclude(now, id, Fate::Ends(Close::Flushed), outbox);
                continue;
            }
            let how = match stream.http.timeout(now, &self.limits) {
                Next::Request(_) | Next::Nothing => {
                    self.set_timer(id);
                    continue;
                }
                Next::Refused { refusal, fields } => {
                    let answer = core.refusal(refusal, fields);
                    let close = Persistence::Close;
                    stream.http.respond(now, &answer.response(), &mut core.dates, close, &mut self.reply);
                    Close::Flushed
                }
                Next::Close => {
                    let why = "it rests, or takes no answers (limits.idle_time)";
                    outbox.report(Report::HttpClosed { peer: stream.peer, why });
                    if stream.unsent > 0 { Close::Now } else { Close::Flushed }
                }
            };
            let sent = stream.tls.as_mut().map_or(Ok(()), |session| session.send(&self.reply));
            let how = if sent.is_ok() { how } else { Close::Now };
            self.conclude(now, id, Fate::Ends(how), outbox);
        }
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct From {
    peer: SocketAddr,
    listener: ListenerId,
    tls: bool,
}

impl Core {
    /// Answers what is no request that can be read.
    fn refusal(&self, refusal: Refusal, fields: Fields<'_>) -> Answer {
        Show { format: Format::of("", fields.all("Accept")), epoch: self.epoch }.error(&Error::Http(refusal))
    }

    /// Answers one request; `None` when another worker has to say, which then comes later.
    fn answer(
        &mut self,
        now: Tick,
        request: &Request<'_>,
        (from, connection): (From, ConnectionId),
        outbox: &mut Outbox,
    ) -> Option<Answer> {
        // There is no time even to look who asks.
        if self.overload.is_on(now) && rest::only_places(request) {
            self.overload.refuse(now, outbox);
            return Some(self.show(request).error(&Error::Overloaded));
        }
        let origin = self.owners.origin(connection);
        match self.owners.issuer(request.head.get("Authorization")) {
            Some(issuer) => {
                self.owners.log_in(issuer, (origin, from), request, outbox);
                None
            }
            None => self.attend(now, request, (from, origin), outbox),
        }
    }

    fn show(&self, request: &Request<'_>) -> Show {
        Show { format: Format::of(request.head.path, request.head.all("Accept")), epoch: self.epoch }
    }

    /// Finds out who asks and what, and has it done.
    pub(super) fn attend(
        &mut self,
        now: Tick,
        request: &Request<'_>,
        (from, origin): (From, Origin),
        outbox: &mut Outbox,
    ) -> Option<Answer> {
        let show = self.show(request);
        let (caller, info) = match self.caller(now, request, from, outbox) {
            Ok(known) => known,
            Err(error) => return Some(show.error(&error)),
        };
        let asked = Asked { caller: &caller, users: &self.users, config: &self.config };
        match rest::read(request, asked) {
            Ok(action) => self.order(now, Order { origin, show, caller, action, info }, outbox),
            Err(error) => Some(informed(show.error(&error), info)),
        }
    }

    /// Who asks, and the Authentication-Info that the answer tells.
    fn caller(
        &mut self,
        now: Tick,
        request: &Request<'_>,
        from: From,
        outbox: &mut Outbox,
    ) -> Result<(Caller, Option<String>), Error> {
        let address = from.peer.ip().to_canonical();
        if from.tls && self.config.trusts(address) {
            return Ok((Caller::Trusted, None));
        }
        let attempt = Attempt {
            method: request.head.method,
            target: request.head.target,
            body: request.body,
            authorization: request.head.get("Authorization"),
            address,
            listener: from.listener,
            tls: from.tls,
        };
        match self.gate.judge(now, &attempt, &self.users) {
            Verdict::Known(user, info) => Ok((Caller::User(user), info)),
            Verdict::Ask(challenges) => Err(Error::NotLoggedIn(challenges)),
            Verdict::Failed(challenges, user) => {
                outbox.report(Report::LoginFailed { from: address, user });
                self.owners.login_failed(address, outbox);
                Err(Error::NotLoggedIn(challenges))
            }
            Verdict::Wait(seconds) => Err(Error::TooManyFailures(seconds)),
            Verdict::Unreadable => Err(Error::BadAuthorization),
        }
    }

    pub(super) fn carry_out(
        &mut self,
        now: Tick,
        action: Action,
        caller: &Caller,
        show: Show,
        outbox: &mut Outbox,
    ) -> Result<Answer, Error> {
        match action {
            Action::Place(..) if self.overload.is_on(now) => {
                self.overload.refuse(now, outbox);
                Err(Error::Overloaded)
            }
            Action::Place(placing, ignored) => {
                let id = self.calls.place(now, placing, outbox)?;
                self.overload.take(now);
                self.placed(id, &ignored, show, outbox)
            }
            Action::Transfer(name, placing, ignored) => {
                let id = self.calls.transfer(now, &name, placing, outbox)?;
                self.placed(id, &ignored, show, outbox)
            }
            Action::Progress(name) => {
                let call = self.calls.find(&name).map(|call| self.calls.progress(call));
                Ok(show.progress(call.as_ref()))
            }
            Action::HangUp(name) => {
                let id = self.calls.find(&name).map(Call::id).ok_or(Error::NoSuchCall)?;
                self.hang_up(now, id, show, outbox)
            }
            Action::List => {
                let visible = self.calls.all().filter(|call| caller.may_see(&call.name().agent, &self.users));
                let mut listed = Listed::default();
                show.list(visible.map(|call| self.calls.progress(call)), &mut listed);
                Ok(show.listed(&listed))
            }
            Action::ShowCall(id) => {
                self.visible(id, caller).map(|call| show.progress(Some(&self.calls.progress(call))))
            }
            Action::HangUpCall(id) => {
                let id = self.visible(id, caller)?.id();
                self.hang_up(now, id, show, outbox)
            }
            Action::Options(allow) => Ok(show.options(allow)),
        }
    }

    /// The answer to an order that was taken.
    fn placed(&self, id: Ident, ignored: &Ignored, show: Show, outbox: &mut Outbox) -> Result<Answer, Error> {
        if !ignored.is_empty() {
            outbox.report(Report::IgnoredParameters(ignored.to_string()));
        }
        let call = self.calls.get(id).ok_or(Error::NoSuchCall)?;
        Ok(show.placed(&self.calls.progress(call), ignored))
    }

    fn visible(&self, id: Ident, caller: &Caller) -> Result<&Call, Error> {
        self.calls
            .get(id)
            .filter(|call| caller.may_see(&call.name().agent, &self.users))
            .ok_or(Error::NoSuchCall)
    }

    fn hang_up(&mut self, now: Tick, id: Ident, show: Show, outbox: &mut Outbox) -> Result<Answer, Error> {
        if self.calls.hang_up(now, id, outbox) { Ok(show.hung_up()) } else { Err(Error::NoSuchCall) }
    }
}
