//! What one party says passes to the other (RFC 7092), and offers and answers stay in order.

use std::time::Duration;

use cordboard_tests::hand::{Hand, Mail, sdp};

use super::by_hand::{ABLE, Pair, bye};

#[test]
fn hold_and_resume_pass_with_their_answers_under_a_counted_version() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    let mut last = None;
    for (version, direction, answer) in [(2, "sendonly", "recvonly"), (3, "sendrecv", "sendrecv")] {
        let lines = "Supported: 100rel\r\nSubject: hold\r\n";
        let cseq = one.request(world, &pair.to_one, "INVITE", lines, &sdp(4001, version, direction));
        let passed = two.next(world, "INVITE");
        assert!(passed.body().contains(&format!("a={direction}")) && passed.body().contains("m=audio 4001 "));
        assert_eq!(passed.field("Subject"), "hold");
        let (session, now) = passed.origin();
        if let Some((before, version)) = last {
            assert_eq!((session, now), (before, version + 1));
        }
        last = Some((session, now));
        two.reply(world, &passed, "200 OK", ABLE, &sdp(4002, 2, answer));
        two.next(world, "ACK");
        let answered = one.next(world, "SIP/2.0 200");
        assert!(answered.body().contains(&format!("a={answer}")), "{}", answered.text);
        one.request_as(world, &pair.to_one, ("ACK", cseq), "", "");
    }
    pair.end();
}

#[test]
fn a_description_that_does_not_change_keeps_its_version() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    let mut versions = Vec::new();
    for _ in 0..2 {
        let cseq = one.request(world, &pair.to_one, "INVITE", "", &sdp(4001, 2, "sendrecv"));
        let passed = two.next(world, "INVITE");
        versions.push(passed.origin());
        two.reply(world, &passed, "200 OK", ABLE, &sdp(4002, 1, "sendrecv"));
        two.next(world, "ACK");
        one.next(world, "SIP/2.0 200");
        one.request_as(world, &pair.to_one, ("ACK", cseq), "", "");
    }
    assert_eq!(versions[0], versions[1]);
    pair.end();
}

#[test]
fn a_re_invite_without_an_offer_brings_the_others_offer_and_its_ack_the_answer() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    let cseq = two.request(world, &pair.to_two, "INVITE", "", "");
    let passed = one.next(world, "INVITE");
    assert_eq!(passed.body(), "");
    one.reply(world, &passed, "200 OK", ABLE, &sdp(4001, 5, "sendrecv"));
    let offer = two.next(world, "SIP/2.0 200");
    assert!(offer.body().contains("m=audio 4001 "), "{}", offer.text);
    assert!(one.try_next(world, Duration::from_millis(200), "ACK").is_none(), "the answer is not there yet");
    two.request_as(world, &pair.to_two, ("ACK", cseq), "", &sdp(4002, 2, "inactive"));
    let ack = one.next(world, "ACK");
    assert!(ack.body().contains("m=audio 4002 ") && ack.body().contains("a=inactive"), "{}", ack.text);
    pair.end();
}

#[test]
fn update_info_and_message_pass_both_ways_and_keep_their_bodies() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    for (from, to, invite) in [(one, two, &pair.to_one), (two, one, &pair.to_two)] {
        for method in ["INFO", "MESSAGE"] {
            from.request(world, invite, method, "X-Own: a;b=\"c\"\r\nInfo-Package: dtmf\r\n", "Signal=5\r\n");
            let passed = to.next(world, method);
            assert_eq!((passed.body(), passed.field("X-Own")), ("Signal=5\r\n", "a;b=\"c\""));
            assert_eq!((passed.field("Info-Package"), passed.field("Content-Type")), ("dtmf", "text/plain"));
            to.reply(world, &passed, "202 Accepted", "X-Back: yes\r\n", "");
            assert_eq!(from.next(world, "SIP/2.0 202").field("X-Back"), "yes");
        }
        from.request(world, invite, "UPDATE", "", &sdp(4020, 9, "recvonly"));
        let passed = to.next(world, "UPDATE");
        assert!(passed.body().contains("m=audio 4020 "), "{}", passed.text);
        to.reply(world, &passed, "200 OK", ABLE, &sdp(4021, 9, "sendonly"));
        assert!(from.next(world, "SIP/2.0 200").body().contains("m=audio 4021 "));
    }
    pair.end();
}

#[test]
fn what_one_refuses_the_other_is_told_and_the_call_goes_on() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    one.request(world, &pair.to_one, "INVITE", "", &sdp(4001, 3, "sendonly"));
    let passed = two.next(world, "INVITE");
    two.reply(world, &passed, "488 Not Acceptable Here", "Warning: 304 x \"no\"\r\n", "");
    let refused = one.next(world, "SIP/2.0 488");
    assert_eq!(refused.field("Warning"), "304 x \"no\"");
    two.next(world, "ACK");
    acknowledge_failure(one, world, &pair.to_one);
    one.request(world, &pair.to_one, "INFO", "", "x");
    let passed = two.next(world, "INFO");
    two.reply(world, &passed, "415 Unsupported Media Type", "", "");
    one.next(world, "SIP/2.0 415");
    assert_eq!(pair.shown()["state"], "connected");
    pair.end();
}

