//! Transfers by our interface: the target is connected before the calling party is let go, or nothing changes.

use std::time::Duration;

use cordboard_core::softphone::{PhoneState, Temper};
use cordboard_tests::hand::{Hand, Mail, sdp};
use cordboard_tests::world::{Setting, World};

use super::by_hand::{ABLE, Pair, bye, path, shown};
use super::{INVITE, connected, transfer};

/// Two phones in a call, and a third one that was called by a transfer.
struct Trio {
    pair: Pair,
    three: Hand,
    to_three: Mail,
}

impl Trio {
    fn ringing() -> Self {
        Self::ringing_with("")
    }

    fn ringing_with(parameters: &str) -> Self {
        let mut pair = Pair::connected();
        let three = Hand::new(&mut pair.world, 7103);
        let (status, head, body) = ask_transfer(&mut pair, &three, parameters);
        assert_eq!((status, body.as_str()), (200, ""));
        assert!(head.contains("Location: /calls/") || head.contains("location: /calls/"), "{head}");
        let to_three = three.next(&mut pair.world, "INVITE");
        assert_eq!(to_three.body(), "", "the target is to offer");
        three.reply(&mut pair.world, &to_three, "180 Ringing", "", "");
        pair.world.pass(Duration::from_millis(20));
        assert_eq!(pair.shown()["state"], "transferring");
        Self { pair, three, to_three }
    }

    /// The target picks up, and the called party gets its offer.
    fn picked_up(&mut self) -> Mail {
        let Self { pair, three, to_three } = self;
        three.reply(&mut pair.world, to_three, "200 OK", ABLE, &sdp(4003, 1, "sendrecv"));
        let offer = pair.two.next(&mut pair.world, "INVITE");
        assert!(offer.body().contains("m=audio 4003 "), "{}", offer.text);
        offer
    }

    /// What became of the transfer.
    fn result(&mut self) -> (String, Option<u64>) {
        let call = self.pair.shown();
        let last = call["transfers"].as_array().and_then(|all| all.last()).expect("there was one").clone();
        assert_eq!(last["target"], self.three.user());
        (last["state"].as_str().expect("it has a state").to_owned(), last["status"].as_u64())
    }

    /// The old call is as it was: what one says the other one hears, and nobody has been told of another one's media.
    fn expect_as_before(&mut self) {
        let pair = &mut self.pair;
        assert_eq!(pair.shown()["state"], "connected");
        pair.one.request(&mut pair.world, &pair.to_one, "INFO", "", "still there?");
        let passed = pair.two.next(&mut pair.world, "INFO");
        pair.two.reply(&mut pair.world, &passed, "200 OK", "", "");
        pair.one.next(&mut pair.world, "SIP/2.0 200");
    }
}

fn ask_transfer(pair: &mut Pair, target: &Hand, parameters: &str) -> (u16, String, String) {
    let path = format!(
        "{}?action=transfer&target={}&agent=agent{parameters}",
        path(&pair.one, &pair.two),
        target.user()
    );
    pair.world.ask("POST", &path, "")
}

