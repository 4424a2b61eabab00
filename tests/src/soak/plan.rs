//! What kinds of calls there are: how their phones behave, what is ordered meanwhile, and how each has to end.

use std::fmt;
use std::time::Duration;

use crate::sim::dice::Dice;

/// How the parties are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The calling party is referred to the called one.
    Refer,
    /// The server stays in the path.
    Invite,
}

/// How a call is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// HTTP, with Digest.
    Http,
    /// HTTPS, by a trusted host.
    Https,
}

/// Who a phone is in its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It is rung first.
    Calling,
    /// It is who the calling one wants.
    Called,
    /// It is who the call is transferred to.
    Target,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 3] = [Role::Calling, Role::Called, Role::Target];

    /// What its users' names begin with.
    pub fn letter(self) -> char {
        match self {
            Role::Calling => 'c',
            Role::Called => 'd',
            Role::Target => 't',
        }
    }
}

/// What a phone does with an INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pickup {
    /// It rings and answers.
    Answer,
    /// It rings and is busy.
    Busy,
    /// It rings until the call is given up.
    Never,
    /// It says nothing at all.
    Silent,
}

/// What a phone does when it is referred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referral {
    /// It notifies that it rings, and that it was answered.
    Connects,
    /// It notifies that the other was busy.
    Fails,
    /// It refuses.
    Refuses,
    /// It says nothing.
    Silent,
    /// Its first NOTIFY leaves before its answer to REFER.
    NotifiesFirst,
    /// Its last NOTIFY is late.
    Late,
    /// It sends every NOTIFY twice.
    Twice,
    /// It notifies that it rings, and how it went only when it was hung up.
    Rings,
}

/// Whether a phone has session timers (RFC 4028), and how it wants them refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timers {
    /// It has none: it is asked by OPTIONS.
    None,
    /// By UPDATE.
    Update,
    /// By re-INVITE.
    Reinvite,
}

/// How a phone behaves.
#[derive(Clone, Copy, Debug)]
pub struct Temper {
    /// What it does with an INVITE.
    pub pickup: Pickup,
    /// How long it rings before; with zero it never says so.
    pub ring: Duration,
    /// The status by which it asks for credentials first.
    pub challenge: Option<u16>,
    /// It answers 488 to the first INVITE.
    pub refuses_first_offer: bool,
    /// Its session timers.
    pub timers: Timers,
    /// It hangs up after so long in a call.
    pub hangs_up: Option<Duration>,
    /// What it does when it is referred.
    pub referral: Referral,
}

impl Temper {
    const PLAIN: Temper = Temper {
        pickup: Pickup::Answer,
        ring: Duration::ZERO,
        challenge: None,
        refuses_first_offer: false,
        timers: Timers::None,
        hangs_up: None,
        referral: Referral::Connects,
    };
}

/// Something that happens in a call, upon which something is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The order was answered.
    Placed,
    /// This phone rings.
    Rings(Role),
    /// The calling phone was referred and has notified that it rings.
    Referred,
    /// Both phones know where to send their audio.
    Connected,
    /// The target has taken the calling party's place.
    Transferred,
    /// The target was busy, and knows that we know.
    TargetBusy,
}

/// An outcome as JSON shows it.
pub type Outcome = (&'static str, Option<u16>);

/// How a call has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Of connecting the called party.
    pub outcome: Option<Outcome>,
    /// Of transferring the call.
    pub transfer: Option<Outcome>,
    /// The status in the Reason of the BYE that lets the calling party go.
    pub reason: Option<u16>,
    /// Whose phones hear of it.
    pub legs: &'static [Role],
}

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is told by its name")]
pub enum Kind {
    ReferConnected,
    ReferBusy,
    ReferRefused,
    ReferUnheard,
    ReferLate,
    ReferDeleted,
    CallingBusy,
    CallingDeleted,
    CallingTimeout,
    CallingSilent,
    DeletedAtOnce,
    HungUpByCalling,
    HungUpByCalled,
    Deleted,
    CalledBusy,
    CalledDeleted,
    CalledTimeout,
    CalledSilent,
    Transferred,
    TransferBusy,
    Resting,
}

/// How many of a hundred calls are of which kind.
const SHARES: [(Kind, u64); 20] = [
    (Kind::ReferConnected, 28),
    (Kind::ReferBusy, 6),
    (Kind::ReferRefused, 4),
    (Kind::ReferUnheard, 1),
    (Kind::ReferLate, 2),
    (Kind::ReferDeleted, 3),
    (Kind::CallingBusy, 6),
    (Kind::CallingDeleted, 4),
    (Kind::CallingTimeout, 1),
    (Kind::CallingSilent, 1),
    (Kind::DeletedAtOnce, 3),
    (Kind::HungUpByCalling, 9),
    (Kind::HungUpByCalled, 9),
    (Kind::Deleted, 7),
    (Kind::CalledBusy, 4),
    (Kind::CalledDeleted, 3),
    (Kind::CalledTimeout, 1),
    (Kind::CalledSilent, 1),
    (Kind::Transferred, 4),
    (Kind::TransferBusy, 3),
];

