//! The called party is connected to somebody else in place of the calling one.

use serde_json::json;

use super::{Talk, after_the_end, dialogs, hang_up, path, wait_connected};
use cordboard_tests::sipp::Sipp;
use cordboard_tests::wait_for;

fn transfer(talk: &Talk, target: &Sipp) {
    let reply = talk
        .server
        .trusted("POST", &format!("{}&action=transfer&target={}&timeout=20", talk.path(), target.user()));
    assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{reply:?}");
}

/// Waits until a transfer that failed is in the record, and the old call is as it was.
fn wait_failed(talk: &Talk, status: u16) {
    let call = wait_for("the end of the transfer", || {
        let call = talk.server.call(&talk.path());
        (call["transfers"][0]["state"] == "failed" && call["state"] == "connected").then_some(call)
    });
    assert_eq!(call["transfers"][0]["status"], status, "{call}");
    assert_eq!(dialogs(&talk.server, &talk.path(), "Confirmed"), 2);
}

/// A transfer that succeeds, with these scenarios of the called party and the target.
fn transferred(called: &str, target: &str) {
    let talk = Talk::between("invite-calling", called);
    let target = Sipp::play(target);
    transfer(&talk, &target);
    let (old, new) = (talk.path(), path(&target.user(), &talk.called.user()));
    wait_for("the transfer", || (dialogs_or_none(&talk, &new, "Confirmed") == 2).then_some(()));
    wait_connected(&talk.server, &new);
    let (called_media, target_media, calling_media) = (talk.called.media, target.media, talk.calling.media);
    let calling = talk.calling.finish();
    calling.assert_talks_to(called_media);
    assert_eq!(calling.requests("BYE").len(), 1);
    assert_eq!(dialogs(&talk.server, &old, "Terminated"), 1);
    assert_eq!(dialogs(&talk.server, &old, "Confirmed"), 0);
    hang_up(&talk.server, &new);
    let (called, target) = (talk.called.finish(), target.finish());
    called.assert_talks_to(target_media);
    target.assert_talks_to(called_media);
    assert!(called.descriptions()[0].contains(&format!("m=audio {calling_media} ")));
    let call = after_the_end(&talk.server, &new, 2);
    assert_eq!(call["transfers"][0]["state"], "connected", "{call}");
}

/// How many dialogs are shown in this state, where there may be no such call yet.
fn dialogs_or_none(talk: &Talk, path: &str, state: &str) -> usize {
    talk.server.trusted("GET", path).body.matches(&format!("{state} Dialog")).count()
}

/// A transfer that fails, after which both parties of the old call are still there, and are hung up.
fn kept(called: &str, target: &str, status: u16) {
    let talk = Talk::between("invite-calling", called);
    let target = Sipp::play(target);
    transfer(&talk, &target);
    target.finish();
    wait_failed(&talk, status);
    talk.hang_up();
    let (calling, called) = (talk.calling.media, talk.called.media);
    let ended = talk.end_with(3);
    ended.calling.assert_talks_to(called);
    assert!(ended.called.descriptions()[0].contains(&format!("m=audio {calling} ")));
    assert_eq!(ended.call["outcome"], json!({"state": "connected", "status": null}));
    assert_eq!(ended.calling.requests("INVITE").len(), 2, "the calling party noticed nothing");
}

#[test]
fn the_target_talks_to_the_called_party_and_the_calling_one_is_let_go() {
    transferred("invite-called-transferred", "invite-called");
}

#[test]
fn a_target_that_wants_an_offer_gets_the_called_partys() {
    transferred("invite-called-asked", "invite-called-wants-offer");
}

#[test]
fn the_old_call_goes_on_untouched_when_the_target_is_busy() {
    kept("invite-called", "invite-called-busy", 486);
}

#[test]
fn the_old_call_goes_on_when_the_called_party_refuses_the_targets_media() {
    kept("invite-called-keeps", "invite-called-refused", 488);
}
