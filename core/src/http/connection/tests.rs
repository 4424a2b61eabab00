use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Epoch;

const LIMITS: Limits = Limits {
    head: 16_384,
    body: 65_536,
    headers: 100,
    request_time: Duration::from_secs(10),
    idle_time: Duration::from_secs(75),
    pipelined: 64,
};

fn at(seconds: u64) -> Tick {
    Tick::from_micros(seconds * 1_000_000)
}

/// A server that answers every request at once with "METHOD target body", and what it has seen.
struct Server {
    connection: Connection,
    dates: Dates,
    limits: Limits,
    /// A line for each request or refusal.
    seen: Vec<String>,
    out: Vec<u8>,
    closed: bool,
    /// The most memory that the connection held.
    peak: usize,
}

impl Server {
    fn new(limits: Limits) -> Self {
        let dates = Dates::new(Epoch::from_unix_millis(0));
        let connection = Connection::new(at(0));
        Self { connection, dates, limits, seen: Vec::new(), out: Vec::new(), closed: false, peak: 0 }
    }

    /// Takes in bytes and answers what it can; nothing of the answers is sent.
    fn receive(&mut self, now: Tick, mut bytes: &[u8]) {
        while !self.closed {
            let next = self.connection.poll(now, &mut bytes, &self.limits, &mut self.out);
            let (status, body) = match next {
                Next::Request(Request { head, body }) => {
                    (200, format!("{} {} {}", head.method, head.target, String::from_utf8_lossy(body)))
                }
                Next::Refused { refusal, .. } => (refusal.status(), refusal.to_string()),
                Next::Nothing => break,
                Next::Close => {
                    self.closed = true;
                    break;
                }
            };
            self.answer(now, status, &body);
        }
        self.peak = self.peak.max(self.connection.held());
    }

    fn answer(&mut self, now: Tick, status: u16, body: &str) {
        self.seen.push(format!("{status} {body}"));
        let response = Response { status, headers: &[], body: body.as_bytes() };
        let Self { connection, dates, out, .. } = self;
        self.closed =
            connection.respond(now, &response, dates, Persistence::KeepAlive, out) == Persistence::Close;
    }

    /// Everything written is sent, as often as there are answers for it.
    fn send(&mut self, now: Tick) {
        let mut before = usize::MAX;
        while !self.closed && before != self.seen.len() {
            before = self.seen.len();
            self.connection.unsent(now, 0);
            self.receive(now, b"");
        }
    }
}

/// What was asked, and what was sent, when these pieces came in.
fn serve<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, String) {
    let mut server = Server::new(LIMITS);
    for piece in pieces {
        server.receive(at(0), piece);
        server.send(at(0));
    }
    (server.seen, String::from_utf8_lossy(&server.out).into_owned())
}

fn one(request: &str) -> String {
    let (seen, _) = serve([request.as_bytes()]);
    assert_eq!(seen.len(), 1, "{request:?} gave {seen:?}");
    seen[0].clone()
}

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /p HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}")
}

#[test]
fn a_request_is_read_and_answered() {
    let (seen, out) = serve([post("Content-Length: 3\r\n", "abc").as_bytes()]);
    assert_eq!(seen, ["200 POST /p abc"]);
    let expected =
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 11\r\n\r\nPOST /p abc";
    assert_eq!(out, expected);
}

#[test]
fn a_request_shows_its_parts() {
    let text = "GET /a%20b?c=d HTTP/1.1\r\nAccept: x\r\nHost: h:1\r\naccept: y\r\n\r\n";
    let (mut connection, mut fresh) = (Connection::new(at(0)), text.as_bytes());
    let Next::Request(request) = connection.poll(at(0), &mut fresh, &LIMITS, &mut Vec::new()) else {
        panic!()
    };
    let head = request.head;
    assert_eq!((head.target, head.path, head.query), ("/a%20b?c=d", "/a%20b", Some("c=d")));
    assert_eq!((head.host(), head.get("HOST"), head.get("Via")), (Some("h:1"), Some("h:1"), None));
    assert_eq!(head.all("Accept").collect::<Vec<_>>(), ["x", "y"]);
}

