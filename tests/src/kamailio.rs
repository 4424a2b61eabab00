//! Kamailio as registrar and proxy.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::certificates::{Authority, Identity};
use crate::process::Process;
use crate::{ports, wait_for};

/// The domain and the realm.
pub const DOMAIN: &str = "phones.test";
/// The password of every user.
pub const PASSWORD: &str = "123";

/// Whether the proxy wants certificates of those who connect to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// It asks for none.
    Anybody,
    /// Without a good one there is no session.
    Certified,
}

/// What the proxy speaks TLS with. It checks the chain of every server that it connects to.
#[derive(Clone, Debug)]
pub struct Tls {
    /// What it shows as a server.
    pub own: Identity,
    /// What it shows as a client to servers that ask for it; nothing if `None`.
    pub as_client: Option<Identity>,
    /// The file of the authorities that it trusts.
    pub trusted: PathBuf,
    /// Whom it lets in.
    pub clients: Clients,
}

impl Tls {
    /// One identity for both roles, by an authority that it trusts too; anybody is let in.
    pub fn new(authority: &Authority, own: Identity) -> Self {
        Self { as_client: Some(own.clone()), own, trusted: authority.file(), clients: Clients::Anybody }
    }

    /// The file that the proxy's TLS module reads.
    fn config(&self) -> String {
        let mut text = String::new();
        let mut section = |name: &str, identity: Option<&Identity>, verify: bool| {
            let yes = if verify { "yes" } else { "no" };
            writeln!(
                text,
                "[{name}:default]\nmethod = TLSv1.2+\nverify_certificate = {yes}\nrequire_certificate = {yes}\n\
                 ca_list = {}",
                self.trusted.display()
            )
            .and_then(|()| match identity {
                Some(Identity { certificate, key, .. }) => {
                    writeln!(text, "certificate = {}\nprivate_key = {}", certificate.display(), key.display())
                }
                None => Ok(()),
            })
            .expect("a text grows");
        };
        section("server", Some(&self.own), self.clients == Clients::Certified);
        section("client", self.as_client.as_ref(), true);
        text
    }
}

/// A proxy that does nothing, and does not know it.
#[derive(Debug)]
pub struct Stopped(Vec<u32>);

impl Drop for Stopped {
    fn drop(&mut self) {
        for id in &self.0 {
            if let Err(e) = kill(pid(*id), Signal::SIGCONT) {
                eprintln!("kamailio: SIGCONT: {e}");
            }
        }
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("it is an id"))
}

/// A running proxy.
#[derive(Debug)]
pub struct Kamailio {
    folder: TempDir,
    process: Process,
    switches: Vec<String>,
    /// Its UDP and TCP port.
    pub port: u16,
    /// Its TLS port, if it speaks TLS.
    pub tls_port: Option<u16>,
}

impl Kamailio {
    /// Starts it with these switches of `tests/peers/kamailio.cfg`.
    pub fn start(switches: &[&str]) -> Self {
        Self::start_with(switches, None)
    }

    /// The same, and it speaks TLS too.
    pub fn secure(switches: &[&str], tls: &Tls) -> Self {
        Self::start_with(switches, Some(tls))
    }

    fn start_with(switches: &[&str], tls: Option<&Tls>) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = ports::free();
        let mut all = vec![format!("PORT={port}")];
        let tls_port = tls.map(|tls| {
            let (file, port) = (folder.path().join("tls.cfg"), ports::free());
            std::fs::write(&file, tls.config()).expect("a file can be written");
            all.push(format!("TLS_PORT={port}"));
            all.push(format!("TLS_CONFIG=\"{}\"", file.display()));
            port
        });
        all.extend(switches.iter().map(|switch| (*switch).to_owned()));
        let process = run(folder.path(), &all);
        Self { folder, process, switches: all, port, tls_port }
    }

    /// Kills it so that it can tell nobody, and starts it again as it was, with nobody registered.
    pub fn crash_and_return(&mut self) {
        self.crash();
        self.come_back();
    }

    /// Kills it so that it can tell nobody.
    pub fn crash(&mut self) {
        let all = self.processes();
        for id in &all {
            // Without the first the others may end by themselves.
            let killed = kill(pid(*id), Signal::SIGKILL);
            assert!(matches!(killed, Ok(()) | Err(Errno::ESRCH)), "{killed:?}");
        }
        self.process.wait();
        wait_for("the end of all its processes", || all.iter().all(|id| is_over(*id)).then_some(()));
    }

    /// Starts it again as it was before it crashed, with nobody registered.
    pub fn come_back(&mut self) {
        self.process = run(self.folder.path(), &self.switches);
    }

    /// Stops it where it stands; it goes on, and finds all that was sent to it, when the guard is dropped.
    pub fn stop(&self) -> Stopped {
        let all = self.processes();
        for id in &all {
            kill(pid(*id), Signal::SIGSTOP).unwrap_or_else(|e| panic!("kamailio: SIGSTOP: {e}"));
        }
        Stopped(all)
    }

    /// The ids of all its processes, the main one first.
    fn processes(&self) -> Vec<u32> {
        let main = self.process.id();
        [vec![main], children(main)].concat()
    }

    /// What it has said; it names every request that it routes.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// Its address as a SIP URI, for `sip.proxy`.
    pub fn uri(&self) -> String {
        format!("sip:127.0.0.1:{};transport=udp", self.port)
    }

    /// The same, but over TCP.
    pub fn tcp_uri(&self) -> String {
        format!("sip:127.0.0.1:{};transport=tcp", self.port)
    }

    /// Its TLS port; it has to have one.
    pub fn tls_port(&self) -> u16 {
        self.tls_port.expect("it speaks TLS")
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        let all = self.processes();
        self.process.end();
        // Those whose first had to be killed end by nobody's word.
        for id in all.into_iter().skip(1).filter(|id| !is_over(*id)) {
            if let Err(e) = kill(pid(id), Signal::SIGKILL) {
                eprintln!("kamailio: SIGKILL: {e}");
            }
        }
    }
}

fn run(folder: &Path, switches: &[String]) -> Process {
    let config = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers/kamailio.cfg");
    let mut command = Command::new("kamailio");
    command.args(["-DD", "-E", "-m", "64", "-M", "8", "-f"]).arg(config);
    command.arg("-w").arg(folder).arg("-Y").arg(folder).arg("-P").arg(folder.join("pid"));
    for switch in switches {
        command.args(["-A", switch]);
    }
    let mut process = Process::start("kamailio", &mut command, folder);
    process.wait_said("its start", |said| said.contains("proxy is ready").then_some(()));
    process
}

/// The parent and the state of a process, as the kernel tells; none when it is gone.
fn parent_and_state(id: u32) -> Option<(u32, char)> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

/// The ids of those that a process has started.
fn children(of: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("the kernel tells its processes");
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id| parent_and_state(*id).is_some_and(|(parent, _)| parent == of))
        .collect()
}

/// Whether a process has ended, also when nobody has asked for its status yet.
fn is_over(id: u32) -> bool {
    parent_and_state(id).is_none_or(|(_, state)| matches!(state, 'Z' | 'X'))
}