impl Kind {
    /// Whether calls of this kind end as fast as everybody speaks.
    pub fn is_quick(self) -> bool {
        !matches!(
            self,
            Kind::ReferUnheard
                | Kind::ReferLate
                | Kind::CallingTimeout
                | Kind::CallingSilent
                | Kind::CalledTimeout
                | Kind::CalledSilent
                | Kind::Resting
        )
    }

    fn draw(dice: &mut Dice) -> Self {
        let mut at = dice.below(SHARES.iter().map(|(_, share)| share).sum());
        for (kind, share) in SHARES {
            if at < share {
                return kind;
            }
            at -= share;
        }
        Kind::ReferConnected
    }

    fn flow(self, dice: &mut Dice) -> Flow {
        match self {
            Kind::ReferConnected
            | Kind::ReferBusy
            | Kind::ReferRefused
            | Kind::ReferUnheard
            | Kind::ReferLate
            | Kind::ReferDeleted => Flow::Refer,
            Kind::HungUpByCalling
            | Kind::HungUpByCalled
            | Kind::Deleted
            | Kind::CalledBusy
            | Kind::CalledDeleted
            | Kind::CalledTimeout
            | Kind::CalledSilent
            | Kind::Transferred
            | Kind::TransferBusy
            | Kind::Resting => Flow::Invite,
            Kind::CallingBusy
            | Kind::CallingDeleted
            | Kind::CallingTimeout
            | Kind::CallingSilent
            | Kind::DeletedAtOnce => *dice.pick(&[Flow::Refer, Flow::Invite]),
        }
    }

    /// When DELETE is ordered.
    fn deleted(self, dice: &mut Dice) -> Option<Moment> {
        match self {
            Kind::ReferDeleted => Some(Moment::Referred),
            Kind::CallingDeleted => Some(Moment::Rings(Role::Calling)),
            Kind::DeletedAtOnce => Some(Moment::Placed),
            Kind::Deleted => Some(Moment::Connected),
            Kind::CalledDeleted => Some(Moment::Rings(Role::Called)),
            Kind::Transferred if dice.happens(50) => Some(Moment::Transferred),
            Kind::TransferBusy => Some(Moment::TargetBusy),
            _ => None,
        }
    }

    fn expected(self) -> Expected {
        use Role::{Called, Calling, Target};
        const CONNECTED: Option<Outcome> = Some(("connected", None));
        let end = |outcome: Option<Outcome>, legs: &'static [Role]| Expected {
            outcome,
            transfer: None,
            reason: None,
            legs,
        };
        let failed = |status: u16| Expected {
            reason: Some(status),
            ..end(Some(("failed", Some(status))), &[Calling, Called])
        };
        match self {
            Kind::ReferConnected | Kind::ReferLate | Kind::ReferDeleted => end(CONNECTED, &[Calling]),
            Kind::ReferBusy => end(Some(("failed", Some(486))), &[Calling]),
            Kind::ReferRefused => end(Some(("refused", Some(603))), &[Calling]),
            Kind::ReferUnheard => end(Some(("refused", Some(408))), &[Calling]),
            Kind::CallingBusy
            | Kind::CallingDeleted
            | Kind::CallingTimeout
            | Kind::CallingSilent
            | Kind::DeletedAtOnce => end(None, &[Calling]),
            Kind::HungUpByCalling | Kind::HungUpByCalled | Kind::Deleted | Kind::Resting => {
                end(CONNECTED, &[Calling, Called])
            }
            Kind::CalledBusy => failed(486),
            Kind::CalledTimeout | Kind::CalledSilent => failed(408),
            Kind::CalledDeleted => end(Some(("failed", Some(487))), &[Calling, Called]),
            Kind::Transferred => {
                Expected { transfer: CONNECTED, ..end(CONNECTED, &[Calling, Called, Target]) }
            }
            Kind::TransferBusy => Expected {
                transfer: Some(("failed", Some(486))),
                ..end(CONNECTED, &[Calling, Called, Target])
            },
        }
    }
}

