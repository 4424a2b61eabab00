//! Challenges within a call, nonces that grow old or serve once, and phones that are challenged too.

use std::time::Duration;

use cordboard_core::digest::Algorithm;
use cordboard_core::softphone::{Challenge, PhoneState, Referral, Temper};
use cordboard_tests::world::{Setting, World, controller_address, exchange_address};

use super::{called, challenge, referred};

fn inside() -> Challenge {
    Challenge { inside: true, ..challenge(Algorithm::Sha256) }
}

fn once() -> Setting {
    Setting { challenge: Some(Challenge { once: true, ..inside() }), ..Setting::default() }
}

#[test]
fn a_nonce_that_serves_once_is_replaced_for_each_request() {
    let mut world = called(once(), Temper::default());
    assert_eq!(world.outcome().0, "connected", "{:#?}", world.texts());
    for method in ["INVITE", "REFER", "BYE"] {
        assert_eq!(world.sent(method).len(), 2, "{method}");
    }
    world.expect_nothing_left();
}

#[test]
fn a_stale_nonce_is_replaced_on_every_request() {
    let setting = Setting {
        challenge: Some(inside()),
        nonce_lifetime: Some(Duration::from_millis(50)),
        ..Setting::default()
    };
    let mut world = called(setting, Temper::default());
    assert_eq!(world.outcome().0, "connected", "{:#?}", world.texts());
    let told = world.between(exchange_address(), controller_address(), "SIP/2.0 407");
    assert_eq!(told.iter().filter(|text| text.contains("stale=true")).count(), 2, "for REFER and for BYE");
    assert_eq!((world.sent("REFER").len(), world.sent("BYE").len()), (2, 2));
    world.expect_nothing_left();
}

#[test]
fn a_server_whose_nonces_are_always_stale_ends_the_call() {
    let setting =
        Setting { challenge: Some(inside()), nonce_lifetime: Some(Duration::ZERO), ..Setting::default() };
    let mut world = called(setting, Temper::default());
    assert_eq!(world.texts(), ["SIP/2.0 407 Proxy Authentication Required"]);
    assert!(world.sent("INVITE").len() < 8);
    world.expect_nothing_left();
}

#[test]
fn phones_answer_challenges_within_a_call_as_well() {
    for once in [false, true] {
        let setting = Setting { challenge: Some(Challenge { once, ..inside() }), ..Setting::default() };
        let referral = Referral { hold: true, hang_up: true, ..Referral::default() };
        let mut world = called(setting, referred(referral));
        assert_eq!(world.outcome().0, "connected", "once: {once} {:#?}", world.texts());
        assert!(matches!(world.phone(2), PhoneState::InCall(_)));
        assert_eq!(world.sent("BYE").len(), 0, "the phone's own BYE came through");
        world.expect_nothing_left();
    }
}

#[test]
fn requests_that_are_challenged_at_the_same_time_are_all_answered() {
    // The REFER leaves at 330 ms and is challenged at 340: the BYE follows at once, or behind the second REFER.
    for after in [321, 326, 331, 336, 341, 346, 351] {
        let mut world = World::new(once(), vec![Temper::default(), Temper::default()]);
        world.place("");
        world.pass(Duration::from_millis(after));
        let (status, ..) = world.ask("DELETE", "/callcontroller/user1/user2", "");
        assert_eq!(status, 204, "after {after} ms");
        world.pass(Duration::from_secs(40));
        let byes = world.between(exchange_address(), cordboard_tests::world::phone_address(1), "BYE");
        assert_eq!(byes.len(), 1, "after {after} ms: {:#?}", world.sent("BYE"));
        assert_eq!(
            world.counts(1).referred,
            u32::from(after > 340),
            "no REFER is tried again behind the BYE"
        );
        world.expect_nothing_left();
    }
}
