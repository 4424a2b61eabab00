//! The controller alone in virtual time: the test plays whoever it speaks with, by datagrams, connections and TLS, and
//! the name server too. No socket, no clock.
//!
//! Nothing takes time here but what the test lets [`pass`](Bench::pass).

mod dns;
mod mail;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cordboard_core::config::Config;
use cordboard_core::io::{
    Close, ConnectionId, Datagram, Input, ListenerId, Outbox, Output, QueryId, SocketId, Wake,
};
use cordboard_core::sip::resolve::Names;
use cordboard_core::users::{Directory, User};
use cordboard_core::{Census, Controller, Epoch, Seed, Tick};

use crate::login::Login;
pub use dns::{Zone, a, naptr, srv};
pub use mail::{Mail, Way, sdp};
use wire::End;
pub use wire::{Site, There, sip_tls};

/// The domain of everything.
pub const DOMAIN: &str = "example.com";
/// Where the controller listens, by UDP and TCP; TLS has the next port.
pub const OURS: &str = "127.0.0.1:6050";
/// The listener for TCP, in the order of the configuration.
const TCP: ListenerId = ListenerId(1);
/// The one for TLS.
const TLS: ListenerId = ListenerId(2);
/// How long a message is waited for, unless the test says.
const PATIENCE: Duration = Duration::from_secs(2);
/// A run that takes more turns than this at one moment never rests.
const MOST_TURNS: u32 = 100_000;

/// The bench.
pub struct Bench {
    now: Tick,
    controller: Controller,
    wake: Option<Tick>,
    outbox: Outbox,
    /// What stands at addresses that can be connected to.
    there: BTreeMap<SocketAddr, There>,
    ends: BTreeMap<ConnectionId, End>,
    /// Connections that nobody answers.
    opening: Vec<ConnectionId>,
    accepted: u64,
    /// The connection of HTTP, and what came on it.
    asking: Option<ConnectionId>,
    http: Vec<u8>,
    mail: VecDeque<Mail>,
    /// What the name server knows; without one it says nothing.
    pub zone: Option<Zone>,
    /// Every question that was asked, as `NAME TYPE`.
    pub asked: Vec<String>,
    /// Every connection that was opened, with the time.
    pub opened: Vec<(Tick, SocketAddr)>,
    /// Addresses that datagrams do not reach, as the system says.
    pub unreachable: Vec<SocketAddr>,
    /// Every line for the log.
    pub log: Vec<String>,
    /// Bytes of a message are handed in so many at once, where it is not 0.
    pub chunk: usize,
}

/// What has to be done after a turn.
enum Then {
    Connected(ConnectionId),
    Lost(ConnectionId),
    Written(ConnectionId, usize),
    Answer(QueryId, Vec<u8>),
    Unreachable(SocketId, SocketAddr),
}

impl Bench {
    /// A controller with these lines in `[sip]` and `[limits]`, which listens by UDP, TCP and TLS.
    pub fn new(sip: &str, limits: &str) -> Self {
        let listen = "listen = [\"udp:127.0.0.1:6050\", \"tcp:127.0.0.1:6050\", \"tls:127.0.0.1:6051\"]\n\
                      certificate = \"read by the test\"\nkey = \"read by the test\"";
        Self::configured(&format!("{listen}\n{sip}"), limits)
    }

    /// The same, with listeners of the test's choice.
    pub fn configured(sip: &str, limits: &str) -> Self {
        let config = format!(
            "[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]\n[sip]\ndomain = \"{DOMAIN}\"\n{sip}\n\
             [limits]\n{limits}\n"
        );
        let config = Config::from_toml(&config).expect("the configuration is right");
        let users = Directory::new(
            vec![User::new("agent", DOMAIN, "1").with_sip_password("agent", DOMAIN, "123")],
            DOMAIN,
        )
        .expect("users");
        let epoch = Epoch::from_unix_millis(wire::EPOCH_SECONDS * 1000);
        let controller = Controller::new(config, users, Seed([1; 32]), epoch).expect("it has an address");
        let mut bench = Self {
            now: Tick::ZERO,
            controller,
            wake: None,
            outbox: Outbox::new(),
            there: BTreeMap::new(),
            ends: BTreeMap::new(),
            opening: Vec::new(),
            accepted: 0,
            asking: None,
            http: Vec::new(),
            mail: VecDeque::new(),
            zone: None,
            asked: Vec::new(),
            opened: Vec::new(),
            unreachable: Vec::new(),
            log: Vec::new(),
            chunk: 0,
        };
        let names = Names::read("nameserver 192.0.2.53\n", "127.0.0.1 localhost\n");
        bench.hand(Input::Names(Box::new(names)));
        bench
    }