/// The ACK of a failure has the branch of its INVITE.
fn acknowledge_failure(hand: &Hand, world: &mut cordboard_tests::world::World, invite: &Mail) {
    let branch = "z9hG4bK";
    let sent = world.between(hand.address, cordboard_tests::world::controller_address(), "INVITE");
    let last = sent.last().expect("it has sent one");
    assert!(last.contains(branch) && last.contains(invite.field("Call-ID")));
    let ack = last.replacen("INVITE ", "ACK ", 1).replacen(" INVITE\r\n", " ACK\r\n", 1);
    let head = ack.split("Content-Type").next().expect("it has a head");
    world.send_mail(
        hand.address,
        cordboard_tests::world::controller_address(),
        &format!("{head}Content-Length: 0\r\n\r\n"),
    );
}

#[test]
fn a_canceled_re_invite_is_canceled_at_the_other_side() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    let cseq = one.request(world, &pair.to_one, "INVITE", "", &sdp(4001, 3, "sendonly"));
    let passed = two.next(world, "INVITE");
    two.reply(world, &passed, "180 Ringing", "", "");
    one.next(world, "SIP/2.0 180");
    one.request_as(world, &pair.to_one, ("CANCEL", cseq), "Reason: SIP;cause=200\r\n", "");
    let cancel = two.next(world, "CANCEL");
    assert_eq!(cancel.field("Reason"), "SIP;cause=200");
    two.reply(world, &cancel, "200 OK", "", "");
    two.reply(world, &passed, "487 Request Terminated", "", "");
    one.next(world, "SIP/2.0 487");
    acknowledge_failure(one, world, &pair.to_one);
    two.next(world, "ACK");
    pair.end();
}

#[test]
fn offers_that_cross_are_refused_on_both_sides() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    one.request(world, &pair.to_one, "INVITE", "", &sdp(4001, 3, "sendonly"));
    two.request(world, &pair.to_two, "INVITE", "", &sdp(4002, 3, "sendonly"));
    two.next(world, "SIP/2.0 491");
    acknowledge_failure(two, world, &pair.to_two);
    let passed = two.next(world, "INVITE");
    two.reply(world, &passed, "491 Request Pending", "", "");
    one.next(world, "SIP/2.0 491");
    acknowledge_failure(one, world, &pair.to_one);
    // A second one before the first has its answer (§14.2).
    let first = one.request(world, &pair.to_one, "INVITE", "", &sdp(4001, 4, "sendonly"));
    two.next(world, "ACK");
    let passed = two.next(world, "INVITE");
    one.request(world, &pair.to_one, "INVITE", "", &sdp(4001, 5, "sendonly"));
    assert!(!one.next(world, "SIP/2.0 500").field("Retry-After").is_empty());
    acknowledge_failure(one, world, &pair.to_one);
    two.reply(world, &passed, "200 OK", ABLE, &sdp(4002, 4, "recvonly"));
    one.next(world, "SIP/2.0 200");
    one.request_as(world, &pair.to_one, ("ACK", first), "", "");
    two.next(world, "ACK");
    pair.end();
}

#[test]
fn a_reliable_provisional_of_a_re_invite_and_its_prack_pass() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    let cseq = one.request(world, &pair.to_one, "INVITE", "Supported: 100rel\r\n", &sdp(4001, 3, "sendrecv"));
    let passed = two.next(world, "INVITE");
    assert!(passed.field("Supported").contains("100rel"));
    let reliable = "Require: 100rel\r\nRSeq: 30\r\n";
    two.reply(world, &passed, "183 Session Progress", reliable, &sdp(4002, 2, "sendrecv"));
    let early = one.next(world, "SIP/2.0 183");
    assert_eq!((early.field("RSeq"), early.field("Require")), ("30", "100rel"));
    one.request(world, &pair.to_one, "PRACK", &format!("RAck: 30 {cseq} INVITE\r\n"), "");
    let prack = two.next(world, "PRACK");
    let number = passed.field("CSeq").split(' ').next().unwrap_or_default().to_owned();
    assert_eq!(prack.field("RAck"), format!("30 {number} INVITE"));
    two.reply(world, &prack, "200 OK", "", "");
    assert!(one.next(world, "SIP/2.0 200").field("CSeq").ends_with("PRACK"));
    two.reply(world, &passed, "200 OK", ABLE, "");
    one.next(world, "SIP/2.0 200");
    one.request_as(world, &pair.to_one, ("ACK", cseq), "", "");
    two.next(world, "ACK");
    // One that belongs to nothing.
    one.request(world, &pair.to_one, "PRACK", "RAck: 1 1 INVITE\r\n", "");
    one.next(world, "SIP/2.0 481");
    pair.end();
}

