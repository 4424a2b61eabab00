//! Session timers (RFC 4028), and OPTIONS to phones that have none.

use std::time::Duration;

use cordboard_tests::hand::{Hand, sdp};
use cordboard_tests::world::{Setting, World};

use super::by_hand::{ABLE, Pair, bye, phones, place, setting};

/// We refresh towards the first phone, the second one has no timers at all.
fn we_refresh(more: &str) -> Pair {
    let says = format!("{more}Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n");
    Pair::connected_with(
        Setting { calls: "", ..setting() },
        &says,
        "Session-Expires: 100000;refresher=uas\r\n",
    )
}

#[test]
fn the_session_is_refreshed_by_update_at_half_time_where_the_phone_takes_that() {
    let mut pair = we_refresh("Allow: INVITE, ACK, BYE, UPDATE\r\n");
    for _ in 0..3 {
        let update = pair.one.next_within(&mut pair.world, Duration::from_secs(901), "UPDATE");
        assert_eq!((update.body(), update.field("Session-Expires")), ("", "1800"));
        assert!(update.field("Supported").contains("timer"));
        let says = "Require: timer\r\nSession-Expires: 1800;refresher=uac\r\n";
        pair.one.reply(&mut pair.world, &update, "200 OK", says, "");
    }
    assert_eq!(pair.shown()["state"], "connected");
    pair.end();
}

#[test]
fn the_session_is_refreshed_by_re_invite_where_update_is_not_taken() {
    for refuses in [false, true] {
        let allow =
            if refuses { "Allow: INVITE, ACK, BYE, UPDATE\r\n" } else { "Allow: INVITE, ACK, BYE\r\n" };
        let mut pair = we_refresh(allow);
        if refuses {
            let update = pair.one.next_within(&mut pair.world, Duration::from_secs(901), "UPDATE");
            pair.one.reply(&mut pair.world, &update, "405 Method Not Allowed", "", "");
        }
        let patience = Duration::from_secs(901);
        let before =
            pair.world.between(cordboard_tests::world::controller_address(), pair.one.address, "INVITE");
        let agreed = before.last().expect("it was offered").clone();
        let refresh = pair.one.next_within(&mut pair.world, patience, "INVITE");
        assert_eq!(
            refresh.body(),
            agreed.split_once("\r\n\r\n").expect("it has a body").1,
            "nothing has changed"
        );
        let says = "Session-Expires: 1800;refresher=uac\r\n";
        pair.one.reply(&mut pair.world, &refresh, "200 OK", says, &sdp(4001, 2, "sendrecv"));
        pair.one.next(&mut pair.world, "ACK");
        pair.end();
    }
}

#[test]
fn a_phone_that_does_not_answer_the_refresh_is_dead_and_the_other_one_is_hung_up() {
    let mut pair = we_refresh("Allow: INVITE, ACK, BYE, UPDATE\r\n");
    pair.one.next_within(&mut pair.world, Duration::from_secs(901), "UPDATE");
    let told = pair.two.next_within(&mut pair.world, Duration::from_secs(40), "BYE");
    assert!(told.field("Reason").contains("cause=408"));
    pair.two.reply(&mut pair.world, &told, "200 OK", "", "");
    pair.world.pass(Duration::from_secs(40));
    pair.over();
}

#[test]
fn a_refresh_that_fails_for_the_moment_is_tried_again_and_the_call_ends_with_the_session() {
    let mut pair = we_refresh("Allow: INVITE, ACK, BYE, UPDATE\r\n");
    let refused = |pair: &mut Pair| {
        let update = pair.one.next_within(&mut pair.world, Duration::from_secs(901), "UPDATE");
        pair.one.reply(&mut pair.world, &update, "503 Service Unavailable", "", "");
    };
    (0..9).for_each(|_| refused(&mut pair));
    let update = pair.one.next_within(&mut pair.world, Duration::from_secs(11), "UPDATE");
    let says = "Session-Expires: 1800;refresher=uac\r\n";
    pair.one.reply(&mut pair.world, &update, "200 OK", says, "");
    // Half a session, in steps of ten seconds.
    (0..90).for_each(|_| refused(&mut pair));
    assert!(pair.one.try_next(&mut pair.world, Duration::from_secs(9), "BYE").is_none());
    for hand in [&pair.one, &pair.two] {
        assert!(bye(&mut pair.world, hand).field("Reason").contains("cause=408"));
    }
    pair.over();
}

