//! Calls between real phones (baresip, linphone) through a real proxy (Kamailio).

use cordboard_tests::baresip::{Answer, Baresip};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::kamailio::{DOMAIN, Kamailio};
use cordboard_tests::linphone::Linphone;

fn controller(proxy: &Kamailio, calls: &str) -> Cordboard {
    let sip = format!("proxy = \"{}\"", proxy.uri());
    Cordboard::start(DOMAIN, &sip, calls, &[("agent", "1", &[]), ("user1", "1", &[])])
}

fn path(called: &str) -> String {
    format!("/callcontroller/user1/{called}?agent=agent")
}

/// Places a call of user1's baresip to user2's and expects both in a call with each other.
fn connect_two_baresips(switches: &[&str]) {
    let proxy = Kamailio::start(switches);
    let one = Baresip::start(&proxy, "user1", Answer::Auto);
    let two = Baresip::start(&proxy, "user2", Answer::Auto);
    let controller = controller(&proxy, "");
    let reply = controller.trusted("POST", &path("user2"));
    assert_eq!(reply.status, 200, "{reply:?}");
    let call = controller.ended(&path("user2"));
    assert_eq!(call["outcome"]["state"], "connected", "{call}");
    let texts = Cordboard::texts(&call);
    assert!(
        texts.contains(&"SIP/2.0 100 Trying".to_owned())
            && texts.last().is_some_and(|t| t == "SIP/2.0 200 OK"),
        "{texts:?}"
    );
    one.wait_in_call_with("user2");
    two.wait_in_call_with("user1");
    // The dialog with the controller is over on the phone too: one call is left, and it ends when it is hung up.
    one.command("hangup");
    one.wait_idle();
    two.wait_idle();
}

#[test]
fn two_phones_are_connected_through_a_proxy_that_challenges() {
    connect_two_baresips(&[]);
}

#[test]
fn a_proxy_that_challenges_by_401_without_qop_is_answered() {
    connect_two_baresips(&["CHALLENGE_401", "NO_QOP"]);
}

#[test]
fn a_proxy_that_challenges_every_request_with_short_lived_nonces_is_answered() {
    connect_two_baresips(&["CHALLENGE_INSIDE", "NONCE_SECONDS=1"]);
}

#[test]
fn a_proxy_whose_nonces_serve_once_is_answered() {
    connect_two_baresips(&["NONCE_ONCE"]);
}

#[test]
fn an_agent_with_sha_256_is_let_in() {
    connect_two_baresips(&["SHA256"]);
}

#[test]
fn the_failures_of_the_called_party_are_told() {
    // With several workers a REFER may overtake the ACK. baresip takes that ACK for the answer to the call that it was
    // asked for, and notifies 200 for a call that fails.
    let proxy = Kamailio::start(&["ONE_WORKER"]);
    let _one = Baresip::start(&proxy, "user1", Answer::Auto);
    let controller = controller(&proxy, "");
    for (called, status) in [("9486", 486), ("9603", 603), ("nobody", 404)] {
        assert_eq!(controller.trusted("POST", &path(called)).status, 200);
        let call = controller.ended(&path(called));
        assert_eq!(call["outcome"]["state"], "failed", "{call}");
        assert_eq!(call["outcome"]["status"], status, "{call}");
    }
}

#[test]
fn the_failures_of_the_calling_party_are_told() {
    let proxy = Kamailio::start(&[]);
    let controller = controller(&proxy, "");
    for (calling, line) in [("9486", "SIP/2.0 486 As Dialled"), ("user7", "SIP/2.0 404 Not Found")] {
        let path = format!("/callcontroller/{calling}/user2?agent=agent");
        assert_eq!(controller.trusted("POST", &path).status, 200);
        let call = controller.ended(&path);
        assert!(call["outcome"].is_null(), "{call}");
        assert_eq!(Cordboard::texts(&call).last().map(String::as_str), Some(line), "{call}");
        let xml = controller.trusted("GET", &path).body;
        assert!(xml.contains(&format!("<status-line>{line}</status-line>")), "{xml}");
    }
}

#[test]
fn a_phone_that_is_not_picked_up_is_let_go_after_the_timeout() {
    let proxy = Kamailio::start(&[]);
    let one = Baresip::start(&proxy, "user1", Answer::Manual);
    let controller = controller(&proxy, "");
    assert_eq!(controller.trusted("POST", &format!("{}&timeout=2", path("user2"))).status, 200);
    one.wait_ringing();
    let again = controller.trusted("POST", &path("user2"));
    assert_eq!(again.status, 409, "{again:?}");
    let call = controller.ended(&path("user2"));
    assert!(Cordboard::texts(&call).last().is_some_and(|text| text.starts_with("SIP/2.0 487")), "{call}");
    one.wait_idle();
}

#[test]
fn a_ringing_phone_is_let_go_when_the_call_is_deleted() {
    let proxy = Kamailio::start(&[]);
    let one = Baresip::start(&proxy, "user1", Answer::Manual);
    let controller = controller(&proxy, "");
    assert_eq!(controller.trusted("POST", &path("user2")).status, 200);
    one.wait_ringing();
    assert_eq!(controller.trusted("DELETE", &path("user2")).status, 204);
    one.wait_idle();
    controller.ended(&path("user2"));
    assert_eq!(controller.trusted("DELETE", &path("user2")).status, 404);
}

#[test]
fn a_phone_that_declines_is_told_as_such() {
    let proxy = Kamailio::start(&[]);
    let one = Baresip::start(&proxy, "user1", Answer::Manual);
    let controller = controller(&proxy, "");
    assert_eq!(controller.trusted("POST", &path("user2")).status, 200);
    one.wait_ringing();
    one.command("hangup");
    let call = controller.ended(&path("user2"));
    assert!(Cordboard::texts(&call).last().is_some_and(|text| text.starts_with("SIP/2.0 486")), "{call}");
}

#[test]
fn linphone_is_handed_over_to_baresip() {
    let proxy = Kamailio::start(&[]);
    let _one = Linphone::start(&proxy, "user1");
    let two = Baresip::start(&proxy, "user2", Answer::Auto);
    let controller = controller(&proxy, "");
    assert_eq!(controller.trusted("POST", &path("user2")).status, 200);
    let call = controller.ended(&path("user2"));
    assert_eq!(call["outcome"]["state"], "connected", "{call}");
    two.wait_in_call_with("user1");
}

#[test]
fn baresip_is_handed_over_to_linphone() {
    let proxy = Kamailio::start(&[]);
    let one = Baresip::start(&proxy, "user1", Answer::Auto);
    let _two = Linphone::start(&proxy, "user2");
    let controller = controller(&proxy, "");
    assert_eq!(controller.trusted("POST", &path("user2")).status, 200);
    let call = controller.ended(&path("user2"));
    assert_eq!(call["outcome"]["state"], "connected", "{call}");
    one.wait_in_call_with("user2");
}
