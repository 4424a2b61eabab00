//! What happens on the connection itself.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::credentials::{Credentials, parameter};
use crate::phone::Phone;
use crate::{plain, server, trusted};
use cordboard_tests::cordboard::Cordboard;

const PATH: &str = "/callcontroller/user1/user2";

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes a time limit");
    stream
}

/// What comes back for these bytes until the server closes.
fn talk(address: &str, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(bytes).expect("the server reads");
    let mut said = Vec::new();
    // A reset after the answer is an end too.
    if let Err(e) = stream.read_to_end(&mut said) {
        assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{e}");
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Reads until this text has come so many times.
fn read_until(stream: &mut TcpStream, text: &str, times: usize) -> String {
    let mut said = String::new();
    let mut buffer = [0; 4096];
    while said.matches(text).count() < times {
        let length = stream
            .read(&mut buffer)
            .unwrap_or_else(|e| panic!("{e}, waiting for {times} {text:?} in {said:?}"));
        assert!(length > 0, "closed, waiting for {times} {text:?} in {said:?}");
        said.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    said
}

/// A head with its login; the head's end is left to be written.
fn head(server: &Cordboard, method: &str, path: &str, nonce: &str, count: u32) -> String {
    let credentials = Credentials { count, ..Credentials::new("SHA-256", method, path) };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\n",
        server.http,
        credentials.answer(nonce)
    )
}

fn nonce(server: &Cordboard) -> String {
    let reply = plain(server, &[], PATH);
    let challenge = reply.header("WWW-Authenticate").expect("there is a challenge");
    parameter(challenge, "nonce").expect("a challenge has a nonce").to_owned()
}

#[test]
fn a_connection_is_kept_and_requests_sent_at_once_are_answered_in_order() {
    let server = server("");
    let nonce = nonce(&server);
    let mut requests = String::new();
    for (at, (path, accept)) in
        [(PATH, "text/xml"), ("/calls", "*/*"), (PATH, "application/json"), ("/nothing", "*/*")]
            .iter()
            .enumerate()
    {
        let count = u32::try_from(at).expect("they are few") + 1;
        requests.push_str(&format!("{}Accept: {accept}\r\n\r\n", head(&server, "GET", path, &nonce, count)));
    }
    let mut stream = connect(&server.http);
    stream.write_all(requests.as_bytes()).expect("the server reads");
    let said = read_until(&mut stream, "</processing-status>", 1);
    let starts: Vec<usize> = said.match_indices("HTTP/1.1 ").map(|(at, _)| at).collect();
    assert_eq!(starts.len(), 4, "{said}");
    for (at, (status, body)) in [
        ("200", "</status-lines>"),
        ("200", "{\"calls\":[],\"more\":false}"),
        ("200", "\r\n\r\nnull"),
        ("404", "<error-code>404"),
    ]
    .iter()
    .enumerate()
    {
        let answer = &said[starts[at]..starts.get(at + 1).copied().unwrap_or(said.len())];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(body), "{at}: {answer}");
    }
    // It is still there, also after a pause between the bytes of a request.
    let last = format!("{}Connection: close\r\n\r\n", head(&server, "HEAD", PATH, &nonce, 5));
    let (first, rest) = last.split_at(30);
    stream.write_all(first.as_bytes()).expect("the server reads");
    assert_eq!(plain(&server, &[], PATH).status, 401, "others are served meanwhile");
    stream.write_all(rest.as_bytes()).expect("the server reads");
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("the server closes");
    assert!(said.starts_with("HTTP/1.1 200") && said.ends_with("\r\n\r\n"), "{said}");
}

#[test]
fn curl_asks_twice_over_one_connection() {
    let server = server("");
    let url = format!("https://{}{PATH}", server.https);
    let output = Command::new("curl")
        .args([
            "--silent",
            "--insecure",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code} %{num_connects}\n",
            &url,
        ])
        .args([
            "--next",
            "--silent",
            "--insecure",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code} %{num_connects}\n",
            &url,
        ])
        .output()
        .expect("curl can be started");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200 1\n200 0\n");
}

#[test]
fn a_chunked_body_is_read() {
    let (server, phone) = (server(""), Phone::new());
    let reply =
        trusted(&server, &["-H", "Transfer-Encoding: chunked", "-d", "subject=in+pieces"], &phone.path());
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(phone.hear("INVITE").field("Subject"), "in pieces");
}

#[test]
fn chunks_may_come_one_by_one_with_extensions_and_trailers() {
    let (server, phone) = (server(""), Phone::new());
    let path = phone.path();
    let nonce = nonce(&server);
    let form = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    for (count, extension, status) in [(1, "5;a=\"b\rc\"\r", "400"), (2, "5;a=\"b\"\r", "200")] {
        let head = head(&server, "POST", &path, &nonce, count);
        let mut stream = connect(&server.http);
        for piece in
            [head.as_str(), form, extension, "\nsubje\r\n", "4\r\nct=x", "\r\n0", "\r\nX-Trailer: 1\r\n\r\n"]
        {
            // After the refusal nobody reads any more.
            if stream.write_all(piece.as_bytes()).is_err() {
                assert_eq!(status, "400");
            }
        }
        let said = read_until(&mut stream, "\r\n\r\n", 1);
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{extension:?}: {said}");
    }
    assert_eq!(phone.hear("INVITE").field("Subject"), "x");
}