#[test]
fn the_target_is_connected_before_the_calling_party_is_let_go() {
    let mut trio = Trio::ringing();
    let offer = trio.picked_up();
    let Trio { mut pair, three, to_three } = trio;
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    assert!(one.try_next(world, Duration::from_millis(100), "BYE").is_none());
    two.reply(world, &offer, "200 OK", ABLE, &sdp(4002, 2, "sendrecv"));
    let ack = three.next(world, "ACK");
    assert!(ack.body().contains("m=audio 4002 "), "{}", ack.text);
    two.next(world, "ACK");
    assert_eq!(bye(world, one).field("Reason"), "");
    world.pass(Duration::from_millis(50));
    let old = shown(world, one, two);
    assert_eq!((&old["state"], &old["outcome"]["state"]), (&"ended".into(), &"connected".into()));
    let (_, _, xml) = world.ask("GET", &path(one, two), "");
    assert_eq!((xml.matches("Terminated Dialog").count(), xml.matches("<dialog>").count()), (1, 1), "{xml}");
    assert!(xml.contains(pair.to_one.field("Call-ID")), "{xml}");
    assert_eq!(world.ask("DELETE", &path(one, two), "").0, 404);
    let new = shown(world, &three, two);
    assert_eq!((&new["state"], &new["transfers"][0]["state"]), (&"connected".into(), &"connected".into()));
    let (_, _, xml) = world.ask("GET", &path(&three, two), "");
    assert_eq!(xml.matches("Confirmed Dialog").count(), 2, "{xml}");
    // What the target says passes to the called party.
    three.request(world, &to_three, "INFO", "", "hello");
    let passed = two.next(world, "INFO");
    two.reply(world, &passed, "200 OK", "", "");
    three.next(world, "SIP/2.0 200");
    Pair { one: three, to_one: to_three, ..pair }.end();
}

#[test]
fn the_record_under_the_old_name_goes_after_its_time_and_a_new_call_takes_the_name() {
    let mut trio = Trio::ringing_with("&resultCacheTime=500");
    let offer = trio.picked_up();
    let Trio { mut pair, three, to_three } = trio;
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    two.reply(world, &offer, "200 OK", ABLE, &sdp(4002, 2, "sendrecv"));
    two.next(world, "ACK");
    three.next(world, "ACK");
    bye(world, one);
    world.pass(Duration::from_secs(179));
    assert_eq!(shown(world, one, two)["state"], "ended");
    world.pass(Duration::from_secs(2));
    assert_eq!(shown(world, one, two), serde_json::Value::Null);
    super::by_hand::place(world, one, two, "sipMethod=INVITE");
    let again = one.next(world, "INVITE");
    one.reply(world, &again, "486 Busy Here", "", "");
    one.next(world, "ACK");
    Pair { one: three, to_one: to_three, ..pair }.end();
}

#[test]
fn a_target_that_cannot_be_had_leaves_the_call_as_it_was() {
    for (status, phrase) in
        [(486, "Busy Here"), (603, "Decline"), (404, "Not Found"), (480, "Temporarily Unavailable")]
    {
        let mut trio = Trio::ringing();
        let Trio { pair, three, to_three } = &mut trio;
        three.reply(&mut pair.world, to_three, &format!("{status} {phrase}"), "", "");
        three.next(&mut pair.world, "ACK");
        assert_eq!(trio.result(), ("failed".to_owned(), Some(status)));
        assert!(trio.pair.two.try_next(&mut trio.pair.world, Duration::from_secs(1), "INVITE").is_none());
        trio.expect_as_before();
        trio.pair.end();
    }
}

#[test]
fn a_silent_target_is_given_up_after_its_own_time() {
    let mut trio = Trio::ringing_with("&timeout=5");
    let Trio { pair, three, to_three } = &mut trio;
    let cancel = three.next_within(&mut pair.world, Duration::from_secs(6), "CANCEL");
    three.reply(&mut pair.world, &cancel, "200 OK", "", "");
    three.reply(&mut pair.world, to_three, "487 Request Terminated", "", "");
    three.next(&mut pair.world, "ACK");
    assert_eq!(trio.result(), ("failed".to_owned(), Some(408)));
    trio.expect_as_before();
    trio.pair.end();
}

#[test]
fn a_called_party_that_refuses_the_targets_offer_keeps_the_old_call() {
    let mut trio = Trio::ringing();
    let offer = trio.picked_up();
    let Trio { pair, three, .. } = &mut trio;
    pair.two.reply(&mut pair.world, &offer, "488 Not Acceptable Here", "", "");
    assert!(three.next(&mut pair.world, "ACK").body().contains("m=audio 9 "));
    assert!(bye(&mut pair.world, three).field("Reason").contains("cause=488"));
    pair.two.next(&mut pair.world, "ACK");
    assert_eq!(trio.result(), ("failed".to_owned(), Some(488)));
    trio.expect_as_before();
    trio.pair.end();
}

