//! Calls that the controller stays in, between real phones (baresip, linphone) through a real proxy (Kamailio): who
//! talks to whom, by what each phone was told and by the packets that it counts.

use cordboard_tests::baresip::{Answer, Baresip};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::kamailio::{DOMAIN, Kamailio};
use cordboard_tests::phone::{Kind, Phone};
use cordboard_tests::wait_for;

const USERS: &str = "/callcontroller/user1/user2?agent=agent";
const AFTER_TRANSFER: &str = "/callcontroller/user3/user2?agent=agent";

fn controller(proxy: &Kamailio) -> Cordboard {
    let sip = format!("proxy = \"{}\"", proxy.uri());
    Cordboard::start(DOMAIN, &sip, "", &[("agent", "1", &[]), ("user1", "1", &[])])
}

fn wait_connected(server: &Cordboard, path: &str) {
    wait_for("the call", || (server.call(path)["state"] == "connected").then_some(()));
    let xml = server.trusted("GET", path).body;
    assert_eq!(xml.matches("Confirmed Dialog").count(), 2, "{xml}");
}

fn expect_ended(server: &Cordboard, path: &str, dialogs: usize) {
    let call = server.ended(path);
    assert_eq!((&call["state"], &call["outcome"]["state"]), (&"ended".into(), &"connected".into()), "{call}");
    let xml = server.trusted("GET", path).body;
    assert_eq!(xml.matches("Terminated Dialog").count(), dialogs, "{xml}");
    assert!(!xml.contains("Confirmed Dialog"), "{xml}");
}

/// Each was told to talk to the other, and does so: packets go from phone to phone, and none to the controller, which
/// has no socket but that of SIP.
fn expect_talk(one: &dyn Phone, two: &dyn Phone, server: &Cordboard) {
    let (first, second) = (one.media(), two.media());
    assert_ne!(first, second);
    one.wait_talking_to(second);
    two.wait_talking_to(first);
    one.told().assert_talk_to(second);
    two.told().assert_talk_to(first);
    let mut ports = server.udp_ports();
    ports.sort_unstable();
    assert_eq!(ports, server.sip_ports());
}

/// Places a call of user1 to user2 that the controller stays in, and waits until they talk.
fn connect(server: &Cordboard, one: &dyn Phone, two: &dyn Phone) {
    let reply = server.trusted("POST", &format!("{USERS}&sipMethod=INVITE"));
    assert_eq!(reply.status, 200, "{reply:?}");
    wait_connected(server, USERS);
    expect_talk(one, two, server);
}

/// A call of one kind of phone to another, from its beginning to its end by DELETE.
fn call(one: Kind, two: Kind, switches: &[&str]) {
    let proxy = Kamailio::start(switches);
    let (one, two) = (one.start(&proxy, "user1"), two.start(&proxy, "user2"));
    let server = controller(&proxy);
    connect(&server, &*one, &*two);
    assert_eq!(server.trusted("DELETE", USERS).status, 204);
    one.wait_hung_up();
    two.wait_hung_up();
    expect_ended(&server, USERS, 2);
}

/// The same, but one of the phones ends it, and the other one has to be hung up.
fn call_until(one: Kind, two: Kind, by_the_called: bool) {
    let proxy = Kamailio::start(&[]);
    let (mut one, mut two) = (one.start(&proxy, "user1"), two.start(&proxy, "user2"));
    let server = controller(&proxy);
    connect(&server, &*one, &*two);
    if by_the_called {
        two.hang_up()
    } else {
        one.hang_up()
    }
    one.wait_hung_up();
    two.wait_hung_up();
    expect_ended(&server, USERS, 2);
}

/// A call of these two, in which a third phone then takes the place of the calling one.
fn transfer(one: Kind, two: Kind) {
    let proxy = Kamailio::start(&[]);
    let (one, two) = (one.start(&proxy, "user1"), two.start(&proxy, "user2"));
    let three = Baresip::start(&proxy, "user3", Answer::Auto);
    let server = controller(&proxy);
    connect(&server, &*one, &*two);
    let reply = server.trusted("POST", &format!("{USERS}&action=transfer&target=user3"));
    assert_eq!(reply.status, 200, "{reply:?}");
    wait_connected_after_transfer(&server);
    expect_talk(&three, &*two, &server);
    assert_eq!(three.heard_from(), [two.media()]);
    one.wait_hung_up();
    let xml = server.trusted("GET", USERS).body;
    assert_eq!(xml.matches("Terminated Dialog").count(), 1, "{xml}");
    assert_eq!(server.trusted("DELETE", AFTER_TRANSFER).status, 204);
    two.wait_hung_up();
    three.wait_hung_up();
    expect_ended(&server, AFTER_TRANSFER, 2);
}

fn wait_connected_after_transfer(server: &Cordboard) {
    wait_for("the transfer", || {
        server.trusted("GET", AFTER_TRANSFER).body.contains("<dialogs").then_some(())
    });
    wait_connected(server, AFTER_TRANSFER);
}

#[test]
fn baresip_talks_to_baresip() {
    call(Kind::Baresip, Kind::Baresip, &[]);
}

#[test]
fn baresip_talks_to_linphone() {
    call(Kind::Baresip, Kind::Linphone, &[]);
}

#[test]
fn linphone_talks_to_baresip() {
    call(Kind::Linphone, Kind::Baresip, &[]);
}

#[test]
fn linphone_talks_to_linphone() {
    call(Kind::Linphone, Kind::Linphone, &[]);
}

#[test]
fn a_proxy_that_challenges_every_request_of_the_call_is_answered() {
    call(Kind::Baresip, Kind::Baresip, &["CHALLENGE_INSIDE", "NONCE_SECONDS=1"]);
}

#[test]
fn baresip_talks_to_the_target_after_a_transfer() {
    transfer(Kind::Linphone, Kind::Baresip);
}

#[test]
fn linphone_talks_to_the_target_after_a_transfer() {
    transfer(Kind::Baresip, Kind::Linphone);
}

#[test]
fn a_calling_baresip_that_hangs_up_ends_the_call_of_linphone() {
    call_until(Kind::Baresip, Kind::Linphone, false);
}

#[test]
fn a_called_baresip_that_hangs_up_ends_the_call_of_linphone() {
    call_until(Kind::Linphone, Kind::Baresip, true);
}

#[test]
fn a_called_linphone_that_hangs_up_ends_the_call_of_baresip() {
    call_until(Kind::Baresip, Kind::Linphone, true);
}
