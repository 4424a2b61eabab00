//! The demo as a new user runs it: the real program, its real sockets, and curl from another terminal.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a line may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

struct Demo {
    child: Child,
    lines: Receiver<String>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cordboard"))
            .arg("demo")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo can be started");
        let stdout = child.stdout.take().expect("it has an output");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The lines up to the one that contains this.
    fn until(&self, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line =
                self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {text:?} in {seen:#?}"));
            let found = line.contains(text);
            seen.push(line);
            if found {
                return seen;
            }
        }
    }

    fn end(mut self) -> i32 {
        let ended =
            Command::new("kill").arg(self.child.id().to_string()).status().expect("kill can be started");
        assert!(ended.success());
        self.child.wait().expect("it ends").code().expect("by itself")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) && self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// Asserts that these appear in this order.
fn expect_order(lines: &[String], wanted: &[&str]) {
    let mut rest = lines.iter();
    for text in wanted {
        assert!(
            rest.any(|line| line.contains(text)),
            "{text:?} is missing, or not in its place, in {lines:#?}"
        );
    }
}

#[test]
fn the_demo_shows_a_call_and_stays_up_to_be_tried() {
    let demo = Demo::start(&["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let lines = demo.until("curl --digest");
    expect_order(
        &lines,
        &[
            "INVITE user1 [SDP sendonly]",
            "407 Proxy Authentication Required",
            "INVITE user1 +credentials",
            "180 Ringing",
            "200 OK (INVITE)",
            "REFER to user2",
            "202 Accepted",
            "NOTIFY \"SIP/2.0 200 OK\"",
            "BYE",
            "<status-line>SIP/2.0 200 OK</status-line>",
            "curl -k -X POST",
        ],
    );
    assert!(!lines.iter().any(|line| line.contains("response=")), "no credentials are shown");
    // What it proposes works as it stands, and its ladder is drawn too.
    let proposed =
        lines.iter().find(|line| line.contains("curl -k -X POST")).expect("it proposes one").clone();
    let words: Vec<&str> = proposed.split_whitespace().collect();
    let output = Command::new(words[0])
        .args(&words[1..])
        .args(["--silent", "--write-out", "%{http_code}"])
        .output()
        .expect("curl can be started");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200");
    expect_order(&demo.until("BYE"), &["INVITE user2", "REFER to user3", "NOTIFY \"SIP/2.0 200 OK\"", "BYE"]);
    assert_eq!(demo.end(), 0);
}

#[test]
fn a_port_that_is_taken_is_named_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_cordboard"))
        .args(["demo", "--https", &address, "--http", "127.0.0.1:0"])
        .output()
        .expect("the demo can be started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&address), "{said}");
}
