//! How calls end, and who is told why.

use std::time::Duration;

use cordboard_core::softphone::{PhoneState, Pickup, Temper};
use cordboard_tests::hand::{Hand, sdp};
use cordboard_tests::world::{Setting, World, controller_address};

use super::by_hand::{ABLE, Pair, bye, path, phones, pick_up, place, setting, shown};
use super::{INVITE, connected};

#[test]
fn whoever_hangs_up_the_other_one_is_hung_up_with_the_same_reason() {
    for calling in [true, false] {
        let mut pair = Pair::connected();
        let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
        let (from, to, invite) = if calling { (one, two, &pair.to_one) } else { (two, one, &pair.to_two) };
        from.request(world, invite, "BYE", "Reason: Q.850;cause=16\r\nX-Why: tea\r\n", "");
        from.next(world, "SIP/2.0 200");
        let told = bye(world, to);
        assert_eq!((told.field("Reason"), told.field("X-Why")), ("Q.850;cause=16", "tea"));
        pair.over();
    }
}

#[test]
fn a_busy_declining_or_unreachable_called_party_is_told_to_the_calling_one_and_recorded() {
    for (status, phrase) in
        [(486, "Busy Here"), (603, "Decline"), (404, "Not Found"), (503, "Service Unavailable")]
    {
        let (mut world, one, two) = phones(setting());
        place(&mut world, &one, &two, "sipMethod=INVITE");
        let to_one = pick_up(&mut world, &one, ABLE);
        let to_two = two.next(&mut world, "INVITE");
        two.reply(&mut world, &to_two, &format!("{status} {phrase}"), "", "");
        two.next(&mut world, "ACK");
        let told = bye(&mut world, &one);
        assert_eq!(told.field("Reason"), format!("SIP;cause={status};text=\"{phrase}\""));
        let outcome = shown(&mut world, &one, &two)["outcome"].clone();
        assert_eq!((outcome["state"].as_str(), outcome["status"].as_u64()), (Some("failed"), Some(status)));
        Pair { world, one, two, to_one, to_two }.over();
    }
}

#[test]
fn a_called_party_that_does_not_answer_in_time_is_given_up() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE&timeout=20");
    let to_one = pick_up(&mut world, &one, ABLE);
    let to_two = two.next(&mut world, "INVITE");
    two.reply(&mut world, &to_two, "180 Ringing", "", "");
    let cancel = two.next_within(&mut world, Duration::from_secs(25), "CANCEL");
    assert!(cancel.field("Reason").contains("cause=408"), "{}", cancel.text);
    two.reply(&mut world, &cancel, "200 OK", "", "");
    two.reply(&mut world, &to_two, "487 Request Terminated", "", "");
    two.next(&mut world, "ACK");
    assert!(bye(&mut world, &one).field("Reason").contains("cause=408"));
    Pair { world, one, two, to_one, to_two }.over();
}

#[test]
fn a_called_party_that_never_says_a_word_is_given_up_too() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let to_one = pick_up(&mut world, &one, ABLE);
    let to_two = two.next(&mut world, "INVITE");
    let told = one.next_within(&mut world, Duration::from_secs(40), "BYE");
    assert!(told.field("Reason").contains("cause=408"));
    one.reply(&mut world, &told, "200 OK", "", "");
    Pair { world, one, two, to_one, to_two }.over();
}

#[test]
fn delete_ends_a_call_that_rings_at_the_calling_party() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let to_one = one.next(&mut world, "INVITE");
    one.reply(&mut world, &to_one, "180 Ringing", "", "");
    world.pass(Duration::from_millis(50));
    assert_eq!(world.ask("DELETE", &path(&one, &two), "").0, 204);
    let cancel = one.next(&mut world, "CANCEL");
    one.reply(&mut world, &cancel, "200 OK", "", "");
    one.reply(&mut world, &to_one, "487 Request Terminated", "", "");
    one.next(&mut world, "ACK");
    assert!(two.try_next(&mut world, Duration::from_secs(1), "INVITE").is_none());
    assert_eq!(shown(&mut world, &one, &two)["state"], "ended");
    assert_eq!(world.ask("DELETE", &path(&one, &two), "").0, 404);
    world.expect_nothing_left();
}

