//! SIPp as a phone that is reached directly.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::ports;
use crate::process::Process;
use crate::wait_for;

/// A phone that plays one scenario for one call.
#[derive(Debug)]
pub struct Sipp {
    folder: TempDir,
    process: Process,
    /// Where it listens.
    pub port: u16,
    /// Where its SDP says that it wants its audio.
    pub media: u16,
    scenario: String,
}

/// What a phone has received from the beginning to the end of its scenario.
#[derive(Debug)]
pub struct Heard(Vec<String>);

/// The folder of our scenarios.
fn scenarios() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers/sipp")
}

impl Sipp {
    /// Starts the phone of `tests/peers/sipp/SCENARIO.xml`.
    pub fn play(scenario: &str) -> Self {
        Self::play_with(scenario, &[])
    }

    /// The same, but it sends nothing again by itself: SIPp answers a copy of what it has received with a copy of what
    /// it has sent, and would never stop doing so where copies are what the scenario is about.
    pub fn play_once(scenario: &str) -> Self {
        Self::play_with(scenario, &["-nr"])
    }

    /// The same, over TCP, where it waits for who connects to it.
    pub fn play_by_tcp(scenario: &str) -> Self {
        Self::start(scenario, "t1", &[])
    }

    fn play_with(scenario: &str, arguments: &[&str]) -> Self {
        Self::start(scenario, "u1", arguments)
    }

    fn start(scenario: &str, mode: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = ports::free();
        let media = ports::free();
        let mut command = Command::new("sipp");
        command
            .arg("-sf")
            .arg(scenarios().join(format!("{scenario}.xml")))
            .args(["-i", "127.0.0.1", "-p", &port.to_string(), "-mi", "127.0.0.1", "-mp", &media.to_string()])
            .args(["-t", mode, "-m", "1", "-nostdin", "-timeout", "60s", "-timeout_error"])
            .args(["-recv_timeout", "45000"])
            .args(["-trace_err", "-error_file", "errors", "-trace_msg", "-message_file", "messages"])
            .args(arguments)
            .current_dir(folder.path());
        let process = Process::start("sipp", &mut command, folder.path());
        wait_for("SIPp's port", || is_bound(mode, port).then_some(()));
        Self { folder, process, port, media, scenario: scenario.to_owned() }
    }

    /// The user part for a call to this phone, escaped for a path.
    pub fn user(&self) -> String {
        format!("phone%40127.0.0.1:{}", self.port)
    }

    /// What it has received so far.
    pub fn heard(&self) -> Heard {
        let messages = std::fs::read_to_string(self.folder.path().join("messages")).unwrap_or_default();
        Heard::in_trace(&messages)
    }

    /// Waits for the end of the scenario; panics with SIPp's own words if it did not go as written.
    pub fn finish(mut self) -> Heard {
        let status = self.process.wait();
        let errors = std::fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
        assert!(status.success(), "{}: SIPp says {status}\n{errors}", self.scenario);
        self.heard()
    }
}

impl Heard {
    /// The messages that came in, of the trace that SIPp writes.
    fn in_trace(trace: &str) -> Self {
        let entries = trace.split("-----------------------------------------------").skip(1);
        let received = entries.filter_map(|entry| {
            let (head, message) = entry.split_once("bytes :\n\n")?;
            head.contains("message received").then(|| message.to_owned())
        });
        Self(received.collect())
    }

    /// The requests with this method, oldest first, each as often as it came.
    pub fn requests(&self, method: &str) -> Vec<&str> {
        let line = format!("{method} sip:");
        self.0.iter().filter(|message| message.starts_with(&line)).map(String::as_str).collect()
    }

    /// The descriptions of media, oldest first.
    pub fn descriptions(&self) -> Vec<&str> {
        self.0.iter().filter_map(|message| Some(&message[message.find("v=0")?..])).collect()
    }

    /// Panics unless the phone was last told to talk, in both directions, to this port on 127.0.0.1.
    #[track_caller]
    pub fn assert_talks_to(&self, media: u16) {
        let last = *self.descriptions().last().expect("it got a description");
        assert!(last.contains("c=IN IP4 127.0.0.1"), "{last}");
        assert!(last.contains(&format!("m=audio {media} ")), "{media}: {last}");
        for direction in ["a=sendonly", "a=recvonly", "a=inactive"] {
            assert!(!last.contains(direction), "{last}");
        }
    }
}

/// Whether somebody receives at this port on 127.0.0.1, as the kernel's tables tell.
fn is_bound(mode: &str, port: u16) -> bool {
    let (table, peer) = if mode.starts_with('u') {
        ("/proc/thread-self/net/udp", "")
    } else {
        ("/proc/thread-self/net/tcp", "00000000:0000 0A ")
    };
    let table = std::fs::read_to_string(table).unwrap_or_default();
    table.contains(&format!("0100007F:{port:04X} {peer}"))
}