#[test]
fn a_target_that_hangs_up_at_once_gives_the_called_party_its_old_media_back() {
    let mut trio = Trio::ringing();
    let offer = trio.picked_up();
    let Trio { pair, three, to_three } = &mut trio;
    three.request(&mut pair.world, to_three, "BYE", "", "");
    three.next(&mut pair.world, "SIP/2.0 200");
    pair.two.reply(&mut pair.world, &offer, "200 OK", ABLE, &sdp(4002, 2, "sendrecv"));
    pair.two.next(&mut pair.world, "ACK");
    let back = pair.two.next(&mut pair.world, "INVITE");
    assert!(back.body().contains("m=audio 4001 "), "{}", back.text);
    assert!(back.origin().1 > offer.origin().1);
    pair.two.reply(&mut pair.world, &back, "200 OK", ABLE, &sdp(4002, 3, "sendrecv"));
    pair.two.next(&mut pair.world, "ACK");
    assert_eq!(trio.result(), ("failed".to_owned(), Some(487)));
    trio.expect_as_before();
    trio.pair.end();
}

/// The target hangs up before the called party has answered its offer.
fn target_lost() -> (Trio, Mail) {
    let mut trio = Trio::ringing();
    let offer = trio.picked_up();
    let Trio { pair, three, to_three } = &mut trio;
    three.request(&mut pair.world, to_three, "BYE", "", "");
    three.next(&mut pair.world, "SIP/2.0 200");
    (trio, offer)
}

#[test]
fn a_called_party_that_refuses_the_offer_of_a_target_that_is_gone_is_asked_nothing_more() {
    let (mut trio, offer) = target_lost();
    let pair = &mut trio.pair;
    pair.two.reply(&mut pair.world, &offer, "488 Not Acceptable Here", "", "");
    pair.two.next(&mut pair.world, "ACK");
    assert!(pair.two.try_next(&mut pair.world, Duration::from_secs(5), "INVITE").is_none());
    assert_eq!(trio.result(), ("failed".to_owned(), Some(487)));
    trio.expect_as_before();
    trio.pair.end();
}

#[test]
fn a_called_party_that_answers_the_offer_of_a_target_long_gone_gets_its_old_media_back() {
    let (mut trio, offer) = target_lost();
    let pair = &mut trio.pair;
    pair.two.reply(&mut pair.world, &offer, "100 Trying", "", "");
    let cancel = pair.two.next_within(&mut pair.world, Duration::from_secs(70), "CANCEL");
    pair.two.reply(&mut pair.world, &cancel, "200 OK", "", "");
    pair.two.reply(&mut pair.world, &offer, "200 OK", ABLE, &sdp(4002, 2, "sendrecv"));
    pair.two.next(&mut pair.world, "ACK");
    let back = pair.two.next(&mut pair.world, "INVITE");
    assert!(back.body().contains("m=audio 4001 "), "{}", back.text);
    pair.two.reply(&mut pair.world, &back, "200 OK", ABLE, &sdp(4002, 3, "sendrecv"));
    pair.two.next(&mut pair.world, "ACK");
    trio.expect_as_before();
    trio.pair.end();
}

#[test]
fn a_called_party_that_thinks_about_its_offer_for_longer_than_the_transfer_may_take_keeps_the_old_call() {
    let mut pair = Pair::connected();
    let three = Hand::new(&mut pair.world, 7103);
    assert_eq!(ask_transfer(&mut pair, &three, "&timeout=5").0, 200);
    let refused = three.next(&mut pair.world, "INVITE");
    three.reply(&mut pair.world, &refused, "606 Not Acceptable", "", "");
    three.next(&mut pair.world, "ACK");
    let asked = pair.two.next(&mut pair.world, "INVITE");
    pair.two.reply(&mut pair.world, &asked, "100 Trying", "", "");
    pair.world.pass(Duration::from_secs(70));
    pair.two.reply(&mut pair.world, &asked, "200 OK", ABLE, &sdp(4002, 2, "sendrecv"));
    let ack = pair.two.next(&mut pair.world, "ACK");
    assert!(ack.body().contains("m=audio 4001 "), "{}", ack.text);
    assert!(three.try_next(&mut pair.world, Duration::from_secs(5), "INVITE").is_none());
    let mut trio = Trio { to_three: refused, pair, three };
    assert_eq!(trio.result(), ("failed".to_owned(), Some(408)));
    trio.expect_as_before();
    trio.pair.end();
}

