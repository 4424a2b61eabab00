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
    scenario: String,
}

/// The folder of our scenarios.
fn scenarios() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers/sipp")
}

impl Sipp {
    /// Starts the phone of `tests/peers/sipp/SCENARIO.xml`.
    pub fn play(scenario: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = ports::free();
        let media = ports::free_pair();
        let mut command = Command::new("sipp");
        command
            .arg("-sf")
            .arg(scenarios().join(format!("{scenario}.xml")))
            .args(["-i", "127.0.0.1", "-p", &port.to_string(), "-mi", "127.0.0.1", "-mp", &media.to_string()])
            .args([
                "-t",
                "u1",
                "-m",
                "1",
                "-nostdin",
                "-timeout",
                "60s",
                "-timeout_error",
                "-recv_timeout",
                "45000",
            ])
            .args(["-trace_err", "-error_file", "errors"])
            .current_dir(folder.path());
        let process = Process::start("sipp", &mut command, folder.path());
        wait_for("SIPp's port", || is_bound(port).then_some(()));
        Self { folder, process, port, scenario: scenario.to_owned() }
    }

    /// The user part for a call to this phone, escaped for a path.
    pub fn user(&self) -> String {
        format!("phone%40127.0.0.1:{}", self.port)
    }

    /// Waits for the end of the scenario; panics with SIPp's own words if it did not go as written.
    pub fn finish(mut self) {
        let status = self.process.wait();
        let errors = std::fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
        assert!(status.success(), "{}: SIPp says {status}\n{errors}", self.scenario);
    }
}

/// Whether somebody has bound this UDP port on 127.0.0.1, as the kernel's table tells.
fn is_bound(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    table.contains(&format!("0100007F:{port:04X} "))
}
