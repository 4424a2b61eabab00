//! What we are sent.

use super::*;

fn new(incoming: Incoming) -> Key<Server> {
    match incoming {
        Incoming::New(key) => key,
        other => panic!("{other:?}"),
    }
}

fn received(method: Method<'_>) -> (Party, Vec<u8>, Key<Server>) {
    let mut party = Party::new(5060);
    let request = request(method, "z9hG4bK-theirs", 1);
    let key = new(party.receive(&request));
    (party, request, key)
}

#[test]
fn a_notify_that_comes_again_is_answered_the_same_though_only_the_status_is_stored() {
    let (mut party, notify, key) = received(Method::Notify);
    assert!(party.respond_plain(key, &notify, Status::OK));
    let first = party.sent_one();
    assert_eq!(party.transactions.census().bytes, 0);
    for _ in 0..6 {
        party.pass(5 * SECOND);
        assert_eq!(party.receive(&notify), Incoming::Retransmission);
        assert_eq!(text(&party.sent_one()), text(&first), "with the same To tag too");
    }
    party.pass(3 * SECOND);
    new(party.receive(&notify));
    party.ends_empty();
}

#[test]
fn an_answer_with_more_than_a_status_is_stored_whole() {
    let (mut party, options, key) = received(Method::Options);
    assert!(party.respond(key, &options, Status::OK));
    let first = party.sent_one();
    assert_eq!(party.transactions.census().bytes, first.len());
    party.receive(&options);
    assert_eq!(party.sent_one(), first);
    party.ends_empty();
}

#[test]
fn the_answer_goes_back_by_the_way_that_the_via_asks_for() {
    let (mut party, options, key) = received(Method::Options);
    let source = Flow::Udp { socket: SocketId(3), remote: "198.51.100.7:40000".parse().unwrap() };
    for (branch, via, to) in [("1", ";rport", 40_000), ("2", "", 5070)] {
        let bytes = text(&request(Method::Notify, &format!("z9hG4bK{branch}"), 9)).replace(";rport", via);
        let key = new_or_merged(party.transactions.receive(
            party.now,
            &read(bytes.as_bytes()),
            source,
            &mut party.outbox,
        ));
        party.respond_plain(key, bytes.as_bytes(), Status::OK);
        let Some(Output::Datagram { socket, to: sent_to, .. }) = party.outbox.pop() else {
            panic!("nothing was sent")
        };
        assert_eq!((socket, sent_to), (SocketId(3), SocketAddr::new(source.remote().ip(), to)));
        party.sent();
    }
    party.respond_plain(key, &options, Status::OK);
    party.ends_empty();
}

