//! The real server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::curl::{Reply, curl};
use crate::process::Process;
use crate::wait_for;

/// The variable that names the program whose server is tested, `cordboard` or `cordboard-lite`: whatever passes with one
/// has to pass with the other.
pub const RUNTIME: &str = "CORDBOARD_TEST_RUNTIME";

/// The user whose PIN [`Login`](crate::login::Login) shows.
pub const AGENT: &str = "agent";

/// The production program, where the workspace's build puts it.
pub fn program() -> PathBuf {
    built("cordboard")
}

/// The program whose server is tested.
pub fn server_program() -> PathBuf {
    built(&std::env::var(RUNTIME).unwrap_or_else(|_| "cordboard".to_owned()))
}

/// The program of this runtime.
pub fn program_of(runtime: &str) -> PathBuf {
    built(runtime)
}

fn built(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|why| panic!("{why}"))
}

/// This program of the workspace, where its build puts it: beside the one that asks, or above its tests.
pub fn find(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| format!("nobody knows where this program lies: {e}"))?;
    let folder = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    let built = folder.unwrap_or(&own).join(name);
    if built.exists() {
        return Ok(built);
    }
    let release = if cfg!(debug_assertions) { "" } else { " --release" };
    Err(format!("{} is not built: `cargo build{release} -p {name}` makes it", built.display()))
}

/// A running server in a folder of its own.
#[derive(Debug)]
pub struct Cordboard {
    /// Its folder, with its files.
    pub folder: TempDir,
    /// Its process.
    pub process: Process,
    /// `127.0.0.1:PORT` of HTTPS.
    pub https: String,
    /// `127.0.0.1:PORT` of HTTP.
    pub http: String,
    /// `127.0.0.1:PORT` of SIP.
    pub sip: String,
}

/// A user to be added: name, PIN and SIP password, and further arguments of `user add`.
pub type NewUser<'a> = (&'a str, &'a str, &'a [&'a str]);

impl Cordboard {
    /// Starts a server with these lines in its tables, and these users; the SIP password of all is 123.
    ///
    /// `sip` and `more` are put behind the domain and at the end of the configuration.
    pub fn start(domain: &str, sip: &str, more: &str, users: &[NewUser<'_>]) -> Self {
        let config = format!(
            "[http]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n\
             [sip]\ndomain = \"{domain}\"\nlisten = [\"udp:127.0.0.1:0\"]\n{sip}\n{more}\n"
        );
        Self::configured(&config, users)
    }

    /// Starts a server with this configuration, which must have one listener of each kind.
    pub fn configured(config: &str, users: &[NewUser<'_>]) -> Self {
        Self::run(&server_program(), config, users)
    }

    /// The same with a program of the test's choice.
    pub fn run(program: &Path, config: &str, users: &[NewUser<'_>]) -> Self {
        Self::launch(Command::new(program), config, users)
    }

    /// The same with an environment of the test's choice.
    pub fn launch(mut command: Command, config: &str, users: &[NewUser<'_>]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::write(folder.path().join("cordboard.toml"), config).expect("a file can be written");
        for (name, pin, more) in users {
            add_user(folder.path(), name, pin, more);
        }
        command.arg("serve").current_dir(folder.path()).env("NO_COLOR", "1");
        let mut process = Process::start("cordboard", &mut command, folder.path());
        let [https, http, sip] = ["https", "http", "udp"].map(|kind| listening(&mut process, kind));
        Self { folder, process, https, http, sip }
    }

    /// `ADDRESS:PORT` where it listens for this: `https`, `http`, `udp`, `tcp` or `tls`.
    pub fn listening(&mut self, kind: &str) -> String {
        listening(&mut self.process, kind)
    }

    /// The same, at this host, where it listens at several.
    pub fn listening_at(&mut self, kind: &str, host: &str) -> String {
        let begin = format!("listening {kind}={host}:");
        self.process.wait_said(&begin, |said| {
            let line = said.lines().find(|line| line.contains(&begin))?;
            line.rsplit('=').next().map(str::to_owned)
        })
    }

    /// Adds a user to the file of the running server.
    pub fn add_user(&self, name: &str, pin: &str, more: &[&str]) {
        add_user(self.folder.path(), name, pin, more);
    }

    /// A request by a trusted host over HTTPS; `path` starts with a slash.
    pub fn trusted(&self, method: &str, path: &str) -> Reply {
        let head: &[&str] = if method == "HEAD" { &["--head"] } else { &["-X", method] };
        let url = format!("https://{}{path}", self.https);
        curl(&[head, &[url.as_str()]].concat())
    }

    /// The call between two users as JSON; `null` if there is none.
    pub fn call(&self, path: &str) -> serde_json::Value {
        let url = format!("https://{}{path}", self.https);
        let reply = curl(&["-H", "Accept: application/json", &url]);
        serde_json::from_str(&reply.body).unwrap_or_else(|e| panic!("{e}: {}", reply.body))
    }

    /// Waits until the call between two users is over, and returns it.
    pub fn ended(&self, path: &str) -> serde_json::Value {
        wait_for(&format!("the end of {path}"), || {
            let call = self.call(path);
            (!call["times"]["ended"].is_null()).then_some(call)
        })
    }

    /// The UDP ports that its workers listen for SIP on, as it says, in order.
    pub fn sip_ports(&self) -> Vec<u16> {
        let said = self.process.said();
        let addresses =
            said.lines().filter_map(|line| line.split_once("listening udp=")?.1.split(' ').next());
        let ports = addresses.filter_map(|address| address.rsplit(':').next()?.parse().ok());
        let mut ports: Vec<u16> = ports.collect();
        ports.sort_unstable();
        ports
    }

    /// The UDP ports that it has bound, as the kernel tells.
    pub fn udp_ports(&self) -> Vec<u16> {
        let process = format!("/proc/{}", self.process.id());
        let files = std::fs::read_dir(format!("{process}/fd")).expect("the server runs");
        let sockets: Vec<String> = files
            .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()?.to_str().map(str::to_owned))
            .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        let tables = ["udp", "udp6"].map(|table| {
            std::fs::read_to_string(format!("{process}/net/{table}")).expect("the kernel tells its sockets")
        });
        let bound = |line: &str| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (_, port) = columns.get(1)?.rsplit_once(':')?;
            let own = sockets.iter().any(|socket| Some(&socket.as_str()) == columns.get(9));
            own.then(|| u16::from_str_radix(port, 16).ok()).flatten()
        };
        tables.iter().flat_map(|table| table.lines()).filter_map(bound).collect()
    }

    /// The texts of a call's events.
    pub fn texts(call: &serde_json::Value) -> Vec<String> {
        let events = call["events"].as_array().expect("a call has events");
        events.iter().map(|event| event["text"].as_str().expect("an event has a text").to_owned()).collect()
    }
}

fn listening(process: &mut Process, kind: &str) -> String {
    process.wait_said(&format!("listening on {kind}"), |said| {
        let line = said.lines().find(|line| line.contains(&format!("listening {kind}=")))?;
        line.rsplit('=').next().map(str::to_owned)
    })
}

fn add_user(folder: &Path, name: &str, pin: &str, more: &[&str]) {
    use std::io::Write;
    let mut child = Command::new(program())
        .args(["user", "add", name, "--stdin"])
        .args(more)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("cordboard can be started");
    let mut stdin = child.stdin.take().expect("it has an input");
    stdin.write_all(format!("{pin}\n123\n").as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it ends").success(), "user {name} was not added");
}
