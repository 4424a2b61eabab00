//! Calls over TCP and TLS, to servers found by name: real phones (baresip, SIPp), a real proxy (Kamailio), a real name
//! server (dnsmasq) and real certificates.

#[path = "real_transports/certificates.rs"]
mod certificates;
#[path = "real_transports/direct.rs"]
mod direct;
#[path = "real_transports/mutual.rs"]
mod mutual;
#[path = "real_transports/names.rs"]
mod names;
#[path = "real_transports/proxied.rs"]
mod proxied;

use cordboard_tests::baresip::Baresip;
use cordboard_tests::certificates::{Authority, Identity, quoted};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::kamailio::Kamailio;
use cordboard_tests::phone::Phone;
use cordboard_tests::wait_for;
use serde_json::{Value, json};

/// The name of the proxy.
const PROXY: &str = "pbx.test";
const CALL: &str = "/callcontroller/user1/user2?agent=agent";
const AFTER_TRANSFER: &str = "/callcontroller/user3/user2?agent=agent";

/// A server that listens by all three transports, shows this certificate and trusts its authority; `sip` are further
/// lines of that table.
fn server(domain: &str, authority: &Authority, own: &Identity, sip: &str) -> Cordboard {
    let config = format!(
        "[http]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n\
         [sip]\ndomain = \"{domain}\"\n\
         listen = [\"udp:127.0.0.1:0\", \"tcp:127.0.0.1:0\", \"tls:127.0.0.1:0\"]\n{}ca = {}\n{sip}\n",
        own.config(),
        quoted(&authority.file())
    );
    Cordboard::configured(&config, &[("agent", "1", &[]), ("user1", "1", &[])])
}

/// The same with a certificate for our own address, at the phones' domain.
fn controller(authority: &Authority, sip: &str) -> Cordboard {
    let own = authority.issue(&["cordboard.test", "127.0.0.1"]);
    server(cordboard_tests::kamailio::DOMAIN, authority, &own, sip)
}

/// Orders a call; the answer must be that it is being placed.
#[track_caller]
fn place(server: &Cordboard, path: &str) {
    let reply = server.trusted("POST", path);
    assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{reply:?}");
}

/// Hands user1's phone over to user2's: the phones are in a call with each other, by themselves, and hang it up.
fn hand_over(server: &Cordboard, one: &Baresip, two: &Baresip) {
    place(server, CALL);
    let call = server.ended(CALL);
    assert_eq!(call["outcome"], json!({"state": "connected", "status": null}), "{call}");
    let texts = Cordboard::texts(&call);
    assert_eq!(texts.last().map(String::as_str), Some("SIP/2.0 200 OK"), "{call}");
    one.wait_in_call_with("user2");
    two.wait_in_call_with("user1");
    one.command("hangup");
    one.wait_idle();
    two.wait_idle();
}

fn wait_connected(server: &Cordboard, path: &str) {
    wait_for("the call", || (server.call(path)["state"] == "connected").then_some(()));
    let xml = server.trusted("GET", path).body;
    assert_eq!(xml.matches("Confirmed Dialog").count(), 2, "{xml}");
}

/// Connects user1's and user2's phones in a call that we stay in, until audio flows between them.
fn connect(server: &Cordboard, one: &Baresip, two: &Baresip) {
    place(server, &format!("{CALL}&sipMethod=INVITE"));
    wait_connected(server, CALL);
    expect_talk(one, two);
}

/// Each was told to talk to the other, and by the packets that it counts it does.
fn expect_talk(one: &Baresip, two: &Baresip) {
    let (first, second) = (one.media(), two.media());
    one.wait_talking_to(second);
    two.wait_talking_to(first);
    one.told().assert_talk_to(second);
    two.told().assert_talk_to(first);
}

/// Replaces user1's phone by user3's in a call that stands.
fn transfer(server: &Cordboard, one: &Baresip, two: &Baresip, three: &Baresip) {
    let reply = server.trusted("POST", &format!("{CALL}&action=transfer&target=user3"));
    assert_eq!(reply.status, 200, "{reply:?}");
    wait_for("the transfer", || {
        server.trusted("GET", AFTER_TRANSFER).body.contains("<dialogs").then_some(())
    });
    wait_connected(server, AFTER_TRANSFER);
    expect_talk(three, two);
    one.wait_idle();
}

/// The call has ended as one that stood, and none of its dialogs is left.
fn expect_over(server: &Cordboard, path: &str) {
    let call = server.ended(path);
    assert_eq!((&call["state"], &call["outcome"]["state"]), (&"ended".into(), &"connected".into()), "{call}");
    let xml = server.trusted("GET", path).body;
    assert_eq!(xml.matches("Terminated Dialog").count(), 2, "{xml}");
    assert!(!xml.contains("Confirmed Dialog"), "{xml}");
}

/// Orders a call whose first party cannot be reached at all; whoever asks is told so.
fn fail_to_place(server: &Cordboard) {
    place(server, CALL);
    let call = server.ended(CALL);
    assert_eq!(call["outcome"], Value::Null, "nobody was handed over: {call}");
    let log = server.process.said();
    assert!(log.contains("result=\"not reached 503\""), "{log}");
}

/// The agent's requests of this method that a proxy has routed, by the transport that they came by.
fn routed<'a>(said: &'a str, method: &str) -> Vec<&'a str> {
    let start = format!("routing {method} ");
    let lines = said.lines().filter(|line| line.contains(&start) && line.contains(" for agent by "));
    lines.filter_map(|line| line.rsplit(' ').next()).collect()
}

/// Panics unless all that the agent sent this proxy came by one transport, and there was something.
#[track_caller]
fn assert_came_by(proxy: &Kamailio, transport: &str) {
    let said = proxy.said();
    for method in ["INVITE", "ACK", "BYE"] {
        let ways = routed(&said, method);
        assert!(!ways.is_empty() && ways.iter().all(|way| *way == transport), "{method}: {ways:?}\n{said}");
    }
}
