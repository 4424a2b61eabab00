//! What a seed decides: who is there, how they behave, how bad the network is, and what happens when.

use std::time::Duration;

use cordboard_core::digest::Algorithm;
use cordboard_core::softphone::{Challenge, Notices, Notify, Pickup, Temper, WhenLeft};

use super::dice::Dice;

/// How long faults go on: from a minute to four.
const FAULTS: (u64, u64) = (60, 240);

/// One run of so many is crowded: hundreds of phones, and as many calls.
const CROWDED: u64 = 40;

/// How badly datagrams travel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// How many of a hundred are lost.
    pub lost: u64,
    /// How many of a hundred arrive twice.
    pub doubled: u64,
    /// The most that one takes longer, so that others overtake it.
    pub late: Duration,
    /// How many of a thousand are changed on their way.
    pub spoilt: u64,
    /// Longer ones are lost.
    pub mtu: Option<usize>,
}

/// A time in which nothing reaches or leaves a place.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    /// Which phone; none is the exchange.
    pub phone: Option<usize>,
    /// From when.
    pub from: Duration,
    /// Until when.
    pub to: Duration,
}

/// What somebody does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Orders a call between two users.
    Post {
        /// Who is rung first.
        calling: usize,
        /// Whom that is connected to.
        called: usize,
        /// Further parameters.
        parameters: String,
    },
    /// Hangs up one of the calls that were ordered, by its number.
    Delete(u64),
    /// Transfers one of them.
    Transfer(u64, usize),
    /// A phone's user hangs up.
    HangUp(usize),
    /// A phone's user puts its calls on hold, or takes them back.
    Offer(usize, &'static str),
    /// A phone forgets everything, and comes back after a while.
    Crash(usize, Duration),
    /// The exchange forgets everything.
    Restart,
    /// All connections break.
    Break,
    /// Bytes that mean nothing come to the controller.
    Garbage(Vec<u8>),
    /// The users are read again.
    Reload,
}

/// What a seed has decided.
#[derive(Debug)]
pub struct Scenario {
    /// How each phone behaves.
    pub tempers: Vec<Temper>,
    /// Phones that often say what nobody can read, until the end of faults.
    pub broken: Vec<usize>,
    /// How badly datagrams travel, until the end of faults.
    pub weather: Weather,
    /// When nothing travels.
    pub partitions: Vec<Partition>,
    /// How the exchange asks who somebody is.
    pub challenge: Option<Challenge>,
    /// How long its nonces are good.
    pub nonce_lifetime: Option<Duration>,
    /// Whether it stays in the path.
    pub record_routes: bool,
    /// Users whose calls ring at a second phone too.
    pub forks: Vec<(usize, usize)>,
    /// Whether the controller speaks TCP with the exchange.
    pub by_tcp: bool,
    /// How many workers the controller has.
    pub workers: u8,
    /// How many calls may be in progress at once, if that is few.
    pub max_calls: Option<usize>,
    /// Lines for the controller's `[calls]`.
    pub calls: String,
    /// What happens, and when.
    pub acts: Vec<(Duration, Act)>,
    /// When the faults end.
    pub healed: Duration,
}

impl Scenario {
    /// What this seed decides.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 1);
        let crowd = seed % CROWDED == CROWDED - 1;
        let phones = if crowd { 100 + dice.below(150) } else { 3 + dice.below(6) } as usize;
        let healed = Duration::from_secs(FAULTS.0 + dice.below(FAULTS.1 - FAULTS.0));
        let by_tcp = dice.happens(25);
        // What is sent again by datagrams is no retransmission any more behind a stateless proxy that speaks TCP
        // (RFC 3261 §16.11): there, connections break instead.
        let calm = by_tcp || dice.happens(30);
        let weather = if calm { Weather::default() } else { weather(&mut dice) };
        let record_routes = by_tcp || dice.happens(70);
        let challenge = dice.happens(45).then(|| Challenge {
            algorithm: if dice.happens(50) { Algorithm::Md5 } else { Algorithm::Sha256 },
            as_server: dice.happens(40),
            inside: dice.happens(50),
            // A stateless proxy takes the copies of a request for requests.
            once: calm && dice.happens(20),
        });
        let nonce_lifetime = dice.happens(30).then(|| Duration::from_secs(1 + dice.below(30)));
        let partitions = match dice.below(4) {
            _ if by_tcp => Vec::new(),
            0 => Vec::new(),
            count => (0..count - 1).map(|_| partition(&mut dice, phones, healed)).collect(),
        };
        let forks =
            if dice.happens(20) { vec![(0, 1 + dice.below(phones as u64 - 1) as usize)] } else { Vec::new() };
        let fallback = if dice.happens(30) { "refer_fallback = \"invite\"\n" } else { "" };
        let calls = format!("session_expires = \"90s\"\ntimeout = \"{}s\"\n{fallback}", 5 + dice.below(40));
        let tempers = (0..phones).map(|_| temper(&mut dice)).collect();
        let broken = (0..phones).filter(|_| !by_tcp && dice.happens(4)).collect();
        let count = if crowd { 300 + dice.below(200) } else { 12 + dice.below(50) };
        let acts = acts(&mut dice, (count, phones), healed);
        let workers = *dice.pick(&[1, 1, 2, 3]);
        let max_calls = dice.happens(15).then(|| 1 + dice.below(6) as usize);
        let calls = max_calls.map_or(calls.clone(), |most| format!("{calls}max_calls = {most}\n"));
        Self {
            tempers,
            broken,
            weather,
            partitions,
            challenge,
            nonce_lifetime,
            record_routes,
            forks,
            by_tcp,
            workers,
            max_calls,
            calls,
            acts,
            healed,
        }
    }
}

