//! What comes by connections: orders by HTTP, and that no cut of what comes changes the answers.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::config::Config;
use crate::io::{ConnectionId, Input, ListenerId, Outbox, Output, Wake};
use crate::users::{Directory, User};
use crate::{Controller, Epoch, Seed, Tick};

const PARTIES: [&str; 6] = [
    "user1",
    "user2",
    "three%40127.0.0.1:7003",
    "four%40far.example.org",
    "five%40here.example.com",
    "six%40[::1]",
];

/// Method and path of an order.
pub(super) fn order(what: u8, parties: u8) -> (&'static str, String) {
    let party = |number: u8| PARTIES[usize::from(number) % PARTIES.len()];
    let (one, two, three) = (party(parties & 7), party(parties >> 3 & 7), party(parties >> 5));
    let path = format!("/callcontroller/{one}/{two}");
    let call = format!("{path}?agent=agent&timeout=9&resultCacheTime=");
    match what % 16 {
        0..=3 => ("POST", format!("{call}20&sipMethod=REFER")),
        4..=7 => ("POST", format!("{call}0&sipMethod=INVITE")),
        8 => (
            "POST",
            format!(
                "{call}3600&isForwardingAllowed=true&autoAnswer=true&confpin=1&subject=a%0d%0ab%20%c3%bc"
            ),
        ),
        9 | 10 => ("POST", format!("{path}?agent=agent&action=transfer&sipMethod=INVITE&target={three}")),
        11 => ("DELETE", format!("{path}?agent=agent")),
        12 => ("GET", path),
        13 => ("GET", "/calls".to_owned()),
        14 => ("POST", format!("{path}?timeout=0")),
        _ => ("HEAD", "/nowhere".to_owned()),
    }
}

/// Hands something in at the start of time; nothing more is to be done then.
fn hand(controller: &mut Controller, input: Input<'_>, outbox: &mut Outbox) {
    let wake = controller.handle(Tick::ZERO, input, outbox);
    assert!(!matches!(wake, Wake::At(Tick::ZERO, _)), "{wake:?}");
}

/// What all the bytes of one connection are answered with, cut at these places.
fn answers(listener: u16, stream: &[u8], cuts: &[Index]) -> String {
    let config = Config::from_toml(
        "[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]\n[sip]\ndomain = \"example.com\"\n\
         listen = [\"udp:127.0.0.1:6050\", \"tcp:127.0.0.1:6050\"]\nproxy = \"sip:127.0.0.1:5060\"\n",
    );
    let users = Directory::new(vec![User::new("agent", "example.com", "1")], "example.com");
    let (config, users) = (config.expect("it is right"), users.expect("they are right"));
    let mut controller =
        Controller::new(config, users, Seed([7; 32]), Epoch::from_unix_millis(0)).expect("it has an address");
    let (connection, mut outbox, mut out) = (ConnectionId(0), Outbox::new(), Vec::new());
    let peer = "127.0.0.1:40000".parse().expect("an address");
    let accepted = Input::Accepted { listener: ListenerId(listener), connection, peer };
    hand(&mut controller, accepted, &mut outbox);
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    places.push(stream.len());
    places.sort_unstable();
    let mut from = 0;
    for to in places {
        let bytes = &stream[std::mem::replace(&mut from, to)..to];
        hand(&mut controller, Input::Received { connection, bytes }, &mut outbox);
        while let Some(output) = outbox.pop() {
            match output {
                Output::Write { bytes, .. } => {
                    out.extend_from_slice(bytes);
                    // The client takes everything at once.
                    let bytes = bytes.len();
                    let mut more = Outbox::new();
                    hand(&mut controller, Input::Written { connection, bytes }, &mut more);
                    while let Some(Output::Write { bytes, .. }) = more.pop() {
                        out.extend_from_slice(bytes);
                    }
                }
                Output::Close { .. } => {
                    out.extend_from_slice(b"closed");
                    return String::from_utf8_lossy(&out).into_owned();
                }
                _ => {}
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn http() -> impl Strategy<Value = String> {
    let with = |method: &str, path: &str, fields: &str, body: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}")
    };
    prop_oneof![
        Just(with("GET", "/callcontroller/a/b", "", "")),
        Just(with("GET", "/calls", "Accept: application/json\r\n", "")),
        Just(with("POST", "/callcontroller/a/b", "Content-Length: 9\r\n", "timeout=5")),
        Just(with("POST", "/callcontroller/a/b", "Transfer-Encoding: chunked\r\n", "4\r\nabcd\r\n0\r\n\r\n")),
        Just(with("OPTIONS", "/callcontroller/a/b", "", "")),
        Just(with("PUT", "/nowhere", "Content-Length: 1\r\n", "x")),
        Just(with("GET", "/callcontroller/a/b", "Authorization: Digest x\r\n", "")),
        Just("\r\n".to_owned()),
        Just("BROKEN\r\n\r\n".to_owned()),
    ]
}

fn sip() -> impl Strategy<Value = String> {
    let with = |number: u32, method: &str, line: &str, body: &str| {
        format!(
            "{method} sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5070;branch=z9hG4bK{number}\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: {number}\r\nCSeq: 1 {method}\r\n{line}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let methods = prop::sample::select(vec!["OPTIONS", "INVITE", "BYE", "ACK", "REGISTER", "EXTEND"]);
    let lines = prop::sample::select(vec!["", "Require: x\r\n", "Subject: a\r\n b\r\n", "no line\r\n"]);
    prop_oneof![
        8 => (any::<u32>(), methods, lines, "[a-z\r\n]{0,20}")
            .prop_map(move |(number, method, line, body)| with(number, method, line, &body)),
        1 => Just("OPTIONS sip:a SIP/2.0\r\nX: y\r\n\r\n".to_owned()),
    ]
}

proptest! {
    #[test]
    fn however_a_stream_of_http_is_cut_the_answers_are_the_same(
        requests in prop::collection::vec(http(), 1..9), cuts in prop::collection::vec(any::<Index>(), 0..20),
    ) {
        let stream = requests.concat();
        let whole = answers(0, stream.as_bytes(), &[]);
        prop_assert_eq!(answers(0, stream.as_bytes(), &cuts), whole);
    }

    #[test]
    fn however_a_stream_of_sip_is_cut_the_answers_are_the_same(
        messages in prop::collection::vec(sip(), 1..9), cuts in prop::collection::vec(any::<Index>(), 0..20),
    ) {
        let stream = messages.concat();
        let whole = answers(1, stream.as_bytes(), &[]);
        prop_assert_eq!(answers(1, stream.as_bytes(), &cuts), whole);
    }
}
