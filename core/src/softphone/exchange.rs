//! A small exchange: challenges calls, finds phones by their users, and stays in the path (a stateless proxy,
//! RFC 3261 §16.11, but for the calls that it forks).

mod fork;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::time::Duration;

use crate::Tick;
use crate::auth::digest::{Algorithm, Count, Qop, Verifiers, response};
use crate::auth::header::Parameters;
use crate::auth::lockout::siphash::Keyed;
use crate::io::{Datagram, Input, Outbox, SocketId, Wake};
use crate::random::{Consumer, Random, Seed};
use crate::sip::message::{
    Host, Message, Method, Name, NameAddr, Request, Response, Status, Uri, Via, Writer, parse,
};
use fork::Forks;

/// A user of the exchange.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The user part.
    pub user: String,
    /// Where the phone is.
    pub phone: Option<SocketAddr>,
    /// What its credentials are verified with.
    pub verifiers: Verifiers,
}

/// How the exchange asks who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// 407, or 401 if that is set.
    pub as_server: bool,
    /// Requests within a dialog are challenged too, whoever sends them.
    pub inside: bool,
    /// A nonce serves once.
    pub once: bool,
}

/// An exchange's set-up.
#[derive(Clone, Debug)]
pub struct ExchangeConfig {
    /// Its domain, and the realm.
    pub domain: String,
    /// The address that its socket is bound to.
    pub address: SocketAddr,
    /// Its users.
    pub subscribers: Vec<Subscriber>,
    /// Whether and how calls are challenged.
    pub challenge: Option<Challenge>,
    /// User parts that are answered 302, with the values of Contact.
    pub redirections: Vec<(String, Vec<String>)>,
}

/// The exchange.
#[derive(Debug)]
pub struct Exchange {
    config: ExchangeConfig,
    random: Random,
    branches: Keyed,
    nonces: BTreeMap<String, Nonce>,
    nonce_lifetime: Option<Duration>,
    record_routes: bool,
    /// Whether requests within a dialog are to come by TCP.
    by_tcp: bool,
    forks: Forks,
    now: Tick,
}

#[derive(Debug)]
struct Nonce {
    issued: Tick,
    used: bool,
}

/// What a request's credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credentials {
    Good,
    /// Right, but for a nonce that is too old.
    Stale,
    Bad,
}

/// How many nonces are good at once; the smallest go first.
const MAX_NONCES: usize = 10_000;

impl Exchange {
    /// An exchange at work.
    pub fn new(config: ExchangeConfig, seed: &Seed) -> Self {
        let mut random = Random::new(seed, Consumer::Phones);
        let branches = Keyed::new(&mut random);
        Self {
            config,
            random,
            branches,
            nonces: BTreeMap::new(),
            nonce_lifetime: None,
            record_routes: true,
            by_tcp: false,
            forks: Forks::default(),
            now: Tick::ZERO,
        }
    }

    /// With nonces that are stale after so long.
    #[must_use]
    pub fn with_nonce_lifetime(mut self, lifetime: Duration) -> Self {
        self.nonce_lifetime = Some(lifetime);
        self
    }

    /// Staying out of the path of requests within a dialog.
    #[must_use]
    pub fn without_record_route(mut self) -> Self {
        self.record_routes = false;
        self
    }

    /// Asking for TCP where requests within a dialog come back.
    #[must_use]
    pub fn reached_by_tcp(mut self) -> Self {
        self.by_tcp = true;
        self
    }

    /// With further phones of a user, all of which ring; the first to answer has the call.
    #[must_use]
    pub fn with_further_phones(mut self, user: &str, phones: Vec<SocketAddr>) -> Self {
        self.forks.add_phones(user, phones);
        self
    }

