//! The phone: rings, answers, is referred, calls, hangs up.

mod caller;
mod incoming;
mod inside;
mod referral;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::temper::Temper;
use crate::Tick;
use crate::auth::client::{Attempts, Session};
use crate::ident::{Ident, Key, Table};
use crate::io::{Datagram, Input, Outbox, Output, Reason, SocketId, Wake};
use crate::random::{Consumer, Random, Seed};
use crate::sip::dialog::Dialog;
use crate::sip::message::{Message, Method, Uri, parse};
use crate::sip::sdp::MEDIA_TYPE;
use crate::sip::transaction::{Client, Server, TransactionEvent, Transactions};
use crate::sip::transport::{Flow, Locals};
use crate::time::wheel::Wheel;
use crate::users::SipCredentials;
use inside::Outstanding;
use referral::Watcher;

/// Who a phone is.
#[derive(Clone, Debug)]
pub struct PhoneConfig {
    /// Its user part.
    pub user: String,
    /// Its domain.
    pub domain: String,
    /// The address that its socket is bound to.
    pub address: SocketAddr,
    /// The exchange that its calls go to.
    pub exchange: SocketAddr,
    /// What it answers the exchange's challenges with.
    pub credentials: Option<SipCredentials>,
    /// How it behaves.
    pub temper: Temper,
}

/// What a phone is doing, as its user would see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneState {
    /// Nothing.
    Idle,
    /// It rings, or calls and was not answered yet.
    Ringing,
    /// It is in calls with these, the URIs of their From or To.
    InCall(Vec<String>),
}

/// One call of a phone that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhoneCall<'a> {
    /// Its Call-ID.
    pub call_id: &'a str,
    /// How the peer has last described its media.
    pub remote_sdp: &'a str,
    /// An INVITE within it waits for its answer or its ACK.
    pub unsettled: bool,
}

/// What a phone has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhoneCounts {
    /// Calls that came in and were not refused for what they offered.
    pub rung: u32,
    /// Calls that it answered.
    pub answered: u32,
    /// Calls that it placed.
    pub placed: u32,
    /// REFERs that came in.
    pub referred: u32,
}

/// What lives in a phone: all zero when nothing is going on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhoneCensus {
    /// Calls, and subscriptions that outlive theirs.
    pub lines: usize,
    /// SIP client transactions.
    pub client_transactions: usize,
    /// SIP server transactions.
    pub server_transactions: usize,
    /// Timers of all layers.
    pub timers: usize,
}

/// One call of the phone.
#[derive(Debug)]
pub(crate) struct Line {
    ident: Ident,
    state: LineState,
    dialog: Option<Dialog>,
    /// Who wants to know how a call that was asked for goes.
    watcher: Option<Key<Line>>,
    /// The subscription that a REFER on this line has made.
    referral: Option<Watcher>,
    refers: u32,
    session: Session,
    attempts: Attempts,
    /// Requests of ours within the dialog that wait for their answers.
    outstanding: Vec<Outstanding>,
    /// The latest description of the peer's media.
    remote_sdp: String,
    target: String,
    call_id: String,
    cseq: u32,
    /// The CSeq number of the peer's latest INVITE, which its ACK has too.
    invited: u32,
}

#[derive(Debug)]
enum LineState {
    /// It rings: the INVITE waits for its answer.
    Ringing(Key<Server>),
    /// It has called: the INVITE has no final response.
    Calling(Key<Client>),
    /// It is in a call. An INVITE of the peer's may wait for ACK.
    Up { unacknowledged: Option<Key<Server>> },
    /// The call is over; a subscription may still be served.
    Down,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    Pick(Key<Line>),
    Notify(Key<Line>),
    HangUp(Key<Line>),
}

/// A scripted phone.
#[derive(Debug)]
pub struct Phone {
    config: PhoneConfig,
    locals: Arc<Locals>,
    transactions: Transactions,
    random: Random,
    lines: Table<Line>,
    wheel: Wheel<Due>,
    counts: PhoneCounts,
    /// It hears nothing any more.
    dead: bool,
    now: Tick,
}

/// The time between two NOTIFYs of a script.
const STEP: Duration = Duration::from_millis(50);

