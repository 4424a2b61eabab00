//! Setting a call up by RFC 3725 flow IV, and by flow III where a party takes no INVITE without an offer.

use std::time::Duration;

use cordboard_core::softphone::{PhoneState, Temper};
use cordboard_tests::hand::sdp;
use cordboard_tests::world::{Setting, World};

use super::by_hand::{ABLE, Pair, bye, path, phones, pick_up, place, setting, shown};
use super::{INVITE, connected};

#[test]
fn both_parties_are_connected_with_each_others_media() {
    let mut world = World::new(Setting::default(), vec![Temper::default(), Temper::default()]);
    world.place(INVITE);
    world.pass(Duration::from_secs(3));
    assert!(connected(&world, 1, 2), "{:?} {:?}", world.sdps(1), world.sdps(2));
    assert_eq!(world.call()["state"], "connected");
    let (status, _, _) = world.ask("DELETE", "/callcontroller/user1/user2", "");
    assert_eq!(status, 204);
    world.pass(Duration::from_secs(1));
    assert_eq!((world.phone(1), world.phone(2)), (PhoneState::Idle, PhoneState::Idle));
    world.expect_nothing_left();
}

#[test]
fn the_called_party_is_asked_to_offer_and_its_offer_has_our_origin_counted() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE&confpin=4711&subject=Lunch");
    let held = one.next(&mut world, "INVITE");
    assert!(held.body().contains("a=sendonly"), "{}", held.text);
    assert_eq!(held.field("Subject"), "Lunch");
    assert!(held.field("Supported").contains("timer") && held.field("Session-Expires") == "1800");
    one.reply(&mut world, &held, "200 OK", "", &sdp(4001, 1, "recvonly"));
    one.next(&mut world, "ACK");
    let asked = two.next(&mut world, "INVITE");
    assert_eq!((asked.body(), asked.field("Content-Type"), asked.field("X-ConfPin")), ("", "", "4711"));
    assert!(asked.field("Allow").contains("INFO"), "{}", asked.text);
    two.reply(&mut world, &asked, "180 Ringing", "", "");
    two.reply(&mut world, &asked, "200 OK", "", &sdp(4002, 9, "sendrecv"));
    let offer = one.next(&mut world, "INVITE");
    let (session, version) = held.origin();
    assert_eq!(offer.origin(), (session, version + 1));
    let untouched =
        |body: &str| body.lines().filter(|line| !line.starts_with("o=")).collect::<Vec<_>>().join("|");
    assert_eq!(untouched(offer.body()), untouched(&sdp(4002, 9, "sendrecv")));
    assert_eq!(world.between(world_address(), two.address, "ACK").len(), 0, "its offer is not answered yet");
    one.reply(&mut world, &offer, "200 OK", "", &sdp(4001, 2, "sendrecv"));
    let ack = two.next(&mut world, "ACK");
    assert_eq!(untouched(ack.body()), untouched(&sdp(4001, 2, "sendrecv")));
    one.next(&mut world, "ACK");
    assert_eq!(shown(&mut world, &one, &two)["outcome"]["state"], "connected");
    Pair { world, one, two, to_one: held, to_two: asked }.end();
}

fn world_address() -> std::net::SocketAddr {
    cordboard_tests::world::controller_address()
}

#[test]
fn a_2xx_that_comes_twice_is_acknowledged_twice_with_the_same_answer() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    two.reply(world, &pair.to_two, "200 OK", "", &sdp(4002, 1, "sendrecv"));
    let again = two.next(world, "ACK");
    assert!(again.body().contains("m=audio 4001 "), "{}", again.text);
    one.reply(world, &pair.to_one, "200 OK", "", &sdp(4001, 1, "recvonly"));
    assert_eq!(one.next(world, "ACK").body(), "");
    pair.end();
}

#[test]
fn a_2xx_that_comes_again_is_acknowledged_as_before_though_the_phone_has_moved() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    two.reply(world, &pair.to_two, "200 OK", "", &sdp(4002, 1, "sendrecv"));
    let before = two.next(world, "ACK").text;
    let mut moved = cordboard_tests::hand::Hand::new(world, 7110);
    moved.tag.clone_from(&two.tag);
    moved.request(world, &pair.to_two, "UPDATE", "", "");
    moved.next(world, "SIP/2.0 200");
    two.reply(world, &pair.to_two, "200 OK", "", &sdp(4002, 1, "sendrecv"));
    assert_eq!(two.next(world, "ACK").text, before);
    world.ask("DELETE", &path(one, two), "");
    bye(world, one);
    bye(world, &moved);
    pair.over();
}

