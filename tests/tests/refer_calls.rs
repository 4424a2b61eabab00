//! Calls by REFER in virtual time: what phones do, right and wrong, and what becomes of it.

#[path = "refer_calls/challenges.rs"]
mod challenges;
#[path = "refer_calls/ends.rs"]
mod ends;
#[path = "refer_calls/forks.rs"]
mod forks;
#[path = "refer_calls/inside.rs"]
mod inside;
#[path = "refer_calls/network.rs"]
mod network;
#[path = "refer_calls/quirks.rs"]
mod quirks;
#[path = "refer_calls/strangers.rs"]
mod strangers;

use std::time::Duration;

use cordboard_core::digest::Algorithm;
use cordboard_core::softphone::{Challenge, Notices, Notify, PhoneState, Pickup, Referral, Temper};
use cordboard_tests::world::{Setting, World};

fn referred(referral: Referral) -> Temper {
    Temper { referral, ..Temper::default() }
}

fn script(notices: &[(&str, Option<&str>)]) -> Notices {
    let notify = |(state, body): &(&str, Option<&str>)| Notify {
        state: (*state).to_owned(),
        body: body.map(|body| body.as_bytes().to_vec()),
    };
    Notices::Script(notices.iter().map(notify).collect())
}

fn scripted(notices: &[(&str, Option<&str>)]) -> Temper {
    referred(Referral { notices: script(notices), ..Referral::default() })
}

const ACTIVE: &str = "active;expires=60";
const TERMINATED: &str = "terminated;reason=noresource";

/// A world of a first phone with this temper and two ordinary ones, with a call placed and time to come to its end.
fn called(setting: Setting, temper: Temper) -> World {
    let mut world = World::new(setting, vec![temper, Temper::default(), Temper::default()]);
    world.place("");
    world.pass(Duration::from_secs(20));
    world
}

fn expect(temper: Temper, outcome: &str, status: Option<u64>) -> World {
    let mut world = called(Setting::default(), temper);
    assert_eq!(world.outcome(), (outcome.to_owned(), status), "{:#?}", world.call());
    world
}

#[test]
fn two_phones_end_up_in_a_call_with_each_other() {
    let mut world = expect(Temper::default(), "connected", None);
    assert!(matches!(world.phone(1), PhoneState::InCall(peers) if peers == ["<sip:user2@example.com>"]));
    assert!(matches!(world.phone(2), PhoneState::InCall(peers) if peers == ["<sip:user1@example.com>"]));
    assert_eq!(
        world.texts(),
        [
            "SIP/2.0 180 Ringing",
            "SIP/2.0 200 OK",
            "SIP/2.0 100 Trying",
            "SIP/2.0 180 Ringing",
            "SIP/2.0 200 OK"
        ]
    );
    let refer = world.sent("REFER").remove(0);
    assert!(refer.contains("Refer-To: <sip:user2@example.com>\r\n"), "{refer}");
    assert!(refer.contains("Referred-By: <sip:agent@example.com>\r\n"), "{refer}");
    assert_eq!(world.sent("BYE").len(), 1);
    world.expect_nothing_left();
}

#[test]
fn the_next_offer_is_tried_when_one_is_not_acceptable() {
    let temper = Temper { refuses_offers: vec!["sendonly".into(), "sendrecv".into()], ..Temper::default() };
    let mut world = expect(temper, "connected", None);
    let invites = world.sent("INVITE");
    let offers: Vec<bool> = invites.iter().map(|invite| invite.contains("a=inactive")).collect();
    assert_eq!(offers, [false, false, true]);
    assert!(invites[1].contains("c=IN IP4 0.0.0.0"));
    assert!(!world.texts().iter().any(|text| text.contains("488")), "what was tried again is no result");
    world.expect_nothing_left();
}

