//! What we send.

use super::*;

#[test]
fn an_unanswered_invite_is_sent_seven_times_and_then_reported() {
    let mut party = Party::new(5060);
    let key = party.request(Method::Invite);
    let first = party.sent_one();
    let again = party.pass(Duration::from_millis(600));
    assert_eq!(again, at([5], "INVITE"));
    let rest = party.pass(40 * SECOND);
    assert_eq!(rest, at([9, 29, 69, 149, 309], "INVITE"), "at 1.5, 3.5, 7.5, 15.5 and 31.5 s");
    assert_eq!(party.events(), [TransactionEvent::TimedOut { owner: Owner(7), key }]);
    let late = party.response(&answer(&first, Status::OK)).map(|event| (event.owner, event.kind));
    assert_eq!(
        late,
        Some((Owner::NOBODY, ResponseKind::Success2xx)),
        "it has to be acknowledged and hung up"
    );
    party.pass(40 * SECOND);
    assert_eq!(party.answered(&first, Status::OK), None, "it comes too late");
    assert_eq!(party.transactions.strays(), 1);
    party.ends_empty();
}

#[test]
fn a_phone_that_rings_when_nobody_waits_any_more_is_cancelled() {
    let mut party = Party::new(5060);
    party.request(Method::Invite);
    let invite = party.sent_one();
    party.pass(40 * SECOND);
    party.sent();
    party.response(&answer(&invite, Status::RINGING));
    assert!(party.sent_one().starts_with(b"CANCEL "));
    party.pass(70 * SECOND);
    party.ends_empty();
}

#[test]
fn an_unanswered_bye_is_sent_eleven_times_and_then_reported() {
    let mut party = Party::new(5060);
    let key = party.request(Method::Bye);
    party.sent();
    assert_eq!(party.pass(40 * SECOND), at([5, 15, 35, 75, 115, 155, 195, 235, 275, 315], "BYE"));
    assert_eq!(party.events(), [TransactionEvent::TimedOut { owner: Owner(7), key }]);
    party.ends_empty();
}

#[test]
fn each_provisional_and_each_2xx_of_an_invite_is_passed_on() {
    let mut party = Party::new(5060);
    party.request(Method::Invite);
    let invite = party.sent_one();
    assert_eq!(party.answered(&invite, Status::TRYING), Some(ResponseKind::Provisional));
    assert_eq!(party.answered(&invite, Status::RINGING), Some(ResponseKind::Provisional));
    assert_eq!(party.pass(600 * SECOND), [], "it may ring for long");
    for _ in 0..3 {
        assert_eq!(party.answered(&invite, Status::OK), Some(ResponseKind::Success2xx));
    }
    assert_eq!(party.transactions.census().bytes, 0, "nothing of the INVITE is needed any more");
    assert_eq!(party.answered(&invite, Status::RINGING), None);
    assert_eq!(party.sent(), Vec::<Vec<u8>>::new(), "its user acknowledges it");
    assert_eq!(party.pass(31 * SECOND), []);
    assert_eq!(party.answered(&invite, Status::OK), Some(ResponseKind::Success2xx));
    party.ends_empty();
}

#[test]
fn a_failure_is_passed_on_once_and_acknowledged_as_often_as_it_comes() {
    let mut party = Party::new(5060);
    party.request(Method::Invite);
    let invite = party.sent_one();
    assert_eq!(party.answered(&invite, Status::BUSY_HERE), Some(ResponseKind::Final));
    let ack = party.sent_one();
    assert_eq!(read(&ack).method, Method::Ack);
    assert_eq!(read(&ack).via.branch(), read(&invite).via.branch());
    assert_eq!(read(&ack).to.tag(), Some("theirs"));
    assert!(party.transactions.census().bytes <= ack.len(), "the INVITE is not kept");
    for _ in 0..3 {
        party.pass(10 * SECOND);
        assert_eq!(party.answered(&invite, Status::BUSY_HERE), None);
        assert_eq!(party.sent_one(), ack);
    }
    party.pass(3 * SECOND);
    assert_eq!(party.answered(&invite, Status::BUSY_HERE), None);
    assert_eq!((party.sent().len(), party.transactions.strays()), (0, 1), "Timer D is over");
    party.ends_empty();
}

