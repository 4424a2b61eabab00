//! Challenges within a call, nonces that grow old or serve once, and phones that are challenged too.

use std::time::Duration;

use cordboard_core::digest::Algorithm;
use cordboard_core::softphone::{Challenge, Temper};
use cordboard_tests::world::{Setting, controller_address, exchange_address};

use super::{called, challenge};

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