#[test]
fn a_phone_that_takes_no_offer_ends_the_call() {
    let all = ["sendonly", "sendrecv", "inactive"].map(String::from).to_vec();
    let mut world = expect(Temper { refuses_offers: all, ..Temper::default() }, "none", None);
    assert_eq!(world.texts(), ["SIP/2.0 488 Not Acceptable Here"]);
    world.expect_nothing_left();
}

#[test]
fn a_calling_party_that_refuses_ends_the_call_with_its_status() {
    for status in [486, 480, 603] {
        let mut world = expect(Temper { pickup: Pickup::Refuse(status), ..Temper::default() }, "none", None);
        assert!(world.texts().last().is_some_and(|text| text.contains(&status.to_string())));
        world.expect_nothing_left();
    }
}

#[test]
fn an_unanswered_call_is_canceled_after_its_timeout() {
    let temper = Temper { pickup: Pickup::Never, ..Temper::default() };
    let mut world = World::new(Setting::default(), vec![temper, Temper::default()]);
    world.place("timeout=7");
    world.pass(Duration::from_millis(6900));
    assert_eq!(world.sent("CANCEL").len(), 0);
    assert_eq!(world.phone(1), PhoneState::Ringing);
    world.pass(Duration::from_millis(200));
    assert_eq!(world.sent("CANCEL").len(), 1);
    assert_eq!(world.phone(1), PhoneState::Idle);
    assert_eq!(world.texts(), ["SIP/2.0 180 Ringing", "SIP/2.0 487 Request Terminated"]);
    world.expect_nothing_left();
}

#[test]
fn a_2xx_that_crosses_cancel_is_acknowledged_and_hung_up() {
    let temper = Temper { pickup: Pickup::DespiteCancel, ..Temper::default() };
    let mut world = World::new(Setting::default(), vec![temper, Temper::default()]);
    world.place("timeout=2");
    world.pass(Duration::from_secs(10));
    assert_eq!((world.sent("ACK").len(), world.sent("BYE").len(), world.sent("REFER").len()), (1, 1, 0));
    assert_eq!(world.phone(1), PhoneState::Idle);
    world.expect_nothing_left();
}

#[test]
fn delete_ends_a_call_in_every_state() {
    // In milliseconds: before any answer, ringing, just answered, referring, the called party ringing, connected.
    for after in [0, 1, 12, 100, 320, 335, 345, 400, 600, 900] {
        let mut world = World::new(Setting::default(), vec![Temper::default(), Temper::default()]);
        world.place("");
        world.pass(Duration::from_millis(after));
        let over = !world.call()["times"]["ended"].is_null();
        let (status, ..) = world.ask("DELETE", "/callcontroller/user1/user2", "");
        assert_eq!(status, if over { 404 } else { 204 }, "after {after} ms");
        world.pass(Duration::from_secs(40));
        assert!(!world.call()["times"]["ended"].is_null(), "after {after} ms: {:#?}", world.call());
        world.expect_nothing_left();
    }
}

#[test]
fn what_the_called_party_answers_is_the_outcome() {
    for (pickup, status) in [(Pickup::Refuse(486), 486), (Pickup::Refuse(603), 603)] {
        let two = Temper { pickup, ..Temper::default() };
        let mut world = World::new(Setting::default(), vec![Temper::default(), two]);
        world.place("");
        world.pass(Duration::from_secs(5));
        assert_eq!(world.outcome(), ("failed".into(), Some(status)));
        world.expect_nothing_left();
    }
}

#[test]
fn a_refused_refer_is_no_failure_of_the_called_party() {
    for status in [603, 405, 501, 420] {
        let referral = Referral { answer: status, ..Referral::default() };
        let mut world = expect(referred(referral), "refused", Some(u64::from(status)));
        let bye = world.sent("BYE").remove(0);
        assert!(bye.contains(&format!("Reason: SIP;cause={status};text=")), "{bye}");
        world.expect_nothing_left();
    }
}