fn weather(dice: &mut Dice) -> Weather {
    Weather {
        lost: dice.below(20),
        doubled: dice.below(25),
        late: dice.time(Duration::from_millis(600)),
        spoilt: if dice.happens(30) { dice.below(40) } else { 0 },
        mtu: dice.happens(15).then(|| 600 + dice.below(900) as usize),
    }
}

fn partition(dice: &mut Dice, phones: usize, healed: Duration) -> Partition {
    let from = dice.time(healed);
    let to = (from + Duration::from_secs(1 + dice.below(25))).min(healed);
    let phone = dice.happens(70).then(|| dice.below(phones as u64) as usize);
    Partition { phone, from, to }
}

/// What a phone may be like, more often good than not.
fn temper(dice: &mut Dice) -> Temper {
    let mut temper = Temper { ring: dice.time(Duration::from_secs(6)), ..Temper::default() };
    if dice.happens(15) {
        temper.ring = Duration::ZERO;
    }
    temper.pickup = match dice.below(14) {
        0 => Pickup::Refuse(*dice.pick(&[486, 603, 480, 404, 500, 503, 302])),
        1 => Pickup::Never,
        2 => Pickup::DespiteCancel,
        _ => Pickup::Answer,
    };
    temper.reliable = dice.happens(15);
    temper.answers_twice = dice.happens(10);
    temper.forgets = dice.happens(5);
    temper.forwards = dice.happens(4);
    temper.gruu = dice.happens(15);
    if dice.happens(25) {
        temper.hangs_up_after = Some(dice.time(Duration::from_secs(60)));
    }
    if dice.happens(20) {
        let all = ["sendonly", "inactive", "nomedia", "recvonly"];
        temper.refuses_offers = (0..=dice.below(2)).map(|_| (*dice.pick(&all)).to_owned()).collect();
    }
    referral(dice, &mut temper);
    temper
}

fn referral(dice: &mut Dice, temper: &mut Temper) {
    let referral = &mut temper.referral;
    referral.answer = *dice.pick(&[202, 202, 202, 202, 200, 603, 405, 501]);
    referral.first_answer = dice.happens(8).then_some(491);
    referral.unwatched = dice.happens(5);
    referral.notify_first = dice.happens(8);
    referral.hold = dice.happens(10);
    referral.hang_up = dice.happens(8);
    referral.notifies_twice = dice.happens(8);
    referral.forgets_final = dice.happens(8);
    referral.failure_stays_active = dice.happens(10);
    referral.when_left = *dice.pick(&[WhenLeft::Notifies, WhenLeft::Reports500, WhenLeft::FallsSilent]);
    if dice.happens(10) {
        let state = "terminated;reason=noresource";
        referral.notices = Notices::Script(match dice.below(3) {
            0 => vec![Notify::status("SIP/2.0 200 OK", state)],
            1 => vec![
                Notify::status("SIP/2.0 100 Trying", "active"),
                Notify::status("SIP/2.0 486 Busy", state),
            ],
            _ => vec![Notify { state: state.to_owned(), body: None }],
        });
    } else {
        referral.notices = Notices::Follow { ringing: dice.happens(70) };
    }
}

fn acts(dice: &mut Dice, (count, phones): (u64, usize), healed: Duration) -> Vec<(Duration, Act)> {
    let mut acts: Vec<(Duration, Act)> = (0..count).map(|_| (dice.time(healed), act(dice, phones))).collect();
    acts.sort_by_key(|(at, _)| *at);
    acts
}

fn act(dice: &mut Dice, phones: usize) -> Act {
    let phone = |dice: &mut Dice| dice.below(phones as u64) as usize;
    match dice.below(100) {
        0..40 => {
            let (calling, called) = (phone(dice), phone(dice));
            let way = if dice.happens(70) { "sipMethod=INVITE" } else { "sipMethod=REFER" };
            let timeout =
                if dice.happens(50) { format!("&timeout={}", 1 + dice.below(30)) } else { String::new() };
            let more: &str =
                dice.pick::<&str>(&["", "", "&isForwardingAllowed=true", "&subject=x", "&autoAnswer=true"]);
            Act::Post { calling, called, parameters: format!("{way}{timeout}{more}") }
        }
        40..55 => Act::Delete(dice.bits()),
        55..68 => Act::Transfer(dice.bits(), phone(dice)),
        68..76 => Act::HangUp(phone(dice)),
        76..86 => Act::Offer(phone(dice), dice.pick::<&str>(&["sendonly", "sendrecv", "inactive"])),
        86..90 => Act::Crash(phone(dice), dice.time(Duration::from_secs(30))),
        90..92 => Act::Restart,
        92..94 => Act::Break,
        94..98 => Act::Garbage(garbage(dice)),
        _ => Act::Reload,
    }
}

fn garbage(dice: &mut Dice) -> Vec<u8> {
    let start: &[&str] = &["", "INVITE sip:x SIP/2.0\r\n", "SIP/2.0 200 OK\r\nVia: ", "\r\n", "BYE "];
    let mut bytes = dice.pick(start).as_bytes().to_vec();
    bytes.extend((0..dice.below(300)).map(|_| dice.bits() as u8));
    bytes
}