#[test]
fn the_host_of_an_absolute_target_wins() {
    let text = get("http://other:8/a", "");
    let (mut connection, mut fresh) = (Connection::new(at(0)), text.as_bytes());
    let Next::Request(request) = connection.poll(at(0), &mut fresh, &LIMITS, &mut Vec::new()) else {
        panic!()
    };
    assert_eq!((request.head.host(), request.head.path), (Some("other:8"), "/a"));
}

#[test]
fn a_request_in_one_piece_is_read_where_it_lies() {
    let text = post("Content-Length: 3\r\n", "abc");
    let (mut connection, mut fresh) = (Connection::new(at(0)), text.as_bytes());
    let Next::Request(request) = connection.poll(at(0), &mut fresh, &LIMITS, &mut Vec::new()) else {
        panic!()
    };
    let lies = text.as_bytes().as_ptr_range();
    assert!(lies.contains(&request.head.path.as_ptr()) && lies.contains(&request.body.as_ptr()));
    assert!(fresh.is_empty());
    assert_eq!(connection.held(), 0);
}

#[test]
fn a_connection_at_rest_holds_no_memory() {
    let mut server = Server::new(LIMITS);
    for piece in ["GET / HT", "TP/1.1\r\nHost: x\r\n\r\n\r", "\n"] {
        server.receive(at(0), piece.as_bytes());
    }
    assert_eq!(server.seen, ["200 GET / "]);
    assert!(server.peak > 0 && server.connection.held() == 0 && server.connection.is_idle());
}

#[test]
fn chunked_bodies_are_put_together() {
    let chunks = "3;x=y\r\nabc\r\nA \t;q\r\n0123456789\r\n0\r\nTrailer: z\r\n\r\n";
    assert_eq!(one(&post("Transfer-Encoding: Chunked\r\n", chunks)), "200 POST /p abc0123456789");
    let coded = "1\r\nx\r\n".repeat(65_536) + "0\r\n\r\n";
    let mut server = Server::new(LIMITS);
    server.receive(at(0), post("Transfer-Encoding: chunked\r\n", &coded).as_bytes());
    assert_eq!(server.seen[0].len(), "200 POST /p ".len() + 65_536);
}

#[test]
fn shapes_that_smuggle_requests_are_refused() {
    for bad in [
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 0x3",
        "Content-Length: 3 3",
        "Content-Length:",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: , chunked",
        "Content-Length : 3",
        "X: a\r\n b",
        "X: a\r\n\tb",
        "X: a\0b",
        "X: a\nContent-Length: 3",
        "X: a\rb",
        "X: \u{7f}",
        "X\u{1}: a",
        ": x",
        "no colon",
    ] {
        let answer = one(&post(&format!("{bad}\r\n"), ""));
        assert!(answer.starts_with("400 "), "{bad:?}: {answer}");
    }
    for unknown in ["gzip", "gzip, chunked", "identity", "xchunked", "chunked;q=1"] {
        assert!(
            one(&post(&format!("Transfer-Encoding: {unknown}\r\n"), "")).starts_with("501 "),
            "{unknown}"
        );
    }
    assert!(one("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").starts_with("400 "));
    for chunk in ["3\nabc\r\n", "3\r\nabcd\r\n", "g\r\n", "00000000000000001\r\n"] {
        let answer = one(&post("Transfer-Encoding: chunked\r\n", chunk));
        assert!(answer.starts_with("400 "), "{chunk:?}: {answer}");
    }
}