#[test]
fn a_late_fork_is_acknowledged_with_an_answer_and_hung_up() {
    let mut pair = Pair::connected();
    let mut fork = cordboard_tests::hand::Hand::new(&mut pair.world, 7109);
    fork.tag = "fork".to_owned();
    fork.reply(&mut pair.world, &pair.to_two, "200 OK", "", &sdp(4009, 1, "sendrecv"));
    let ack = fork.next(&mut pair.world, "ACK");
    assert!(ack.body().contains("m=audio 9 "), "{}", ack.text);
    bye(&mut pair.world, &fork);
    assert_eq!(pair.shown()["state"], "connected");
    pair.end();
}

#[test]
fn a_called_party_that_answers_early_reliably_gets_the_answer_in_prack() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let to_one = pick_up(&mut world, &one, ABLE);
    let to_two = two.next(&mut world, "INVITE");
    assert!(to_two.field("Supported").contains("100rel"));
    let reliable = "Require: 100rel\r\nRSeq: 7\r\n";
    two.reply(&mut world, &to_two, "183 Session Progress", reliable, &sdp(4002, 1, "sendrecv"));
    let offer = one.next(&mut world, "INVITE");
    assert!(offer.body().contains("m=audio 4002 "), "{}", offer.text);
    one.reply(&mut world, &offer, "200 OK", ABLE, &sdp(4001, 2, "sendrecv"));
    one.next(&mut world, "ACK");
    let prack = two.next(&mut world, "PRACK");
    assert!(prack.body().contains("m=audio 4001 ") && prack.field("RAck") == "7 1 INVITE", "{}", prack.text);
    two.reply(&mut world, &prack, "200 OK", "", "");
    two.reply(&mut world, &to_two, "200 OK", ABLE, "");
    assert_eq!(two.next(&mut world, "ACK").body(), "");
    assert_eq!(shown(&mut world, &one, &two)["state"], "connected");
    Pair { world, one, two, to_one, to_two }.end();
}

#[test]
fn a_calling_party_that_requires_100rel_is_acknowledged_and_connected() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let to_one = one.next(&mut world, "INVITE");
    let reliable = "Require: 100rel\r\nRSeq: 1\r\n";
    one.reply(&mut world, &to_one, "183 Session Progress", reliable, &sdp(4001, 1, "recvonly"));
    let prack = one.next(&mut world, "PRACK");
    one.reply(&mut world, &prack, "200 OK", "", "");
    // Its answer came early, so that the 2xx brings none.
    one.reply(&mut world, &to_one, "200 OK", "", "");
    one.next(&mut world, "ACK");
    let to_two = two.next(&mut world, "INVITE");
    two.reply(&mut world, &to_two, "183 Session Progress", "", &sdp(4002, 1, "sendrecv"));
    two.reply(&mut world, &to_two, "200 OK", "", &sdp(4002, 1, "sendrecv"));
    let offer = one.next(&mut world, "INVITE");
    one.reply(&mut world, &offer, "200 OK", "", &sdp(4001, 1, "sendrecv"));
    one.next(&mut world, "ACK");
    two.next(&mut world, "ACK");
    Pair { world, one, two, to_one, to_two }.end();
}

#[test]
fn a_party_that_takes_no_invite_without_an_offer_gets_the_other_ones_and_so_the_next_time() {
    let (mut world, one, two) = phones(setting());
    for round in 0..2 {
        place(&mut world, &one, &two, "sipMethod=INVITE");
        let to_one = pick_up(&mut world, &one, ABLE);
        if round == 0 {
            let refused = two.next(&mut world, "INVITE");
            assert_eq!(refused.body(), "");
            two.reply(&mut world, &refused, "488 Not Acceptable Here", "", "");
            two.next(&mut world, "ACK");
        }
        let asked = one.next(&mut world, "INVITE");
        assert_eq!(asked.body(), "", "it is asked for an offer");
        one.reply(&mut world, &asked, "200 OK", ABLE, &sdp(4001, 2, "sendrecv"));
        let to_two = two.next(&mut world, "INVITE");
        assert!(to_two.body().contains("m=audio 4001 "), "{}", to_two.text);
        assert!(
            one.try_next(&mut world, Duration::from_millis(100), "ACK").is_none(),
            "the answer is not there"
        );
        two.reply(&mut world, &to_two, "200 OK", ABLE, &sdp(4002, 1, "sendrecv"));
        let ack = one.next(&mut world, "ACK");
        assert!(ack.body().contains("m=audio 4002 "), "{}", ack.text);
        assert_eq!(two.next(&mut world, "ACK").body(), "");
        let events = shown(&mut world, &one, &two)["events"].to_string();
        assert_eq!(events.contains("488"), round == 0, "{events}");
        world.ask("DELETE", &super::by_hand::path(&one, &two), "");
        bye(&mut world, &one);
        bye(&mut world, &two);
        world.pass(Duration::from_secs(1));
        let _ = to_one;
    }
    world.expect_nothing_left();
}