#[test]
fn delete_ends_a_call_that_rings_at_the_called_party_and_one_that_is_being_connected() {
    for picked_up in [false, true] {
        let (mut world, one, two) = phones(setting());
        place(&mut world, &one, &two, "sipMethod=INVITE");
        let to_one = pick_up(&mut world, &one, ABLE);
        let to_two = two.next(&mut world, "INVITE");
        two.reply(&mut world, &to_two, "180 Ringing", "", "");
        if picked_up {
            two.reply(&mut world, &to_two, "200 OK", ABLE, &sdp(4002, 1, "sendrecv"));
            one.next(&mut world, "INVITE");
        }
        world.pass(Duration::from_millis(50));
        assert_eq!(world.ask("DELETE", &path(&one, &two), "").0, 204);
        bye(&mut world, &one);
        if picked_up {
            assert!(two.next(&mut world, "ACK").body().contains("m=audio 9 "));
            bye(&mut world, &two);
        } else {
            let cancel = two.next(&mut world, "CANCEL");
            two.reply(&mut world, &cancel, "200 OK", "", "");
            // The 2xx has crossed it.
            two.reply(&mut world, &to_two, "200 OK", ABLE, &sdp(4002, 1, "sendrecv"));
            assert!(two.next(&mut world, "ACK").body().contains("m=audio 9 "));
            bye(&mut world, &two);
        }
        let outcome = shown(&mut world, &one, &two)["outcome"].clone();
        assert_eq!((outcome["state"].as_str(), outcome["status"].as_u64()), (Some("failed"), Some(487)));
        world.pass(Duration::from_secs(40));
        Pair { world, one, two, to_one, to_two }.over();
    }
}

#[test]
fn a_calling_party_that_hangs_up_while_the_other_one_rings_ends_the_ringing() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let to_one = pick_up(&mut world, &one, ABLE);
    let to_two = two.next(&mut world, "INVITE");
    two.reply(&mut world, &to_two, "180 Ringing", "", "");
    world.pass(Duration::from_millis(50));
    one.request(&mut world, &to_one, "BYE", "Reason: SIP;cause=487\r\n", "");
    one.next(&mut world, "SIP/2.0 200");
    let cancel = two.next(&mut world, "CANCEL");
    assert_eq!(cancel.field("Reason"), "SIP;cause=487");
    two.reply(&mut world, &cancel, "200 OK", "", "");
    two.reply(&mut world, &to_two, "487 Request Terminated", "", "");
    two.next(&mut world, "ACK");
    Pair { world, one, two, to_one, to_two }.over();
}

#[test]
fn what_the_calling_party_asks_while_it_waits_is_answered_here() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let to_one = pick_up(&mut world, &one, ABLE);
    let to_two = two.next(&mut world, "INVITE");
    two.reply(&mut world, &to_two, "180 Ringing", "", "");
    let cseq = one.request(&mut world, &to_one, "INVITE", "", &sdp(4001, 2, "sendonly"));
    let answered = one.next(&mut world, "SIP/2.0 200");
    assert!(answered.body().contains("a=recvonly"), "{}", answered.text);
    one.request_as(&mut world, &to_one, ("ACK", cseq), "", "");
    one.request(&mut world, &to_one, "MESSAGE", "", "hello");
    one.next(&mut world, "SIP/2.0 480");
    two.reply(&mut world, &to_two, "200 OK", ABLE, &sdp(4002, 1, "sendrecv"));
    let offer = one.next(&mut world, "INVITE");
    one.reply(&mut world, &offer, "200 OK", ABLE, &sdp(4001, 3, "sendrecv"));
    one.next(&mut world, "ACK");
    two.next(&mut world, "ACK");
    Pair { world, one, two, to_one, to_two }.end();
}

