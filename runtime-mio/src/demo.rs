//! `cordboard demo`: an exchange, three phones and the controller on loopback, over real sockets. Calls are placed over
//! real HTTPS and drawn as they happen; then everything stays up to be tried.

mod client;
mod visit;

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cordboard_core::config::{Config, Listen, SipTransport};
use cordboard_core::digest::{Algorithm, Verifiers};
use cordboard_core::io::Input;
use cordboard_core::ladder::Ladder;
use cordboard_core::softphone::{
    Challenge, Exchange, ExchangeConfig, Phone, PhoneConfig, Subscriber, Temper,
};
use cordboard_core::users::{Directory, SipCredentials, User};
use cordboard_core::{Controller, Report};

use crate::net::Machine;
use crate::net::bound::Bound;
use crate::net::event_loop::{EventLoop, Host};
use crate::serve::{Service, bind};
use crate::system::{epoch, seed};
use crate::{certificate, log};
use visit::{Addresses, visit};

const DOMAIN: &str = "example.com";
const PIN: &str = "123";
const USERS: [&str; 3] = ["user1", "user2", "user3"];
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Runs the demo until it is told to end.
pub(crate) fn run(https: SocketAddr, http: SocketAddr) -> Result<(), String> {
    log::start("warn");
    let exchange_bound = bind_one()?;
    let exchange = own_address(&exchange_bound)?;
    let mut config = configuration(https, http, exchange)?;
    let controller_bound = bind(&mut config)?;
    let controller = own_address(&controller_bound)?;
    let mut columns = vec![(controller, "cordboard".to_owned()), (exchange, "exchange".to_owned())];
    let mut subscribers = Vec::new();
    for user in USERS {
        let phone_bound = bind_one()?;
        let address = own_address(&phone_bound)?;
        columns.push((address, user.to_owned()));
        subscribers.push(Subscriber {
            user: user.to_owned(),
            phone: Some(address),
            verifiers: verifiers(user),
        });
        start_phone(user, address, exchange, phone_bound)?;
    }
    start_exchange(exchange, subscribers, Drawing::new(columns), exchange_bound)?;
    let (acceptor, certificate) =
        certificate::self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let users = directory()?;
    let (https, http) = (first(&config.http.https)?, first(&config.http.http)?);
    let mut controller_loop =
        EventLoop::new(controller_bound).map_err(|e| format!("watching sockets: {e}"))?;
    let mut service = Service::new(&controller_loop, None)?;
    let machine = Controller::new(config, users, seed()?, epoch()).map_err(|e| e.to_string())?;
    spawn("visitor", move || visit(Addresses { https, http }, &certificate))?;
    let input = vec![Input::Certificate(Box::new(acceptor))];
    controller_loop.run(machine, &mut service, input).map_err(|e| format!("waiting for sockets: {e}"))
}

fn configuration(https: SocketAddr, http: SocketAddr, exchange: SocketAddr) -> Result<Config, String> {
    let text = format!("[sip]\ndomain = \"{DOMAIN}\"\nproxy = \"sip:{exchange};transport=udp\"\n");
    let mut config = Config::from_toml(&text).map_err(|e| e.to_string())?;
    config.http.https = vec![https];
    config.http.http = vec![http];
    config.sip.listen = vec![Listen { transport: SipTransport::Udp, address: ANY }];
    Ok(config)
}

fn directory() -> Result<Directory, String> {
    let user = |name: &&str| User::new(name, DOMAIN, PIN).with_sip_password(name, DOMAIN, PIN);
    Directory::new(USERS.iter().map(user).collect(), DOMAIN).map_err(|e| e.to_string())
}

fn verifiers(user: &str) -> Verifiers {
    Verifiers::of(user, DOMAIN, PIN)
}

fn bind_one() -> Result<Bound, String> {
    Bound::new(&[ANY], &[]).map_err(|e| e.to_string())
}

fn own_address(bound: &Bound) -> Result<SocketAddr, String> {
    first(bound.datagram_addresses())
}

/// Runs a machine of the demo on a thread of its own.
fn run_machine(
    name: &'static str,
    bound: Bound,
    machine: impl Machine + Send + 'static,
    mut host: impl Host + Send + 'static,
) -> Result<(), String> {
    spawn(name, move || {
        let ended =
            EventLoop::new(bound).and_then(|mut event_loop| event_loop.run(machine, &mut host, Vec::new()));
        if let Err(e) = ended {
            tracing::error!(error = %e, name, "a part of the demo has ended");
        }
    })
}

fn first(addresses: &[SocketAddr]) -> Result<SocketAddr, String> {
    addresses.first().copied().ok_or_else(|| "nothing is listened on".to_owned())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(drop).map_err(|e| format!("a thread cannot be started: {e}"))
}

fn start_phone(
    user: &'static str,
    address: SocketAddr,
    exchange: SocketAddr,
    bound: Bound,
) -> Result<(), String> {
    let credentials =
        SipCredentials { username: user.to_owned(), realm: DOMAIN.to_owned(), verifiers: verifiers(user) };
    let config = PhoneConfig {
        user: user.to_owned(),
        domain: DOMAIN.to_owned(),
        address,
        exchange,
        credentials: Some(credentials),
        temper: Temper { ring: Duration::from_millis(200), ..Temper::default() },
    };
    run_machine(user, bound, Phone::new(config, &seed()?), Bystander)
}

fn start_exchange(
    address: SocketAddr,
    subscribers: Vec<Subscriber>,
    drawing: Drawing,
    bound: Bound,
) -> Result<(), String> {
    let challenge = Challenge { algorithm: Algorithm::Sha256, as_server: false, inside: false, once: false };
    let config = ExchangeConfig {
        domain: DOMAIN.to_owned(),
        address,
        subscribers,
        challenge: Some(challenge),
        redirections: Vec::new(),
    };
    run_machine("exchange", bound, Exchange::new(config, &seed()?), drawing)
}

/// The host of a phone: it has nothing to do besides.
struct Bystander;

impl Host for Bystander {
    fn ready(&mut self, _token: usize) -> Vec<Input<'static>> {
        Vec::new()
    }
    fn report(&mut self, _report: &Report) {}
    fn passed(&mut self, _from: SocketAddr, _to: SocketAddr, _bytes: &[u8]) {}
}

/// The host of the exchange, which every message passes: it draws them.
struct Drawing {
    ladder: Ladder,
    begin: Instant,
    last: Option<Instant>,
}

/// Says a line; there is nothing more to show once nobody reads it.
fn say(line: &str) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// After so long without a message, the columns are named again.
const PAUSE: Duration = Duration::from_secs(5);

impl Drawing {
    fn new(columns: Vec<(SocketAddr, String)>) -> Self {
        Self { ladder: Ladder::new(columns), begin: Instant::now(), last: None }
    }
}

impl Host for Drawing {
    fn ready(&mut self, _token: usize) -> Vec<Input<'static>> {
        Vec::new()
    }

    fn report(&mut self, _report: &Report) {}

    fn passed(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let now = Instant::now();
        if self.last.is_none_or(|last| now - last > PAUSE) {
            self.begin = now;
            say(&self.ladder.head());
        }
        self.last = Some(now);
        if let Some(line) = self.ladder.line(now - self.begin, from, to, bytes) {
            say(&line);
        }
    }
}
