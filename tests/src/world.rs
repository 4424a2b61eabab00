//! A world in virtual time: the controller, an exchange, phones, and a network between them. No socket, no clock.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use cordboard_core::config::Config;
use cordboard_core::digest::Verifiers;
use cordboard_core::io::{ConnectionId, Datagram, Input, ListenerId, Outbox, Output, SocketId, Wake};
use cordboard_core::sip::message::{Message, parse};
use cordboard_core::softphone::{
    Challenge, Exchange, ExchangeConfig, Phone, PhoneCensus, PhoneConfig, PhoneCounts, PhoneState,
    Subscriber, Temper,
};
use cordboard_core::users::{Directory, SipCredentials, User};
use cordboard_core::{Census, Controller, Epoch, Seed, Tick};

use crate::login::Login;

/// The domain and the realm of everything.
pub const DOMAIN: &str = "example.com";
/// How long a datagram is on its way.
const LATENCY: Duration = Duration::from_millis(5);
/// No test lets more happen than this.
const MOST_STEPS: u32 = 200_000;

/// Which party of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Controller,
    Exchange,
    Phone(usize),
}

/// What is lost on the way: each datagram whose number, from the start, the function names.
pub type Loss = fn(u64) -> bool;

/// How badly datagrams travel, always in the same way for the same seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// What all of it depends on.
    pub seed: u64,
    /// How many of a hundred are lost.
    pub lost: u64,
    /// How many of a hundred arrive twice.
    pub doubled: u64,
    /// The most milliseconds that one takes longer, so that others overtake it.
    pub late: u64,
}

impl Weather {
    /// A number below `bound`, as good as drawn, for one question about one datagram.
    fn draw(&self, number: u64, question: u64, bound: u64) -> u64 {
        let mut bits =
            self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(3).wrapping_add(question);
        for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
            bits = (bits ^ (bits >> 30)).wrapping_mul(factor);
        }
        (bits ^ (bits >> 31)) % bound.max(1)
    }
}

/// How a world is made.
pub struct Setting {
    /// Lines for `[calls]`.
    pub calls: &'static str,
    /// Lines for `[sip]`.
    pub sip: &'static str,
    /// Lines for `[limits]`.
    pub limits: &'static str,
    /// How the exchange challenges.
    pub challenge: Option<Challenge>,
    /// User parts that are redirected, with the values of Contact.
    pub redirections: &'static [(&'static str, &'static [&'static str])],
    /// The SIP password that the agent has; the right one is 123.
    pub agent_password: &'static str,
    /// What is lost.
    pub loss: Loss,
    /// The first message that begins so is lost.
    pub loses_first: &'static str,
    /// How badly the rest travels.
    pub weather: Weather,
    /// Users whose calls ring at the phones of further users, by their numbers.
    pub forks: &'static [(&'static str, &'static [usize])],
    /// How long the exchange's nonces are good.
    pub nonce_lifetime: Option<Duration>,
    /// Whether the exchange stays in the path of calls.
    pub record_routes: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            calls: "",
            sip: "",
            limits: "",
            challenge: None,
            redirections: &[],
            agent_password: "123",
            loss: |_| false,
            loses_first: "",
            weather: Weather::default(),
            forks: &[],
            nonce_lifetime: None,
            record_routes: true,
        }
    }
}

/// A datagram on its way.
struct Flight {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// A message for a phone that is played by hand.
#[derive(PartialEq, Eq)]
struct Mail {
    at: Tick,
    from: SocketAddr,
    text: String,
}

/// The world.
pub struct World {
    now: Tick,
    controller: Controller,
    exchange: Exchange,
    phones: Vec<Phone>,
    wakes: BTreeMap<Place, Tick>,
    addresses: BTreeMap<SocketAddr, Place>,
    flights: BTreeMap<(Tick, u64), Flight>,
    sent: u64,
    loss: Loss,
    loses_first: &'static str,
    weather: Weather,
    http: Vec<u8>,
    connections: u64,
    /// What has come for phones that the test plays by hand.
    mailboxes: BTreeMap<SocketAddr, VecDeque<Mail>>,
    /// Every SIP message that was sent, with its sender and its start line.
    pub ladder: Vec<(SocketAddr, SocketAddr, String)>,
    outbox: Outbox,
}

/// The controller's SIP address.
pub fn controller_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 6050))
}

/// The exchange's address.
pub fn exchange_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 5060))
}

/// The address of the phone of user N.
pub fn phone_address(number: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7000 + number as u16))
}