#[test]
fn a_refer_that_meets_491_is_sent_again_later() {
    let referral = Referral { first_answer: Some(491), ..Referral::default() };
    let mut world = expect(referred(referral), "connected", None);
    assert_eq!(world.sent("REFER").len(), 2);
    world.expect_nothing_left();
}

#[test]
fn a_notify_that_overtakes_the_2xx_counts() {
    let notices =
        script(&[(ACTIVE, Some("SIP/2.0 100 Trying\r\n")), (TERMINATED, Some("SIP/2.0 200 OK\r\n"))]);
    let referral = Referral { notify_first: true, notices, ..Referral::default() };
    expect(referred(referral), "connected", None).expect_nothing_left();
}

#[test]
fn a_200_to_refer_is_as_good_as_a_202() {
    let referral = Referral { answer: 200, ..Referral::default() };
    expect(referred(referral), "connected", None).expect_nothing_left();
}

#[test]
fn a_failure_with_the_subscription_left_active_ends_the_waiting() {
    let temper =
        scripted(&[(ACTIVE, Some("SIP/2.0 100 Trying\r\n")), ("active", Some("SIP/2.0 486 Busy here\r\n"))]);
    let mut world = expect(temper, "failed", Some(486));
    assert_eq!(world.sent("BYE").len(), 1);
    world.expect_nothing_left();
}

#[test]
fn strange_notifies_are_answered_and_recorded() {
    let temper = scripted(&[
        (ACTIVE, None),
        (ACTIVE, Some("")),
        (ACTIVE, Some("SIP/2.0 1")),
        (ACTIVE, Some("SIP/2.0 180 Ringing\r\nContact: <sip:x@y>\r\n\r\n")),
        (ACTIVE, Some("SIP/2.0 180 Ringing\r\nContact: <sip:x@y>\r\n\r\n")),
        ("terminated;reason=reason=noresource", Some("\r\nSIP/2.0 200 Ok")),
    ]);
    let mut world = expect(temper, "connected", None);
    assert_eq!(world.sent("SIP/2.0 200").len(), 6);
    assert!(world.texts().contains(&"SIP/2.0 1".to_owned()));
    world.expect_nothing_left();
}

#[test]
fn a_subscription_that_ends_without_a_result_leaves_it_unknown() {
    for body in [Some("SIP/2.0 180 Ringing\r\n"), None] {
        let mut world = expect(scripted(&[(TERMINATED, body)]), "unknown", None);
        assert_eq!(world.sent("BYE").len(), 1);
        world.expect_nothing_left();
    }
}

#[test]
fn a_phone_that_says_refer_sub_false_is_let_go_at_once() {
    let referral = Referral { unwatched: true, ..Referral::default() };
    let mut world = expect(referred(referral), "unknown", None);
    assert!(matches!(world.phone(1), PhoneState::InCall(_)), "its own call goes on");
    world.expect_nothing_left();
}

#[test]
fn without_any_notify_the_phone_is_let_go_after_32_seconds() {
    let mut world = called(Setting::default(), scripted(&[]));
    assert_eq!(world.outcome().0, "accepted");
    world.pass(Duration::from_secs(11));
    assert_eq!(world.sent("BYE").len(), 0);
    world.pass(Duration::from_secs(3));
    assert_eq!((world.sent("BYE").len(), world.outcome().0.as_str()), (1, "unknown"));
    world.expect_nothing_left();
}

#[test]
fn a_subscription_that_runs_out_ends_the_waiting() {
    let mut world =
        called(Setting::default(), scripted(&[("active;expires=30", Some("SIP/2.0 180 Ringing\r\n"))]));
    assert_eq!(world.outcome().0, "ringing");
    world.pass(Duration::from_secs(20));
    assert_eq!(world.outcome().0, "unknown");
    world.expect_nothing_left();
}

