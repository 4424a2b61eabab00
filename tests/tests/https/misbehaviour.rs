//! Clients that stop, dawdle, or speak something else: what each sees, and that the next one is served.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use cordboard_tests::process::Process;
use cordboard_tests::{PATIENCE, wait_for};

use super::{PATH, Site};

/// How long a handshake may take in these tests.
const SHORT: &str = "[limits]\nrequest_time = \"1s\"";
/// The handshake record and the alert record (RFC 8446 §5.1).
const RECORD_HANDSHAKE: u8 = 22;
const RECORD_ALERT: u8 = 21;

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(&site.server.https).expect("the server takes connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time limit");
    stream
}

/// All that the server says until it closes.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is an end too.
    if let Err(e) = stream.read_to_end(&mut said) {
        assert_eq!(e.kind(), ErrorKind::ConnectionReset, "{e}");
    }
    said
}

/// The first record that openssl sends.
fn client_hello() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address]);
    let _openssl = Process::start("openssl", &mut command, folder.path());
    let (mut stream, _) = listener.accept().expect("openssl connects");
    let mut record = vec![0; 5];
    stream.read_exact(&mut record).expect("it says hello");
    assert_eq!(record[0], RECORD_HANDSHAKE);
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + length, 0);
    stream.read_exact(&mut record[5..]).expect("it says all of it");
    record
}

#[test]
fn a_client_that_stops_within_the_handshake_is_closed_in_time() {
    let site = Site::start(SHORT);
    let hello = client_hello();
    let half = hello.len() / 2;
    for (sent, answered) in
        [(&hello[..0], false), (&hello[..3], false), (&hello[..half], false), (&hello[..], true)]
    {
        let start = Instant::now();
        let mut stream = connect(&site);
        stream.write_all(sent).expect("the server reads");
        site.assert_serves();
        let said = rest(&mut stream);
        assert!(start.elapsed() < Duration::from_secs(10), "{} bytes: {:?}", sent.len(), start.elapsed());
        assert_eq!(said.first() == Some(&RECORD_HANDSHAKE), answered, "{} bytes: {said:?}", sent.len());
    }
    site.assert_serves();
}

#[test]
fn a_client_that_says_hello_byte_by_byte_is_not_waited_for() {
    let site = Site::start(SHORT);
    let hello = client_hello();
    let mut stream = connect(&site);
    stream.set_nonblocking(true).expect("a socket need not wait");
    let mut bytes = hello.iter();
    let mut sent = 0;
    // At a hundred a second it would take longer than it may.
    wait_for("the end of the connection", || {
        if bytes.next().is_some_and(|byte| stream.write_all(&[*byte]).is_ok()) {
            sent += 1;
        }
        match stream.read(&mut [0; 64]) {
            Ok(0) => Some(()),
            Ok(_) => None,
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(()),
        }
    });
    assert!(sent > 10 && sent < hello.len(), "{sent} of {}", hello.len());
    site.assert_serves();
}

#[test]
fn two_hundred_clients_that_stop_keep_nobody_out() {
    let site = Site::start(SHORT);
    let hello = client_hello();
    let mut all: Vec<TcpStream> = (0..200).map(|_| connect(&site)).collect();
    for stream in &mut all {
        stream.write_all(&hello).expect("the server reads");
    }
    site.assert_serves();
    for mut stream in all {
        assert_eq!(rest(&mut stream).first(), Some(&RECORD_HANDSHAKE));
    }
    site.assert_serves();
}

#[test]
fn connections_over_the_limit_are_told_so() {
    let site = Site::start("[limits]\nconnections = 2");
    let [first, second] = [connect(&site), connect(&site)];
    let status = || site.curl(&["--write-out", "%{http_code}", "--output", "/dev/null"]).said;
    wait_for("the limit", || (status() == "503").then_some(()));
    drop((first, second));
    wait_for("the end of the connections", || (status() == "200").then_some(()));
}

#[test]
fn plain_http_on_the_tls_port_is_told_what_is_spoken_here() {
    let site = Site::start("");
    let url = format!("http://{}{PATH}", site.server.https);
    let answer =
        super::run(Command::new("curl").args(["--silent", "--include", "--max-time", "20", &url]), "");
    assert_eq!(answer.exit, Some(0), "{answer:?}");
    assert!(answer.said.starts_with("HTTP/1.1 400 ") && answer.said.contains("speaks HTTPS"), "{answer:?}");
    site.assert_serves();
}

#[test]
fn what_is_no_tls_is_answered_by_an_alert_and_closed() {
    let site = Site::start("");
    let hello = client_hello();
    // A hello whose inside is noise; a record of an unknown kind; one that says to be longer than records may be.
    let mut noise = hello.clone();
    noise[9..].fill(0xff);
    let noises =
        [noise, vec![0x99, 3, 1, 0, 4, 1, 2, 3, 4], vec![RECORD_HANDSHAKE, 3, 1, 0xff, 0xff, 1, 2, 3]];
    for bytes in noises {
        let mut stream = connect(&site);
        stream.write_all(&bytes).expect("the server reads");
        let said = rest(&mut stream);
        assert_eq!(said.first(), Some(&RECORD_ALERT), "{bytes:?}: {said:?}");
        site.assert_serves();
    }
}

#[test]
fn a_client_that_goes_away_within_the_handshake_leaves_nothing_behind() {
    let site = Site::start("");
    let hello = client_hello();
    let open = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", site.server.process.id()));
        files.expect("the server runs").count()
    };
    site.assert_serves();
    let before = open();
    for _ in 0..50 {
        connect(&site).write_all(&hello).expect("the server reads");
    }
    site.assert_serves();
    wait_for("the end of all connections", || (open() <= before).then_some(()));
}
