//! Targets over single messages: SIP, SDP, HTTP, DNS.

use std::net::SocketAddr;

use cordboard_core::config::Config;
use cordboard_core::fuzzing::{describe, dns_answer as answer, dns_question, http_requests, sip_stream};
use cordboard_core::sip::message::{Message, Name, NameAddr, Status, Via, Writer, parse};
use cordboard_core::sip::resolve::Names;
use cordboard_core::users::{Directory, User};

use crate::cut;

/// Any bytes as a SIP message, by datagram and on a connection.
pub fn sip_message(bytes: &[u8]) {
    let source = SocketAddr::from(([192, 0, 2, 1], 5060));
    let mut out = Vec::new();
    match parse(bytes) {
        Ok(Message::Request(request)) => {
            read_on(&request);
            Writer::answer(&mut out, &request, source, Status::OK, Some("tag")).end();
            let Ok(Message::Response(answer)) = parse(&out) else {
                panic!("our answer cannot be read: {}", out.escape_ascii())
            };
            assert_eq!(answer.cseq, request.cseq);
            assert_eq!(answer.via.branch(), request.via.branch());
            assert!(answer.to.tag().is_some(), "a final answer has a tag");
        }
        Ok(Message::Response(response)) => {
            read_on(&response);
            assert!(response.status.code() >= 100);
        }
        Err(rejected) => {
            Writer::refusal(&mut out, &rejected, source, "tag");
            assert_eq!(out.is_empty(), !rejected.is_answerable());
        }
    }
    let whole = sip_stream([bytes]);
    assert_eq!(sip_stream(bytes.chunks(1)), whole, "one byte at a time");
    assert_eq!(sip_stream(bytes.chunks(7)), whole, "seven bytes at a time");
}

/// Looks at everything that a later layer may look at.
fn read_on(head: &cordboard_core::sip::message::Head<'_>) {
    let mut lines = 0;
    for (name, text, value) in head.all() {
        lines += 1;
        assert!(!value.contains('\0') || !text.is_empty());
        assert!(head.other(text).is_some(), "a header field that is listed is found");
        let _ = (head.number(name), NameAddr::parse(value).is_ok(), Via::parse(value).is_ok());
        assert!(head.values(name).all(|value| !value.is_empty()));
    }
    assert_eq!(lines, head.header_count());
    assert!(head.lines(Name::Via).next().is_some(), "it has a Via");
    assert!(head.contacts().count() < 70_000 && head.body.len() <= head.raw.len());
    let _ = (head.contact(), head.content_type(), head.has_token(Name::Supported, "timer"));
}

/// Any bytes as a description of media. Our answer has a line for each of its media and refuses all but audio.
pub fn sdp(bytes: &[u8]) {
    for host in ["192.0.2.1", "2001:db8::1"] {
        let described = describe(bytes, host);
        assert!(described.same || !bytes.contains(&b'\n'), "only the origin differs");
        let again = describe(&described.ours, host);
        assert_eq!(again.ours, described.ours, "the origin is changed in its place");
        let Some(answer) = described.answer else { continue };
        assert!(again.answer.is_some(), "under our origin it is still an offer");
        let answer = String::from_utf8(answer).expect("an answer to text is text");
        let offer = std::str::from_utf8(bytes).expect("what is answered is text");
        let media = |text: &str| text.lines().filter(|line| line.starts_with("m=")).count();
        assert_eq!(media(&answer), media(offer), "each line of media has its answer:\n{answer}");
        assert!(answer.starts_with("v=0\r\no=cordboard ") && answer.ends_with("\r\n"));
        assert!(!answer.replace("\r\n", "").contains(['\r', '\n']), "every line ends as it should");
    }
}

/// Any bytes as pipelined requests: first how often and where they are cut, then they.
pub fn http_request(bytes: &[u8]) {
    let count = usize::from(bytes.first().copied().unwrap_or(0) & 15);
    let (cuts, bytes) = bytes.get(1..).unwrap_or_default().split_at_checked(count).unwrap_or((&[], bytes));
    let config = Config::new("example.com");
    let user = User::new("user1", "example.com", "1").with_aliases(vec!["201".into()]);
    let users = Directory::new(vec![user], "example.com").expect("the users are right");
    let whole = http_requests([bytes], &config, &users);
    assert_eq!(http_requests(cut(bytes, cuts), &config, &users), whole, "cut by {cuts:?}");
    assert_eq!(http_requests(bytes.chunks(1), &config, &users), whole, "one byte at a time");
}

/// Any records as the answer to a question of ours: the kind asked for, flags and counts, then the records. Then any bytes
/// as the whole answer, and any text as what the system says of names.
pub fn dns_answer(bytes: &[u8]) {
    let (kind, id, name) = (bytes.first().copied().unwrap_or(0), 0x1234, "pbx.example.com");
    let question = dns_question(id, name, kind).expect("the name can be asked for");
    assert!(answer(&question, id, name, kind).is_none(), "a question is no answer");
    if let Some((flags_and_counts, records)) = bytes.get(1..).and_then(|rest| rest.split_at_checked(10)) {
        // Ours asks once; its last 11 bytes are the options of EDNS.
        let asked = question.get(12..question.len() - 11).expect("there is a question");
        let message = [&id.to_be_bytes()[..], flags_and_counts, asked, records].concat();
        answer(&message, id, name, kind);
        assert!(answer(&message, id + 1, name, kind).is_none(), "it answers another question");
    }
    answer(bytes, u16::from_be_bytes([bytes.first().copied().unwrap_or(0), 0]), name, kind);
    let text = String::from_utf8_lossy(bytes);
    let (resolv_conf, hosts) = text.split_once('\0').unwrap_or((&text, &text));
    let names = Names::read(resolv_conf, hosts);
    assert_eq!(names, Names::read(resolv_conf, hosts).clone());
}
