//! Setting a call up by RFC 3725 flow IV, and flow III.

use std::time::Duration;

use cordboard_core::softphone::{PhoneState, Temper};
use cordboard_tests::world::{Setting, World};

const INVITE: &str = "sipMethod=INVITE";

#[test]
fn both_parties_are_connected_with_each_others_media() {
    let mut world = World::new(Setting::default(), vec![Temper::default(), Temper::default()]);
    world.place(INVITE);
    world.pass(Duration::from_secs(3));
    assert!(matches!(world.phone(1), PhoneState::InCall(_)), "{:?}", world.phone(1));
    assert!(matches!(world.phone(2), PhoneState::InCall(_)), "{:?}", world.phone(2));
    let call = world.call();
    assert_eq!(call["state"], "connected");
    assert!(world.sdps(1)[0].contains("a=sendrecv"), "{}", world.sdps(1)[0]);
    assert!(world.sdps(2)[0].contains("a=sendrecv"), "{}", world.sdps(2)[0]);
    let (status, _, _) = world.ask("DELETE", "/callcontroller/user1/user2", "");
    assert_eq!(status, 204);
    world.expect_nothing_left();
}

#[test]
fn a_transfer_connects_the_called_party_with_the_target() {
    let mut world =
        World::new(Setting::default(), vec![Temper::default(), Temper::default(), Temper::default()]);
    world.place(INVITE);
    world.pass(Duration::from_secs(3));
    let (status, _, body) =
        world.ask("POST", "/callcontroller/user1/user2?action=transfer&target=user3&agent=agent", "");
    assert_eq!(status, 200, "{body}");
    world.pass(Duration::from_secs(3));
    assert_eq!(world.phone(1), PhoneState::Idle);
    assert!(matches!(world.phone(2), PhoneState::InCall(_)), "{:?}", world.phone(2));
    assert!(matches!(world.phone(3), PhoneState::InCall(_)), "{:?}", world.phone(3));
    let (_, _, body) = world.ask("GET", "/callcontroller/user3/user2", "");
    assert_eq!(body.matches("Confirmed Dialog").count(), 2);
    let (_, _, body) = world.ask("GET", "/callcontroller/user1/user2", "");
    assert_eq!(body.matches("Terminated Dialog").count(), 1);
    world.expect_nothing_left();
}
