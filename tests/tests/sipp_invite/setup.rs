//! Connecting two parties by RFC 3725 flow IV, and by flow III.

use serde_json::json;

use super::{Talk, after_the_end, dialogs};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::sipp::Sipp;
use cordboard_tests::wait_for;

/// The session id and the version of an SDP origin line.
fn origin(description: &str) -> (&str, u64) {
    let line = description.lines().find(|line| line.starts_with("o=")).expect("a description has an origin");
    let mut words = line.split(' ').skip(1);
    let (session, version) = (words.next(), words.next().and_then(|version| version.parse().ok()));
    (session.expect("it has a session"), version.expect("it has a version"))
}

#[test]
fn both_parties_talk_to_each_other_until_the_call_is_deleted() {
    let talk = Talk::between("invite-calling", "invite-called");
    talk.hang_up();
    let ended = talk.end_of_talk();
    let texts = Cordboard::texts(&ended.call);
    assert_eq!(
        texts,
        ["SIP/2.0 180 Ringing", "SIP/2.0 200 OK", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"],
        "{}",
        ended.call
    );
    let descriptions = ended.calling.descriptions();
    let [first, second] = descriptions[..] else { panic!("two descriptions: {descriptions:?}") };
    let (before, after) = (origin(first), origin(second));
    assert_eq!((before.0, before.1 + 1), after, "one session, whose version is counted");
    assert!(!ended.called.requests("INVITE")[0].contains("v=0"));
    assert!(ended.called.requests("ACK")[0].contains("v=0"));
}

#[test]
fn a_called_party_that_refuses_an_invite_without_an_offer_gets_one_with_it() {
    let talk = Talk::between("invite-calling-offers", "invite-called-wants-offer");
    talk.hang_up();
    let ended = talk.end_of_talk();
    assert_eq!(ended.called.requests("INVITE").len(), 2);
    assert_eq!(ended.calling.requests("INVITE").len(), 2);
}

#[test]
fn a_description_in_a_provisional_answer_that_is_not_reliable_does_no_harm() {
    let talk = Talk::between("invite-calling", "invite-called-early");
    talk.hang_up();
    let texts = Cordboard::texts(&talk.end_of_talk().call);
    assert!(texts.contains(&"SIP/2.0 183 Session Progress".to_owned()), "{texts:?}");
}

#[test]
fn a_reliable_provisional_answer_is_acknowledged_with_the_calling_partys_answer() {
    let talk = Talk::between("invite-calling", "invite-called-reliable");
    talk.hang_up();
    let ended = talk.end_of_talk();
    assert_eq!(ended.called.requests("PRACK").len(), 1);
}

#[test]
fn a_2xx_that_comes_again_after_the_ack_is_acknowledged_again() {
    let talk =
        Talk::place_for(Sipp::play("invite-calling"), Sipp::play_once("invite-called-twice")).connected();
    wait_for("the second ACK", || (talk.called.heard().requests("ACK").len() == 2).then_some(()));
    talk.hang_up();
    let ended = talk.end_of_talk();
    let acks = ended.called.requests("ACK");
    let [first, second] = acks[..] else { panic!("two ACKs: {acks:?}") };
    assert_eq!(first, second);
}

#[test]
fn a_2xx_that_comes_again_while_the_calling_party_thinks_is_acknowledged_with_the_answer() {
    let talk = Talk::between("invite-calling-slow", "invite-called");
    talk.hang_up();
    let ended = talk.end_of_talk();
    assert_eq!(
        ended.calling.requests("INVITE").len(),
        2,
        "an offer that was answered 100 does not come again"
    );
    for ack in ended.called.requests("ACK") {
        assert!(ack.contains("v=0"), "{ack}");
    }
}

#[test]
fn a_phone_that_wants_a_longer_session_interval_is_asked_again_with_it() {
    let talk = Talk::between("invite-calling-interval", "invite-called");
    talk.hang_up();
    let ended = talk.end_of_talk();
    assert_eq!(ended.calling.requests("INVITE").len(), 3);
}

#[test]
fn the_dialog_of_a_called_party_that_rings_is_early_and_is_given_up_by_cancel() {
    let talk = Talk::place("invite-calling-let-go", "invite-called-rings");
    wait_for("the ringing", || (dialogs(&talk.server, &talk.path(), "Early") == 1).then_some(()));
    assert_eq!(dialogs(&talk.server, &talk.path(), "Confirmed"), 1);
    assert_eq!(talk.server.call(&talk.path())["state"], "connecting");
    talk.hang_up();
    let path = talk.path();
    let (calling, called) = (talk.calling.finish(), talk.called.finish());
    let call = after_the_end(&talk.server, &path, 2);
    assert_eq!(call["outcome"], json!({"state": "failed", "status": 487}), "{call}");
    assert_eq!((calling.requests("BYE").len(), called.requests("CANCEL").len()), (1, 1));
}