    /// One that shows this site's certificate for its own address, and trusts its authority.
    pub fn secure(site: &Site, sip: &str, limits: &str) -> Self {
        let mut bench = Self::new(sip, limits);
        bench.hand(Input::SipTls(Box::new(site.tls())));
        bench
    }

    /// What connections to this address find.
    pub fn put(&mut self, address: &str, there: There) {
        self.there.insert(address.parse().expect("an address"), there);
    }

    /// Hands an input in, and does all that follows from it at once.
    pub fn hand(&mut self, input: Input<'_>) {
        self.turn(input);
        for _ in 0..MOST_TURNS {
            let Some(then) = self.take_out() else { return };
            for then in then {
                self.follow(then);
            }
        }
        panic!("it never rests");
    }

    fn turn(&mut self, input: Input<'_>) {
        let wake = self.controller.handle(self.now, input, &mut self.outbox);
        self.wake = match wake {
            Wake::Idle => None,
            Wake::At(at, _) => Some(at),
        };
        self.controller.audit().expect("the controller's tables agree with each other");
    }

    fn follow(&mut self, then: Then) {
        match then {
            Then::Connected(connection) => {
                // It may have been given up in the meantime.
                if self.ends.contains_key(&connection) {
                    self.turn(Input::Connected { connection });
                }
            }
            Then::Lost(connection) => self.turn(Input::Lost { connection }),
            Then::Written(connection, bytes) => self.turn(Input::Written { connection, bytes }),
            Then::Answer(query, bytes) => self.turn(Input::Answer { query, bytes: &bytes }),
            Then::Unreachable(socket, to) => self.turn(Input::Unreachable { socket, to }),
        }
    }

    /// Takes everything out; `None` if there was nothing.
    fn take_out(&mut self) -> Option<Vec<Then>> {
        if self.outbox.is_empty() {
            return None;
        }
        let mut outbox = std::mem::take(&mut self.outbox);
        let mut then = Vec::new();
        while let Some(output) = outbox.pop() {
            match output {
                Output::Datagram { socket, to, bytes, .. } => {
                    if self.unreachable.contains(&to) {
                        then.push(Then::Unreachable(socket, to));
                    }
                    self.mail.push_back(mail::read(Way::Datagram(socket, to), bytes));
                }
                Output::Connect { connection, to, .. } => then.extend(self.connect(connection, to)),
                Output::Write { connection, bytes } => then.extend(self.write(connection, bytes)),
                Output::Close { connection, how } => self.close(connection, how),
                Output::Query { query, bytes, .. } => {
                    self.asked.push(dns::asked(bytes));
                    let answer = self.zone.as_ref().map(|zone| zone.answer(bytes));
                    then.extend(answer.map(|answer| Then::Answer(query, answer)));
                }
                Output::Report(report) => self.log.push(report.to_string()),
                _ => {}
            }
        }
        self.outbox = outbox;
        Some(then)
    }

    fn connect(&mut self, connection: ConnectionId, to: SocketAddr) -> Option<Then> {
        self.opened.push((self.now, to));
        match self.there.get(&to) {
            None => Some(Then::Lost(connection)),
            Some(There::Silence) => {
                self.opening.push(connection);
                None
            }
            Some(there) => {
                self.ends.insert(connection, End::met(to, there));
                Some(Then::Connected(connection))
            }
        }
    }

    fn write(&mut self, connection: ConnectionId, bytes: &[u8]) -> Option<Then> {
        let Some(end) = self.ends.get_mut(&connection) else {
            // What is written to who is not there waits in the system.
            if self.asking == Some(connection) {
                self.http.extend_from_slice(bytes);
            }
            return None;
        };
        if end.takes_nothing {
            return None;
        }
        let messages = end.take(bytes);
        let peer = end.peer;
        for message in messages {
            self.mail.push_back(mail::read(Way::Connection(connection, peer), &message));
        }
        Some(Then::Written(connection, bytes.len()))
    }

    fn close(&mut self, connection: ConnectionId, how: Close) {
        if let Some(end) = self.ends.get_mut(&connection) {
            end.closed = Some(how);
        }
        self.opening.retain(|other| *other != connection);
    }

    /// Gives the controller what our ends of TLS have to say.
    fn answer_tls(&mut self) {
        loop {
            let waiting = self.ends.iter_mut().find_map(|(id, end)| Some((*id, end.flush()?)));
            let Some((connection, bytes)) = waiting else { return };
            self.deliver(connection, &bytes);
        }
    }