    /// Lets something happen; see [`Controller::handle`](crate::Controller::handle). It has no timers.
    pub fn handle(&mut self, now: Tick, input: Input<'_>, outbox: &mut Outbox) -> Wake {
        self.now = self.now.max(now);
        match input {
            Input::Datagram(datagram) => self.datagram(datagram, outbox),
            Input::Datagrams(datagrams) => {
                datagrams.iter().for_each(|datagram| self.datagram(*datagram, outbox))
            }
            Input::Drain => outbox.drained(),
            _ => {}
        }
        Wake::Idle
    }

    fn datagram(&mut self, datagram: Datagram<'_>, outbox: &mut Outbox) {
        match parse(datagram.bytes) {
            Ok(Message::Request(request)) => self.request(&request, datagram.from, outbox),
            Ok(Message::Response(response)) => self.response(&response, outbox),
            Err(_) => {}
        }
    }

    fn request(&mut self, request: &Request<'_>, from: SocketAddr, outbox: &mut Outbox) {
        let inside = request.to.tag().is_some();
        // The ACK of an answer of our own ends here.
        if request.method == Method::Ack && request.to.tag() == Some(self.tag(request).as_str()) {
            return;
        }
        if request.number(Name::MaxForwards) == Some(0) {
            self.answer(request, from, Status::TOO_MANY_HOPS, outbox);
            return;
        }
        let asked = matches!(request.method, Method::Ack | Method::Cancel);
        let credentials = if asked { Credentials::Good } else { self.credentials(request, inside) };
        if credentials != Credentials::Good {
            self.challenge(request, from, credentials == Credentials::Stale, outbox);
            return;
        }
        if !asked && !inside && self.redirect(request, from, outbox) {
            return;
        }
        match self.destination(request) {
            Ok((uri, to)) => self.forward_all(request, from, &uri, to, outbox),
            Err(_) if request.method == Method::Ack => {}
            Err(status) => self.answer(request, from, status, outbox),
        }
    }

    /// Answers 302, if that is said of the user; whether it is.
    fn redirect(&self, request: &Request<'_>, from: SocketAddr, outbox: &mut Outbox) -> bool {
        let user = request.uri.user_unescaped().unwrap_or_default();
        let Some((_, contacts)) = self.config.redirections.iter().find(|(name, _)| *name == user) else {
            return false;
        };
        let tag = self.tag(request);
        outbox.datagram(SocketId(0), from, |out| {
            let mut writer = Writer::answer(out, request, from, Status::MOVED_TEMPORARILY, Some(&tag));
            for contact in contacts {
                writer.field(Name::Contact, contact);
            }
            writer.end();
        });
        true
    }

    /// Where a request goes: along its Route, to its address, or to the phone of its user.
    fn destination(&self, request: &Request<'_>) -> Result<(String, SocketAddr), Status> {
        let own = |uri: &Uri<'_>| uri.address() == Some(self.config.address);
        let mut routes = request.values(Name::Route).filter_map(|route| NameAddr::parse(route).ok());
        let next = routes.find(|route| !own(&route.uri));
        if let Some(address) = next.and_then(|route| route.uri.address()) {
            return Ok((request.uri.raw.to_owned(), address));
        }
        let uri = &request.uri;
        if let Some(address) = uri.address().filter(|address| *address != self.config.address) {
            return Ok((uri.raw.to_owned(), address));
        }
        let ours = matches!(uri.host, Host::Name(host) if host.eq_ignore_ascii_case(&self.config.domain));
        let user = uri.user_unescaped().filter(|_| ours || own(uri)).ok_or(Status::NOT_FOUND)?;
        if let Some(status) = dialled_status(&user) {
            return Err(status);
        }
        let found = self.config.subscribers.iter().find(|subscriber| subscriber.user == user);
        let phone = found.ok_or(Status::NOT_FOUND)?.phone.ok_or(Status::TEMPORARILY_UNAVAILABLE)?;
        Ok((format!("sip:{}@{phone}", crate::sip::message::escape_user(&user)), phone))
    }