#[test]
fn a_phone_that_knows_nothing_of_the_call_any_more_ends_it_for_the_other() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    one.request(world, &pair.to_one, "INFO", "", "x");
    let passed = two.next(world, "INFO");
    two.reply(world, &passed, "481 Call/Transaction Does Not Exist", "", "");
    one.next(world, "SIP/2.0 481");
    assert!(bye(world, one).field("Reason").contains("cause=481"));
    assert!(world.between(controller_address(), two.address, "BYE").is_empty(), "it has no dialog to end");
    pair.over();
}

#[test]
fn a_phone_that_answers_nothing_any_more_ends_the_call_for_the_other() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    one.request(world, &pair.to_one, "INVITE", "", &sdp(4001, 3, "sendonly"));
    two.next(world, "INVITE");
    let told = one.next_within(world, Duration::from_secs(40), "BYE");
    assert!(told.field("Reason").contains("cause=408"));
    one.reply(world, &told, "200 OK", "", "");
    // Its BYE is tried all the same, until that has no answer either.
    world.pass(Duration::from_secs(40));
    pair.over();
}

#[test]
fn who_hangs_up_while_something_passes_leaves_no_request_unanswered() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    one.request(world, &pair.to_one, "INVITE", "", &sdp(4001, 3, "sendonly"));
    let passed = two.next(world, "INVITE");
    two.reply(world, &passed, "180 Ringing", "", "");
    one.next(world, "SIP/2.0 180");
    two.request(world, &pair.to_two, "BYE", "", "");
    two.next(world, "SIP/2.0 200");
    one.next(world, "SIP/2.0 487");
    bye(world, one);
    two.reply(world, &passed, "487 Request Terminated", "", "");
    pair.over();
}

#[test]
fn an_answer_that_is_never_acknowledged_ends_the_call() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    one.request(world, &pair.to_one, "INVITE", "", &sdp(4001, 3, "sendonly"));
    let passed = two.next(world, "INVITE");
    two.reply(world, &passed, "200 OK", ABLE, &sdp(4002, 3, "recvonly"));
    two.next(world, "ACK");
    for hand in [one, two] {
        let end = hand.next_within(world, Duration::from_secs(40), "BYE");
        hand.reply(world, &end, "200 OK", "", "");
    }
    pair.over();
}

#[test]
fn byes_that_cross_are_both_answered() {
    let mut pair = Pair::connected();
    assert_eq!(pair.world.ask("DELETE", &path(&pair.one, &pair.two), "").0, 204);
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    one.request(world, &pair.to_one, "BYE", "", "");
    one.next(world, "SIP/2.0 200");
    let ours = one.next(world, "BYE");
    one.reply(world, &ours, "481 Call/Transaction Does Not Exist", "", "");
    bye(world, two);
    pair.over();
}

#[test]
fn scripted_phones_that_hang_up_or_never_answer_leave_nothing() {
    let quitter = Temper { hangs_up_after: Some(Duration::from_secs(5)), ..Temper::default() };
    let silent = Temper { pickup: Pickup::Never, ..Temper::default() };
    let despite = Temper { pickup: Pickup::DespiteCancel, ..Temper::default() };
    for (one, two) in [
        (quitter.clone(), Temper::default()),
        (Temper::default(), quitter),
        (silent.clone(), Temper::default()),
        (Temper::default(), silent),
        (despite.clone(), Temper::default()),
        (Temper::default(), despite),
    ] {
        let mut world = World::new(Setting::default(), vec![one, two]);
        world.place(&format!("{INVITE}&timeout=10"));
        world.pass(Duration::from_secs(60));
        assert!(!connected(&world, 1, 2));
        assert_eq!((world.phone(1), world.phone(2)), (PhoneState::Idle, PhoneState::Idle));
        assert_eq!(world.call()["state"], "ended");
        world.expect_nothing_left();
    }
}

