//! Who hangs up, who refuses, and what the other one is told.

use serde_json::json;

use super::Talk;
use cordboard_tests::cordboard::Cordboard;

#[test]
fn a_calling_party_that_hangs_up_ends_the_call() {
    let ended = Talk::place("invite-calling-hangs-up", "invite-called").end_of_talk();
    assert_eq!((ended.calling.requests("BYE").len(), ended.called.requests("BYE").len()), (0, 1));
}

#[test]
fn a_called_party_that_hangs_up_ends_the_call() {
    let ended = Talk::place("invite-calling", "invite-called-hangs-up").end_of_talk();
    assert_eq!((ended.calling.requests("BYE").len(), ended.called.requests("BYE").len()), (1, 0));
}

#[test]
fn a_call_that_is_deleted_is_hung_up_on_both_sides() {
    let talk = Talk::between("invite-calling", "invite-called");
    talk.hang_up();
    let ended = talk.end_of_talk();
    assert_eq!((ended.calling.requests("BYE").len(), ended.called.requests("BYE").len()), (1, 1));
}

#[test]
fn the_calling_party_is_told_that_the_called_one_is_busy() {
    let ended = Talk::place("invite-calling-left", "invite-called-busy").end();
    assert_eq!(ended.call["outcome"], json!({"state": "failed", "status": 486}), "{}", ended.call);
    let bye = ended.calling.requests("BYE")[0];
    assert!(bye.contains("Reason: SIP;cause=486;text=\"Busy Here\"\r\n"), "{bye}");
    let texts = Cordboard::texts(&ended.call);
    assert_eq!(texts.last().map(String::as_str), Some("SIP/2.0 486 Busy Here"), "{texts:?}");
    assert_eq!(ended.calling.requests("INVITE").len(), 1, "it was not asked to talk to anybody");
}

#[test]
fn a_calling_party_that_refuses_the_called_ones_media_ends_the_call_for_both() {
    let ended = Talk::place("invite-calling-refuses", "invite-called-refused").end();
    assert_eq!(ended.call["outcome"], json!({"state": "failed", "status": 488}), "{}", ended.call);
    assert_eq!((ended.calling.requests("BYE").len(), ended.called.requests("BYE").len()), (1, 1));
    let ack = ended.called.requests("ACK")[0];
    assert!(
        ack.contains("m=audio 9 ") && ack.contains("a=sendonly"),
        "its offer is answered as on hold: {ack}"
    );
}
