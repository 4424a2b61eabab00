//! The server under test, and what is done to it while it serves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::ClientConfig;

use super::connection::client_config;
use super::usage::Usage;
use super::web::PIN;
use crate::certificates::Authority;
use crate::cordboard::{Cordboard, server_program};

/// How long the records of calls that are over are kept: what is held of them must not hide what is left of them.
const KEPT_SECONDS: u64 = 10;
/// Half of the shortest session interval that may be configured (RFC 4028 §4).
pub const REFRESH: Duration = Duration::from_secs(45);

/// How often the server was to read its users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// A file that is right.
    pub good: u32,
    /// A file that is broken, which leaves the users as they were.
    pub broken: u32,
}

/// The server, with its certificate's authority.
pub struct Site {
    /// The server.
    pub server: Cordboard,
    /// How clients check it.
    pub tls: Arc<ClientConfig>,
    users: String,
    reloads: Reloads,
    _authority: Authority,
}

impl Site {
    /// Starts a server that uses this T1, and T2 and T4 as far beyond it as RFC 3261 has them.
    pub fn start(t1: Duration) -> Self {
        let authority = Authority::new("soak");
        let identity = authority.issue(&["127.0.0.1"]);
        let config = format!(
            "[http]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n{}\
             [auth]\nnonce_lifetime = \"60s\"\n\
             [sip]\ndomain = \"example.com\"\nlisten = [\"udp:127.0.0.1:0\"]\nt1 = \"{}ms\"\nt2 = \"{}ms\"\nt4 = \"{}ms\"\n\
             [calls]\nsession_expires = \"{}s\"\nresult_cache_time = \"{KEPT_SECONDS}s\"\n",
            identity.config(),
            t1.as_millis(),
            t1.as_millis() * 8,
            t1.as_millis() * 10,
            REFRESH.as_secs() * 2,
        );
        let mut command = Command::new(server_program());
        // A line for each call would fill the disk.
        command.env("RUST_LOG", "info,cordboard::calls=warn");
        let server = Cordboard::launch(command, &config, &[("agent", PIN, &[])]);
        end_when_we_panic(server.process.id());
        let tls = client_config(&authority);
        let mut site =
            Self { server, tls, users: String::new(), reloads: Reloads::default(), _authority: authority };
        site.users = std::fs::read_to_string(site.users_file()).expect("there is a users file");
        site
    }

    fn users_file(&self) -> PathBuf {
        self.server.folder.path().join("users.toml")
    }

    /// Where its workers take SIP.
    pub fn sip(&self) -> Vec<SocketAddr> {
        let ports = self.server.sip_ports();
        ports.into_iter().map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect()
    }

    /// What it uses.
    pub fn usage(&self) -> Usage {
        Usage::of(self.server.process.id())
    }

    /// Has it read its users again: from a file that has one more, by a signal, from a file that is broken.
    pub fn reload(&mut self) {
        match (self.reloads.good + self.reloads.broken) % 3 {
            0 => {
                let more = self.users.replace("\"agent\"", &format!("\"agent{}\"", self.reloads.good));
                self.write_users(&format!("{}\n{more}", self.users));
                self.reloads.good += 1;
            }
            1 => {
                self.server.process.signal(Signal::SIGHUP);
                self.reloads.good += 1;
            }
            _ => {
                self.write_users("[[user]\n");
                self.reloads.broken += 1;
            }
        }
    }

    /// How often that was.
    pub fn reloads(&self) -> Reloads {
        self.reloads
    }

    /// Nobody ever sees half of the file.
    fn write_users(&self, text: &str) {
        let new = self.server.folder.path().join("users.new");
        std::fs::write(&new, text).expect("a file can be written");
        std::fs::rename(&new, self.users_file()).expect("a file can be renamed");
    }
}

/// A release build that panics ends at once, and would leave the server behind.
fn end_when_we_panic(process: u32) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Err(error) = kill(Pid::from_raw(process as i32), Signal::SIGKILL) {
            eprintln!("the server stays behind as process {process}: {error}");
        }
        usual(panic);
    }));
}