#[test]
fn a_phone_that_was_to_refresh_and_does_not_ends_the_call() {
    let says = "Supported: timer\r\nRequire: timer\r\nSession-Expires: 600;refresher=uas\r\n";
    let mut pair = Pair::connected_with(setting(), says, says);
    pair.world.pass(Duration::from_secs(300));
    // The first one refreshes, by UPDATE and by re-INVITE, the second one never does.
    let ask = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\nMin-SE: 90\r\n";
    pair.one.request(&mut pair.world, &pair.to_one, "UPDATE", ask, "");
    let agreed = pair.one.next(&mut pair.world, "SIP/2.0 200");
    assert_eq!(agreed.field("Session-Expires"), "600;refresher=uac");
    assert_eq!(agreed.field("Require"), "timer");
    let end = pair.two.next_within(&mut pair.world, Duration::from_secs(300), "BYE");
    pair.two.reply(&mut pair.world, &end, "200 OK", "", "");
    assert!(bye(&mut pair.world, &pair.one).field("Reason").contains("cause=408"));
    pair.over();
}

#[test]
fn a_session_that_is_asked_to_be_too_short_is_refused() {
    let mut pair = Pair::connected();
    let ask = "Supported: timer\r\nSession-Expires: 30\r\n";
    pair.one.request(&mut pair.world, &pair.to_one, "UPDATE", ask, "");
    assert_eq!(pair.one.next(&mut pair.world, "SIP/2.0 422").field("Min-SE"), "90");
    pair.end();
}

#[test]
fn a_phone_that_wants_longer_sessions_gets_them() {
    let (mut world, one, two) = phones(Setting { calls: "session_expires = \"90s\"", ..setting() });
    place(&mut world, &one, &two, "sipMethod=INVITE");
    let short = one.next(&mut world, "INVITE");
    assert_eq!(short.field("Session-Expires"), "90");
    one.reply(&mut world, &short, "422 Session Interval Too Small", "Min-SE: 600\r\n", "");
    one.next(&mut world, "ACK");
    let long = one.next(&mut world, "INVITE");
    assert_eq!((long.field("Session-Expires"), long.field("Call-ID")), ("600", short.field("Call-ID")));
    assert_eq!((long.field("CSeq"), long.field("Min-SE")), ("2 INVITE", "600"));
    one.reply(&mut world, &long, "486 Busy Here", "", "");
    one.next(&mut world, "ACK");
    world.expect_nothing_left();
}

#[test]
fn a_phone_without_timers_is_asked_by_options_and_given_up_when_it_does_not_answer() {
    let mut pair = Pair::connected_with(setting(), "", "");
    let answer = |world: &mut World, hand: &Hand, status: &str| {
        let ping = hand.next_within(world, Duration::from_secs(901), "OPTIONS");
        hand.reply(world, &ping, status, "", "");
    };
    // Whatever it answers, it is there.
    for status in ["200 OK", "405 Method Not Allowed"] {
        answer(&mut pair.world, &pair.one, status);
        answer(&mut pair.world, &pair.two, status);
    }
    assert_eq!(pair.shown()["state"], "connected");
    answer(&mut pair.world, &pair.one, "481 Call/Transaction Does Not Exist");
    assert!(bye(&mut pair.world, &pair.two).field("Reason").contains("cause=481"));
    pair.over();
}

#[test]
fn without_session_timers_nobody_is_asked_anything() {
    let off = Setting { calls: "session_expires = \"off\"", ..setting() };
    let mut pair = Pair::connected_with(off, ABLE, ABLE);
    assert_eq!(pair.to_one.field("Session-Expires"), "");
    let day = Duration::from_secs(86_400);
    for start in ["OPTIONS", "UPDATE", "INVITE", "BYE"] {
        assert!(pair.one.try_next(&mut pair.world, day, start).is_none(), "{start}");
    }
    pair.end();
}