#[test]
fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let (server, phone) = (server(""), Phone::new());
    let nonce = nonce(&server);
    let head = head(&server, "POST", &phone.path(), &nonce, 1);
    let mut stream = connect(&server.http);
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(format!("{head}{form}").as_bytes()).expect("the server reads");
    assert_eq!(read_until(&mut stream, "\r\n\r\n", 1), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"subject=x").expect("the server reads");
    assert!(read_until(&mut stream, "\r\n\r\n", 1).starts_with("HTTP/1.1 200"));
    // curl would wait for a minute, longer than it may take.
    let arguments = ["--expect100-timeout", "60", "-H", "Expect: 100-continue", "-d", "subject=y"];
    let reply = trusted(&server, &arguments, &format!("{}?agent=user2", phone.pair()));
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[test]
fn a_client_that_does_not_finish_its_request_is_told_so_and_closed() {
    let server = server("[limits]\nrequest_time = \"1s\"");
    let accept = "Accept: application/json\r\n";
    for (request, kind) in [
        ("GET /callcontroller".to_owned(), "text/xml"),
        (format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n{accept}"), "text/xml"),
        (
            format!("POST {PATH} HTTP/1.1\r\nHost: x\r\n{accept}Content-Length: 10\r\n\r\nsubj"),
            "application/problem+json",
        ),
        (format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), "text/xml"),
    ] {
        let start = Instant::now();
        let said = talk(&server.http, request.as_bytes());
        assert!(said.starts_with("HTTP/1.1 408 "), "{request:?}: {said:?}");
        assert!(
            said.contains(&format!("Content-Type: {kind}")) && said.contains("Connection: close"),
            "{said}"
        );
        assert!(
            (Duration::from_millis(900)..Duration::from_secs(8)).contains(&start.elapsed()),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_connection_that_rests_too_long_is_closed_without_a_word() {
    let server = server("[limits]\nidle_time = \"1s\"");
    assert_eq!(talk(&server.http, b""), "");
}

#[test]
fn requests_that_two_readers_could_read_differently_are_refused_and_closed() {
    let server = server("");
    for (request, status) in [
        (format!("GET {PATH} HTTP/2.0\r\nHost: x\r\n\r\n"), 505),
        (format!("GET {PATH} HTTP/3.0\r\nAccept: application/json\r\nHost: x\r\n\r\n"), 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        (format!("GET {PATH} HTTP/1.1\r\n\r\n"), 400),
        (format!("GET {PATH} HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), 400),
        (format!("GET {PATH}\r\n\r\n"), 400),
        (format!("GET {PATH} HTTP/1.1\nHost: x\n\n"), 400),
        (format!("GET {PATH} HTTP/1.1\r\nHost : x\r\n\r\n"), 400),
        (format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n"), 400),
        (format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 400),
        (format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na"), 400),
        (
            format!(
                "POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (
            format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"), 400),
        ("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n".to_owned(), 501),
        ("\0\u{1}\u{2}\r\n\r\n".to_owned(), 400),
    ] {
        let said = talk(&server.http, request.as_bytes());
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {said:?}");
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{request:?}: {said:?}");
        assert!(said.contains(&format!("<error-code>{status}</error-code>")), "{request:?}: {said:?}");
    }
    assert_eq!(server.trusted("GET", PATH).status, 200);
}

#[test]
fn an_http_1_0_client_is_answered_and_closed() {
    let server = server("");
    let said = talk(&server.http, format!("GET {PATH} HTTP/1.0\r\n\r\n").as_bytes());
    assert!(said.starts_with("HTTP/1.1 401 "), "{said}");
}

#[test]
fn tls_on_the_plain_port_and_plain_on_the_tls_port_harm_nobody() {
    let server = server("");
    let mistaken = Command::new("curl")
        .args(["--silent", "--insecure", "--max-time", "10", &format!("https://{}{PATH}", server.http)])
        .output()
        .expect("curl can be started");
    // CURLE_SSL_CONNECT_ERROR
    assert_eq!(mistaken.status.code(), Some(35), "{mistaken:?}");
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on";
    let said = talk(&server.http, hello);
    assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("speaks TLS"), "{said}");

    let said = talk(&server.https, format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("speaks HTTPS"), "{said}");
    // Half a handshake, left behind.
    drop(connect(&server.https).write_all(&hello[..6]));
    assert_eq!(server.trusted("GET", PATH).status, 200);
    assert_eq!(plain(&server, &[], PATH).status, 401);
}

#[test]
fn bad_datagrams_are_answered_or_dropped_and_calls_go_on() {
    let (server, phone) = (server(""), Phone::new());
    let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes a time limit");
    let own = socket.local_addr().expect("it is bound");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("torture");
    for entry in std::fs::read_dir(folder).expect("the folder can be read").flatten() {
        let bytes = std::fs::read(entry.path()).expect("a message can be read");
        socket.send_to(&bytes, &server.sip).expect("a datagram can be sent");
    }
    socket.send_to(&[0xff; 60_000], &server.sip).expect("a datagram can be sent");
    socket.send_to(&[], &server.sip).expect("a datagram can be sent");
    let bad = format!(
        "OPTIONS sip:cordboard@{} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKlast;rport\r\n\
         From: <sip:x@example.net>;tag=1\r\nTo: <sip:y@example.net>\r\nCall-ID: the-last-one\r\nCSeq: 1 BYE\r\n\r\n",
        server.sip
    );
    socket.send_to(bad.as_bytes(), &server.sip).expect("a datagram can be sent");
    let mut buffer = [0; 65_536];
    let answer = loop {
        let length = socket.recv(&mut buffer).expect("the last one is answered");
        let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if answer.contains("the-last-one") {
            break answer;
        }
    };
    assert!(answer.starts_with("SIP/2.0 400 "), "{answer}");
    assert_eq!(server.trusted("POST", &phone.path()).status, 200);
    phone.be_busy();
    assert_eq!(Cordboard::texts(&server.ended(&phone.path())), ["SIP/2.0 486 Busy Here"]);
}