impl World {
    /// A world with these phones, of user1, user2 and so on; the agent has no phone.
    pub fn new(setting: Setting, tempers: Vec<Temper>) -> Self {
        let config = format!(
            "[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]\n[sip]\ndomain = \"{DOMAIN}\"\n\
             proxy = \"sip:{}\"\n{}\n[calls]\n{}\n[limits]\n{}\n",
            exchange_address(),
            setting.sip,
            setting.calls,
            setting.limits
        );
        let config = Config::from_toml(&config).expect("the configuration is right");
        let agent =
            User::new("agent", DOMAIN, "1").with_sip_password("agent", DOMAIN, setting.agent_password);
        let users = Directory::new(vec![agent], DOMAIN).expect("the users are right");
        let controller =
            Controller::new(config, users, Seed([1; 32]), Epoch::from_unix_millis(1_269_268_319_000))
                .expect("it has an address");
        let verifiers = |user: &str| Verifiers::of(user, DOMAIN, "123");
        let mut subscribers =
            vec![Subscriber { user: "agent".into(), phone: None, verifiers: verifiers("agent") }];
        let mut addresses = BTreeMap::from([
            (controller_address(), Place::Controller),
            (exchange_address(), Place::Exchange),
        ]);
        let mut phones = Vec::new();
        for (place, temper) in tempers.into_iter().enumerate() {
            let (user, address) = (format!("user{}", place + 1), phone_address(place + 1));
            let credentials =
                SipCredentials { username: user.clone(), realm: DOMAIN.into(), verifiers: verifiers(&user) };
            subscribers.push(Subscriber {
                user: user.clone(),
                phone: Some(address),
                verifiers: verifiers(&user),
            });
            addresses.insert(address, Place::Phone(place));
            let config = PhoneConfig {
                user,
                domain: DOMAIN.into(),
                address,
                exchange: exchange_address(),
                credentials: Some(credentials),
                temper,
            };
            phones.push(Phone::new(config, &Seed([place as u8 + 2; 32])));
        }
        let exchange = ExchangeConfig {
            domain: DOMAIN.into(),
            address: exchange_address(),
            subscribers,
            challenge: setting.challenge,
            redirections: setting
                .redirections
                .iter()
                .map(|(user, to)| {
                    ((*user).to_owned(), to.iter().map(|contact| (*contact).to_owned()).collect())
                })
                .collect(),
        };
        let mut machine = Exchange::new(exchange, &Seed([9; 32]));
        for (user, phones) in setting.forks {
            machine = machine.with_further_phones(user, phones.iter().map(|n| phone_address(*n)).collect());
        }
        if let Some(lifetime) = setting.nonce_lifetime {
            machine = machine.with_nonce_lifetime(lifetime);
        }
        if !setting.record_routes {
            machine = machine.without_record_route();
        }
        Self {
            now: Tick::ZERO,
            controller,
            exchange: machine,
            phones,
            wakes: BTreeMap::new(),
            addresses,
            flights: BTreeMap::new(),
            sent: 0,
            loss: setting.loss,
            loses_first: setting.loses_first,
            weather: setting.weather,
            http: Vec::new(),
            connections: 0,
            mailboxes: BTreeMap::new(),
            ladder: Vec::new(),
            outbox: Outbox::new(),
        }
    }

    fn address(&self, place: Place) -> SocketAddr {
        match place {
            Place::Controller => controller_address(),
            Place::Exchange => exchange_address(),
            Place::Phone(number) => phone_address(number + 1),
        }
    }

    fn hand(&mut self, place: Place, input: Input<'_>) {
        let (now, outbox) = (self.now, &mut self.outbox);
        let wake = match place {
            Place::Controller => self.controller.handle(now, input, outbox),
            Place::Exchange => self.exchange.handle(now, input, outbox),
            Place::Phone(number) => self.phones[number].handle(now, input, outbox),
        };
        match wake {
            Wake::Idle => self.wakes.remove(&place),
            Wake::At(tick, _) => self.wakes.insert(place, tick),
        };
        if place == Place::Controller {
            self.controller.audit().expect("the controller's tables agree with each other");
        }
        self.take_out(place);
    }

