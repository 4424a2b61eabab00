//! Whatever happens outside, in whatever order: the controller never panics or loops, holds no more than its limits let
//! it, answers a tape in the same way each time, and has forgotten everything a day later.

mod found;
mod outside;
mod peers;
mod streams;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;

use outside::Outside;

/// What is done to bytes before they come in.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Byte(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    DropLine(Index),
    DoubleLine(Index),
}

impl Change {
    fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() {
            return bytes;
        }
        let lines = || bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
        match self {
            Change::Nothing => {}
            Change::Byte(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Change::Insert(at, more) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, more.iter().copied());
            }
            Change::DropLine(at) => {
                let mut lines = lines();
                lines.remove(at.index(lines.len()));
                bytes = lines.concat();
            }
            Change::DoubleLine(at) => {
                let mut lines = lines();
                let at = at.index(lines.len());
                lines.insert(at, lines[at].clone());
                bytes = lines.concat();
            }
        }
        bytes
    }
}

/// One thing that happens outside. Where one of several is meant, it is counted from the latest.
#[derive(Clone, Debug)]
enum Step {
    /// A datagram of no meaning.
    Noise(Vec<u8>),
    /// A message of somebody who is in no call.
    Fresh { what: u8, change: Change },
    /// The response to a request of ours.
    Reply { back: u8, status: u16, dress: u16, change: Change },
    /// A request in the dialog that an INVITE of ours makes.
    Within { back: u8, what: u8, dress: u16, change: Change },
    /// A datagram that came before comes again.
    Again(u8),
    /// An order by HTTP, from connecting to the answer.
    Order { what: u8, parties: u8, login: u8 },
    /// A connection to a listener.
    Accept(u16),
    /// Bytes on any connection.
    Bytes { back: u8, what: u8, change: Change },
    /// Bytes of any connection went to the system.
    Written(u8, u16),
    /// A connection broke, or could not be opened.
    Lost(u8),
    /// One that we opened stands.
    Connected(u8),
    /// A name server answers.
    Answer { back: u8, how: u8, change: Change },
    /// A name server does not.
    Unanswered(u8),
    /// A datagram of ours did not arrive.
    Unreachable(u8),
    /// The users file was read anew.
    Reload(bool),
    /// The system's names were read anew.
    Names,
    /// The service is to stop.
    Drain,
    /// Time passes.
    Pass(u64),
    /// Time passes until something is due.
    Wake,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        12 => Just(Change::Nothing),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, more)| Change::Insert(at, more)),
        1 => any::<Index>().prop_map(Change::DropLine),
        1 => any::<Index>().prop_map(Change::DoubleLine),
    ]
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![
        8 => Just(200u16),
        2 => Just(202u16),
        4 => prop::sample::select(vec![100u16, 180, 181, 183]),
        4 => prop::sample::select(vec![
            302u16, 401, 404, 407, 408, 415, 420, 422, 480, 481, 486, 487, 488, 491, 500, 503, 603, 606,
        ]),
        1 => 100u16..700,
    ]
}

/// Mostly the latest.
fn back() -> impl Strategy<Value = u8> {
    prop_oneof![6 => Just(0u8), 3 => 0u8..3, 1 => any::<u8>()]
}

fn of_sip() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..80).prop_map(Step::Noise),
        2 => (any::<u8>(), change()).prop_map(|(what, change)| Step::Fresh { what, change }),
        14 => (back(), status(), any::<u16>(), change())
            .prop_map(|(back, status, dress, change)| Step::Reply { back, status, dress, change }),
        8 => (back(), any::<u8>(), any::<u16>(), change())
            .prop_map(|(back, what, dress, change)| Step::Within { back, what, dress, change }),
        2 => any::<u8>().prop_map(Step::Again),
        1 => back().prop_map(Step::Unreachable),
    ]
}

fn of_streams() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0u16..5).prop_map(Step::Accept),
        3 => (back(), any::<u8>(), change()).prop_map(|(back, what, change)| Step::Bytes { back, what, change }),
        1 => (back(), any::<u16>()).prop_map(|(back, bytes)| Step::Written(back, bytes)),
        1 => back().prop_map(Step::Lost),
        3 => back().prop_map(Step::Connected),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => of_sip(),
        7 => of_streams(),
        8 => (any::<u8>(), any::<u8>(), any::<u8>())
            .prop_map(|(what, parties, login)| Step::Order { what, parties, login }),
        6 => (back(), any::<u8>(), change()).prop_map(|(back, how, change)| Step::Answer { back, how, change }),
        1 => back().prop_map(Step::Unanswered),
        1 => any::<bool>().prop_map(Step::Reload),
        1 => Just(Step::Names),
        3 => prop_oneof![Just(0u64), 0u64..1_000_000, 0u64..400_000_000].prop_map(Step::Pass),
        4 => Just(Step::Wake),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = prop::collection::vec(step(), 1..90);
    let drained = prop::option::weighted(0.2, any::<Index>());
    (some, drained).prop_map(|(mut steps, drained)| {
        if let Some(at) = drained {
            let at = at.index(steps.len());
            steps.insert(at, Step::Drain);
            steps.push(Step::Drain);
        }
        steps
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_sequence_of_inputs_breaks_it_and_a_day_later_nothing_is_left(kind in 0usize..outside::KINDS, steps in steps()) {
        let mut outside = Outside::new(kind);
        steps.iter().for_each(|step| outside.happen(step));
        outside.let_a_day_pass();
        outside.expect_nothing_left();
    }

    #[test]
    fn the_same_tape_gives_the_same_bytes(kind in 0usize..outside::KINDS, steps in steps()) {
        let play = || {
            let mut outside = Outside::new(kind);
            steps.iter().for_each(|step| outside.happen(step));
            outside.let_a_day_pass();
            outside.told
        };
        prop_assert_eq!(play(), play());
    }
}

/// The steps above are worth nothing if they lead to no calls: this one talks and is transferred.
#[test]
fn these_steps_make_calls_that_are_answered_and_end() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut placed, mut answered, mut referred, mut joined) = (0, 0, 0, 0);
    for _ in 0..200 {
        let steps = steps().new_tree(&mut runner).expect("steps can be made").current();
        let mut outside = Outside::new(0);
        steps.iter().for_each(|step| outside.happen(step));
        placed += outside.said("INVITE ");
        answered += outside.said("ACK ");
        referred += outside.said("REFER ");
        joined += outside.said("BYE ");
    }
    let all = [placed, answered, referred, joined];
    assert!(all.iter().all(|count| *count > 100), "{all:?}");
}
