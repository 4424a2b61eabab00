//! The same calls on a network that loses, doubles and reorders.

use std::time::Duration;

use cordboard_core::softphone::{PhoneState, Temper};
use cordboard_tests::world::{Setting, Weather, World};

use super::{INVITE, connected, transfer};

fn bad(seed: u64) -> Setting {
    Setting { weather: Weather { seed, lost: 12, doubled: 15, late: 120 }, ..Setting::default() }
}

#[test]
fn a_call_is_set_up_and_hung_up_whatever_the_network_does() {
    let mut set_up = 0;
    for seed in 0..150 {
        let mut world = World::new(bad(seed), vec![Temper::default(), Temper::default()]);
        world.place(INVITE);
        world.pass(Duration::from_secs(60));
        let stands = connected(&world, 1, 2);
        set_up += u32::from(stands);
        assert_eq!(stands, world.call()["state"] == "connected", "seed {seed}: {}", world.call());
        if seed % 2 == 0 {
            world.ask("DELETE", "/callcontroller/user1/user2", "");
            world.pass(Duration::from_secs(120));
            assert_eq!((world.phone(1), world.phone(2)), (PhoneState::Idle, PhoneState::Idle), "seed {seed}");
        }
        world.expect_nothing_left();
    }
    assert!(set_up > 140, "{set_up} of 150 were connected");
}

#[test]
fn a_transfer_is_done_or_leaves_the_call_whatever_the_network_does() {
    let mut done = 0;
    for seed in 0..150 {
        let mut world = World::new(bad(seed), vec![Temper::default(), Temper::default(), Temper::default()]);
        world.place(INVITE);
        world.pass(Duration::from_secs(40));
        if !connected(&world, 1, 2) {
            continue;
        }
        transfer(&mut world, "user1", "user3");
        world.pass(Duration::from_secs(100));
        let (old, new) = (connected(&world, 1, 2), connected(&world, 3, 2));
        assert!(old != new, "seed {seed}: {:?} {:?} {:?}", world.phone(1), world.phone(2), world.phone(3));
        done += u32::from(new);
        world.expect_nothing_left();
    }
    assert!(done > 130, "{done} of 150 were transferred");
}
