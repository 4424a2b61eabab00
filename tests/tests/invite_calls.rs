//! Calls that Cordboard stays in, from HTTP to the phones and back, in virtual time.

#[path = "invite_calls/by_hand.rs"]
mod by_hand;
#[path = "invite_calls/challenges.rs"]
mod challenges;
#[path = "invite_calls/chaos.rs"]
mod chaos;
#[path = "invite_calls/ends.rs"]
mod ends;
#[path = "invite_calls/network.rs"]
mod network;
#[path = "invite_calls/passing.rs"]
mod passing;
#[path = "invite_calls/setup.rs"]
mod setup;
#[path = "invite_calls/transfers.rs"]
mod transfers;
#[path = "invite_calls/watching.rs"]
mod watching;

use cordboard_core::softphone::PhoneState;
use cordboard_tests::world::World;

/// The parameters of a call that Cordboard stays in.
const INVITE: &str = "sipMethod=INVITE";

/// The address that a phone's media come from, as it describes them.
fn media(number: usize) -> String {
    format!("m=audio {} ", 4000 + number * 2)
}

/// Whether these two phones are in a call, and have each other's media, in both directions.
fn connected(world: &World, one: usize, other: usize) -> bool {
    let has = |phone: usize, of: usize| {
        let sdps = world.sdps(phone);
        matches!(world.phone(phone), PhoneState::InCall(peers) if peers.len() == 1)
            && matches!(sdps.as_slice(), [sdp] if sdp.contains(&media(of)) && sdp.contains("a=sendrecv"))
    };
    has(one, other) && has(other, one)
}

/// Asks that the call from `calling` to user2 be transferred, and expects that this is taken.
fn transfer(world: &mut World, calling: &str, target: &str) {
    let path = format!("/callcontroller/{calling}/user2?action=transfer&target={target}&agent=agent");
    let (status, _, body) = world.ask("POST", &path, "");
    assert_eq!(status, 200, "{body}");
}