#[test]
fn options_within_the_call_is_answered_here() {
    let mut pair = Pair::connected();
    let (one, world) = (&pair.one, &mut pair.world);
    one.request(world, &pair.to_one, "OPTIONS", "", "");
    assert!(one.next(world, "SIP/2.0 200").field("Allow").contains("REFER"));
    assert!(
        world.between(cordboard_tests::world::controller_address(), pair.two.address, "OPTIONS").is_empty()
    );
    pair.end();
}

#[test]
fn what_is_not_known_is_refused_here() {
    let mut pair = Pair::connected();
    let (one, world) = (&pair.one, &mut pair.world);
    one.request(world, &pair.to_one, "SUBSCRIBE", "Event: x\r\n", "");
    assert!(one.next(world, "SIP/2.0 405").field("Allow").contains("MESSAGE"));
    one.request(world, &pair.to_one, "DANCE", "", "");
    one.next(world, "SIP/2.0 501");
    one.request(world, &pair.to_one, "INFO", "Require: waltz\r\n", "");
    assert_eq!(one.next(world, "SIP/2.0 420").field("Unsupported"), "waltz");
    pair.end();
}

#[test]
fn a_phone_transfers_the_other_one_itself() {
    let mut pair = Pair::connected();
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    let cseq = one.request(
        world,
        &pair.to_one,
        "REFER",
        "Refer-To: <sip:user3@example.com>\r\nReferred-By: <sip:one@example.com>\r\n",
        "",
    );
    let refer = two.next(world, "REFER");
    assert_eq!(refer.field("Refer-To"), "<sip:user3@example.com>");
    assert_eq!(refer.field("Referred-By"), "<sip:one@example.com>");
    two.reply(world, &refer, "202 Accepted", "", "");
    one.next(world, "SIP/2.0 202");
    let number = refer.field("CSeq").split(' ').next().unwrap_or_default().to_owned();
    let lines = format!("Event: refer;id={number}\r\nSubscription-State: terminated;reason=noresource\r\n");
    two.request(world, &pair.to_two, "NOTIFY", &lines, "SIP/2.0 200 OK\r\n");
    let notify = one.next(world, "NOTIFY");
    assert_eq!(notify.field("Event"), format!("refer;id={cseq}"));
    assert_eq!(notify.field("Subscription-State"), "terminated;reason=noresource");
    assert_eq!(notify.body(), "SIP/2.0 200 OK\r\n");
    one.reply(world, &notify, "200 OK", "", "");
    two.next(world, "SIP/2.0 200");
    one.request(world, &pair.to_one, "BYE", "", "");
    one.next(world, "SIP/2.0 200");
    bye(world, two);
    pair.over();
}

#[test]
fn a_refer_with_replaces_that_names_our_dialog_names_the_third_partys_to_the_second() {
    let mut pair = Pair::connected();
    // The calling party consults a third one, in another call through us.
    let three = Hand::new(&mut pair.world, 7103);
    let (one, two, world) = (&pair.one, &pair.two, &mut pair.world);
    super::by_hand::place(world, one, &three, "sipMethod=INVITE");
    let consulting = super::by_hand::pick_up(world, one, ABLE);
    let to_three = three.next(world, "INVITE");
    three.reply(world, &to_three, "200 OK", ABLE, &sdp(4003, 1, "sendrecv"));
    let offer = one.next(world, "INVITE");
    one.reply(world, &offer, "200 OK", ABLE, &sdp(4001, 2, "sendrecv"));
    one.next(world, "ACK");
    three.next(world, "ACK");
    let our_tag = consulting.field("From").split(";tag=").nth(1).unwrap_or_default().to_owned();
    let named = format!("{}%3Bto-tag%3D{our_tag}%3Bfrom-tag%3D{}", consulting.field("Call-ID"), one.tag);
    let lines = format!("Refer-To: <sip:cordboard@127.0.0.1:6050?Replaces={named}&X-More=1>\r\n");
    one.request(world, &pair.to_one, "REFER", &lines, "");
    let refer = two.next(world, "REFER");
    let third = to_three.field("From").split(";tag=").nth(1).unwrap_or_default();
    assert_eq!(
        refer.field("Refer-To"),
        format!(
            "<sip:hand@{}?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{third}&X-More=1>",
            three.address,
            to_three.field("Call-ID"),
            three.tag
        )
    );
    two.reply(world, &refer, "202 Accepted", "", "");
    // The third party has taken the second one's call in place of ours.
    three.request(world, &to_three, "BYE", "", "");
    three.next(world, "SIP/2.0 200");
    bye(world, one);
    one.request(world, &pair.to_one, "BYE", "", "");
    bye(world, two);
    pair.over();
}