#[test]
fn copies_of_another_final_response_are_absorbed() {
    let mut party = Party::new(5060);
    party.request(Method::Refer);
    let refer = party.sent_one();
    assert_eq!(party.answered(&refer, Status::ACCEPTED), Some(ResponseKind::Final));
    assert_eq!(party.transactions.census().bytes, 0);
    assert_eq!(party.answered(&refer, Status::ACCEPTED), None);
    assert_eq!(party.answered(&refer, Status::NOT_FOUND), None);
    assert_eq!((party.transactions.strays(), party.pass(40 * SECOND)), (0, vec![]));
    assert_eq!(party.answered(&refer, Status::ACCEPTED), None);
    assert_eq!(party.transactions.strays(), 1, "Timer K is over");
    party.ends_empty();
}

#[test]
fn a_100_slows_the_retransmission_of_another_request_but_does_not_stop_it() {
    let mut party = Party::new(5060);
    let key = party.request(Method::Refer);
    let refer = party.sent_one();
    assert_eq!(party.answered(&refer, Status::TRYING), Some(ResponseKind::Provisional));
    assert_eq!(party.pass(10 * SECOND), at([5, 45, 85], "REFER"));
    party.pass(30 * SECOND);
    assert_eq!(party.events(), [TransactionEvent::TimedOut { owner: Owner(7), key }]);
    party.ends_empty();
}

#[test]
fn a_response_finds_only_the_transaction_that_it_answers() {
    let mut party = Party::new(5060);
    party.request(Method::Invite);
    let invite = party.sent_one();
    let ours = text(&answer(&invite, Status::OK));
    let branch = read(&invite).via.branch().unwrap();
    let wrong = [
        ours.replace("1 INVITE", "1 BYE"),
        ours.replace("1 INVITE", "1 CANCEL"),
        ours.replace(branch, "z9hG4bKsomebody"),
        ours.replace(&branch[31..], "00000000"),
        ours.replace(";branch=", ";other="),
        ours.replace("z9hG4bK", "00000000"),
    ];
    for (strays, wrong) in (1..).zip(&wrong) {
        assert_ne!(*wrong, ours);
        assert_eq!(party.response(wrong.as_bytes()), None, "{wrong}");
        assert_eq!(party.transactions.strays(), strays);
    }
    assert_eq!(party.answered(&invite, Status::OK), Some(ResponseKind::Success2xx));
    party.ends_empty();
}

#[test]
fn a_cancel_waits_for_the_first_provisional_response() {
    let mut party = Party::new(5060);
    let key = party.request(Method::Invite);
    let invite = party.sent_one();
    assert_eq!(party.cancel(key, Some("SIP;cause=200;text=\"Enough\"")), Cancelled::Waiting);
    assert_eq!(party.cancel(key, None), Cancelled::Waiting);
    assert_eq!(party.sent().len(), 0);
    assert_eq!(party.answered(&invite, Status::TRYING), Some(ResponseKind::Provisional));
    let cancel = party.sent_one();
    assert_eq!((read(&cancel).method, read(&cancel).via.raw), (Method::Cancel, read(&invite).via.raw));
    assert_eq!(read(&cancel).first(Name::Reason), Some("SIP;cause=200;text=\"Enough\""));
    party.answered(&invite, Status::RINGING);
    assert_eq!(party.sent().len(), 0, "it is sent once");
    assert_eq!(party.answered(&cancel, Status::OK), None);
    assert_eq!(party.answered(&invite, Status::REQUEST_TERMINATED), Some(ResponseKind::Final));
    assert_eq!(read(&party.sent_one()).method, Method::Ack);
    assert_eq!((party.events(), party.transactions.strays()), (vec![], 0));
    party.ends_empty();
}

#[test]
fn a_cancel_that_waited_is_not_sent_after_the_final_response() {
    for status in [Status::OK, Status::BUSY_HERE] {
        let mut party = Party::new(5060);
        let key = party.request(Method::Invite);
        let invite = party.sent_one();
        assert_eq!(party.cancel(key, Some("SIP;cause=200")), Cancelled::Waiting);
        party.answered(&invite, status);
        let acks: usize = party.sent().iter().map(Vec::len).sum();
        assert_eq!(party.transactions.census().bytes, acks, "the reason is not kept");
        assert_eq!(party.answered(&invite, Status::RINGING), None);
        assert_eq!(party.sent().len(), 0);
        assert_eq!(party.cancel(key, None), Cancelled::TooLate);
        party.ends_empty();
    }
}