fn new_or_merged(incoming: Incoming) -> Key<Server> {
    match incoming {
        Incoming::New(key) | Incoming::Merged(key) => key,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_silent_user_of_an_invite_makes_a_100_which_copies_of_it_get_again() {
    let (mut party, invite, key) = received(Method::Invite);
    party.transactions.hold(key, &read(&invite));
    assert_eq!(party.transactions.held(key), Some(invite.as_slice()));
    assert_eq!(party.pass(SECOND), at([2], "100"));
    party.receive(&invite);
    let trying = party.sent_one();
    assert!(text(&trying).starts_with("SIP/2.0 100 Trying\r\n") && !text(&trying).contains("tag=ours"));
    party.respond(key, &invite, Status::BUSY_HERE);
    party.ends_empty();
}

#[test]
fn no_100_is_sent_once_the_user_has_spoken() {
    let (mut party, invite, key) = received(Method::Invite);
    party.transactions.hold(key, &read(&invite));
    assert!(party.respond(key, &invite, Status::RINGING));
    let ringing = party.sent_one();
    assert_eq!(party.pass(SECOND), []);
    party.receive(&invite);
    assert_eq!(party.sent_one(), ringing);
    party.respond(key, &invite, Status::OK);
    party.transactions.acknowledged(party.now, key);
    assert_eq!(party.transactions.census().bytes, 0, "neither the request nor the response is kept");
    party.ends_empty();
}

#[test]
fn another_request_gets_its_100_only_when_the_peers_timer_e_has_reached_t2() {
    let (mut party, refer, key) = received(Method::Refer);
    party.transactions.hold(key, &read(&refer));
    party.pass(3 * SECOND);
    party.receive(&refer);
    assert_eq!(party.sent().len(), 0, "there is nothing to send again");
    assert_eq!(party.pass(SECOND), at([5], "100"));
    party.receive(&refer);
    assert_eq!(start_of(&party.sent_one()), "100");
    assert!(!party.respond(key, &refer, Status::RINGING), "no other provisional is allowed");
    assert!(!party.respond(key, &refer, Status::TRYING));
    assert!(!party.respond(key, &refer, Status::REQUEST_TIMEOUT), "nor is 408");
    let reply = Reply { status: Status::ACCEPTED, to_tag: Some("ours") };
    let now = party.now;
    assert!(party.transactions.respond_held(now, key, reply, &mut party.outbox, |writer| writer.end()));
    assert_eq!(start_of(&party.sent_one()), "202");
    assert_eq!(party.transactions.held(key), None);
    party.ends_empty();
}

#[test]
fn what_is_not_answered_in_64_t1_is_never_answered() {
    let (mut party, refer, key) = received(Method::Refer);
    party.transactions.hold(key, &read(&refer));
    party.pass(31 * SECOND);
    assert!(party.transactions.is_unanswered(key));
    party.pass(2 * SECOND);
    assert!(!party.transactions.is_unanswered(key));
    assert!(!party.respond(key, &refer, Status::OK));
    assert_eq!((party.sent().len(), party.events()), (0, vec![]));
    assert_eq!(party.transactions.census(), Census::default());
}

#[test]
fn a_held_invite_is_answered_more_than_once_until_it_has_its_final_response() {
    let (mut party, invite, key) = received(Method::Invite);
    party.transactions.hold(key, &read(&invite));
    let respond = |party: &mut Party, status| {
        let (now, reply) = (party.now, Reply { status, to_tag: None });
        party.transactions.respond_held(now, key, reply, &mut party.outbox, |writer| writer.end())
    };
    assert!(respond(&mut party, Status::RINGING) && respond(&mut party, Status::DECLINE));
    assert!(!respond(&mut party, Status::OK), "it has its final response");
    let sent = party.sent();
    assert_eq!([start_of(&sent[0]), start_of(&sent[1])], ["180", "603"]);
    let tag = |bytes: &[u8]| text(bytes).lines().find(|line| line.starts_with("To:")).map(str::to_string);
    assert!(tag(&sent[0]).unwrap().contains(";tag=") && tag(&sent[0]) == tag(&sent[1]));
    party.ends_empty();
}

#[test]
fn a_failure_is_sent_again_until_its_ack() {
    let (mut party, invite, key) = received(Method::Invite);
    assert!(party.respond_plain(key, &invite, Status::FORBIDDEN));
    let forbidden = party.sent_one();
    assert_eq!(party.pass(4 * SECOND), at([5, 15, 35], "403"));
    party.receive(&invite);
    assert_eq!(party.sent_one(), forbidden);
    let ack = request(Method::Ack, "z9hG4bK-theirs", 1);
    assert_eq!(party.receive(&ack), Incoming::Acknowledged);
    assert_eq!(party.transactions.census().bytes, 0);
    assert_eq!(party.receive(&ack), Incoming::Acknowledged);
    assert_eq!(party.receive(&invite), Incoming::Retransmission);
    assert_eq!((party.sent().len(), party.pass(4 * SECOND)), (0, vec![]));
    party.pass(2 * SECOND);
    assert_eq!(party.receive(&ack), Incoming::Ack { of: None }, "Timer I is over");
    assert_eq!(party.events(), []);
    party.ends_empty();
}

#[test]
fn a_failure_without_ack_is_reported_after_64_t1() {
    let (mut party, invite, key) = received(Method::Invite);
    party.transactions.own(key, Owner(3));
    party.respond(key, &invite, Status::BUSY_HERE);
    party.sent();
    assert_eq!(party.pass(40 * SECOND), at([5, 15, 35, 75, 115, 155, 195, 235, 275, 315], "486"));
    assert_eq!(party.events(), [TransactionEvent::ServerTimedOut { owner: Some(Owner(3)), key }]);
    party.ends_empty();
}

#[test]
fn a_2xx_is_sent_again_until_its_user_has_the_ack_and_copies_of_the_invite_are_absorbed() {
    let (mut party, invite, key) = received(Method::Invite);
    party.transactions.own(key, Owner(3));
    assert_eq!(party.transactions.owner(key), Some(Owner(3)));
    assert!(party.respond(key, &invite, Status::OK));
    assert_eq!(start_of(&party.sent_one()), "200");
    assert_eq!(party.pass(8 * SECOND), at([5, 15, 35, 75], "200"));
    assert_eq!(party.receive(&invite), Incoming::Retransmission);
    assert_eq!(party.sent().len(), 0);
    // An ACK of a 2xx has a branch of its own; one that has the INVITE's is for the user too.
    assert_eq!(party.receive(&request(Method::Ack, "z9hG4bK-own", 1)), Incoming::Ack { of: None });
    assert_eq!(party.receive(&request(Method::Ack, "z9hG4bK-theirs", 1)), Incoming::Ack { of: Some(key) });
    party.transactions.acknowledged(party.now, key);
    party.transactions.acknowledged(party.now, key);
    assert_eq!(party.transactions.census().bytes, 0);
    assert_eq!(party.pass(20 * SECOND), []);
    assert_eq!(party.receive(&invite), Incoming::Retransmission);
    party.pass(5 * SECOND);
    assert_eq!((party.events(), party.transactions.census()), (vec![], Census::default()));
}

#[test]
fn a_2xx_without_ack_is_reported_after_64_t1() {
    let (mut party, invite, key) = received(Method::Invite);
    party.transactions.own(key, Owner(3));
    party.respond(key, &invite, Status::OK);
    party.sent();
    assert_eq!(party.pass(40 * SECOND), at([5, 15, 35, 75, 115, 155, 195, 235, 275, 315], "200"));
    assert_eq!(party.events(), [TransactionEvent::NoAck { owner: Some(Owner(3)), key }]);
    party.ends_empty();
}

#[test]
fn a_second_final_response_is_refused() {
    for first in [Status::OK, Status::BUSY_HERE] {
        let (mut party, invite, key) = received(Method::Invite);
        assert!(party.respond(key, &invite, first));
        for second in [Status::RINGING, Status::OK, Status::DECLINE] {
            assert!(!party.respond(key, &invite, second));
        }
        assert_eq!(start_of(&party.sent_one()), first.to_string());
        party.ends_empty();
    }
}

#[test]
fn a_proxy_relays_each_2xx_and_repeats_none() {
    let (mut party, invite, key) = received(Method::Invite);
    let ok = answer(&invite, Status::OK);
    for _ in 0..3 {
        let now = party.now;
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&ok);
        assert!(party.transactions.relay(now, key, Status::OK, &mut party.outbox, write));
        assert_eq!(party.sent_one(), ok);
    }
    assert!(!party.transactions.relay(party.now, key, Status::NOT_FOUND, &mut party.outbox, |_| ()));
    assert_eq!((party.pass(LONG_ENOUGH), party.events()), (vec![], vec![]));
    party.ends_empty();
}

#[test]
fn a_cancel_finds_its_invite_and_both_are_answered() {
    let (mut party, invite, key) = received(Method::Invite);
    party.respond(key, &invite, Status::RINGING);
    party.sent();
    let cancel = request(Method::Cancel, "z9hG4bK-theirs", 1);
    let Incoming::Cancel { server, invite: Some(meant) } = party.receive(&cancel) else {
        panic!("it found none")
    };
    assert!(meant == key && party.transactions.is_unanswered(key));
    party.respond_plain(server, &cancel, Status::OK);
    party.respond_plain(key, &invite, Status::REQUEST_TERMINATED);
    assert_eq!(party.sent().iter().map(|sent| start_of(sent)).collect::<Vec<_>>(), ["200", "487"]);
    assert_eq!(party.receive(&cancel), Incoming::Retransmission);
    assert_eq!(start_of(&party.sent_one()), "200");
    let late = party.receive(&request(Method::Cancel, "z9hG4bK-nobody", 1));
    assert!(matches!(late, Incoming::Cancel { invite: None, .. }), "{late:?}");
    party.receive(&request(Method::Ack, "z9hG4bK-theirs", 1));
    party.ends_empty();
}

#[test]
fn a_request_that_came_by_two_paths_is_told_from_a_new_one() {
    let (mut party, first, key) = received(Method::Invite);
    let second = request(Method::Invite, "z9hG4bK-other-path", 1);
    let Incoming::Merged(merged) = party.receive(&second) else { panic!("it was taken for new") };
    assert!(party.respond_plain(merged, &second, Status::LOOP_DETECTED));
    assert!(party.respond_plain(key, &first, Status::FORBIDDEN));
    party.pass(LONG_ENOUGH);
    new(party.receive(&second));
    assert_eq!(party.transactions.census().matchings, 2);
    let key = new(party.receive(&request(Method::Invite, "z9hG4bK-next", 2)));
    party.respond_plain(key, &second, Status::FORBIDDEN);
    party.pass(LONG_ENOUGH);
    assert_eq!(party.transactions.census().servers, 1, "the one whose user never answered");
}

#[test]
fn a_peer_of_rfc_2543_is_understood() {
    let old = |method: Method<'_>| text(&request(method, "x", 1)).replace(";branch=x;rport", "").into_bytes();
    let mut party = Party::new(5060);
    let invite = old(Method::Invite);
    let key = new(party.receive(&invite));
    party.respond(key, &invite, Status::BUSY_HERE);
    party.sent();
    assert_eq!(party.receive(&invite), Incoming::Retransmission);
    let cancel = party.receive(&old(Method::Cancel));
    assert!(matches!(cancel, Incoming::Cancel { invite: Some(meant), .. } if meant == key), "{cancel:?}");
    let ack =
        text(&old(Method::Ack)).replace("To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=ours");
    assert_eq!(party.receive(ack.as_bytes()), Incoming::Acknowledged);
    party.ends_empty();
}

#[test]
fn requests_beyond_the_limit_are_refused_and_forgotten() {
    let mut party = Party::new(5060);
    party.transactions.most_servers = 1;
    let options = request(Method::Options, "z9hG4bK1", 1);
    let key = new(party.receive(&options));
    let beyond = request(Method::Options, "z9hG4bK2", 2);
    assert_eq!(party.receive(&beyond), Incoming::Refused);
    let refusal = party.sent_one();
    assert!(text(&refusal).starts_with("SIP/2.0 503 ") && text(&refusal).contains("\r\nRetry-After: 5\r\n"));
    assert_eq!(party.receive(&beyond), Incoming::Refused);
    assert_eq!(party.sent_one(), refusal, "with the same To tag");
    party.respond_plain(key, &options, Status::OK);
    party.ends_empty();
}