    fn deliver(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let at_once = if self.chunk == 0 { bytes.len().max(1) } else { self.chunk };
        for bytes in bytes.chunks(at_once) {
            if self.ends.get(&connection).is_some_and(|end| end.closed.is_none()) {
                self.hand(Input::Received { connection, bytes });
            }
        }
    }

    /// Lets the next thing happen, if that is before `until`; whether it did.
    fn step(&mut self, until: Tick) -> bool {
        self.answer_tls();
        match self.wake.filter(|wake| *wake <= until) {
            Some(wake) => {
                self.now = self.now.max(wake);
                self.hand(Input::Timeout);
                true
            }
            None => {
                self.now = until;
                false
            }
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..MOST_TURNS {
            if !self.step(until) {
                return;
            }
        }
        panic!("too much happens");
    }

    /// What time it is.
    pub fn now(&self) -> Tick {
        self.now
    }

    /// The next message for this address that begins so; panics if none comes soon.
    #[track_caller]
    pub fn next(&mut self, address: &str, start: &str) -> Mail {
        self.next_within(PATIENCE, address, start)
    }

    /// The same, for what takes longer.
    #[track_caller]
    pub fn next_within(&mut self, patience: Duration, address: &str, start: &str) -> Mail {
        self.try_next(patience, address, start).unwrap_or_else(|| {
            let rest: Vec<&str> = self.mail.iter().map(Mail::start).collect();
            panic!("{address} waits in vain for {start}; there is {rest:#?}, and {:#?}", self.log)
        })
    }

    /// The same, if it comes.
    pub fn try_next(&mut self, patience: Duration, address: &str, start: &str) -> Option<Mail> {
        let address: SocketAddr = address.parse().expect("an address");
        let until = self.now + patience;
        loop {
            self.answer_tls();
            let fits = |mail: &Mail| mail.way.peer() == address && mail.text.starts_with(start);
            if let Some(at) = self.mail.iter().position(fits) {
                return self.mail.remove(at);
            }
            if !self.step(until) {
                return None;
            }
        }
    }

    /// How many messages have come to this address that begin so, and were not taken.
    pub fn count(&self, address: &str, start: &str) -> usize {
        let address: SocketAddr = address.parse().expect("an address");
        self.mail.iter().filter(|mail| mail.way.peer() == address && mail.text.starts_with(start)).count()
    }

    /// Sends a message this way.
    pub fn say(&mut self, way: Way, text: &str) {
        match way {
            Way::Datagram(socket, from) => {
                self.hand(Input::Datagram(Datagram { socket, from, bytes: text.as_bytes() }));
            }
            Way::Connection(connection, _) => self.say_on(connection, text.as_bytes()),
        }
    }

    /// Sends bytes on a connection, under TLS where that is spoken.
    pub fn say_on(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let Some(end) = self.ends.get_mut(&connection) else { return };
        match end.say(bytes) {
            Some(plain) => self.deliver(connection, &plain),
            None => self.answer_tls(),
        }
    }

    /// Sends bytes on a connection as they are, whatever is spoken there.
    pub fn say_raw(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.deliver(connection, bytes);
    }

    /// A peer connects by TCP.
    pub fn arrive(&mut self, from: &str) -> ConnectionId {
        self.arrive_at(TCP, from, &There::Tcp)
    }

    /// A peer connects by TLS, and trusts this site's authority; it shows a certificate for this name if it has one.
    pub fn arrive_secure(&mut self, from: &str, site: &Site, shows: Option<&str>) -> ConnectionId {
        self.arrive_with(from, site.client(shows.map(|name| (site, name))))
    }

    /// The same, with a certificate that another authority has signed.
    pub fn arrive_secure_as(&mut self, from: &str, site: &Site, signer: &Site, name: &str) -> ConnectionId {
        self.arrive_with(from, site.client(Some((signer, name))))
    }

    fn arrive_with(&mut self, from: &str, tls: rustls::Connection) -> ConnectionId {
        let connection = self.arrive_at(TLS, from, &There::Tcp);
        self.ends.get_mut(&connection).expect("it was just made").tls = Some(tls);
        self.answer_tls();
        connection
    }

    /// A peer connects to the port for TLS and says nothing.
    pub fn arrive_mute(&mut self, from: &str) -> ConnectionId {
        self.arrive_at(TLS, from, &There::Tcp)
    }

    fn arrive_at(&mut self, listener: ListenerId, from: &str, there: &There) -> ConnectionId {
        let connection = ConnectionId(self.accepted);
        self.accepted += 1;
        let peer = from.parse().expect("an address");
        self.ends.insert(connection, End::met(peer, there));
        self.hand(Input::Accepted { listener, connection, peer });
        connection
    }

    /// A connection breaks.
    pub fn cut(&mut self, connection: ConnectionId) {
        if self.ends.remove(&connection).is_some_and(|end| end.closed.is_none()) {
            self.hand(Input::Lost { connection });
        }
    }

    /// The peer of a connection takes nothing any more.
    pub fn stop_reading(&mut self, connection: ConnectionId) {
        self.ends.get_mut(&connection).expect("it is there").takes_nothing = true;
    }

    /// The connections that are open.
    pub fn open_connections(&self) -> Vec<ConnectionId> {
        self.ends.iter().filter(|(_, end)| end.closed.is_none()).map(|(id, _)| *id).collect()
    }

    /// Whether the controller has closed a connection.
    pub fn is_closed(&self, connection: ConnectionId) -> bool {
        self.ends.get(&connection).is_none_or(|end| end.closed.is_some())
    }

    /// How many pings, or pongs, have come on a connection.
    pub fn pings(&self, connection: ConnectionId) -> (usize, usize) {
        self.ends.get(&connection).map_or((0, 0), |end| (end.pings, end.pongs))
    }

    /// What went wrong with TLS at our end of a connection.
    pub fn fault(&self, connection: ConnectionId) -> Option<String> {
        self.ends.get(&connection)?.fault.clone()
    }

    /// Asks by HTTP as the agent; returns status and body.
    pub fn ask(&mut self, method: &str, path: &str) -> (u16, String) {
        let connection = ConnectionId(self.accepted);
        self.accepted += 1;
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.hand(Input::Accepted { listener: ListenerId(0), connection, peer });
        self.asking = Some(connection);
        let head = self.exchange(connection, method, path, "").1;
        let answer =
            self.exchange(connection, method, path, &Login::challenged(&head).line(method, path, "1"));
        self.hand(Input::Lost { connection });
        (answer.0, answer.2)
    }

    fn exchange(
        &mut self,
        connection: ConnectionId,
        method: &str,
        path: &str,
        lines: &str,
    ) -> (u16, String, String) {
        self.http.clear();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n{lines}\r\n");
        self.hand(Input::Received { connection, bytes: request.as_bytes() });
        let text = String::from_utf8(std::mem::take(&mut self.http)).expect("answers are text");
        let (head, body) = text.split_once("\r\n\r\n").expect("the answer has a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("it has a status");
        (status, head.to_owned(), body.to_owned())
    }

    /// Places a call between these users, and panics if that is not taken.
    #[track_caller]
    pub fn place(&mut self, calling: &str, called: &str, parameters: &str) {
        let path = format!("/callcontroller/{calling}/{called}?agent=agent&{parameters}");
        let (status, body) = self.ask("POST", &path);
        assert_eq!(status, 200, "{body}");
    }

    /// The call between these users.
    pub fn call(&mut self, calling: &str, called: &str) -> serde_json::Value {
        let (_, body) = self.ask("GET", &format!("/callcontroller/{calling}/{called}"));
        serde_json::from_str(&body).expect("it is JSON")
    }

    /// What lives in the controller.
    pub fn census(&self) -> Census {
        self.controller.census()
    }

    /// After enough time nothing may be left of anything.
    pub fn expect_nothing_left(&mut self) {
        self.pass(Duration::from_secs(24 * 3600));
        assert_eq!(self.census(), Census::default());
    }
}

/// The address of a way's other end.
impl Way {
    /// Whom it leads to.
    pub fn peer(&self) -> SocketAddr {
        match self {
            Way::Datagram(_, peer) | Way::Connection(_, peer) => *peer,
        }
    }

    /// Its connection; panics on a datagram's.
    #[track_caller]
    pub fn connection(&self) -> ConnectionId {
        match self {
            Way::Connection(connection, _) => *connection,
            Way::Datagram(..) => panic!("it came by datagram"),
        }
    }

    /// Datagrams from this address to our first socket.
    pub fn datagrams(from: &str) -> Self {
        Way::Datagram(SocketId(0), from.parse().expect("an address"))
    }

    /// Whether it leads to an address of IPv6.
    pub fn is_ipv6(&self) -> bool {
        matches!(self.peer().ip(), IpAddr::V6(_))
    }
}
