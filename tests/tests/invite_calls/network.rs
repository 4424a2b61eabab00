//! The same calls on a network that loses, doubles and reorders.

use std::time::Duration;

use cordboard_core::digest::Algorithm;
use cordboard_core::softphone::{Challenge, PhoneState, Pickup, Temper};
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

/// Phones of all tempers.
fn tempers() -> Vec<Temper> {
    let answering = |change: fn(&mut Temper)| {
        let mut temper = Temper::default();
        change(&mut temper);
        temper
    };
    vec![
        Temper::default(),
        answering(|temper| temper.ring = Duration::ZERO),
        answering(|temper| temper.ring = Duration::from_secs(8)),
        answering(|temper| temper.reliable = true),
        answering(|temper| temper.answers_twice = true),
        answering(|temper| temper.forgets = true),
        answering(|temper| temper.gruu = true),
        answering(|temper| temper.hangs_up_after = Some(Duration::from_secs(7))),
        answering(|temper| temper.refuses_offers = vec!["sendonly".to_owned()]),
        answering(|temper| temper.pickup = Pickup::Refuse(486)),
        answering(|temper| temper.pickup = Pickup::Never),
        answering(|temper| temper.pickup = Pickup::DespiteCancel),
    ]
}

#[test]
fn whoever_does_what_when_nobody_is_left_in_a_call_that_has_ended() {
    let tempers = tempers();
    let (mut connected_once, mut transferred) = (0, 0);
    for seed in 0..400u64 {
        let pick = |salt: u64| tempers[((seed * 31 + salt * 17) % tempers.len() as u64) as usize].clone();
        let weather = Weather { seed, lost: seed % 3 * 8, doubled: seed % 4 * 8, late: seed % 5 * 60 };
        let challenge = Challenge { algorithm: Algorithm::Md5, as_server: false, inside: true, once: false };
        // A nonce that serves once would refuse the copies of a request, which a stateless proxy does not know as such.
        let setting = Setting {
            weather,
            challenge: (seed % 3 == 0).then_some(challenge),
            calls: if seed % 5 == 0 { "refer_fallback = \"invite\"" } else { "" },
            ..Setting::default()
        };
        let mut world = World::new(setting, vec![pick(1), pick(2), pick(3)]);
        world.place(&format!("{INVITE}&timeout=12"));
        world.pass(Duration::from_millis(seed * 37 % 9000));
        connected_once += u32::from(connected(&world, 1, 2));
        let path = "/callcontroller/user1/user2?action=transfer&target=user3&agent=agent&timeout=12";
        let taken = world.ask("POST", path, "").0 == 200;
        world.pass(Duration::from_millis(seed * 91 % 20_000));
        transferred += u32::from(taken && connected(&world, 3, 2));
        for calling in ["user1", "user3"] {
            world.ask("DELETE", &format!("/callcontroller/{calling}/user2"), "");
        }
        world.pass(Duration::from_secs(140));
        let states = [1, 2, 3].map(|phone| world.phone(phone));
        assert_eq!(states, [PhoneState::Idle, PhoneState::Idle, PhoneState::Idle], "seed {seed}");
        world.expect_nothing_left();
    }
    assert!(connected_once > 60 && transferred > 20, "{connected_once} connected, {transferred} transferred");
}