#[test]
fn a_target_that_wants_an_offer_gets_the_called_partys() {
    for connects in [true, false] {
        let mut pair = Pair::connected();
        let three = Hand::new(&mut pair.world, 7103);
        assert_eq!(ask_transfer(&mut pair, &three, "").0, 200);
        let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
        let refused = three.next(world, "INVITE");
        three.reply(world, &refused, "606 Not Acceptable", "", "");
        three.next(world, "ACK");
        let asked = two.next(world, "INVITE");
        assert_eq!(asked.body(), "");
        two.reply(world, &asked, "200 OK", ABLE, &sdp(4002, 2, "sendrecv"));
        let to_three = three.next(world, "INVITE");
        assert!(to_three.body().contains("m=audio 4002 "), "{}", to_three.text);
        if connects {
            three.reply(world, &to_three, "200 OK", ABLE, &sdp(4003, 1, "sendrecv"));
            three.next(world, "ACK");
            assert!(two.next(world, "ACK").body().contains("m=audio 4003 "));
            bye(world, one);
            world.pass(Duration::from_millis(50));
            Pair { one: three, to_one: to_three, ..pair }.end();
        } else {
            three.reply(world, &to_three, "486 Busy Here", "", "");
            three.next(world, "ACK");
            // The offer that it was asked for is answered with what it had.
            assert!(two.next(world, "ACK").body().contains("m=audio 4001 "));
            let mut trio = Trio { pair, three, to_three };
            assert_eq!(trio.result(), ("failed".to_owned(), Some(486)));
            trio.expect_as_before();
            trio.pair.end();
        }
    }
}

#[test]
fn a_transfer_while_another_one_runs_is_refused_and_so_is_one_of_a_call_that_is_not_connected() {
    let mut trio = Trio::ringing();
    let (status, _, body) = ask_transfer(&mut trio.pair, &trio.three, "");
    assert_eq!(status, 409, "{body}");
    assert!(body.contains("still in progress"), "{body}");
    let Trio { pair, three, to_three } = &mut trio;
    three.reply(&mut pair.world, to_three, "486 Busy Here", "", "");
    three.next(&mut pair.world, "ACK");
    trio.pair.end();

    let mut world = World::new(Setting::default(), vec![Temper::default(), Temper::default()]);
    let path = "/callcontroller/user1/user2?action=transfer&target=user3&agent=agent";
    assert_eq!(world.ask("POST", path, "").0, 404);
    world.place(INVITE);
    let (status, _, body) = world.ask("POST", path, "");
    assert_eq!(status, 409, "{body}");
    world.ask("DELETE", "/callcontroller/user1/user2", "");
    world.pass(Duration::from_secs(300));
    world.place("");
    let (status, _, body) = world.ask("POST", path, "");
    assert_eq!((status, body.contains("REFER")), (409, true), "{body}");
    world.pass(Duration::from_secs(3));
    world.expect_nothing_left();
}