#[test]
fn the_host_must_be_given_once() {
    assert!(one("GET / HTTP/1.1\r\n\r\n").contains("Host is missing"));
    assert!(one(&get("/", "Host: x\r\n")).contains("Host is given twice"));
    assert!(one("GET / HTTP/1.1\r\nHost: a b\r\n\r\n").contains("Host is no host"));
    assert_eq!(one("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "200 GET / ");
    assert_eq!(one("GET / HTTP/1.0\r\n\r\n"), "200 GET / ");
}

#[test]
fn what_is_no_request_of_ours_is_refused_clearly() {
    assert!(one("\u{16}\u{3}\u{1}\u{2}").contains("speaks TLS"));
    assert!(one("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").starts_with("505 "));
    assert!(one("GET x HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("400 "));
    assert!(one("GET * HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("400 "));
    assert!(one("CONNECT h:1 HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("501 "));
    assert!(one("hello\n").starts_with("400 "));
    let bytes = b"GET / HTTP/1.1\r\nHost: x\r\nX: \xff\r\n\r\n";
    assert!(serve([&bytes[..]]).0[0].contains("not UTF-8"));
    assert_eq!(one("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), "200 OPTIONS * ");
    assert_eq!(one("BREW / HTTP/1.1\r\nHost: x\r\n\r\n"), "200 BREW / ");
}

#[test]
fn limits_are_answered() {
    assert!(one(&get(&format!("/{}", "a".repeat(17_000)), "")).starts_with("414 "));
    assert!(one(&get("/", &format!("X: {}\r\n", "a".repeat(17_000)))).starts_with("431 "));
    assert!(one(&get("/", &"X: a\r\n".repeat(100))).starts_with("431 "));
    assert_eq!(one(&get("/", &"X: a\r\n".repeat(99))), "200 GET / ");
    for length in ["65537", "10485760", "99999999999999999999999"] {
        assert!(one(&post(&format!("Content-Length: {length}\r\n"), "abc")).starts_with("413 "));
    }
    assert!(one(&post("Transfer-Encoding: chunked\r\n", "10001\r\n")).starts_with("413 "));
    let largest = one(&post("Content-Length: 65536\r\n", &"x".repeat(65_536)));
    assert_eq!(largest.len(), "200 POST /p ".len() + 65_536);
}

#[test]
fn a_large_body_is_refused_at_its_head_and_nothing_of_it_is_kept() {
    let mut server = Server::new(LIMITS);
    let head = post("Expect: 100-continue\r\nContent-Length: 10485760\r\n", "");
    server.receive(at(0), format!("{head}{}", get("/smuggled", "")).as_bytes());
    server.receive(at(0), &[b'x'; 100_000]);
    assert_eq!(server.seen.len(), 1);
    let out = String::from_utf8(server.out).unwrap();
    assert!(out.starts_with("HTTP/1.1 413 ") && out.contains("Connection: close"), "{out}");
    assert_eq!((server.closed, server.peak), (true, 0));
}

#[test]
fn a_refusal_knows_the_header_fields_if_they_had_come_in() {
    for (text, accept) in [
        (post("Accept: a/b\r\nContent-Length: 99999999\r\n", ""), Some("a/b")),
        (post("Accept: a/b\r\nTransfer-Encoding: chunked\r\n", "x"), Some("a/b")),
        ("GET /\r\nAccept: a/b\r\n\r\n".to_owned(), None),
    ] {
        let (mut connection, mut fresh) = (Connection::new(at(0)), text.as_bytes());
        let next = connection.poll(at(0), &mut fresh, &LIMITS, &mut Vec::new());
        let Next::Refused { fields, .. } = next else { panic!("{text:?}: {next:?}") };
        assert_eq!(fields.get("Accept"), accept, "{text:?}");
    }
}

#[test]
fn a_client_that_waits_for_it_is_told_to_continue() {
    let head = post("Expect: 100-Continue\r\nContent-Length: 3\r\n", "");
    let mut server = Server::new(LIMITS);
    server.receive(at(0), head.as_bytes());
    assert_eq!(server.out, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.receive(at(0), b"abc");
    assert_eq!(server.seen, ["200 POST /p abc"]);
    assert_eq!(String::from_utf8(server.out).unwrap().matches("100 Continue").count(), 1);
    let (seen, out) = serve([post("Expect: 100-continue\r\n", "").as_bytes()]);
    assert!(seen == ["200 POST /p "] && !out.contains("Continue"), "no body, nothing to wait for");
    let (_, out) = serve([&b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"[..]]);
    assert!(!out.contains("Continue"), "HTTP/1.0 does not know it");
    for other in ["magic", "100-continue, magic"] {
        assert!(one(&post(&format!("Expect: {other}\r\n"), "")).starts_with("417 "), "{other}");
    }
}

#[test]
fn a_connection_goes_on_or_closes_as_http_says() {
    let twice = |first: &str| serve([format!("{first}{}", get("/2", "")).as_bytes()]);
    let (seen, out) = twice("GET / HTTP/1.0\r\n\r\n");
    assert!(seen.len() == 1 && out.contains("Connection: close"));
    let (seen, out) = twice("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n\r\n");
    assert!(seen.len() == 2 && out.contains("Connection: keep-alive"));
    let (seen, out) = twice(&get("/1", "Connection: foo, Close\r\n"));
    assert!(seen.len() == 1 && out.contains("Connection: close"));
    let (seen, out) = twice(&get("/1", ""));
    assert!(seen.len() == 2 && !out.contains("Connection"));
    let (seen, _) = twice("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n");
    assert_eq!(seen.len(), 1);
}

#[test]
fn the_server_can_close_as_well() {
    let mut connection = Connection::new(at(0));
    let (text, mut dates, mut out) = (get("/", ""), Dates::new(Epoch::from_unix_millis(0)), Vec::new());
    let response = Response { status: 503, headers: &[], body: b"" };
    let then = connection.respond(at(0), &response, &mut dates, Persistence::Close, &mut out);
    assert_eq!((then, out.len()), (Persistence::KeepAlive, 0), "nothing was asked");
    assert!(matches!(connection.poll(at(0), &mut text.as_bytes(), &LIMITS, &mut out), Next::Request(_)));
    let then = connection.respond(at(0), &response, &mut dates, Persistence::Close, &mut out);
    assert_eq!(then, Persistence::Close);
    assert!(String::from_utf8(out).unwrap().contains("Connection: close"));
    assert!(matches!(connection.poll(at(0), &mut text.as_bytes(), &LIMITS, &mut Vec::new()), Next::Close));
}

#[test]
fn a_connection_can_be_refused_before_anything_was_asked() {
    let mut connection = Connection::new(at(0));
    let (mut dates, mut out) = (Dates::new(Epoch::from_unix_millis(0)), Vec::new());
    connection.refuse(at(0), &Response { status: 503, headers: &[], body: b"full" }, &mut dates, &mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(
        out.starts_with("HTTP/1.1 503 ") && out.contains("Connection: close") && out.ends_with("full"),
        "{out}"
    );
    assert!(matches!(connection.poll(at(0), &mut &b"x"[..], &LIMITS, &mut Vec::new()), Next::Close));
}

#[test]
fn head_is_answered_without_a_body() {
    let (_, out) = serve([&b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"[..]]);
    assert!(out.ends_with("Content-Length: 7\r\n\r\n"), "{out}");
    let (_, out) = serve([&b"HEAD / HTTP/1.1\r\n\r\n"[..]]);
    assert!(out.starts_with("HTTP/1.1 400 ") && out.ends_with("\r\n\r\n"), "{out}");
}

#[test]
fn a_later_request_waits_for_the_answer_to_the_one_before() {
    let mut connection = Connection::new(at(0));
    let text = get("/1", "") + &get("/2", "");
    let (mut fresh, mut out) = (text.as_bytes(), Vec::new());
    assert!(matches!(connection.poll(at(0), &mut fresh, &LIMITS, &mut out), Next::Request(_)));
    assert!(matches!(connection.poll(at(0), &mut fresh, &LIMITS, &mut out), Next::Nothing));
    assert!(fresh.is_empty() && connection.deadline(&LIMITS).is_none());
    assert!(matches!(connection.timeout(at(1000), &LIMITS), Next::Nothing), "we are slow, not the client");
    let response = Response { status: 204, headers: &[], body: b"" };
    let mut dates = Dates::new(Epoch::from_unix_millis(0));
    connection.respond(at(1000), &response, &mut dates, Persistence::KeepAlive, &mut out);
    let Next::Request(request) = connection.poll(at(1000), &mut fresh, &LIMITS, &mut out) else { panic!() };
    assert_eq!(request.head.path, "/2");
}

#[test]
fn a_client_that_sends_far_ahead_of_the_answers_is_lost() {
    let mut connection = Connection::new(at(0));
    let text = get("/1", "");
    assert!(matches!(
        connection.poll(at(0), &mut text.as_bytes(), &LIMITS, &mut Vec::new()),
        Next::Request(_)
    ));
    let mut polls = 0;
    while !matches!(connection.poll(at(0), &mut &[b'x'; 1000][..], &LIMITS, &mut Vec::new()), Next::Close) {
        polls += 1;
        assert!(connection.held() <= 2 * LIMITS.held());
    }
    assert_eq!((polls, connection.held()), (LIMITS.held() / 1000, 0));
}

#[test]
fn no_more_than_64_answers_wait_to_be_sent() {
    let mut server = Server::new(LIMITS);
    server.receive(at(0), get("/", "").repeat(150).as_bytes());
    assert_eq!(server.seen.len(), 64);
    server.connection.unsent(at(0), 1);
    server.receive(at(0), b"");
    assert_eq!(server.seen.len(), 64);
    server.connection.unsent(at(0), 0);
    server.receive(at(0), b"");
    assert_eq!(server.seen.len(), 128);
    server.send(at(0));
    assert_eq!(server.seen.len(), 150);
}

#[test]
fn nothing_is_read_while_much_waits_to_be_sent() {
    let mut server = Server::new(LIMITS);
    server.connection.unsent(at(0), MAX_UNSENT + 1);
    server.receive(at(0), get("/", "").as_bytes());
    assert_eq!(server.seen.len(), 0);
    server.connection.unsent(at(0), MAX_UNSENT);
    server.receive(at(0), b"");
    assert_eq!(server.seen.len(), 1);
}

#[test]
fn a_slow_client_is_cut_off_however_steadily_it_sends() {
    let mut server = Server::new(LIMITS);
    for (second, byte) in (5..15).zip(post("Accept: a/b\r\n", "").as_bytes().chunks(1)) {
        assert!(matches!(server.connection.timeout(at(second), &LIMITS), Next::Nothing));
        server.receive(at(second), byte);
        assert_eq!(server.connection.deadline(&LIMITS), Some(at(15)));
    }
    let next = server.connection.timeout(at(15), &LIMITS);
    assert!(matches!(next, Next::Refused { refusal: Refusal::TooSlow, .. }));
    server.answer(at(15), 408, "");
    assert!(server.closed && server.connection.held() == 0);
}

#[test]
fn a_slow_body_is_cut_off_and_its_fields_are_known() {
    let mut server = Server::new(LIMITS);
    server.receive(at(1), post("Accept: a/b\r\nContent-Length: 3\r\n", "ab").as_bytes());
    let Next::Refused { refusal, fields } = server.connection.timeout(at(11), &LIMITS) else { panic!() };
    assert_eq!((refusal.status(), fields.get("Accept")), (408, Some("a/b")));
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let mut server = Server::new(LIMITS);
    assert_eq!(server.connection.deadline(&LIMITS), Some(at(75)));
    server.receive(at(50), b"\r\n\r");
    assert_eq!(server.connection.deadline(&LIMITS), Some(at(75)), "empty lines are no request");
    server.receive(at(60), format!("\n{}", get("/", "")).as_bytes());
    assert_eq!(server.connection.deadline(&LIMITS), Some(at(135)));
    assert!(matches!(server.connection.timeout(at(134), &LIMITS), Next::Nothing));
    assert!(matches!(server.connection.timeout(at(135), &LIMITS), Next::Close));
    assert_eq!(server.connection.deadline(&LIMITS), None);
}

#[test]
fn a_client_that_takes_its_answers_slowly_is_not_idle_but_one_that_takes_none_is() {
    let mut server = Server::new(LIMITS);
    server.receive(at(0), get("/", "").as_bytes());
    server.connection.unsent(at(10), 50);
    assert_eq!(server.connection.deadline(&LIMITS), Some(at(85)));
    server.connection.unsent(at(20), 50);
    assert_eq!(server.connection.deadline(&LIMITS), Some(at(85)), "no byte was sent meanwhile");
}

fn pipeline() -> Vec<u8> {
    let chunks = "5;a=b\r\nworld\r\n01\r\n!\r\n0\r\nTrailer: x\r\n\r\n";
    [
        &get("/1", ""),
        "\r\n",
        &post("Content-Length: 5\r\n", "hello"),
        &post("Transfer-Encoding: chunked\r\n", chunks),
        &post("Expect: 100-continue\r\nContent-Length: 2\r\n", "hi"),
        "HEAD http://h/3 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /4 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ]
    .concat()
    .into_bytes()
}

fn endings() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(get("/5", "Connection: close\r\n")),
        Just(get("/5", "Content-Length: 1\nX: y\r\n")),
        Just(get("/5", "A: b\r\nX : y\r\nContent-Length: 1\r\nContent-Length: 1\r\n")),
        Just(get("/5", &"X: y\r\n".repeat(101))),
        Just(get(&format!("/{}", "5".repeat(17_000)), "")),
        Just(post("Transfer-Encoding: chunked\r\n", "5\r\nworld\n0\r\n\r\n")),
        Just(post("Transfer-Encoding: chunked\r\n", "fffff\r\nx")),
        Just(post("Content-Length: 65537\r\n", "x")),
        Just("\r\n\rGET / HTTP/1.1\r\n".to_owned()),
        Just("GET / HTTP/2.0\r\n\r\n".to_owned()),
        Just("\u{16}\u{3}\u{1}hello\n".to_owned()),
    ]
}

fn cut<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    places.sort_unstable();
    let mut from = 0;
    let mut pieces: Vec<_> =
        places.iter().map(|to| &stream[std::mem::replace(&mut from, *to)..*to]).collect();
    pieces.push(&stream[from..]);
    pieces
}

proptest! {
    #[test]
    fn any_cut_of_a_pipelined_stream_gives_the_same_answers(
        times in 1..20_usize,
        ending in endings(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let stream = [pipeline().repeat(times), ending.into_bytes()].concat();
        let whole = serve([&stream[..]]);
        prop_assert_eq!(whole.0.len(), 6 * times + 1);
        prop_assert_eq!(serve(cut(&stream, &cuts)), whole);
    }

    #[test]
    fn a_stream_cut_at_every_byte_gives_the_same_answers(ending in endings()) {
        let stream = [pipeline(), ending.into_bytes()].concat();
        prop_assert_eq!(serve(stream.chunks(1)), serve([&stream[..]]));
    }

    #[test]
    fn no_bytes_make_it_panic_or_hold_more_than_its_limits(
        start in prop::sample::select(vec![
            "",
            "GET / HTTP/1.1\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n\r\n",
        ]),
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..900),
            prop::collection::vec(prop::sample::select(b"aA0: ,;\t\r\r\r\n\n\n".to_vec()), 0..900),
        ],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let limits = Limits { head: 256, body: 128, headers: 8, pipelined: 2, ..LIMITS };
        let stream = [start.as_bytes(), &bytes].concat();
        let mut server = Server::new(limits);
        for piece in cut(&stream, &cuts) {
            server.receive(at(0), piece);
        }
        prop_assert!(server.peak <= 2 * limits.held());
        server.send(at(0));
    }
}