    fn take_out(&mut self, place: Place) {
        let from = self.address(place);
        let mut outbox = std::mem::take(&mut self.outbox);
        let (mut written, mut refused) = (None, Vec::new());
        while let Some(output) = outbox.pop() {
            match output {
                Output::Datagram { to, bytes, .. } => self.send(from, to, bytes),
                Output::Write { connection, bytes } => {
                    self.http.extend_from_slice(bytes);
                    written = Some((connection, bytes.len()));
                }
                // Nobody here listens for connections.
                Output::Connect { connection, .. } => refused.push(connection),
                _ => {}
            }
        }
        self.outbox = outbox;
        for connection in refused {
            self.hand(place, Input::Lost { connection });
        }
        if let Some((connection, bytes)) = written {
            self.hand(place, Input::Written { connection, bytes });
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        // Nothing leaves anybody here that our own parser refuses, unless it is a script's broken body.
        assert!(parse(bytes).is_ok(), "{from} sends what cannot be read:\n{text}");
        let unlucky = !self.loses_first.is_empty() && text.starts_with(self.loses_first);
        self.ladder.push((from, to, text.into_owned()));
        self.sent += 1;
        let (weather, number) = (self.weather, self.sent);
        if unlucky {
            self.loses_first = "";
        } else if !(self.loss)(number) && weather.draw(number, 0, 100) >= weather.lost {
            self.travel(Flight { from, to, bytes: bytes.to_vec() }, 1);
            if weather.draw(number, 1, 100) < weather.doubled {
                self.travel(Flight { from, to, bytes: bytes.to_vec() }, 2);
            }
        }
    }

    fn travel(&mut self, flight: Flight, copy: u64) {
        let late = self.weather.draw(self.sent, copy + 1, self.weather.late + 1);
        let at = self.now + LATENCY + Duration::from_millis(late);
        self.flights.insert((at, self.sent * 2 + copy), flight);
    }

    /// Sends bytes to the controller's SIP address, as if from the exchange.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let datagram = Datagram { socket: SocketId(0), from: exchange_address(), bytes };
        self.hand(Place::Controller, Input::Datagram(datagram));
    }

    /// Lets the next thing happen, if that is before `until`; whether it did.
    fn step(&mut self, until: Tick) -> bool {
        let flight = self.flights.keys().next().map(|(at, _)| *at);
        let wake =
            self.wakes.iter().min_by_key(|(place, at)| (**at, **place)).map(|(place, at)| (*at, *place));
        let due = |at: Tick| at <= until;
        match (flight, wake) {
            (Some(at), wake) if due(at) && wake.is_none_or(|(wake, _)| at <= wake) => {
                self.now = self.now.max(at);
                let Some((_, flight)) = self.flights.pop_first() else { return false };
                if let Some(place) = self.addresses.get(&flight.to).copied() {
                    let datagram = Datagram { socket: SocketId(0), from: flight.from, bytes: &flight.bytes };
                    self.hand(place, Input::Datagram(datagram));
                } else if let Some(mailbox) = self.mailboxes.get_mut(&flight.to) {
                    let text = String::from_utf8_lossy(&flight.bytes).into_owned();
                    let mail = Mail { at, from: flight.from, text };
                    // A copy that the network made is known by its time; one that was sent again comes later.
                    if !mailbox.contains(&mail) {
                        mailbox.push_back(mail);
                    }
                }
                true
            }
            (_, Some((at, place))) if due(at) => {
                self.now = self.now.max(at);
                self.hand(place, Input::Timeout);
                true
            }
            _ => {
                self.now = self.now.max(until);
                false
            }
        }
    }

    /// Keeps what comes for this address, where a test plays the phone by hand.
    pub fn open_mailbox(&mut self, address: SocketAddr) {
        self.mailboxes.entry(address).or_default();
    }

    /// The next message for such a phone that is one, with where it came from; time passes until it comes, at the most
    /// for `patience`.
    pub fn take_mail(
        &mut self,
        address: SocketAddr,
        patience: Duration,
        is_one: impl Fn(&str) -> bool,
    ) -> Option<(SocketAddr, String)> {
        let until = self.now + patience;
        loop {
            let mailbox = self.mailboxes.get_mut(&address)?;
            if let Some(place) = mailbox.iter().position(|mail| is_one(&mail.text)) {
                let now = mailbox.get(place).map(|mail| mail.at);
                // Its copy comes at the same time.
                while self.flights.keys().next().map(|(at, _)| *at) == now && self.step(until) {}
                let mail = self.mailboxes.get_mut(&address)?.remove(place)?;
                return Some((mail.from, mail.text));
            }
            if !self.step(until) {
                return None;
            }
        }
    }

    /// Sends a message of such a phone.
    pub fn send_mail(&mut self, from: SocketAddr, to: SocketAddr, text: &str) {
        self.send(from, to, text.as_bytes());
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..MOST_STEPS {
            if !self.step(until) {
                return;
            }
        }
        panic!("too much happens");
    }

    /// Lets everything happen until nothing is left to happen: no datagram on its way, no timer anywhere.
    pub fn settle(&mut self) {
        self.pass(Duration::from_secs(24 * 3600));
    }