#[test]
fn get_shows_each_dialog_early_confirmed_and_terminated() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let count = |world: &mut World, one: &Hand, two: &Hand, state: &str| {
        let (_, _, body) = world.ask("GET", &path(one, two), "");
        assert!(
            body.contains("<dialogs xmlns=\"http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00\">"),
            "{body}"
        );
        body.matches(&format!("<dialog-state>{state} Dialog</dialog-state>")).count()
    };
    assert_eq!(count(&mut world, &one, &two, "Early"), 1);
    let to_one = pick_up(&mut world, &one, ABLE);
    let to_two = two.next(&mut world, "INVITE");
    assert_eq!((count(&mut world, &one, &two, "Confirmed"), count(&mut world, &one, &two, "Early")), (1, 1));
    two.reply(&mut world, &to_two, "180 Ringing", "", "");
    world.pass(Duration::from_millis(50));
    let (_, _, body) = world.ask("GET", &path(&one, &two), "");
    let our_tag = to_two.field("From").split(";tag=").nth(1).unwrap_or_default();
    assert!(
        body.contains(&format!("<dialog-id>{}:{our_tag}:{}</dialog-id>", to_two.field("Call-ID"), two.tag)),
        "{body}"
    );
    assert!(body.contains("<local-party>sip:agent@example.com</local-party>"), "{body}");
    assert!(body.contains(&format!("<remote-party>sip:{}</remote-party>", two.user())), "{body}");
    two.reply(&mut world, &to_two, "200 OK", ABLE, &sdp(4002, 1, "sendrecv"));
    let offer = one.next(&mut world, "INVITE");
    one.reply(&mut world, &offer, "200 OK", ABLE, &sdp(4001, 2, "sendrecv"));
    one.next(&mut world, "ACK");
    two.next(&mut world, "ACK");
    assert_eq!(count(&mut world, &one, &two, "Confirmed"), 2);
    one.request(&mut world, &to_one, "BYE", "", "");
    assert_eq!(count(&mut world, &one, &two, "Confirmed"), 2, "it is on its way");
    bye(&mut world, &two);
    world.pass(Duration::from_millis(50));
    assert_eq!(count(&mut world, &one, &two, "Terminated"), 2);
    Pair { world, one, two, to_one, to_two }.over();
}

#[test]
fn a_phone_that_says_bye_and_notify_before_it_answers_ends_a_call_by_refer_once() {
    let (mut world, one, two) = phones(setting());
    place(&mut world, &one, &two, "");
    let to_one = one.next(&mut world, "INVITE");
    let lines = "Event: refer\r\nSubscription-State: active\r\n";
    one.request(&mut world, &to_one, "NOTIFY", lines, "SIP/2.0 180 Ringing\r\n");
    one.next(&mut world, "SIP/2.0 481");
    one.request(&mut world, &to_one, "BYE", "", "");
    one.next(&mut world, "SIP/2.0 200");
    one.reply(&mut world, &to_one, "200 OK", "", &sdp(4001, 1, "recvonly"));
    one.next(&mut world, "ACK");
    bye(&mut world, &one);
    world.pass(Duration::from_secs(1));
    assert_eq!(shown(&mut world, &one, &two)["state"], "ended");
    world.expect_nothing_left();
}

#[test]
fn what_passes_is_answered_when_the_call_is_deleted_and_when_the_other_party_is_silent() {
    for deleted in [true, false] {
        let mut pair = Pair::connected();
        let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
        one.request(world, &pair.to_one, "INFO", "", "x");
        two.next(world, "INFO");
        two.request(world, &pair.to_two, "MESSAGE", "", "y");
        one.next(world, "MESSAGE");
        if deleted {
            assert_eq!(world.ask("DELETE", &path(one, two), "").0, 204);
            one.next(world, "SIP/2.0 487");
            two.next(world, "SIP/2.0 487");
        } else {
            one.next_within(world, Duration::from_secs(40), "SIP/2.0 504");
            assert!(two.try_next(world, Duration::from_secs(1), "SIP/2.0 487").is_some());
        }
        bye(world, one);
        bye(world, two);
        world.pass(Duration::from_secs(40));
        pair.over();
    }
}
