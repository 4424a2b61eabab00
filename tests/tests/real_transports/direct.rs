//! Phones that SIPp plays, reached over TCP without a proxy in between.

use cordboard_tests::certificates::Authority;
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::nameserver::{NameServer, Zone};
use cordboard_tests::sipp::{Heard, Sipp};
use serde_json::{Value, json};

use crate::{place, server, wait_connected};

const DOMAIN: &str = "example.com";

fn start(sip: &str) -> Cordboard {
    let authority = Authority::new("Test Authority");
    let own = authority.issue(&["cordboard.test", "127.0.0.1"]);
    server(DOMAIN, &authority, &own, sip)
}

/// The phone is handed over, and all that it was sent came by TCP.
fn refer(scenario: &str) -> Value {
    let phone = Sipp::play_by_tcp(scenario);
    let server = start(&format!("proxy = \"sip:127.0.0.1:{};transport=tcp\"", phone.port));
    let path = format!("/callcontroller/{}/user2?agent=user1", phone.user());
    place(&server, &path);
    let call = server.ended(&path);
    let heard = phone.finish();
    for method in ["INVITE", "ACK", "REFER", "BYE"] {
        assert_by_tcp(&heard, method);
    }
    call
}

/// Each came once, and by TCP: nothing is sent again over it.
#[track_caller]
fn assert_by_tcp(heard: &Heard, method: &str) {
    let [request] = heard.requests(method)[..] else { panic!("not one {method}: {heard:?}") };
    assert!(request.contains("\r\nVia: SIP/2.0/TCP "), "{request}");
}

#[test]
fn a_phone_that_speaks_tcp_is_handed_over() {
    let call = refer("refer-ok");
    assert_eq!(call["outcome"], json!({"state": "connected", "status": null}), "{call}");
    let expected = [
        "SIP/2.0 180 Ringing",
        "SIP/2.0 200 OK",
        "SIP/2.0 100 Trying",
        "SIP/2.0 180 Ringing",
        "SIP/2.0 200 OK",
    ];
    assert_eq!(Cordboard::texts(&call), expected, "{call}");
}

#[test]
fn what_came_of_a_call_over_tcp_is_told() {
    let call = refer("refer-failed");
    assert_eq!(call["outcome"], json!({"state": "failed", "status": 486}), "{call}");
}

/// Two phones at domains of their own, each of which says to be reached by TCP.
struct Pair {
    server: Cordboard,
    calling: Sipp,
    called: Sipp,
    _names: NameServer,
}

const PAIR: &str = "/callcontroller/phone%40one.test/phone%40two.test?agent=user1";

impl Pair {
    /// Starts phones that keep to these scenarios, and connects them.
    fn connect(calling: &str, called: &str) -> Self {
        let [calling, called] = [calling, called].map(Sipp::play_by_tcp);
        let zone = Zone::new()
            .srv("_sip._tcp.one.test", "host.test", calling.port, 1)
            .srv("_sip._tcp.two.test", "host.test", called.port, 1)
            .host("host.test", [127, 0, 0, 1]);
        let names = NameServer::start(&zone);
        let server = start(&names.config());
        place(&server, &format!("{PAIR}&sipMethod=INVITE"));
        Self { server, calling, called, _names: names }
    }

    /// Waits for the end of the call; the phones were told to talk to each other, all by TCP.
    fn end(self) -> [Heard; 2] {
        let (one, two) = (self.calling.media, self.called.media);
        let (calling, called) = (self.calling.finish(), self.called.finish());
        let call = self.server.ended(PAIR);
        assert_eq!(call["outcome"], json!({"state": "connected", "status": null}), "{call}");
        calling.assert_talks_to(two);
        called.assert_talks_to(one);
        for request in [&calling, &called].into_iter().flat_map(|heard| heard.requests("INVITE")) {
            assert!(request.contains("\r\nVia: SIP/2.0/TCP "), "{request}");
        }
        [calling, called]
    }
}

#[test]
fn two_phones_talk_over_tcp_until_the_call_is_deleted() {
    let pair = Pair::connect("invite-calling", "invite-called");
    wait_connected(&pair.server, PAIR);
    assert_eq!(pair.server.trusted("DELETE", PAIR).status, 204);
    for heard in pair.end() {
        assert_by_tcp(&heard, "BYE");
    }
}

#[test]
fn a_called_phone_that_hangs_up_over_tcp_ends_the_call() {
    let [calling, called] = Pair::connect("invite-calling", "invite-called-hangs-up").end();
    assert_by_tcp(&calling, "BYE");
    assert_eq!(called.requests("BYE").len(), 0);
}

#[test]
fn a_calling_phone_that_hangs_up_over_tcp_ends_the_call() {
    let [calling, called] = Pair::connect("invite-calling-hangs-up", "invite-called").end();
    assert_by_tcp(&called, "BYE");
    assert_eq!(calling.requests("BYE").len(), 0);
}