#[test]
fn a_ringing_invite_is_cancelled_at_once_and_its_final_response_waited_for_64_t1() {
    let mut party = Party::new(5060);
    let key = party.request(Method::Invite);
    let invite = party.sent_one();
    party.answered(&invite, Status::RINGING);
    party.pass(100 * SECOND);
    let Cancelled::Sent(cancel) = party.cancel(key, None) else { panic!("it was not sent") };
    assert_eq!(party.cancel(key, None), Cancelled::Sent(cancel));
    assert_eq!(read(&party.sent_one()).method, Method::Cancel);
    assert_eq!(party.pass(31 * SECOND), at([5, 15, 35, 75, 115, 155, 195, 235, 275], "CANCEL"));
    party.answered(&invite, Status::RINGING);
    party.pass(2 * SECOND);
    assert_eq!(
        party.events(),
        [TransactionEvent::TimedOut { owner: Owner(7), key }],
        "and nothing of the CANCEL"
    );
    party.ends_empty();
}

#[test]
fn a_2xx_that_crosses_a_cancel_is_passed_on() {
    let mut party = Party::new(5060);
    let key = party.request(Method::Invite);
    let invite = party.sent_one();
    party.answered(&invite, Status::RINGING);
    party.cancel(key, None);
    let cancel = party.sent_one();
    assert_eq!(party.answered(&invite, Status::OK), Some(ResponseKind::Success2xx));
    assert_eq!(party.answered(&cancel, Status::NO_SUCH_DIALOG), None);
    party.ends_empty();
}

#[test]
fn only_an_unanswered_invite_can_be_cancelled() {
    let mut party = Party::new(5060);
    let bye = party.request(Method::Bye);
    assert_eq!(party.cancel(bye, None), Cancelled::TooLate);
    let gone = party.request(Method::Invite);
    party.pass(40 * SECOND);
    assert_eq!(party.cancel(gone, None), Cancelled::TooLate);
    party.ends_empty();
}

#[test]
fn a_reason_cannot_leave_its_header_field() {
    let mut party = Party::new(5060);
    let key = party.request(Method::Invite);
    let invite = party.sent_one();
    party.answered(&invite, Status::RINGING);
    party.cancel(key, Some("SIP\r\nX-Injected: yes"));
    assert_eq!(read(&party.sent_one()).other("X-Injected"), None);
    party.ends_empty();
}

#[test]
fn an_unreachable_peer_fails_what_was_not_answered_on_that_flow() {
    let mut party = Party::new(5060);
    let ringing = party.request(Method::Invite);
    let invite = party.sent_one();
    party.answered(&invite, Status::RINGING);
    let calling = party.request(Method::Invite);
    let info = party.request(Method::Info);
    let done = party.request(Method::Options);
    let options = party.sent().pop().unwrap();
    party.answered(&options, Status::OK);
    (0..9).for_each(|_| party.unreachable(5071));
    assert_eq!(party.events(), [], "nothing went there");
    for until_sent_again in [600, 1000, 2000] {
        (0..9).for_each(|_| party.unreachable(5070));
        party.pass(Duration::from_millis(until_sent_again));
        assert_eq!(party.events(), [], "it may start again, and each was told once");
    }
    party.unreachable(5070);
    let failed = |key| TransactionEvent::TransportFailed { owner: Owner(7), key };
    assert_eq!(party.events(), [failed(calling), failed(info)]);
    assert_ne!(ringing, done);
    assert_eq!(party.answered(&invite, Status::OK), Some(ResponseKind::Success2xx), "it found another way");
    party.ends_empty();
}

#[test]
fn a_bye_is_sent_for_long_to_a_peer_that_may_start_again() {
    let mut party = Party::new(5060);
    let bye = party.request(Method::Bye);
    for until_sent_again in [600, 1000, 2000, 4000, 4000, 4000, 4000] {
        party.unreachable(5070);
        assert_eq!(party.events(), []);
        party.pass(Duration::from_millis(until_sent_again));
    }
    party.unreachable(5070);
    assert_eq!(party.events(), [TransactionEvent::TransportFailed { owner: Owner(7), key: bye }]);
    party.ends_empty();
}

#[test]
fn an_unreachable_peer_fails_a_cancel_in_silence() {
    let mut party = Party::new(5060);
    let key = party.request(Method::Invite);
    let invite = party.sent_one();
    party.answered(&invite, Status::RINGING);
    party.cancel(key, None);
    party.sent();
    for until_sent_again in [600, 1000, 2000] {
        party.unreachable(5070);
        party.pass(Duration::from_millis(until_sent_again));
    }
    party.unreachable(5070);
    assert_eq!((party.events(), party.pass(28 * SECOND)), (vec![], vec![]));
    party.pass(2 * SECOND);
    assert_eq!(party.events(), [TransactionEvent::TimedOut { owner: Owner(7), key }]);
    party.ends_empty();
}