impl Phone {
    /// A phone that waits for calls.
    pub fn new(config: PhoneConfig, seed: &Seed) -> Self {
        let mut random = Random::new(seed, Consumer::Phones);
        let locals = Arc::new(Locals::datagrams(config.address));
        let transactions = Transactions::of_datagrams(
            Random::new(seed, Consumer::Transactions),
            random.bytes(),
            locals.clone(),
        );
        Self {
            locals,
            config,
            transactions,
            random,
            lines: Table::default(),
            wheel: Wheel::new(),
            counts: PhoneCounts::default(),
            dead: false,
            now: Tick::ZERO,
        }
    }

    /// Lets something happen; see [`Controller::handle`](crate::Controller::handle).
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
        let mut events = Vec::new();
        self.transactions.timeout(self.now, outbox, &mut events);
        for event in events {
            self.expired(event, outbox);
        }
        while let Some(due) = self.wheel.pop(self.now) {
            match due {
                Due::Pick(line) => self.pick(line, outbox),
                Due::Notify(line) => self.notify_next(line, outbox),
                Due::HangUp(line) => self.hang_up(line, outbox),
            }
        }
        self.forget_ended();
        let at =
            |tick: Option<Tick>, reason| tick.map_or(Wake::Idle, |tick| Wake::At(tick.max(self.now), reason));
        at(self.transactions.next(), Reason::Transaction).earlier(at(self.wheel.next(), Reason::Call))
    }

    /// What its user would see.
    pub fn state(&self) -> PhoneState {
        let up = |line: &Line| matches!(line.state, LineState::Up { .. });
        let peers: Vec<String> = self
            .lines
            .iter()
            .filter(|(_, line)| up(line))
            .filter_map(|(_, line)| line.dialog.as_ref().map(|dialog| dialog.remote().to_owned()))
            .collect();
        if !peers.is_empty() {
            PhoneState::InCall(peers)
        } else if self.lines.iter().any(|(_, line)| !matches!(line.state, LineState::Down)) {
            PhoneState::Ringing
        } else {
            PhoneState::Idle
        }
    }

    /// Whether nothing is left of any call: no line, no transaction, no timer.
    pub fn is_quiet(&self) -> bool {
        self.census() == PhoneCensus::default()
    }

    /// Counts what lives.
    pub fn census(&self) -> PhoneCensus {
        let transactions = self.transactions.census();
        PhoneCensus {
            lines: self.lines.len(),
            client_transactions: transactions.clients,
            server_transactions: transactions.servers,
            timers: self.wheel.len() + transactions.timers,
        }
    }

    /// What it has done so far.
    pub fn counts(&self) -> PhoneCounts {
        self.counts
    }

    /// How the peers of its calls have last described their media, in the order of [`PhoneState::InCall`].
    pub fn remote_sdps(&self) -> Vec<&str> {
        let up = |line: &&Line| matches!(line.state, LineState::Up { .. });
        self.lines.iter().map(|(_, line)| line).filter(up).map(|line| line.remote_sdp.as_str()).collect()
    }

    /// Its calls that stand.
    pub fn calls(&self) -> impl Iterator<Item = PhoneCall<'_>> {
        self.lines.iter().filter_map(|(_, line)| match line.state {
            LineState::Up { unacknowledged } => Some(PhoneCall {
                call_id: &line.call_id,
                remote_sdp: &line.remote_sdp,
                unsettled: unacknowledged.is_some() || !line.outstanding.is_empty(),
            }),
            _ => None,
        })
    }

    /// Its user puts every call on hold, or takes it back: a re-INVITE with this direction.
    pub fn offer_all(&mut self, now: Tick, direction: &str, outbox: &mut Outbox) {
        self.now = self.now.max(now);
        let settled = |line: &Line| {
            matches!(line.state, LineState::Up { unacknowledged: None }) && line.outstanding.is_empty()
        };
        let lines: Vec<Key<Line>> =
            self.lines.iter().filter(|(_, line)| settled(line)).map(|(key, _)| key).collect();
        for line in lines {
            let body = self.sdp(direction);
            self.within(line, Method::Invite, &[], Some((MEDIA_TYPE, &body)), outbox);
        }
    }

    /// Its user hangs up every call.
    pub fn hang_up_all(&mut self, now: Tick, outbox: &mut Outbox) {
        self.now = self.now.max(now);
        let lines: Vec<Key<Line>> = self.lines.iter().map(|(key, _)| key).collect();
        lines.into_iter().for_each(|line| self.hang_up(line, outbox));
    }

    fn datagram(&mut self, datagram: Datagram<'_>, outbox: &mut Outbox) {
        if self.dead {
            return;
        }
        let flow = Flow::Udp { socket: datagram.socket, remote: datagram.from };
        match parse(datagram.bytes) {
            Ok(Message::Request(request)) => self.request(&request, flow, outbox),
            Ok(Message::Response(response)) => {
                if let Some(told) = self.transactions.response(self.now, &response, outbox) {
                    self.response(Key::from_bits(told.owner.0), told.key, &response, outbox);
                }
            }
            Err(_) => {}
        }
    }

    fn expired(&mut self, event: TransactionEvent, outbox: &mut Outbox) {
        match event {
            TransactionEvent::TimedOut { owner, key } | TransactionEvent::TransportFailed { owner, key } => {
                self.no_response(Key::from_bits(owner.0), key, outbox);
            }
            TransactionEvent::NoAck { owner: Some(owner), .. } => {
                self.hang_up(Key::from_bits(owner.0), outbox);
            }
            TransactionEvent::NoAck { owner: None, .. }
            | TransactionEvent::ServerTimedOut { .. }
            | TransactionEvent::Located { .. } => {}
        }
    }

    /// Ends a call in the way that its state asks for.
    fn hang_up(&mut self, key: Key<Line>, outbox: &mut Outbox) {
        let Some(line) = self.lines.get(key) else { return };
        match line.state {
            LineState::Ringing(server) => self.refuse_held(server, 480, outbox),
            LineState::Calling(client) => {
                self.transactions.cancel(self.now, client, None, outbox);
                return;
            }
            LineState::Up { .. } => self.within(key, Method::Bye, &[], None, outbox),
            LineState::Down => return,
        }
        self.end(key);
    }

    /// Takes what the peer says of its media.
    fn describe(&mut self, key: Key<Line>, body: &[u8]) {
        if let Some(line) = self.lines.get_mut(key).filter(|_| !body.is_empty()) {
            line.remote_sdp = String::from_utf8_lossy(body).into_owned();
        }
    }

    /// It is never heard of again.
    fn die(&mut self) {
        self.dead = true;
        self.lines = Table::default();
        self.wheel = Wheel::new();
    }

    fn end(&mut self, key: Key<Line>) {
        if let Some(line) = self.lines.get_mut(key) {
            line.state = LineState::Down;
        }
    }

    fn forget_ended(&mut self) {
        let over = |line: &Line| {
            matches!(line.state, LineState::Down) && line.referral.is_none() && line.outstanding.is_empty()
        };
        let ended: Vec<Key<Line>> =
            self.lines.iter().filter(|(_, line)| over(line)).map(|(key, _)| key).collect();
        ended.into_iter().for_each(|key| drop(self.lines.remove(key)));
    }

    /// The way of a request to this URI: to its address, else through the exchange.
    fn route(&self, uri: &str) -> Flow {
        let address = Uri::parse(uri).ok().and_then(|uri| uri.address());
        self.flow_to(address.unwrap_or(self.config.exchange))
    }

    fn flow_to(&self, remote: SocketAddr) -> Flow {
        Flow::Udp { socket: SocketId(0), remote }
    }

    fn contact(&self) -> String {
        let PhoneConfig { user, domain, address, temper, .. } = &self.config;
        if temper.gruu {
            format!("<sip:{user}@{domain};gr=urn:uuid:{user}>")
        } else {
            format!("<sip:{user}@{address}>")
        }
    }

    /// What it offers and answers: PCMU at its own address.
    fn sdp(&self, direction: &str) -> Vec<u8> {
        let address = self.config.address;
        let ip = address.ip();
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let port = 4000 + u32::from(address.port() % 1000) * 2;
        format!(
            "v=0\r\no={} 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n",
            self.config.user
        )
        .into_bytes()
    }
}

/// Sends the datagram that was sent last once more.
fn repeat_last(outbox: &mut Outbox) {
    let last = outbox.outputs().filter_map(|output| match output {
        Output::Datagram { to, bytes, .. } => Some((to, bytes)),
        _ => None,
    });
    let Some((to, bytes)) = last.last().map(|(to, bytes)| (to, bytes.to_vec())) else { return };
    outbox.datagram(SocketId(0), to, |out| out.extend_from_slice(&bytes));
}