#[test]
fn where_that_party_rings_long_the_other_one_is_acknowledged_before_its_phone_gives_up() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let to_one = pick_up(&mut world, &one, ABLE);
    let refused = two.next(&mut world, "INVITE");
    two.reply(&mut world, &refused, "415 Unsupported Media Type", "", "");
    let asked = one.next(&mut world, "INVITE");
    one.reply(&mut world, &asked, "200 OK", ABLE, &sdp(4001, 2, "sendrecv"));
    two.next(&mut world, "ACK");
    let to_two = two.next(&mut world, "INVITE");
    two.reply(&mut world, &to_two, "180 Ringing", "", "");
    let ack = one.next_within(&mut world, Duration::from_secs(25), "ACK");
    assert!(ack.body().contains("m=audio 9 ") && ack.body().contains("a=sendonly"), "{}", ack.text);
    two.reply(&mut world, &to_two, "200 OK", ABLE, &sdp(4002, 1, "sendrecv"));
    two.next(&mut world, "ACK");
    let offer = one.next(&mut world, "INVITE");
    assert!(offer.body().contains("m=audio 4002 "), "{}", offer.text);
    one.reply(&mut world, &offer, "200 OK", ABLE, &sdp(4001, 3, "sendrecv"));
    one.next(&mut world, "ACK");
    assert_eq!(shown(&mut world, &one, &two)["state"], "connected");
    Pair { world, one, two, to_one, to_two }.end();
}

#[test]
fn a_re_invite_that_meets_another_one_is_sent_again() {
    for status in ["491 Request Pending", "500 Server Internal Error"] {
        let (mut world, one, two) = phones(setting());
        place(&mut world, &one, &two, "sipMethod=INVITE");
        let to_one = pick_up(&mut world, &one, ABLE);
        let to_two = two.next(&mut world, "INVITE");
        two.reply(&mut world, &to_two, "200 OK", ABLE, &sdp(4002, 1, "sendrecv"));
        let offer = one.next(&mut world, "INVITE");
        one.reply(&mut world, &offer, status, "Retry-After: 2\r\n", "");
        one.next(&mut world, "ACK");
        assert!(one.try_next(&mut world, Duration::from_millis(2000), "INVITE").is_none(), "{status}");
        let offer = one.next(&mut world, "INVITE");
        one.reply(&mut world, &offer, "200 OK", ABLE, &sdp(4001, 2, "sendrecv"));
        one.next(&mut world, "ACK");
        two.next(&mut world, "ACK");
        Pair { world, one, two, to_one, to_two }.end();
    }
}

#[test]
fn a_calling_party_that_refuses_the_offer_ends_the_call_for_both() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let to_one = pick_up(&mut world, &one, ABLE);
    let to_two = two.next(&mut world, "INVITE");
    two.reply(&mut world, &to_two, "200 OK", ABLE, &sdp(4002, 1, "sendrecv"));
    let offer = one.next(&mut world, "INVITE");
    one.reply(&mut world, &offer, "488 Not Acceptable Here", "", "");
    let ack = two.next(&mut world, "ACK");
    assert!(ack.body().contains("m=audio 9 "), "its offer is answered all the same: {}", ack.text);
    for hand in [&one, &two] {
        assert_eq!(bye(&mut world, hand).field("Reason"), "SIP;cause=488;text=\"Not Acceptable Here\"");
    }
    let outcome = shown(&mut world, &one, &two)["outcome"].clone();
    assert_eq!((outcome["state"].as_str(), outcome["status"].as_u64()), (Some("failed"), Some(488)));
    Pair { world, one, two, to_one, to_two }.over();
}

#[test]
fn an_answer_without_a_description_ends_the_call() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let to_one = pick_up(&mut world, &one, ABLE);
    let to_two = two.next(&mut world, "INVITE");
    two.reply(&mut world, &to_two, "200 OK", ABLE, "");
    assert_eq!(two.next(&mut world, "ACK").body(), "");
    bye(&mut world, &one);
    bye(&mut world, &two);
    Pair { world, one, two, to_one, to_two }.over();
}

