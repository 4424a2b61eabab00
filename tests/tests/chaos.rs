//! Calls that the controller stays in, among real programs that are killed, stopped, cut off and drowned in garbage:
//! whatever can be saved is, what cannot has its record, and no phone is left alone in a call.

#[path = "chaos/crashes.rs"]
mod crashes;
#[path = "chaos/garbage.rs"]
mod garbage;
#[path = "chaos/loss.rs"]
mod loss;
#[path = "chaos/stops.rs"]
mod stops;

use cordboard_tests::baresip::{Answer, Baresip, Way};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::kamailio::{DOMAIN, Kamailio};
use cordboard_tests::wait_for;
use serde_json::{Value, json};

/// A proxy, phones that are registered there, and a server in front of it.
///
/// They are ended in this order: a phone waits for its proxy to take it out of the register.
struct Site {
    server: Cordboard,
    /// Those of user1, user2 and so on.
    phones: Vec<Baresip>,
    proxy: Kamailio,
}

impl Site {
    /// One where everybody reaches the proxy this way, with phones that answer so.
    fn start(way: Way<'_>, answers: &[Answer]) -> Self {
        let proxy = Kamailio::start(&[]);
        let uri = if matches!(way, Way::Udp) { proxy.uri() } else { proxy.tcp_uri() };
        let config = format!(
            "[http]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n[sip]\ndomain = \"{DOMAIN}\"\n\
             listen = [\"udp:127.0.0.1:0\", \"tcp:127.0.0.1:0\"]\nproxy = \"{uri}\"\n"
        );
        let server = Cordboard::configured(&config, &[("agent", "1", &[])]);
        let mut site = Self { server, phones: Vec::new(), proxy };
        site.phones = site.new_phones(way, answers);
        site
    }

    /// New phones of user1, user2 and so on.
    fn new_phones(&self, way: Way<'_>, answers: &[Answer]) -> Vec<Baresip> {
        let phone = |(place, answer): (usize, &Answer)| {
            Baresip::start_by(way, &self.proxy, &format!("user{}", place + 1), *answer)
        };
        answers.iter().enumerate().map(phone).collect()
    }

    /// The phone of this user.
    fn phone(&self, number: usize) -> &Baresip {
        &self.phones[number - 1]
    }

    /// Orders calls of the first to the second users of these pairs.
    fn place(&self, calls: &[(usize, usize)]) {
        calls.iter().for_each(|call| place(&self.server, &path(*call)));
    }

    /// The same, and waits until they stand.
    fn connect(&self, calls: &[(usize, usize)]) {
        self.place(calls);
        calls.iter().for_each(|call| wait_connected(&self.server, &path(*call)));
    }

    /// Waits until calls are over, after they stood, and both of their phones know.
    fn expect_over(&self, calls: &[(usize, usize)]) {
        for call in calls {
            self.phone(call.0).wait_idle();
            self.phone(call.1).wait_idle();
            expect_over(&self.server, &path(*call));
        }
    }

    fn delete(&self, call: (usize, usize)) {
        delete(&self.server, &path(call));
    }
}

fn path((calling, called): (usize, usize)) -> String {
    format!("/callcontroller/user{calling}/user{called}?agent=agent")
}

/// Orders a call; the answer must be that it is being placed.
#[track_caller]
fn place(server: &Cordboard, path: &str) {
    let reply = server.trusted("POST", &format!("{path}&sipMethod=INVITE"));
    assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{reply:?}");
}

#[track_caller]
fn delete(server: &Cordboard, path: &str) {
    let reply = server.trusted("DELETE", path);
    assert_eq!(reply.status, 204, "{reply:?}");
}

/// Waits until a call stands on both legs; panics as soon as it has failed.
fn wait_connected(server: &Cordboard, path: &str) {
    wait_for(&format!("the call {path}"), || {
        let call = server.call(path);
        assert!(call["times"]["ended"].is_null(), "it has failed: {call}");
        (call["state"] == "connected").then_some(())
    });
    assert_eq!(dialogs(server, path, "Confirmed"), 2);
}

/// How many dialogs of a call are shown in this state.
fn dialogs(server: &Cordboard, path: &str, state: &str) -> usize {
    let xml = server.trusted("GET", path).body;
    xml.matches(&format!("<dialog-state>{state} Dialog</dialog-state>")).count()
}

/// Waits for the end of a call that stood; none of its dialogs may be left.
fn expect_over(server: &Cordboard, path: &str) {
    let call = ended(server, path);
    assert_eq!(call["outcome"], json!({"state": "connected", "status": null}), "{call}");
    assert_eq!(dialogs(server, path, "Terminated"), 2, "{call}");
}

/// Waits for the end of a call and returns its record; none of its dialogs may be left.
fn ended(server: &Cordboard, path: &str) -> Value {
    let call = server.ended(path);
    assert_eq!(call["state"], "ended", "{call}");
    for state in ["Confirmed", "Early"] {
        assert_eq!(dialogs(server, path, state), 0, "{state}: {call}");
    }
    call
}