#[test]
fn a_phone_that_puts_us_on_hold_gets_a_fitting_answer() {
    let referral = Referral { hold: true, ..Referral::default() };
    let mut world = expect(referred(referral), "connected", None);
    let answers = world.sent("SIP/2.0 200");
    let answer = answers.iter().find(|text| text.contains("INVITE\r\n")).expect("the re-INVITE was answered");
    assert!(answer.contains("a=recvonly") && answer.contains("m=audio 9 "), "{answer}");
    world.expect_nothing_left();
}

#[test]
fn notifies_that_come_after_the_phone_hung_up_still_count() {
    let notices =
        script(&[(ACTIVE, Some("SIP/2.0 100 Trying\r\n")), (TERMINATED, Some("SIP/2.0 200 OK\r\n"))]);
    let referral = Referral { hang_up: true, notices, ..Referral::default() };
    let mut world = expect(referred(referral), "connected", None);
    assert_eq!(world.sent("BYE").len(), 0, "whoever hung up is not hung up on");
    world.expect_nothing_left();
}

#[test]
fn with_hangup_at_ringing_the_outcome_is_still_heard() {
    let setting = Setting { calls: "refer_hangup = \"ringing\"", ..Setting::default() };
    let mut world = called(setting, Temper::default());
    assert_eq!(world.outcome().0, "connected");
    let bye = world.ladder.iter().position(|(_, _, text)| text.starts_with("BYE")).expect("it hangs up");
    let last =
        world.ladder.iter().rposition(|(_, _, text)| text.starts_with("NOTIFY")).expect("it is notified");
    assert!(bye < last);
    world.expect_nothing_left();
}

#[test]
fn a_phone_that_has_forgotten_the_dialog_ends_it_as_well() {
    let temper = Temper { forgets: true, ..Temper::default() };
    let mut world = expect(temper, "connected", None);
    assert_eq!(world.sent("BYE").len(), 1);
    world.expect_nothing_left();
}

#[test]
fn a_reliable_provisional_response_is_acknowledged() {
    let temper = Temper { reliable: true, ..Temper::default() };
    let mut world = expect(temper, "connected", None);
    let prack = world.sent("PRACK").remove(0);
    assert!(prack.contains("RAck: 1 1 INVITE\r\n"), "{prack}");
    world.expect_nothing_left();
}

#[test]
fn a_contact_that_is_a_gruu_is_kept_and_routed() {
    let temper = Temper { gruu: true, ..Temper::default() };
    let mut world = expect(temper, "connected", None);
    assert!(world.sent("REFER")[0].starts_with("REFER sip:user1@example.com;gr=urn:uuid:user1 SIP/2.0\r\n"));
    world.expect_nothing_left();
}

fn challenge(algorithm: Algorithm) -> Challenge {
    Challenge { algorithm, as_server: false, inside: false, once: false }
}

#[test]
fn challenges_of_every_kind_are_answered() {
    let plain = challenge(Algorithm::Md5);
    let all = [
        plain,
        challenge(Algorithm::Sha256),
        challenge(Algorithm::Sha512_256),
        Challenge { as_server: true, ..plain },
        Challenge { inside: true, ..plain },
        Challenge { inside: true, once: true, ..plain },
        Challenge { inside: true, as_server: true, once: true, algorithm: Algorithm::Sha256 },
    ];
    for challenge in all {
        let setting = Setting { challenge: Some(challenge), ..Setting::default() };
        let mut world = called(setting, Temper::default());
        assert_eq!(world.outcome().0, "connected", "{challenge:?} {:#?}", world.texts());
        let invites = world.sent("INVITE");
        assert_eq!(invites.len(), 2);
        let line = |text: &str, name: &str| text.lines().find(|l| l.starts_with(name)).map(str::to_owned);
        for name in ["Call-ID", "From"] {
            assert_eq!(line(&invites[0], name), line(&invites[1], name), "{name} stays");
        }
        assert_eq!(line(&invites[1], "CSeq").as_deref(), Some("CSeq: 2 INVITE"));
        let field =
            if challenge.as_server { "Authorization: Digest " } else { "Proxy-Authorization: Digest " };
        assert!(world.sent("ACK").iter().any(|ack| ack.contains(field)), "the ACK repeats the credentials");
        world.expect_nothing_left();
    }
}