#[test]
fn a_phone_that_refuses_refer_is_connected_without_being_let_go_if_that_is_configured() {
    for (calls, state) in [("refer_fallback = \"invite\"", "connected"), ("", "ended")] {
        let (mut world, one, two) = phones(Setting { calls, ..setting() });
        place(&mut world, &one, &two, "");
        let to_one = pick_up(&mut world, &one, ABLE);
        let refer = one.next(&mut world, "REFER");
        one.reply(&mut world, &refer, "603 Decline", "", "");
        if calls.is_empty() {
            assert!(bye(&mut world, &one).field("Reason").contains("cause=603"));
            world.pass(Duration::from_secs(1));
            assert_eq!(shown(&mut world, &one, &two)["state"], state);
            world.expect_nothing_left();
            continue;
        }
        let to_two = two.next(&mut world, "INVITE");
        two.reply(&mut world, &to_two, "200 OK", ABLE, &sdp(4002, 1, "sendrecv"));
        let offer = one.next(&mut world, "INVITE");
        assert!(offer.field("Session-Expires").contains("1800"), "{}", offer.text);
        one.reply(&mut world, &offer, "200 OK", ABLE, &sdp(4001, 2, "sendrecv"));
        one.next(&mut world, "ACK");
        two.next(&mut world, "ACK");
        let call = shown(&mut world, &one, &two);
        assert_eq!((&call["state"], &call["method"]), (&state.into(), &"INVITE".into()));
        Pair { world, one, two, to_one, to_two }.end();
    }
}

#[test]
fn the_offer_that_a_phone_took_is_the_first_one_the_next_time() {
    let (mut world, one, two) = phones(setting());
    for round in 0..2 {
        place(&mut world, &one, &two, "sipMethod=INVITE");
        if round == 0 {
            let refused = one.next(&mut world, "INVITE");
            assert!(refused.body().contains("a=sendonly"), "{}", refused.text);
            one.reply(&mut world, &refused, "488 Not Acceptable Here", "", "");
            one.next(&mut world, "ACK");
        }
        let taken = one.next(&mut world, "INVITE");
        assert!(taken.body().contains("c=IN IP4 0.0.0.0"), "{}", taken.text);
        one.reply(&mut world, &taken, "200 OK", "", &sdp(4001, 1, "recvonly"));
        one.next(&mut world, "ACK");
        let to_two = two.next(&mut world, "INVITE");
        two.reply(&mut world, &to_two, "486 Busy Here", "", "");
        two.next(&mut world, "ACK");
        bye(&mut world, &one);
        world.pass(Duration::from_secs(1));
    }
    world.pass(Duration::from_secs(600));
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let again = one.next(&mut world, "INVITE");
    assert!(again.body().contains("a=sendonly"), "it is forgotten: {}", again.text);
    one.reply(&mut world, &again, "486 Busy Here", "", "");
    one.next(&mut world, "ACK");
    world.expect_nothing_left();
}

#[test]
fn a_calling_phone_that_forwards_although_that_is_forbidden_is_given_up() {
    for (allowed, canceled) in [("false", 1), ("true", 0)] {
        let temper = Temper { forwards: true, ..Temper::default() };
        let mut world = World::new(Setting::default(), vec![temper, Temper::default()]);
        world.place(&format!("{INVITE}&isForwardingAllowed={allowed}"));
        world.pass(Duration::from_secs(5));
        assert_eq!(world.sent("CANCEL").len(), canceled);
        assert_eq!(world.texts()[0], "SIP/2.0 181 Call Is Being Forwarded");
        assert_eq!(connected(&world, 1, 2), canceled == 0);
        world.expect_nothing_left();
    }
}

#[test]
fn what_a_party_offers_before_there_is_another_one_is_refused_if_it_cannot_be_read() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let to_one = pick_up(&mut world, &one, ABLE);
    let to_two = two.next(&mut world, "INVITE");
    one.request(&mut world, &to_one, "UPDATE", "", "no description");
    let refused = one.next(&mut world, "SIP/2.0 415");
    assert_eq!(refused.field("Accept"), "application/sdp");
    one.request(&mut world, &to_one, "UPDATE", "", "v=0.5 is no version\r\n");
    one.next(&mut world, "SIP/2.0 488");
    assert_eq!(world.ask("DELETE", &path(&one, &two), "").0, 204);
    bye(&mut world, &one);
    two.reply(&mut world, &to_two, "486 Busy Here", "", "");
    Pair { world, one, two, to_one, to_two }.over();
}
