//! What the steps have found, each as short as it could be made.

use super::outside::Outside;
use super::{Change, Step};

fn reply(back: u8, status: u16, dress: u16) -> Step {
    Step::Reply { back, status, dress, change: Change::Nothing }
}

fn order(what: u8, parties: u8) -> Step {
    Step::Order { what, parties, login: 1 }
}

fn play(kind: usize, steps: &[Step]) -> Outside {
    let mut outside = Outside::new(kind);
    steps.iter().for_each(|step| outside.happen(step));
    outside
}

/// The dress of a response that is to be acknowledged by PRACK.
const RELIABLE: u16 = 1 << 7;

#[test]
fn a_request_is_forgotten_whose_call_is_over_before_its_name_is_found() {
    let mut outside = play(0, &[order(0, 0), reply(0, 180, RELIABLE), reply(0, 480, 0)]);
    outside.let_a_day_pass();
    outside.expect_nothing_left();
}

#[test]
fn a_reinvite_that_only_rings_is_over_when_its_call_is() {
    // The called party takes no INVITE without an offer, and the calling one is asked for it.
    let steps = [order(4, 2), reply(0, 200, 0), reply(0, 415, 0), reply(0, 181, 0)];
    let mut outside = play(0, &steps);
    assert_eq!(outside.said("INVITE "), 3);
    outside.let_a_day_pass();
    outside.expect_nothing_left();
}

#[test]
fn a_phone_that_never_answers_a_reinvite_for_good_does_not_hold_its_call_by_answering_all_else() {
    // The early offer of the called party rings at the calling one for ever; then the called party picks up.
    let steps = [order(4, 2), reply(0, 200, 0), reply(0, 183, RELIABLE), reply(0, 180, 4), reply(1, 200, 0)];
    let mut outside = play(0, &steps);
    assert!(outside.has_just_said("INVITE "));
    for _ in 0..100 {
        outside.happen(&Step::Pass(1_000_000));
        if outside.has_just_said("OPTIONS ") {
            outside.happen(&reply(0, 200, 0));
        }
    }
    assert!(outside.said("BYE ") > 0);
}

/// Answers the latest request of ours that began so.
fn answer(outside: &mut Outside, start: &str) {
    let back = outside.latest_said(start).expect("it was said");
    outside.happen(&reply(back, 200, 0));
}

#[test]
fn a_connected_phone_that_no_connection_leads_to_any_more_is_found_gone() {
    // Both phones are at a name that leads nowhere, and are reached by the proxy's connection alone.
    let mut outside = play(2, &[order(4, 1), Step::Connected(0)]);
    answer(&mut outside, "INVITE ");
    answer(&mut outside, "INVITE ");
    for _ in 0..8 {
        outside.happen(&Step::Answer { back: 0, how: 0, change: Change::Nothing });
    }
    outside.happen(&Step::Pass(5_000_000));
    answer(&mut outside, "INVITE ");
    assert_eq!((outside.said("INVITE "), outside.said("ACK "), outside.said("BYE ")), (3, 3, 0));
    outside.happen(&Step::Lost(0));
    outside.let_a_day_pass();
    outside.expect_nothing_left();
}

#[test]
fn what_stands_behind_the_question_mark_of_a_route_or_contact_is_in_no_request_uri() {
    let with_headers = |name: &str, uri: &str| {
        let text = format!("{name}: <{uri}?Subject=x>\r\n");
        move |message: Vec<u8>| {
            let message = String::from_utf8(message).expect("it is text");
            message.replacen("CSeq:", &format!("{text}CSeq:"), 1).into_bytes()
        }
    };
    for spoil in
        [with_headers("Contact", "sip:peer@192.0.2.7"), with_headers("Record-Route", "sip:192.0.2.8")]
    {
        let mut outside = play(0, &[order(0, 2)]);
        outside.reply_spoiled(200, spoil);
        assert_eq!(outside.said("ACK "), 1);
        assert_eq!(outside.said("REFER "), 1);
    }
}
