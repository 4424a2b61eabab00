//! A calling party with several phones.

use std::time::Duration;

use cordboard_core::digest::Algorithm;
use cordboard_core::softphone::{Challenge, PhoneState, Pickup, Temper};
use cordboard_tests::world::{Setting, World, exchange_address, phone_address};

use super::challenge;

/// The calls of user1 ring at the phones of user1 and user3, with these tempers.
fn forked(setting: Setting, one: Temper, three: Temper) -> World {
    let setting = Setting { forks: &[("user1", &[3])], ..setting };
    World::new(setting, vec![one, Temper::default(), three])
}

fn picks(pickup: Pickup) -> Temper {
    Temper { pickup, ..Temper::default() }
}

fn rings(millis: u64) -> Temper {
    Temper { ring: Duration::from_millis(millis), ..Temper::default() }
}

#[test]
fn the_first_phone_to_answer_has_the_call() {
    for (one, three, winner, other) in [
        (rings(300), rings(900), 1, 3),
        (rings(900), rings(300), 3, 1),
        (picks(Pickup::Refuse(486)), rings(700), 3, 1),
    ] {
        let mut world = forked(Setting::default(), one, three);
        world.place("");
        world.pass(Duration::from_secs(10));
        assert_eq!(world.outcome().0, "connected");
        assert!(matches!(world.phone(winner), PhoneState::InCall(_)));
        assert_eq!((world.phone(other), world.counts(other).answered), (PhoneState::Idle, 0));
        world.expect_nothing_left();
    }
}

#[test]
fn of_two_phones_that_answer_at_once_one_is_hung_up_on() {
    for challenge in [None, Some(Challenge { inside: true, ..challenge(Algorithm::Sha256) })] {
        let mut world = forked(Setting { challenge, ..Setting::default() }, rings(300), rings(303));
        world.place("");
        world.pass(Duration::from_secs(10));
        assert_eq!(world.outcome().0, "connected");
        assert_eq!((world.counts(1).answered, world.counts(3).answered), (1, 1));
        assert_eq!(world.phone(3), PhoneState::Idle);
        assert_eq!((world.counts(1).referred, world.counts(3).referred), (1, 0));
        assert_eq!(world.between(exchange_address(), phone_address(3), "BYE").len(), 1);
        world.expect_nothing_left();
    }
}

#[test]
fn the_phone_that_lost_is_hung_up_on_even_if_the_bye_is_challenged() {
    let once = Challenge { inside: true, once: true, ..challenge(Algorithm::Sha256) };
    let mut world = forked(Setting { challenge: Some(once), ..Setting::default() }, rings(300), rings(303));
    world.place("");
    world.pass(Duration::from_secs(10));
    assert_eq!(world.outcome().0, "connected");
    assert_eq!(world.phone(3), PhoneState::Idle);
    world.expect_nothing_left();
}

#[test]
fn all_phones_refusing_is_one_refusal() {
    let mut world = forked(Setting::default(), picks(Pickup::Refuse(486)), picks(Pickup::Refuse(480)));
    world.place("");
    world.pass(Duration::from_secs(10));
    let finals = world.texts().iter().filter(|text| text.contains(" 48")).count();
    assert_eq!((world.outcome().0.as_str(), finals), ("none", 1), "{:#?}", world.texts());
    world.expect_nothing_left();
}

#[test]
fn a_canceled_call_rings_nowhere_any_more() {
    let mut world = forked(Setting::default(), picks(Pickup::Never), picks(Pickup::Never));
    world.place("timeout=3");
    world.pass(Duration::from_secs(2));
    assert_eq!((world.phone(1), world.phone(3)), (PhoneState::Ringing, PhoneState::Ringing));
    world.pass(Duration::from_secs(2));
    assert_eq!((world.phone(1), world.phone(3)), (PhoneState::Idle, PhoneState::Idle));
    assert_eq!(world.texts(), ["SIP/2.0 180 Ringing", "SIP/2.0 487 Request Terminated"]);
    world.expect_nothing_left();
}

#[test]
fn a_cancel_that_two_answers_cross_ends_both() {
    let mut world = forked(Setting::default(), picks(Pickup::DespiteCancel), picks(Pickup::DespiteCancel));
    world.place("timeout=3");
    world.pass(Duration::from_secs(10));
    assert_eq!((world.phone(1), world.phone(3)), (PhoneState::Idle, PhoneState::Idle));
    assert_eq!((world.counts(1).answered, world.counts(3).answered, world.sent("REFER").len()), (1, 1, 0));
    world.expect_nothing_left();
}
