//! The agent's credentials answer every challenge, in whatever dialog it comes.

use std::time::Duration;

use cordboard_core::digest::Algorithm;
use cordboard_core::softphone::{Challenge, PhoneState, Temper};
use cordboard_tests::hand::sdp;
use cordboard_tests::world::{Setting, World, controller_address, exchange_address};

use super::by_hand::{ABLE, Pair, bye};
use super::{INVITE, connected, transfer};

const DIGEST: &str = "Digest realm=\"example.com\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";

#[test]
fn set_up_transfer_and_hang_up_are_challenged_at_every_step() {
    for (as_server, once) in [(false, false), (true, false), (false, true)] {
        let challenge = Challenge { algorithm: Algorithm::Sha256, as_server, inside: true, once };
        let setting = Setting { challenge: Some(challenge), ..Setting::default() };
        let mut world = World::new(setting, vec![Temper::default(); 3]);
        world.place(INVITE);
        world.pass(Duration::from_secs(3));
        assert!(connected(&world, 1, 2));
        transfer(&mut world, "user1", "user3");
        world.pass(Duration::from_secs(3));
        assert!(connected(&world, 3, 2));
        assert_eq!(world.phone(1), PhoneState::Idle);
        assert_eq!(world.ask("DELETE", "/callcontroller/user3/user2", "").0, 204);
        world.pass(Duration::from_secs(1));
        assert_eq!((world.phone(2), world.phone(3)), (PhoneState::Idle, PhoneState::Idle));
        let refusal = if as_server { "SIP/2.0 401" } else { "SIP/2.0 407" };
        assert!(world.between(exchange_address(), controller_address(), refusal).len() >= 3);
        world.expect_nothing_left();
    }
}

#[test]
fn a_challenge_to_what_passes_is_answered_with_the_agents_credentials() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    let challenge = format!("Proxy-Authenticate: {DIGEST}\r\n");
    let cseq = one.request(world, &pair.to_one, "INVITE", "", &sdp(4001, 3, "sendonly"));
    let passed = two.next(world, "INVITE");
    two.reply(world, &passed, "407 Proxy Authentication Required", &challenge, "");
    two.next(world, "ACK");
    let again = two.next(world, "INVITE");
    assert!(again.field("Proxy-Authorization").contains("username=\"agent\""), "{}", again.text);
    assert_eq!(again.body(), passed.body());
    two.reply(world, &again, "200 OK", ABLE, &sdp(4002, 3, "recvonly"));
    let ack = two.next(world, "ACK");
    assert!(!ack.field("Proxy-Authorization").is_empty(), "{}", ack.text);
    one.next(world, "SIP/2.0 200");
    one.request_as(world, &pair.to_one, ("ACK", cseq), "", "");
    // One that they do not answer is no business of the other party's.
    one.request(world, &pair.to_one, "INFO", "", "x");
    let passed = two.next(world, "INFO");
    let other = "WWW-Authenticate: Digest realm=\"elsewhere\", nonce=\"n2\"\r\n";
    two.reply(world, &passed, "401 Unauthorized", other, "");
    let refused = one.next(world, "SIP/2.0 403");
    assert_eq!(refused.field("WWW-Authenticate"), "");
    one.request(world, &pair.to_one, "BYE", "", "");
    one.next(world, "SIP/2.0 200");
    let first = two.next(world, "BYE");
    let stale = "Proxy-Authenticate: Digest realm=\"example.com\", nonce=\"n3\", algorithm=MD5, qop=\"auth\", stale=true\r\n";
    two.reply(world, &first, "407 Proxy Authentication Required", stale, "");
    assert!(bye(world, two).field("Proxy-Authorization").contains("n3"));
    pair.over();
}