    /// The branch of a request that is forwarded, always the same for the same one, its CANCEL and its ACK.
    fn branch(&self, request: &Request<'_>) -> u64 {
        self.branches.hash_one(request.via.raw.split(";rport").next()) ^ self.salt(request)
    }

    fn forward<'o>(
        &self,
        (request, from): (&Request<'_>, SocketAddr),
        (uri, to): (&str, SocketAddr),
        branch: u64,
        outbox: &'o mut Outbox,
    ) -> &'o [u8] {
        let (own, record_routes) = (self.config.address, self.record_routes);
        outbox.datagram(SocketId(0), to, |out| {
            let mut writer = Writer::request(out, request.method, uri);
            let via = format!("SIP/2.0/UDP {own};branch=z9hG4bK{branch:016x}");
            writer.field(Name::Via, &via);
            let mut vias = request.values(Name::Via);
            let top = vias.next().unwrap_or_default();
            writer.field(Name::Via, &with_source(top, from));
            for via in vias {
                writer.field(Name::Via, via);
            }
            if record_routes && request.method == Method::Invite && request.to.tag().is_none() {
                let transport = if self.by_tcp { ";transport=tcp" } else { "" };
                writer.field(Name::RecordRoute, &format!("<sip:{own}{transport};lr>"));
            }
            let hops = request.number(Name::MaxForwards).unwrap_or(70).saturating_sub(1);
            writer.number(Name::MaxForwards, hops);
            let is_own = |route: &NameAddr<'_>| route.uri.address() == Some(own);
            let routes = request.values(Name::Route).filter_map(|route| NameAddr::parse(route).ok());
            for route in routes.filter(|route| !is_own(route)) {
                writer.field(Name::Route, route.raw);
            }
            let gone = [Name::Via, Name::Route, Name::MaxForwards, Name::ContentLength, Name::ContentType];
            let kept = request.all().filter(|(name, ..)| !gone.contains(name));
            // Credentials that were meant for us go no further (§22.3).
            let kept =
                kept.filter(|(name, ..)| !matches!(name, Name::ProxyAuthorization | Name::Authorization));
            for (_, name, value) in kept {
                writer.other(name, value);
            }
            match request.first(Name::ContentType) {
                Some(kind) if !request.body.is_empty() => {
                    writer.body(kind, |out| out.extend_from_slice(request.body));
                }
                _ => writer.end(),
            }
        })
    }

    /// What makes branches of different calls differ even for peers that use none of their own.
    fn salt(&self, request: &Request<'_>) -> u64 {
        self.branches.hash_one((request.call_id, request.from.tag(), request.cseq.number))
    }

    fn response(&mut self, response: &Response<'_>, outbox: &mut Outbox) {
        if response.via.host.address().map(|ip| (ip, response.via.port))
            != Some((self.config.address.ip(), Some(self.config.address.port())))
        {
            return;
        }
        if !self.passes_fork(response, outbox) {
            return;
        }
        let mut vias = response.values(Name::Via).skip(1);
        let Some(next) = vias.next().and_then(|via| Via::parse(via).ok()) else { return };
        let Some(to) = source_of(&next) else { return };
        outbox.datagram(SocketId(0), to, |out| {
            let mut writer = Writer::response(out, response.status, Some(response.reason));
            for via in response.values(Name::Via).skip(1) {
                writer.field(Name::Via, via);
            }
            let gone = [Name::Via, Name::ContentLength, Name::ContentType];
            let kept = response.all().filter(|(name, ..)| !gone.contains(name));
            for (_, name, value) in kept {
                writer.other(name, value);
            }
            match response.first(Name::ContentType) {
                Some(kind) if !response.body.is_empty() => {
                    writer.body(kind, |out| out.extend_from_slice(response.body));
                }
                _ => writer.end(),
            }
        });
    }

    fn tag(&self, request: &Request<'_>) -> String {
        format!("{:016x}", self.salt(request))
    }

    fn answer(&self, request: &Request<'_>, from: SocketAddr, status: Status, outbox: &mut Outbox) {
        let tag = self.tag(request);
        outbox
            .datagram(SocketId(0), from, |out| Writer::answer(out, request, from, status, Some(&tag)).end());
    }

    fn challenge(&mut self, request: &Request<'_>, from: SocketAddr, stale: bool, outbox: &mut Outbox) {
        let Some(challenge) = self.config.challenge else { return };
        let nonce = format!("{:016x}", self.random.bits());
        while self.nonces.len() >= MAX_NONCES {
            self.nonces.pop_first();
        }
        self.nonces.insert(nonce.clone(), Nonce { issued: self.now, used: false });
        let (status, name) = if challenge.as_server {
            (Status::UNAUTHORIZED, Name::WwwAuthenticate)
        } else {
            (Status::PROXY_AUTHENTICATION_REQUIRED, Name::ProxyAuthenticate)
        };
        let (realm, algorithm) = (&self.config.domain, challenge.algorithm.name());
        let stale = if stale { ", stale=true" } else { "" };
        let value = format!(
            "Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}"
        );
        let tag = self.tag(request);
        outbox.datagram(SocketId(0), from, |out| {
            let mut writer = Writer::answer(out, request, from, status, Some(&tag));
            writer.field(name, &value);
            writer.end();
        });
    }

    /// What a request's credentials are worth; one that needs none counts as having good ones.
    fn credentials(&mut self, request: &Request<'_>, inside: bool) -> Credentials {
        let Some(challenge) = self.config.challenge else { return Credentials::Good };
        if inside && !challenge.inside {
            return Credentials::Good;
        }
        let name = if challenge.as_server { Name::Authorization } else { Name::ProxyAuthorization };
        let given = request.first(name).and_then(|value| self.verify(request, value, challenge));
        given.unwrap_or(Credentials::Bad)
    }

    fn verify(&mut self, request: &Request<'_>, value: &str, challenge: Challenge) -> Option<Credentials> {
        let all = Parameters::read_all(value).ok()?;
        let given = all.first()?;
        let nonce = given.get("nonce")?;
        let subscriber =
            self.config.subscribers.iter().find(|s| Some(s.user.as_str()) == given.get("username"))?;
        let ha1 = subscriber.verifiers.get(challenge.algorithm)?;
        let count =
            Count { qop: Qop::of(given.get("qop")?)?, nc: given.get("nc")?, cnonce: given.get("cnonce")? };
        let about = (request.method.as_str(), given.get("uri")?, request.body);
        let expected = response(challenge.algorithm, ha1, nonce, Some(count), about);
        if expected.as_str() != given.get("response")? {
            return None;
        }
        let known = self.nonces.get_mut(nonce)?;
        if challenge.once && std::mem::replace(&mut known.used, true) {
            return None;
        }
        let age = self.now.since(known.issued);
        let stale = self.nonce_lifetime.is_some_and(|lifetime| age >= lifetime);
        Some(if stale { Credentials::Stale } else { Credentials::Good })
    }
}

/// `9XYZ` is answered with status XYZ, without a phone.
fn dialled_status(user: &str) -> Option<Status> {
    let code = user.strip_prefix('9').filter(|code| code.len() == 3)?;
    Status::new(code.parse().ok()?).filter(|status| status.code() >= 400)
}

/// A Via with where it came from (RFC 3581 §4).
fn with_source(via: &str, from: SocketAddr) -> String {
    let plain: Vec<&str> = via
        .split(';')
        .filter(|p| !p.trim().starts_with("rport") && !p.trim().starts_with("received"))
        .collect();
    format!("{};received={};rport={}", plain.join(";"), from.ip(), from.port())
}

fn source_of(via: &Via<'_>) -> Option<SocketAddr> {
    let ip = via.params.value("received").and_then(|ip| ip.parse().ok()).or_else(|| via.host.address())?;
    let port = via.rport().flatten().or(via.port).unwrap_or(5060);
    Some(SocketAddr::new(ip, port))
}
