//! What is measured, with phones of its own: the server, or the floor.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use super::datagrams::lost_at;
use super::drive::{Done, Outcome, Pace, drive};
use super::orders::{Access, Method, Orders, PIN, Width};
use super::phones::{Hold, Phones};
use super::readings::{Processor, Spent, memory};
use crate::certificates::Authority;
use crate::cordboard::{AGENT, Cordboard, find};
use crate::process::Process;

/// The number of a stand's first call. All have as many digits, so that their messages are of one length.
const FIRST: u64 = 10_000_000;

/// A server with its phones.
#[derive(Debug)]
pub struct Stand {
    /// The phones behind it.
    pub phones: Phones,
    server: Server,
    next: u64,
}

#[derive(Debug)]
enum Server {
    Floor { process: Process, http: SocketAddr, sip: u16, _folder: TempDir },
    Cordboard { server: Box<Cordboard>, trust: Arc<ClientConfig> },
}

/// How a server is set up, beside what all have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// How many workers it has; its own choice without.
    pub workers: Option<usize>,
    /// Calls that it is to hold at once, if more than it would by itself.
    pub calls: Option<u64>,
    /// Whether it may refuse calls when it is behind, as it would by itself. On a machine that is busy with other things it
    /// may be behind for no fault of its own, which is no matter of what calls cost.
    pub refuses: bool,
    /// How far behind it has to be for that, if not as far as it would by itself (`limits.behind`).
    pub behind: Option<&'static str>,
}

/// The calls that are to be made.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// How parties are connected.
    pub method: Method,
    /// When calls are ordered.
    pub pace: Pace,
    /// When they are done.
    pub done: Done,
    /// What becomes of calls that stand.
    pub hold: Hold,
    /// By how many connections.
    pub width: Width,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What came of the calls.
    pub outcome: Outcome,
    /// The server's processor time.
    pub spent: Spent,
    /// By how many bytes it has grown.
    pub grown: u64,
    /// Datagrams for which its sockets had no room.
    pub lost: u64,
}

impl Measured {
    /// The server's processor time for each completed call.
    pub fn each(&self) -> Duration {
        self.spent.total / u32::try_from(self.outcome.completed.max(1)).unwrap_or(u32::MAX)
    }

    /// How many calls a second would keep its busiest thread at work all the time.
    pub fn bound(&self) -> f64 {
        self.outcome.completed as f64 / self.spent.busiest.as_secs_f64().max(1e-9)
    }
}

impl Stand {
    /// A floor for calls of this kind; `program` is the one that has the floor in it.
    pub fn floor(program: &Path, method: Method) -> io::Result<Self> {
        let phones = Phones::new(Hold::Forever)?;
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(program);
        let name = if method == Method::Refer { "refer" } else { "invite" };
        command.args(["floor", name, &phones.address().to_string()]);
        let mut process = Process::start("floor", &mut command, folder.path());
        let mut listening = |kind: &str| {
            let begin = format!("listening {kind}=");
            process.wait_said(&begin, |said| {
                said.lines().find_map(|line| line.strip_prefix(&begin)?.parse::<SocketAddr>().ok())
            })
        };
        let (sip, http) = (listening("udp").port(), listening("http"));
        Ok(Self { phones, server: Server::Floor { process, http, sip, _folder: folder }, next: FIRST })
    }

    /// A server in a folder of its own.
    pub fn server(setup: Setup) -> io::Result<Self> {
        let phones = Phones::new(Hold::Forever)?;
        let authority = Authority::new("load");
        let identity = authority.issue(&["127.0.0.1"]);
        let workers = setup.workers.map_or_else(String::new, |workers| format!("workers = {workers}\n"));
        let calls = setup.calls.map_or_else(String::new, |calls| format!("max_calls = {calls}\n"));
        let behind = setup.behind.or(if setup.refuses { None } else { Some("30s") });
        let limits = behind.map_or_else(String::new, |behind| format!("[limits]\nbehind = \"{behind}\"\n"));
        let config = format!(
            "{workers}[http]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n{}\
             [sip]\ndomain = \"example.com\"\nlisten = [\"udp:127.0.0.1:0\"]\n\
             proxy = \"sip:{};transport=udp\"\n[calls]\nsession_expires = \"24h\"\n{calls}{limits}",
            identity.config(),
            phones.address(),
        );
        let program = find("cordboard").map_err(io::Error::other)?;
        let server = Box::new(Cordboard::run(&program, &config, &[(AGENT, PIN, &[])]));
        let trust = Arc::new(trust(&authority)?);
        Ok(Self { phones, server: Server::Cordboard { server, trust }, next: FIRST })
    }

    /// The process id of what is measured.
    pub fn process(&self) -> u32 {
        match &self.server {
            Server::Floor { process, .. } => process.id(),
            Server::Cordboard { server, .. } => server.process.id(),
        }
    }

    /// As trusted hosts ask it; the floor takes anybody.
    pub fn trusted(&self) -> Access {
        match &self.server {
            Server::Floor { .. } => Access::Plain,
            Server::Cordboard { trust, .. } => Access::Trusted(trust.clone()),
        }
    }

    fn address(&self, access: &Access) -> io::Result<SocketAddr> {
        match (&self.server, access) {
            (Server::Floor { http, .. }, _) => Ok(*http),
            (Server::Cordboard { server, .. }, Access::Trusted(_)) => {
                server.https.parse().map_err(io::Error::other)
            }
            (Server::Cordboard { server, .. }, _) => server.http.parse().map_err(io::Error::other),
        }
    }

    fn lost(&self) -> u64 {
        match &self.server {
            Server::Floor { sip, .. } => lost_at(*sip),
            Server::Cordboard { server, .. } => server.udp_ports().into_iter().map(lost_at).sum(),
        }
    }

    /// Ends the server at once. For one whose calls still stand: asked to end, it would wait for them.
    pub fn abandon(self) {
        match &self.server {
            Server::Floor { process, .. } => process.signal(Signal::SIGKILL),
            Server::Cordboard { server, .. } => server.process.signal(Signal::SIGKILL),
        }
    }

    /// Makes these calls and measures what they cost.
    pub fn measure(&mut self, access: &Access, job: Job) -> io::Result<Measured> {
        let to = self.address(access)?;
        let mut orders = Orders::open(to, access, job.method, job.width)?;
        self.phones.set_hold(job.hold);
        let process = self.process();
        let (processor, bytes, lost) = (Processor::of(process), memory(process), self.lost());
        let outcome = drive(&mut self.phones, &mut orders, self.next, job.pace, job.done)?;
        let spent = Processor::of(process).since(&processor);
        self.next += outcome.ordered;
        let grown = memory(process).saturating_sub(bytes);
        Ok(Measured { outcome, spent, grown, lost: self.lost() - lost })
    }
}

/// How a client trusts whom this authority has signed.
fn trust(authority: &Authority) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority.file()).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let versions = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