    /// Asks the controller by HTTP, as the agent; returns status, head and body.
    pub fn ask(&mut self, method: &str, path: &str, fields: &str) -> (u16, String, String) {
        let id = ConnectionId(self.connections);
        self.connections += 1;
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        let accepted = Input::Accepted { listener: ListenerId(0), connection: id, peer };
        self.hand(Place::Controller, accepted);
        let (_, head, _) = self.exchange_http(id, method, path, fields);
        let authorization = Login::challenged(&head).line(method, path, "1");
        let answer = self.exchange_http(id, method, path, &format!("{fields}{authorization}"));
        self.hand(Place::Controller, Input::Lost { connection: id });
        answer
    }

    fn exchange_http(
        &mut self,
        id: ConnectionId,
        method: &str,
        path: &str,
        fields: &str,
    ) -> (u16, String, String) {
        self.http.clear();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        self.hand(Place::Controller, Input::Received { connection: id, bytes: request.as_bytes() });
        let text = String::from_utf8(std::mem::take(&mut self.http)).expect("answers are text");
        let (head, body) = text.split_once("\r\n\r\n").expect("the answer has a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("it has a status");
        (status, head.to_owned(), body.to_owned())
    }

    /// Places a call from user1 to user2; panics if that is not taken.
    pub fn place(&mut self, parameters: &str) {
        let (status, _, body) =
            self.ask("POST", &format!("/callcontroller/user1/user2?agent=agent&{parameters}"), "");
        assert_eq!(status, 200, "{body}");
    }

    /// The call from user1 to user2 as JSON.
    pub fn call(&mut self) -> serde_json::Value {
        let (_, _, body) = self.ask("GET", "/callcontroller/user1/user2", "Accept: application/json\r\n");
        serde_json::from_str(&body).expect("it is JSON")
    }

    /// What became of the REFER, in a word, with its status.
    pub fn outcome(&mut self) -> (String, Option<u64>) {
        let call = self.call();
        let state = call["outcome"]["state"].as_str().unwrap_or("none").to_owned();
        (state, call["outcome"]["status"].as_u64())
    }

    /// The texts of the call's events.
    pub fn texts(&mut self) -> Vec<String> {
        let call = self.call();
        let events = call["events"].as_array().expect("a call has events").clone();
        events.iter().map(|event| event["text"].as_str().expect("an event has a text").to_owned()).collect()
    }

    /// What the phone of user N is doing.
    pub fn phone(&self, number: usize) -> PhoneState {
        self.phones[number - 1].state()
    }

    /// How the peers of the phone of user N have described their media.
    pub fn sdps(&self, number: usize) -> Vec<&str> {
        self.phones[number - 1].remote_sdps()
    }

    /// What the phone of user N has done.
    pub fn counts(&self, number: usize) -> PhoneCounts {
        self.phones[number - 1].counts()
    }

    /// The messages that went from one address to another, whose start line begins so.
    pub fn between(&self, from: SocketAddr, to: SocketAddr, start: &str) -> Vec<String> {
        let fits = |(sender, receiver, text): &&(SocketAddr, SocketAddr, String)| {
            *sender == from && *receiver == to && text.starts_with(start)
        };
        self.ladder.iter().filter(fits).map(|(_, _, text)| text.clone()).collect()
    }

    /// The messages that the controller sent whose start line begins so.
    pub fn sent(&self, start: &str) -> Vec<String> {
        let own = |(from, _, text): &&(SocketAddr, SocketAddr, String)| {
            *from == controller_address() && text.starts_with(start)
        };
        self.ladder.iter().filter(own).map(|(_, _, text)| text.clone()).collect()
    }

    /// Everybody hangs up, time passes, and then nothing may be left of anything.
    pub fn expect_nothing_left(&mut self) {
        let now = self.now;
        for place in 0..self.phones.len() {
            self.phones[place].hang_up_all(now, &mut self.outbox);
            self.take_out(Place::Phone(place));
            self.hand(Place::Phone(place), Input::Timeout);
        }
        self.settle();
        assert_eq!(self.controller.census(), Census::default());
        for (place, phone) in self.phones.iter().enumerate() {
            assert_eq!(phone.census(), PhoneCensus::default(), "phone {}", place + 1);
        }
        for (from, _, text) in &self.ladder {
            if *from == controller_address() && text.starts_with("SIP/2.0") {
                continue;
            }
            assert!(matches!(parse(text.as_bytes()), Ok(Message::Request(_) | Message::Response(_))));
        }
    }
}
