//! Calls that the controller stays in, with SIPp as both parties: each keeps to a scenario of `tests/peers/sipp`.

use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::sipp::{Heard, Sipp};
use cordboard_tests::wait_for;
use serde_json::{Value, json};

#[path = "sipp_invite/endings.rs"]
mod endings;
#[path = "sipp_invite/passing.rs"]
mod passing;
#[path = "sipp_invite/setup.rs"]
mod setup;
#[path = "sipp_invite/transfer.rs"]
mod transfer;

/// A call between two phones, in progress.
struct Talk {
    server: Cordboard,
    calling: Sipp,
    called: Sipp,
}

/// A call after its end.
struct Ended {
    call: Value,
    calling: Heard,
    called: Heard,
}

/// The path of the call between two users.
fn path(calling: &str, called: &str) -> String {
    format!("/callcontroller/{calling}/{called}?agent=user1")
}

/// How many dialogs of a call are shown in this state.
fn dialogs(server: &Cordboard, path: &str, state: &str) -> usize {
    let xml = server.trusted("GET", path).body;
    assert!(xml.contains("<dialogs "), "{xml}");
    xml.matches(&format!("<dialog-state>{state} Dialog</dialog-state>")).count()
}

/// Waits until a call stands on both legs.
fn wait_connected(server: &Cordboard, path: &str) {
    wait_for("the call", || (server.call(path)["state"] == "connected").then_some(()));
    assert_eq!(dialogs(server, path, "Confirmed"), 2);
    assert_eq!(server.call(path)["outcome"], json!({"state": "connected", "status": null}));
}

/// Ends a call by our interface.
fn hang_up(server: &Cordboard, path: &str) {
    let reply = server.trusted("DELETE", path);
    assert_eq!(reply.status, 204, "{reply:?}");
}

/// The call after its end, which shows that no dialog is left.
fn after_the_end(server: &Cordboard, path: &str, terminated: usize) -> Value {
    let call = server.ended(path);
    assert_eq!(call["state"], "ended", "{call}");
    assert_eq!(call["method"], "INVITE", "{call}");
    for (state, count) in [("Terminated", terminated), ("Confirmed", 0), ("Early", 0)] {
        assert_eq!(dialogs(server, path, state), count, "{state}: {call}");
    }
    assert_eq!(server.trusted("DELETE", path).status, 404);
    call
}

impl Talk {
    /// Starts the phones that keep to these scenarios, and places the call.
    fn place(calling: &str, called: &str) -> Self {
        Self::place_for(Sipp::play(calling), Sipp::play(called))
    }

    /// Places the call of these phones.
    fn place_for(calling: Sipp, called: Sipp) -> Self {
        let server = Cordboard::start("example.com", "", "", &[("user1", "1", &[])]);
        let talk = Self { server, calling, called };
        let reply = talk.server.trusted("POST", &format!("{}&sipMethod=INVITE", talk.path()));
        assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{reply:?}");
        talk
    }

    /// The same, with both connected.
    fn between(calling: &str, called: &str) -> Self {
        Self::place(calling, called).connected()
    }

    /// Waits until both are connected.
    fn connected(self) -> Self {
        wait_connected(&self.server, &self.path());
        self
    }

    fn path(&self) -> String {
        path(&self.calling.user(), &self.called.user())
    }

    /// Ends the call by our interface.
    fn hang_up(&self) {
        hang_up(&self.server, &self.path());
    }

    /// Waits for the end of both scenarios and of the call, whose dialogs are all over then.
    fn end(self) -> Ended {
        self.end_with(2)
    }

    /// The same of a call that had so many dialogs.
    fn end_with(self, dialogs: usize) -> Ended {
        let path = self.path();
        let (calling, called) = (self.calling.finish(), self.called.finish());
        let call = after_the_end(&self.server, &path, dialogs);
        Ended { call, calling, called }
    }

    /// Waits for the end, after both were told to talk to each other.
    fn end_of_talk(self) -> Ended {
        let (calling, called) = (self.calling.media, self.called.media);
        let ended = self.end();
        ended.calling.assert_talks_to(called);
        ended.called.assert_talks_to(calling);
        assert_eq!(ended.call["outcome"], json!({"state": "connected", "status": null}), "{}", ended.call);
        ended
    }
}
