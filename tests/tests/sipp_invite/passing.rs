//! What one party says within the call, and the other one hears.

use super::Talk;
use cordboard_tests::wait_for;

#[test]
fn hold_resume_and_info_of_one_party_reach_the_other_and_so_do_the_answers() {
    let talk = Talk::between("invite-calling-holds", "invite-called-held");
    // The call may be over only after the last re-INVITE was answered and acknowledged.
    wait_for("the resumed call", || (talk.called.heard().requests("ACK").len() >= 3).then_some(()));
    talk.hang_up();
    let ended = talk.end_of_talk();
    let held = ended.called.requests("INVITE")[1];
    assert!(held.contains("a=sendonly"), "{held}");
    let info = ended.called.requests("INFO")[0];
    assert!(info.contains("\r\n\r\nSignal=5\r\nDuration=160"), "{info}");
}