#[test]
fn redirections_are_followed_only_where_that_is_allowed() {
    let redirections: &[(&str, &[&str])] = &[(
        "user1",
        &["<sip:9480@example.com>;q=0.9, <sip:user1@example.com>;q=1.0, <sip:user3@example.com>;q=0.5"],
    )];
    for (allowed, outcome) in [("false", "none"), ("true", "connected")] {
        let mut world = World::new(
            Setting { redirections, ..Setting::default() },
            vec![Temper::default(), Temper::default(), Temper::default()],
        );
        world.place(&format!("isForwardingAllowed={allowed}"));
        world.pass(Duration::from_secs(5));
        assert_eq!(world.outcome().0, outcome, "{:#?}", world.texts());
        let targets: Vec<String> =
            world.sent("INVITE").iter().map(|i| i.split(' ').nth(1).unwrap().to_owned()).collect();
        let refused = world.sent("INVITE")[0].contains("Request-Disposition: no-recurse");
        assert_eq!(refused, allowed == "false");
        if allowed == "true" {
            let expected = ["sip:user1@example.com", "sip:9480@example.com", "sip:user3@example.com"];
            assert_eq!(targets, expected, "by q, and never the same twice");
        } else {
            assert_eq!(world.texts(), ["SIP/2.0 302 Moved Temporarily"]);
        }
        world.expect_nothing_left();
    }
}

#[test]
fn redirections_that_lead_in_a_circle_come_to_an_end() {
    let redirections: &[(&str, &[&str])] = &[
        ("user1", &["<sip:a@example.com>"]),
        ("a", &["<sip:b@example.com>"]),
        ("b", &["<sip:c@example.com>, <sip:user1@example.com>"]),
        ("c", &["<sip:d@example.com>"]),
        ("d", &["<sip:e@example.com>"]),
        ("e", &["<sip:f@example.com>"]),
        ("f", &["<sip:user2@example.com>"]),
    ];
    let setting = Setting { redirections, ..Setting::default() };
    let mut world = World::new(setting, vec![Temper::default(), Temper::default()]);
    world.place("isForwardingAllowed=true");
    world.pass(Duration::from_secs(5));
    assert_eq!(world.sent("INVITE").len(), 6, "the first, and five redirections");
    assert_eq!(world.outcome().0, "none");
    world.expect_nothing_left();
}

#[test]
fn a_call_that_is_forwarded_although_that_is_forbidden_is_given_up() {
    for (allowed, canceled) in [("false", 1), ("true", 0)] {
        let temper = Temper { forwards: true, ..Temper::default() };
        let mut world = World::new(Setting::default(), vec![temper, Temper::default()]);
        world.place(&format!("isForwardingAllowed={allowed}"));
        world.pass(Duration::from_secs(5));
        assert_eq!(world.sent("CANCEL").len(), canceled);
        assert_eq!(world.texts()[0], "SIP/2.0 181 Call Is Being Forwarded");
        world.expect_nothing_left();
    }
}