#[test]
fn a_call_is_transferred_again_and_again() {
    let phones = vec![Temper::default(); 4];
    let mut world = World::new(Setting::default(), phones);
    world.place(INVITE);
    world.pass(Duration::from_secs(3));
    for (calling, target) in [(1, 3), (3, 4), (4, 1)] {
        transfer(&mut world, &format!("user{calling}"), &format!("user{target}"));
        world.pass(Duration::from_secs(3));
        assert!(connected(&world, target, 2), "{target}");
        assert_eq!(world.phone(calling), PhoneState::Idle);
    }
    assert_eq!(world.call()["state"], "connected");
    assert_eq!(world.ask("DELETE", "/callcontroller/user1/user2", "").0, 204);
    world.pass(Duration::from_secs(1));
    assert_eq!((world.phone(1), world.phone(2)), (PhoneState::Idle, PhoneState::Idle));
    world.expect_nothing_left();
}

#[test]
fn delete_during_a_transfer_ends_all_three() {
    let mut trio = Trio::ringing();
    let Trio { pair, three, to_three } = &mut trio;
    assert_eq!(pair.world.ask("DELETE", &path(&pair.one, &pair.two), "").0, 204);
    bye(&mut pair.world, &pair.one);
    bye(&mut pair.world, &pair.two);
    let cancel = three.next(&mut pair.world, "CANCEL");
    three.reply(&mut pair.world, &cancel, "200 OK", "", "");
    three.reply(&mut pair.world, to_three, "487 Request Terminated", "", "");
    three.next(&mut pair.world, "ACK");
    assert_eq!(trio.result(), ("failed".to_owned(), Some(487)));
    trio.pair.over();
}

#[test]
fn a_called_party_that_hangs_up_during_a_transfer_ends_everything() {
    let mut trio = Trio::ringing();
    let Trio { pair, three, to_three } = &mut trio;
    pair.two.request(&mut pair.world, &pair.to_two, "BYE", "", "");
    pair.two.next(&mut pair.world, "SIP/2.0 200");
    bye(&mut pair.world, &pair.one);
    let cancel = three.next(&mut pair.world, "CANCEL");
    three.reply(&mut pair.world, &cancel, "200 OK", "", "");
    three.reply(&mut pair.world, to_three, "487 Request Terminated", "", "");
    three.next(&mut pair.world, "ACK");
    trio.pair.over();
}

#[test]
fn a_calling_party_that_hangs_up_during_a_transfer_does_not_stop_it() {
    for connects in [true, false] {
        let mut trio = Trio::ringing();
        let Trio { pair, three, to_three } = &mut trio;
        pair.one.request(&mut pair.world, &pair.to_one, "BYE", "", "");
        pair.one.next(&mut pair.world, "SIP/2.0 200");
        assert!(pair.two.try_next(&mut pair.world, Duration::from_secs(1), "BYE").is_none());
        if connects {
            let offer = trio.picked_up();
            let Trio { mut pair, three, to_three } = trio;
            pair.two.reply(&mut pair.world, &offer, "200 OK", ABLE, &sdp(4002, 2, "sendrecv"));
            pair.two.next(&mut pair.world, "ACK");
            three.next(&mut pair.world, "ACK");
            Pair { one: three, to_one: to_three, ..pair }.end();
        } else {
            three.reply(&mut pair.world, to_three, "486 Busy Here", "", "");
            three.next(&mut pair.world, "ACK");
            assert!(bye(&mut pair.world, &pair.two).field("Reason").contains("cause=486"));
            trio.pair.over();
        }
    }
}

#[test]
fn a_target_that_sends_bye_while_it_rings_leaves_the_call_as_it_was() {
    let mut trio = Trio::ringing();
    let Trio { pair, three, to_three } = &mut trio;
    three.request(&mut pair.world, to_three, "BYE", "", "");
    three.next(&mut pair.world, "SIP/2.0 200");
    let cancel = three.next(&mut pair.world, "CANCEL");
    three.reply(&mut pair.world, &cancel, "200 OK", "", "");
    three.reply(&mut pair.world, to_three, "487 Request Terminated", "", "");
    three.next(&mut pair.world, "ACK");
    assert_eq!(trio.result(), ("failed".to_owned(), Some(487)));
    trio.expect_as_before();
    trio.pair.end();
}
