use proptest::prelude::*;

use super::*;
use crate::Epoch;

const LIMITS: Limits = Limits {
    head: 16_384,
    body: 65_536,
    headers: 100,
    request_time: Duration::from_secs(10),
    idle_time: Duration::from_secs(75),
};

fn at(seconds: u64) -> Tick {
    Tick::from_micros(seconds * 1_000_000)
}

/// Feeds pieces; each request is answered 200 with "METHOD target body" at once. What was asked, and what was sent.
fn serve<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, String) {
    let mut connection = Connection::new(at(0));
    let mut dates = Dates::new(Epoch::from_unix_millis(0));
    let (mut seen, mut out) = (Vec::new(), Vec::new());
    'connection: for piece in pieces {
        connection.received(at(0), piece);
        loop {
            let (status, body) = match connection.poll(&LIMITS, &mut out) {
                Next::Request(request) => {
                    let body = String::from_utf8_lossy(request.body);
                    (200, format!("{} {} {body}", request.head.method, request.head.target))
                }
                Next::Refused(refusal) => (refusal.status(), refusal.to_string()),
                Next::Nothing => break,
            };
            seen.push(format!("{status} {body}"));
            let response = Response { status, headers: &[], body: body.as_bytes() };
            if connection.respond(at(0), &response, &mut dates, false, &mut out) == Persistence::Close {
                break 'connection;
            }
        }
    }
    (seen, String::from_utf8_lossy(&out).into_owned())
}

fn one(request: &str) -> String {
    let (seen, _) = serve([request.as_bytes()]);
    assert_eq!(seen.len(), 1, "{request:?} gave {seen:?}");
    seen[0].clone()
}

#[test]
fn a_request_is_read_and_answered() {
    let (seen, out) = serve([&b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"[..]]);
    assert_eq!(seen, ["200 POST /a?b=c abc"]);
    assert_eq!(out, "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 15\r\n\r\nPOST /a?b=c abc");
}

#[test]
fn chunked_bodies_are_decoded() {
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA \t;q\r\n0123456789\r\n0\r\nTrailer: z\r\n\r\n";
    assert_eq!(one(chunked), "200 POST / abc0123456789");
}

#[test]
fn shapes_that_smuggle_requests_are_refused() {
    let with = |headers: &str| one(&format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n"));
    for bad in [
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Content-Length: 0x3",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length : 3",
        "X: a\r\n b",
        "X: a\0b",
        "X: a\nContent-Length: 3",
        "X: a\rb",
        "Host: y",
        ": x",
        "X: \u{7f}",
    ] {
        assert!(with(bad).starts_with("400 "), "{bad:?}: {}", with(bad));
    }
    assert!(with("Transfer-Encoding: gzip, chunked").starts_with("501 "));
    assert!(with("Transfer-Encoding: xchunked").starts_with("501 "));
    assert!(one("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").starts_with("400 "));
    for chunk in ["+3\r\nabc\r\n0\r\n\r\n", "3\nabc\r\n", "3\r\nabcd\r\n", "g\r\n", "\r\n", "3 x\r\n", "fffffffff\r\n"] {
        let answer = one(&format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"));
        assert!(answer.starts_with("400 "), "{chunk:?}: {answer}");
    }
}

#[test]
fn what_is_no_request_of_ours_is_refused_clearly() {
    assert!(one("\u{16}\u{3}\u{1}").contains("not TLS"));
    assert!(one("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").starts_with("505 "));
    assert!(one("GET / HTTP/2.0\r\nHost: x\r\n\r\n").starts_with("505 "));
    assert!(one("GET / HTTP/1.1\r\n\r\n").starts_with("400 "), "no Host");
    assert!(one("GET /\r\n\r\n").starts_with("400 "));
    assert!(one("GET  / HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("400 "));
    assert!(one("GET x HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("400 "));
    assert!(one("GET * HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("400 "));
    assert!(one("hello\n").starts_with("400 "));
    assert_eq!(one("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), "200 OPTIONS * ");
    assert_eq!(one("GET http://h/a HTTP/1.1\r\nHost: x\r\n\r\n"), "200 GET http://h/a ");
}

#[test]
fn limits_are_answered() {
    assert!(one(&format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(17_000))).starts_with("414 "));
    assert!(one(&format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "a".repeat(17_000))).starts_with("431 "));
    assert!(one(&format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: a\r\n".repeat(100))).starts_with("431 "));
    assert!(one(&format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: a\r\n".repeat(400))).starts_with("431 "));
    assert_eq!(one(&format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: a\r\n".repeat(99))), "200 GET / ");
    assert!(one("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\r\nabc").starts_with("413 "));
    assert!(one("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n").starts_with("413 "));
    assert!(one("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n").starts_with("413 "));
}

#[test]
fn expectations_are_answered_before_the_body() {
    let head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let (seen, out) = serve([&head[..], b"abc"]);
    assert_eq!(seen, ["200 POST / abc"]);
    assert!(out.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{out}");
    assert!(one("POST / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n").starts_with("417 "));
}

#[test]
fn a_connection_goes_on_or_closes_as_http_says() {
    let (_, out) = serve([&b"GET / HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n"[..]]);
    assert_eq!(out.matches("HTTP/1.1 200").count(), 1);
    assert!(out.contains("Connection: close"));
    let (seen, out) = serve([&b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /3 HTTP/1.1\r\n"[..]]);
    assert_eq!(seen, ["200 GET / ", "200 GET /2 "]);
    assert!(out.contains("Connection: keep-alive") && out.contains("Connection: close"));
    let (_, out) = serve([&b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"[..]]);
    assert!(out.ends_with("Content-Length: 7\r\n\r\n"), "{out}");
}

#[test]
fn a_slow_client_is_cut_off_and_an_idle_one_closed_without_a_word() {
    let mut connection = Connection::new(at(0));
    assert_eq!(connection.deadline(&LIMITS), Some(at(75)));
    connection.received(at(5), b"G");
    assert!(matches!(connection.poll(&LIMITS, &mut Vec::new()), Next::Nothing));
    connection.received(at(14), b"E");
    assert_eq!(connection.deadline(&LIMITS), Some(at(15)), "from the first byte on, whatever comes later");
    assert_eq!(connection.timeout(), Some(Refusal::TooSlow));
    assert_eq!(Connection::new(at(0)).timeout(), None);
}

const PIPELINE: &[u8] = b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\
POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\nGET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

proptest! {
    #[test]
    fn any_cut_of_a_pipelined_stream_gives_the_same_answers(cuts in prop::collection::vec(0..PIPELINE.len(), 0..12)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&PIPELINE[from..cut]);
            from = cut;
        }
        pieces.push(&PIPELINE[from..]);
        prop_assert_eq!(serve(pieces), serve([PIPELINE]));
    }

    #[test]
    fn no_bytes_make_it_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        serve([&bytes[..]]);
        let request = [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat();
        serve([&request[..]]);
    }
}