#[test]
fn a_second_fork_that_answers_is_acknowledged_and_hung_up() {
    let mut world = World::new(Setting::default(), vec![Temper::default(), Temper::default()]);
    world.place("");
    world.pass(Duration::from_millis(330));
    let answered = |text: &str| text.starts_with("SIP/2.0 200") && text.contains("CSeq: 1 INVITE");
    let to_us = |(_, to, text): &&(std::net::SocketAddr, std::net::SocketAddr, String)| {
        *to == cordboard_tests::world::controller_address() && answered(text)
    };
    let first = world.ladder.iter().find(to_us).expect("the phone has answered").2.clone();
    let tag =
        first.lines().find(|line| line.starts_with("To:")).unwrap().split("tag=").nth(1).unwrap().to_owned();
    let acks = world.sent("ACK").len();
    world.send_raw(first.as_bytes());
    assert_eq!(
        (world.sent("ACK").len(), world.sent("BYE").len()),
        (acks + 1, 0),
        "the same again: acknowledged again"
    );
    let fork = first.replace(&tag, "another-fork");
    world.send_raw(fork.as_bytes());
    let (acks, byes) = (world.sent("ACK"), world.sent("BYE"));
    assert!(acks.last().unwrap().contains("tag=another-fork"), "{acks:#?}");
    assert!(byes.last().unwrap().contains("tag=another-fork"), "{byes:#?}");
    world.pass(Duration::from_secs(3));
    assert_eq!(world.outcome().0, "connected", "the first one wins");
    // One that comes when everything is over is let go as well.
    let late = first.replace(&tag, "late-fork");
    world.send_raw(late.as_bytes());
    assert!(world.sent("BYE").last().unwrap().contains("tag=late-fork"));
    world.expect_nothing_left();
}

#[test]
fn a_phone_that_never_acknowledges_is_let_go() {
    let notices = script(&[("active;expires=600", Some("SIP/2.0 180 Ringing\r\n"))]);
    let referral = Referral { hold: true, never_acknowledges: true, notices, ..Referral::default() };
    let mut world = called(Setting::default(), referred(referral));
    assert_eq!(world.sent("BYE").len(), 0);
    let copies = world.sent("SIP/2.0 200").iter().filter(|text| text.contains("INVITE\r\n")).count();
    assert!(copies > 4, "the answer is sent again: {copies}");
    world.pass(Duration::from_secs(20));
    assert_eq!(world.sent("BYE").len(), 1);
    world.expect_nothing_left();
}

#[test]
fn the_identity_that_phones_see_is_configured() {
    let setting =
        || Setting { calls: "identity = \"party\"\nasserted_identity = true", ..Setting::default() };
    let mut world = called(setting(), Temper::default());
    let invite = world.sent("INVITE").remove(0);
    assert!(invite.contains("From: <sip:user2@example.com>;tag="), "{invite}");
    assert!(invite.contains("P-Asserted-Identity: <sip:agent@example.com>\r\n"), "{invite}");
    world.expect_nothing_left();
    let elsewhere = "asserted_identity = true\ntrusted_proxy = [\"192.0.2.0/24\"]";
    let mut world = called(Setting { calls: elsewhere, ..Setting::default() }, Temper::default());
    assert!(!world.sent("INVITE")[0].contains("P-Asserted-Identity"), "that proxy is not trusted");
    world.expect_nothing_left();
}

#[test]
fn refused_credentials_end_the_call_with_that_status() {
    let setting =
        Setting { challenge: Some(challenge(Algorithm::Md5)), agent_password: "wrong", ..Setting::default() };
    let mut world = called(setting, Temper::default());
    assert_eq!(world.sent("INVITE").len(), 2, "once per nonce");
    assert_eq!(world.texts(), ["SIP/2.0 407 Proxy Authentication Required"]);
    world.expect_nothing_left();
}

#[test]
fn what_the_request_asks_is_said_in_the_invite() {
    let mut world = World::new(Setting::default(), vec![Temper::default(), Temper::default()]);
    world.place("subject=Hallo%20Welt&autoAnswer=true&confpin=0042");
    world.pass(Duration::from_secs(3));
    let invite = world.sent("INVITE").remove(0);
    for line in [
        "Subject: Hallo Welt\r\n",
        "Request-Disposition: no-recurse\r\n",
        "Answer-Mode: Auto\r\n",
        "Call-Info: <sip:example.com>;answer-after=0\r\n",
        "Alert-Info: <http://example.com>;info=alert-autoanswer\r\n",
        "From: <sip:agent@example.com>;tag=",
        "To: <sip:user1@example.com>\r\n",
        "Supported: 100rel\r\n",
    ] {
        assert!(invite.contains(line), "{line}\n{invite}");
    }
    assert!(world.sent("REFER")[0].contains("Refer-To: <sip:user2@example.com?X-ConfPin=0042>\r\n"));
    world.expect_nothing_left();
}

