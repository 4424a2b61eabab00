//! A network that loses, doubles, delays and reorders.

use std::time::Duration;

use cordboard_core::digest::Algorithm;
use cordboard_core::softphone::{Challenge, Referral, Temper};
use cordboard_tests::world::{Setting, Weather, World};

use super::{challenge, referred};

fn stormy(weather: Weather, challenge: Option<Challenge>) -> World {
    let setting = Setting { weather, challenge, ..Setting::default() };
    let one = referred(Referral { hold: true, ..Referral::default() });
    let mut world = World::new(setting, vec![one, Temper::default()]);
    world.place("");
    world.pass(Duration::from_secs(170));
    world
}

#[test]
fn whatever_order_datagrams_come_in_the_phones_get_connected() {
    for seed in 0..60 {
        let mut world = stormy(Weather { seed, late: 40, doubled: 20, ..Weather::default() }, None);
        assert_eq!(world.outcome().0, "connected", "seed {seed}: {:#?}", world.texts());
        world.expect_nothing_left();
    }
}

#[test]
fn in_a_storm_every_call_comes_to_an_end_and_leaves_nothing() {
    let asks = Some(Challenge { inside: true, ..challenge(Algorithm::Sha256) });
    let mut connected = 0;
    for seed in 0..60 {
        let weather = Weather { seed, lost: 15, doubled: 10, late: 400 };
        let mut world = stormy(weather, asks.filter(|_| seed % 2 == 0));
        let call = world.call();
        assert_eq!(call["state"], "ended", "seed {seed}: {call:#?}");
        connected += u32::from(call["outcome"]["state"] == "connected");
        world.expect_nothing_left();
    }
    assert!(connected > 45, "most of them succeed: {connected} of 60");
}
