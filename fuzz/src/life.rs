//! A life of the whole controller in virtual time: orders come in, peers answer what it sends them or say anything else,
//! connections come and go, time passes; in the end nothing may be left.

mod dns;
mod orders;
mod says;
mod world;

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use cordboard_core::io::Input;
use cordboard_core::sip::resolve::Names;

use dns::Lookup;
use orders::Order;
use says::{Reply, Within};
use world::{Kind, World};

/// More steps than these are not looked at: the deepest calls need some thirty.
const MOST_STEPS: usize = 160;

/// One input of the target.
#[derive(Arbitrary, Debug)]
struct Life<'a> {
    setting: Setting,
    steps: Vec<Step<'a>>,
}

/// What the controller is started with.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Setting {
    proxy: Proxy,
    fallback: bool,
    let_go_ringing: bool,
    shows_party: bool,
    timers_off: bool,
    names: bool,
}

/// Where requests go.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Proxy {
    Udp,
    Tcp,
    Named,
    None,
}

impl Setting {
    fn toml(self) -> String {
        let proxy = match self.proxy {
            Proxy::Udp => "proxy = \"sip:127.0.0.1:5060\"",
            Proxy::Tcp => "proxy = \"sip:127.0.0.1:5060;transport=tcp\"",
            Proxy::Named => "proxy = \"sip:pbx.example.com\"",
            Proxy::None => "",
        };
        let choose = |choice, yes, no| if choice { yes } else { no };
        format!(
            "[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]\n[sip]\ndomain = \"example.com\"\n\
             listen = [\"udp:127.0.0.1:6050\", \"tcp:127.0.0.1:6050\"]\n{proxy}\n\
             [calls]\nrefer_fallback = \"{}\"\nrefer_hangup = \"{}\"\nidentity = \"{}\"\nsession_expires = \"{}\"\n\
             [limits]\nsip_idle_time = \"60s\"\nrecord_events = 8\nsip_message = 4096\n",
            choose(self.fallback, "invite", "none"),
            choose(self.let_go_ringing, "ringing", "final"),
            choose(self.shows_party, "party", "agent"),
            choose(self.timers_off, "off", "90s"),
        )
    }
}

/// One thing that happens.
#[derive(Arbitrary, Debug)]
enum Step<'a> {
    /// Somebody orders something by HTTP, and logs in for it.
    Order(Order),
    /// A peer answers a request of the controller's.
    Answer(Reply<'a>),
    /// A peer sends a request in a dialog with the controller.
    Within(Within<'a>),
    /// A peer sends something again: so many messages ago.
    Again(u8),
    /// Time passes, and the controller is woken when it wants.
    Wait(u8),
    /// Time passes, and the controller is woken too late.
    Oversleep(u8),
    /// The controller is woken before anything is due.
    Early,
    /// Bytes come by datagram.
    Datagram { from: u8, bytes: &'a [u8] },
    /// Somebody connects: for HTTP, or for SIP.
    Accept { sip: bool },
    /// Bytes come on a connection of somebody's.
    Received { which: u8, bytes: &'a [u8] },
    /// A connection that the controller opens stands.
    Connected(u8),
    /// A connection breaks.
    Lost(u8),
    /// The system takes bytes of what is written, or no more from now on.
    Taking(bool),
    /// The system says that an address cannot be reached.
    Unreachable(u8),
    /// A name server answers.
    Lookup(Lookup<'a>),
    /// A name server cannot be asked.
    Unanswered(u8),
    /// What the system says of names is read again.
    Names(bool),
    /// The users file is read again: with or without the agent.
    Reload(bool),
    /// The service is to stop.
    Drain,
    /// A connection that nobody has opened is spoken of.
    Nobody(u64),
}

/// Times that matter: short ones, the timers of RFC 3261, those of calls.
const TIMES: [Duration; 16] = [
    Duration::from_millis(500),
    Duration::from_millis(1),
    Duration::from_millis(0),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(31),
    Duration::from_secs(32),
    Duration::from_secs(45),
    Duration::from_secs(64),
    Duration::from_secs(90),
    Duration::from_secs(180),
    Duration::from_secs(3600),
];

fn time(choice: u8) -> Duration {
    TIMES[usize::from(choice) % TIMES.len()]
}

/// What the system says of names.
fn names(hosts: bool) -> Names {
    let hosts = if hosts { "127.0.0.1 pbx.example.com example.com\n" } else { "" };
    Names::read("nameserver 127.0.0.53\noptions timeout:1 attempts:2\n", hosts)
}

/// Bytes as a life of the controller. After every input its tables agree, and what it sends can be read; it does not spin,
/// and a day after the end nothing is left.
pub fn controller(bytes: &[u8]) {
    let Ok(life) = Life::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let mut world = World::new(&life.setting.toml());
    if life.setting.names {
        world.hand(Input::Names(Box::new(names(false))));
    }
    for step in life.steps.into_iter().take(MOST_STEPS) {
        happens(&mut world, step);
    }
    world.expect_nothing_left();
}

fn happens(world: &mut World, step: Step<'_>) {
    match step {
        Step::Order(order) => order.ask(world),
        Step::Answer(reply) => reply.send(world),
        Step::Within(within) => within.send(world),
        Step::Again(back) => world.say_again(back),
        Step::Wait(choice) => world.pass(time(choice)),
        Step::Oversleep(choice) => world.oversleep(time(choice)),
        Step::Early => world.hand(Input::Timeout),
        Step::Datagram { from, bytes } => world.datagram(world::peer(from), bytes),
        Step::Accept { sip } => {
            world.accept(if sip { Kind::Sip } else { Kind::Http });
        }
        Step::Received { which, bytes } => world.received_on(which, bytes),
        Step::Connected(which) => world.connected(which),
        Step::Lost(which) => world.lose(which),
        Step::Taking(takes) => world.takes(takes),
        Step::Unreachable(which) => world.unreachable(world::peer(which)),
        Step::Lookup(lookup) => lookup.answer(world),
        Step::Unanswered(which) => world.unanswered(which),
        Step::Names(hosts) => world.hand(Input::Names(Box::new(names(hosts)))),
        Step::Reload(agent) => world.hand(Input::Reload(Box::new(world::users(agent)))),
        Step::Drain => world.hand(Input::Drain),
        Step::Nobody(id) => world.nobody(id),
    }
}
