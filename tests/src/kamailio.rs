//! Kamailio as registrar and proxy.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::ports;
use crate::process::Process;

/// The domain and the realm.
pub const DOMAIN: &str = "phones.test";
/// The password of every user.
pub const PASSWORD: &str = "123";

/// A running proxy.
#[derive(Debug)]
pub struct Kamailio {
    folder: TempDir,
    process: Process,
    /// Its UDP and TCP port.
    pub port: u16,
}

impl Kamailio {
    /// Starts it with these switches of `tests/peers/kamailio.cfg`.
    pub fn start(switches: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = ports::free();
        let config = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers/kamailio.cfg");
        let mut command = Command::new("kamailio");
        command
            .args(["-DD", "-E", "-m", "64", "-M", "8", "-f"])
            .arg(config)
            .arg("-w")
            .arg(folder.path())
            .arg("-Y")
            .arg(folder.path())
            .arg("-P")
            .arg(folder.path().join("pid"))
            .args(["-A", &format!("PORT={port}")]);
        for switch in switches {
            command.args(["-A", switch]);
        }
        let mut process = Process::start("kamailio", &mut command, folder.path());
        process.wait_said("its start", |said| said.contains("proxy is ready").then_some(()));
        Self { folder, process, port }
    }

    /// What it has said; it names every request that it routes.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// Its address as a SIP URI, for `sip.proxy`.
    pub fn uri(&self) -> String {
        format!("sip:127.0.0.1:{};transport=udp", self.port)
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}
