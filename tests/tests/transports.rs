//! The controller among connections, TLS and name servers, in virtual time: every peer is played by the test.

#[path = "transports/calls.rs"]
mod calls;
#[path = "transports/connections.rs"]
mod connections;
#[path = "transports/framing.rs"]
mod framing;
#[path = "transports/keeping.rs"]
mod keeping;
#[path = "transports/locals.rs"]
mod locals;
#[path = "transports/names.rs"]
mod names;
#[path = "transports/secure.rs"]
mod secure;

use std::time::Duration;

use cordboard_tests::bench::{Bench, Mail, sdp};

/// A server for TCP that the test plays.
const PROXY: &str = "127.0.0.1:5060";
/// Another one.
const OTHER: &str = "127.0.0.2:5060";
const SECOND: Duration = Duration::from_secs(1);
/// The tag of whoever answers.
const PEER_TAG: &str = "peer";
/// The parameters of a call that Cordboard stays in.
const INVITE: &str = "sipMethod=INVITE";

/// An OPTIONS that a peer sends, with this branch and these further header lines.
fn options(transport: &str, branch: &str, lines: &str) -> String {
    format!(
        "OPTIONS sip:127.0.0.1:6050 SIP/2.0\r\nVia: SIP/2.0/{transport} 127.0.0.9:5062;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@example.com>;tag=1\r\nTo: <sip:y@example.com>\r\nCall-ID: {branch}\r\n\
         CSeq: 1 OPTIONS\r\n{lines}\r\n"
    )
}

/// Answers a request of the controller, with SDP if it is a 2xx to INVITE.
fn answer(bench: &mut Bench, mail: &Mail, status: &str, contact: &str) {
    let invite = mail.start().starts_with("INVITE") && status.starts_with('2');
    let body = if invite { sdp(4000) } else { String::new() };
    bench.say(mail.way, &mail.answer(status, (PEER_TAG, contact), "", &body));
}

/// Two parties behind one peer: rung, connected by flow IV, all on the ways that their requests came. Returns both first
/// INVITEs.
fn connect(bench: &mut Bench, peer: &str, contact: &str) -> (Mail, Mail) {
    let one = bench.next(peer, "INVITE");
    answer(bench, &one, "200 OK", contact);
    bench.next(peer, "ACK");
    let two = bench.next(peer, "INVITE");
    answer(bench, &two, "200 OK", contact);
    let offer = bench.next(peer, "INVITE");
    answer(bench, &offer, "200 OK", contact);
    bench.next(peer, "ACK");
    bench.next(peer, "ACK");
    (one, two)
}

/// Ends a call by our interface; both parties behind this peer answer their BYE.
fn hang_up(bench: &mut Bench, peer: &str, calling: &str, called: &str) {
    assert_eq!(bench.ask("DELETE", &format!("/callcontroller/{calling}/{called}")).0, 204);
    for _ in 0..2 {
        let bye = bench.next(peer, "BYE");
        answer(bench, &bye, "200 OK", "");
    }
    bench.pass(SECOND);
    assert_eq!(bench.call(calling, called)["state"], "ended");
}

/// How a call has ended, or `None` while it has not: the last event's status.
fn last_status(bench: &mut Bench) -> Option<u64> {
    let call = bench.call("user1", "user2");
    let events = call["events"].as_array().expect("a call has events");
    (call["state"] == "ended").then(|| events.last().and_then(|event| event["status"].as_u64()))?
}