/// A call that is to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Its kind.
    pub kind: Kind,
    /// How it is connected.
    pub flow: Flow,
    /// How it is ordered.
    pub way: Way,
    /// Whether its orders are answered as JSON.
    pub json: bool,
    /// How its phones behave: calling, called, target.
    pub tempers: [Temper; 3],
    /// How many seconds a phone is alerted, if the order says so.
    pub timeout: Option<u64>,
    /// When it is deleted.
    pub deleted: Option<Moment>,
    /// Whether it is transferred once it is connected.
    pub transferred: bool,
    /// Whether its progress is looked at meanwhile.
    pub watched: bool,
    /// Whether datagrams of its phones are lost, doubled and delayed.
    pub weather: bool,
    /// How it has to end.
    pub expected: Expected,
}

/// The longest that a phone rings which does not ring for ever.
const LONGEST_RING: Duration = Duration::from_millis(200);
/// The longest that two talk before one of them hangs up.
const LONGEST_TALK: Duration = Duration::from_millis(400);

impl Plan {
    /// The next call, of any kind.
    pub fn draw(dice: &mut Dice) -> Self {
        let kind = Kind::draw(dice);
        Self::of(kind, dice)
    }

    /// The next call of a kind that is over soon.
    pub fn draw_quick(dice: &mut Dice) -> Self {
        loop {
            let kind = Kind::draw(dice);
            if kind.is_quick() {
                return Self { weather: false, ..Self::of(kind, dice) };
            }
        }
    }

    /// A call of this kind.
    pub fn of(kind: Kind, dice: &mut Dice) -> Self {
        let flow = kind.flow(dice);
        let deleted = kind.deleted(dice);
        let mut tempers = [Temper::PLAIN; 3].map(|plain| Temper {
            ring: if dice.happens(70) { dice.time(LONGEST_RING) } else { Duration::ZERO },
            challenge: dice.happens(15).then(|| *dice.pick(&[401, 407])),
            ..plain
        });
        tempers[0].refuses_first_offer = dice.happens(10);
        let [calling, called, target] = &mut tempers;
        match kind {
            Kind::ReferConnected => {
                calling.referral =
                    *dice.pick(&[Referral::Connects, Referral::NotifiesFirst, Referral::Twice]);
            }
            Kind::ReferBusy => calling.referral = Referral::Fails,
            Kind::ReferRefused => calling.referral = Referral::Refuses,
            Kind::ReferUnheard => calling.referral = Referral::Silent,
            Kind::ReferLate => calling.referral = Referral::Late,
            Kind::ReferDeleted => calling.referral = Referral::Rings,
            Kind::CallingBusy => calling.pickup = Pickup::Busy,
            Kind::CallingDeleted | Kind::CallingTimeout | Kind::DeletedAtOnce => *calling = rings(),
            Kind::CallingSilent => *calling = Temper { pickup: Pickup::Silent, ..Temper::PLAIN },
            Kind::HungUpByCalling => calling.hangs_up = Some(dice.time(LONGEST_TALK)),
            Kind::HungUpByCalled => called.hangs_up = Some(dice.time(LONGEST_TALK)),
            Kind::CalledBusy => called.pickup = Pickup::Busy,
            Kind::CalledDeleted | Kind::CalledTimeout => *called = rings(),
            Kind::CalledSilent => *called = Temper { pickup: Pickup::Silent, ..Temper::PLAIN },
            Kind::Transferred if deleted.is_none() => target.hangs_up = Some(dice.time(LONGEST_TALK)),
            Kind::TransferBusy => target.pickup = Pickup::Busy,
            Kind::Resting => {
                calling.timers = *dice.pick(&[Timers::None, Timers::Update, Timers::Reinvite]);
                called.timers = *dice.pick(&[Timers::None, Timers::Update, Timers::Reinvite]);
            }
            Kind::Transferred | Kind::Deleted => {}
        }
        let timeout = match kind {
            Kind::CallingTimeout => Some(1 + dice.below(3)),
            // The calling party has to pick up within it too.
            Kind::CalledTimeout => Some(2 + dice.below(2)),
            _ => None,
        };
        Self {
            kind,
            flow,
            way: *dice.pick(&[Way::Http, Way::Https]),
            json: dice.happens(50),
            tempers,
            timeout,
            deleted,
            transferred: matches!(kind, Kind::Transferred | Kind::TransferBusy),
            watched: dice.happens(20),
            weather: kind.is_quick() && dice.happens(15),
            expected: kind.expected(),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weather = if self.weather { "bad" } else { "fine" };
        let legs = Role::ALL.into_iter().zip(self.tempers);
        let legs = legs.filter(|(role, _)| self.expected.legs.contains(role));
        let Self { kind, flow, way, .. } = self;
        write!(f, "{kind:?} ({flow:?}) by {way:?} in {weather} weather, {:?}", legs.collect::<Vec<_>>())
    }
}

/// A phone that rings until the call is given up, and says at once that it does.
fn rings() -> Temper {
    Temper { pickup: Pickup::Never, ring: Duration::from_millis(1), ..Temper::PLAIN }
}