#[test]
fn the_sipx_dialect_switches_forwarding_off_in_the_uri() {
    let mut world = called(Setting { sip: "dialect = \"sipx\"", ..Setting::default() }, Temper::default());
    let invite = world.sent("INVITE").remove(0);
    assert!(
        invite.starts_with(
            "INVITE sip:user1@example.com;sipx-noroute=Voicemail;sipx-userforward=false SIP/2.0"
        )
    );
    world.expect_nothing_left();
}

fn scattered(number: u64, salt: u64) -> bool {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt.wrapping_mul(0xbf58_476d_1ce4_e5b9)) >> 61)
        < 2
}

#[test]
fn lost_datagrams_are_sent_again() {
    // A quarter, scattered in four ways that are always the same.
    let losses: [fn(u64) -> bool; 4] =
        [|n| scattered(n, 1), |n| scattered(n, 2), |n| scattered(n, 3), |n| scattered(n, 4)];
    for loss in losses {
        let mut world =
            World::new(Setting { loss, ..Setting::default() }, vec![Temper::default(), Temper::default()]);
        world.place("");
        world.pass(Duration::from_secs(150));
        assert_eq!(world.outcome().0, "connected", "{:#?}", world.texts());
        world.expect_nothing_left();
    }
}

#[test]
fn a_network_that_swallows_everything_leaves_nothing_behind() {
    let mut world = World::new(Setting { loss: |_| true, ..Setting::default() }, vec![Temper::default()]);
    world.place("");
    world.pass(Duration::from_secs(40));
    assert_eq!(world.texts(), ["SIP/2.0 408 Request Timeout"]);
    assert_eq!(world.sent("INVITE").len(), 7);
    world.expect_nothing_left();
}

#[test]
fn a_second_call_between_the_same_two_is_refused_while_the_first_lasts() {
    let mut world = World::new(Setting::default(), vec![Temper::default(), Temper::default()]);
    world.place("");
    let (status, _, body) = world.ask("POST", "/callcontroller/user1/user2?agent=agent", "");
    assert_eq!(status, 409, "{body}");
    world.pass(Duration::from_secs(5));
    world.place("");
    world.pass(Duration::from_secs(5));
    world.expect_nothing_left();
}

#[test]
fn the_limit_of_calls_counts_those_in_progress() {
    let setting = Setting { calls: "max_calls = 1", ..Setting::default() };
    let mut world = World::new(setting, vec![Temper::default(), Temper::default(), Temper::default()]);
    world.place("");
    let (status, head, _) = world.ask("POST", "/callcontroller/user3/user2?agent=agent", "");
    assert_eq!(status, 503);
    assert!(head.contains("Retry-After: "), "{head}");
    world.pass(Duration::from_secs(5));
    let (status, ..) = world.ask("POST", "/callcontroller/user3/user2?agent=agent", "");
    assert_eq!(status, 200, "the first call is over, though its record is kept");
    world.pass(Duration::from_secs(5));
    assert!(world.call().is_null(), "the older record has made room");
    world.expect_nothing_left();
}

#[test]
fn a_record_is_kept_for_its_time_and_not_longer() {
    let mut world = World::new(Setting::default(), vec![Temper::default(), Temper::default()]);
    world.place("resultCacheTime=10");
    world.pass(Duration::from_secs(9));
    assert_eq!(world.outcome().0, "connected");
    world.pass(Duration::from_secs(3));
    assert!(world.call().is_null());
    let (status, _, body) = world.ask("GET", "/callcontroller/user1/user2", "");
    assert_eq!(status, 200);
    assert!(body.contains("<status-lines") && !body.contains("<status>"), "{body}");
    world.expect_nothing_left();
}
