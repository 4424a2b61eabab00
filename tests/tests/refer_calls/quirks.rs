//! What baresip and linphone were seen to do, and worse.

use std::time::Duration;

use cordboard_core::softphone::{Notices, PhoneState, Pickup, Referral, Temper, WhenLeft};
use cordboard_tests::world::{Setting, World, controller_address, exchange_address, phone_address};

use super::{called, expect, referred};

const QUIET: Notices = Notices::Follow { ringing: false };

fn baresip() -> Temper {
    referred(Referral { notices: QUIET, ..Referral::default() })
}

fn linphone() -> Temper {
    let referral = Referral {
        hold: true,
        needs_ack: true,
        failure_stays_active: true,
        notices: QUIET,
        ..Referral::default()
    };
    Temper { gruu: true, referral, ..Temper::default() }
}

fn busy() -> Temper {
    Temper { pickup: Pickup::Refuse(486), ..Temper::default() }
}

fn dialled(setting: Setting, tempers: Vec<Temper>) -> World {
    let mut world = World::new(setting, tempers);
    world.place("");
    world.pass(Duration::from_secs(20));
    world
}

#[test]
fn phones_like_baresip_and_linphone_connect_each_other() {
    for (one, two) in
        [(baresip(), baresip()), (baresip(), linphone()), (linphone(), baresip()), (linphone(), linphone())]
    {
        let mut world = dialled(Setting::default(), vec![one, two]);
        assert_eq!(world.outcome().0, "connected");
        assert!(!world.texts()[2..].contains(&"SIP/2.0 180 Ringing".to_owned()), "180 is never notified");
        assert_eq!(world.sent("BYE").len(), 1, "neither hangs up the old call by itself");
        let address =
            |number| format!("m=audio {} ", 4000 + u32::from(phone_address(number).port() % 1000) * 2);
        assert!(world.sdps(1)[0].contains(&address(2)) && world.sdps(2)[0].contains(&address(1)));
        world.expect_nothing_left();
    }
}

#[test]
fn phones_like_baresip_and_linphone_tell_that_the_called_party_is_busy() {
    for one in [baresip(), linphone()] {
        let mut world = dialled(Setting::default(), vec![one, busy()]);
        assert_eq!(world.outcome(), ("failed".into(), Some(486)));
        assert_eq!((world.sent("BYE").len(), world.phone(1)), (1, PhoneState::Idle));
        world.expect_nothing_left();
    }
}

#[test]
fn a_refer_that_overtook_a_lost_ack_is_tried_again() {
    let setting = Setting { loses_first: "ACK", ..Setting::default() };
    let mut world = dialled(setting, vec![linphone(), Temper::default()]);
    assert_eq!(world.outcome().0, "connected");
    assert_eq!(world.between(exchange_address(), controller_address(), "SIP/2.0 491").len(), 1);
    assert_eq!(world.sent("REFER").len(), 2);
    world.expect_nothing_left();
}

#[test]
fn a_phone_that_dies_on_the_refer_ends_the_call_all_the_same() {
    let mut world = called(Setting::default(), referred(Referral { dies: true, ..Referral::default() }));
    assert_eq!(world.outcome().0, "accepted");
    world.pass(Duration::from_secs(60));
    assert_eq!(world.outcome().0, "unknown");
    assert_eq!(world.call()["state"], "ended");
    world.expect_nothing_left();
}

#[test]
fn a_phone_that_is_left_while_the_called_party_rings_is_believed_in_what_it_says_last() {
    for (when_left, outcome) in [
        (WhenLeft::Notifies, ("connected", None)),
        (WhenLeft::Reports500, ("failed", Some(500))),
        (WhenLeft::FallsSilent, ("unknown", None)),
    ] {
        let setting = Setting { calls: "refer_hangup = \"ringing\"", ..Setting::default() };
        let mut world = called(setting, referred(Referral { when_left, ..Referral::default() }));
        assert!(matches!(world.phone(2), PhoneState::InCall(_)), "{when_left:?}: the new call stands");
        world.pass(Duration::from_secs(60));
        assert_eq!(world.outcome(), (outcome.0.to_owned(), outcome.1), "{when_left:?}");
        assert_eq!(world.sent("BYE").len(), 1);
        world.expect_nothing_left();
    }
}

#[test]
fn a_phone_that_forgets_its_last_notify_is_let_go_when_the_subscription_runs_out() {
    let mut world =
        called(Setting::default(), referred(Referral { forgets_final: true, ..Referral::default() }));
    assert_eq!((world.outcome().0.as_str(), world.sent("BYE").len()), ("ringing", 0));
    world.pass(Duration::from_secs(50));
    assert_eq!((world.outcome().0.as_str(), world.sent("BYE").len()), ("unknown", 1));
    world.expect_nothing_left();
}

#[test]
fn a_notify_that_comes_twice_is_answered_twice_and_recorded_once() {
    let mut world =
        expect(referred(Referral { notifies_twice: true, ..Referral::default() }), "connected", None);
    let answers = world.sent("SIP/2.0 200").iter().filter(|text| text.contains(" NOTIFY\r\n")).count();
    assert_eq!((answers, world.texts().len()), (6, 5));
    world.expect_nothing_left();
}

#[test]
fn a_2xx_that_comes_twice_is_acknowledged_twice() {
    let mut world = expect(Temper { answers_twice: true, ..Temper::default() }, "connected", None);
    assert_eq!((world.sent("ACK").len(), world.sent("REFER").len(), world.sent("BYE").len()), (2, 1, 1));
    world.expect_nothing_left();
}

#[test]
fn a_phone_that_ignores_acks_gets_one_for_each_of_its_2xx() {
    let temper = Temper { ignores_acks: true, ..scripted_long() };
    let mut world = called(Setting::default(), temper);
    let copies = world.between(exchange_address(), controller_address(), "SIP/2.0 200");
    let copies = copies.iter().filter(|text| text.contains(" INVITE\r\n")).count();
    assert!(copies > 5, "{copies}");
    assert_eq!(world.sent("ACK").len(), copies);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.phone(1), PhoneState::Idle, "it hangs up after 32 seconds");
    assert_eq!(world.sent("BYE").len(), 0);
    world.expect_nothing_left();
}

/// A phone that is busy with the REFER for two minutes.
fn scripted_long() -> Temper {
    super::scripted(&[("active;expires=120", Some("SIP/2.0 180 Ringing\r\n"))])
}

#[test]
fn a_phone_that_hangs_up_at_once_leaves_nothing_behind() {
    for after in [0, 1, 6, 11, 30, 330, 640] {
        let temper = Temper { hangs_up_after: Some(Duration::from_millis(after)), ..Temper::default() };
        let mut world = called(Setting::default(), temper);
        world.pass(Duration::from_secs(100));
        assert_eq!(world.call()["state"], "ended", "after {after} ms");
        assert_eq!(world.phone(1), PhoneState::Idle);
        world.expect_nothing_left();
    }
}

#[test]
fn without_record_route_the_phone_is_spoken_to_directly() {
    let mut world = called(Setting { record_routes: false, ..Setting::default() }, Temper::default());
    assert_eq!(world.outcome().0, "connected");
    assert_eq!(world.between(controller_address(), phone_address(1), "REFER").len(), 1);
    world.expect_nothing_left();
}
