//! `cordboard serve` as a system sees it: the real binary, its signals, files, sockets and limits.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use signal_hook::consts::{SIGHUP, SIGTERM};
use tempfile::TempDir;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
const PROGRAM: &str = env!("CARGO_BIN_EXE_cordboard");
const CONFIG: &str = "[http]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n\
    [sip]\ndomain = \"example.com\"\nlisten = [\"udp:127.0.0.1:0\"]\nproxy = \"sip:127.0.0.1\"\n";

/// A folder with files to serve from.
struct Folder(TempDir);

impl Folder {
    fn new(config: &str) -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.write("cordboard.toml", config);
        folder.write("users.toml", "");
        folder
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.0.path()).env_remove("RUST_LOG").env("NO_COLOR", "1");
        command
    }

    fn add_user(&self, name: &str) {
        let mut adding = self.command(PROGRAM, &["user", "add", name, "--stdin"]);
        let mut child = adding.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"123\n123\n").unwrap();
        assert!(child.wait().unwrap().success());
    }

    fn serve(self) -> Server {
        let command = self.command(PROGRAM, &["serve"]);
        Server::start(self, command)
    }
}

/// A running server; ended when it is dropped.
struct Server {
    folder: Folder,
    child: Child,
    lines: Receiver<String>,
    https: SocketAddr,
    http: SocketAddr,
    /// The first address of SIP.
    sip: SocketAddr,
    /// What it said before it listened.
    first: Vec<String>,
}

impl Server {
    fn start(folder: Folder, mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let said = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server =
            Self { folder, child, lines, https: nowhere, http: nowhere, sip: nowhere, first: Vec::new() };
        let (first, line) = server.until("listening https=");
        (server.first, server.https) = (first, address(&line));
        server.http = address(&server.said("listening http="));
        server.sip = address(&server.said("listening "));
        server
    }

    /// The first line from now on that holds this text.
    fn said(&self, text: &str) -> String {
        self.until(text).1
    }

    /// The same, and the lines before it.
    fn until(&self, text: &str) -> (Vec<String>, String) {
        let mut before = Vec::new();
        loop {
            let line = self.lines.recv_timeout(LONG);
            let line = line.unwrap_or_else(|e| panic!("{e} for \"{text}\" behind {before:#?}"));
            if line.contains(text) {
                return (before, line);
            }
            before.push(line);
        }
    }

    fn signal(&self, signal: i32) {
        let kill = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
    }

    /// Ends it as systemd does; its exit code.
    fn end(&mut self) -> Option<i32> {
        self.signal(SIGTERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The address at the end of a line.
fn address(line: &str) -> SocketAddr {
    line.rsplit('=').next().unwrap().parse().unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// What a server answers to this, until it closes.
fn ask(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const REQUEST: &str = "GET /calls HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A new certificate for localhost and its key, written as the files of a folder.
fn write_certificate(folder: &Folder) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    folder.write("key.pem", &made.signing_key.serialize_pem());
    folder.write("cert.pem", &made.cert.pem());
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

/// What a client that trusts only this certificate gets.
fn ask_securely(address: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls =
        rustls::StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), connect(address));
    tls.write_all(REQUEST.as_bytes())?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn systemd_is_told_when_it_is_ready_alive_and_stopping() {
    let folder = Folder::new(CONFIG);
    let systemd = UnixDatagram::bind(folder.path("notify")).unwrap();
    systemd.set_read_timeout(Some(LONG)).unwrap();
    let told = || {
        let mut buffer = [0; 256];
        let length = systemd.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let mut command = folder.command(PROGRAM, &["serve"]);
    command.env("NOTIFY_SOCKET", folder.path("notify")).env("WATCHDOG_USEC", "200000");
    let mut server = Server::start(folder, command);
    assert_eq!(told().trim(), "READY=1");
    for _ in 0..3 {
        assert_eq!(told().trim(), "WATCHDOG=1");
    }
    assert_eq!(server.end(), Some(0));
    let last = std::iter::repeat_with(told).find(|state| state.trim() != "WATCHDOG=1").unwrap();
    assert_eq!(last.trim(), "STOPPING=1");
}

#[test]
fn a_taken_port_is_told_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = Folder::new(&CONFIG.replace("http = [\"127.0.0.1:0\"]", &format!("http = [\"{address}\"]")));
    let ended = folder.command(PROGRAM, &["serve"]).env("RUST_LOG", "error").output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.starts_with(&format!("cordboard: cannot listen on {address}: ")), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_taken_port_of_a_further_worker_is_told_with_what_helps() {
    // The port before a taken one, if it is free.
    let (_taken, before) = std::iter::repeat_with(|| UdpSocket::bind("127.0.0.1:0").unwrap())
        .find_map(|taken| {
            let port = taken.local_addr().unwrap().port() - 1;
            UdpSocket::bind(("127.0.0.1", port)).is_ok().then_some((taken, port))
        })
        .unwrap();
    let config = CONFIG.replace("udp:127.0.0.1:0", &format!("udp:127.0.0.1:{before}"));
    let folder = Folder::new(&format!("workers = 2\n{config}"));
    let ended = folder.command(PROGRAM, &["serve"]).env("RUST_LOG", "error").output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.starts_with(&format!("cordboard: cannot listen on 127.0.0.1:{}: ", before + 1)), "{said}");
    let help = ": it is the port of worker 1 of 2; choose another port in sip.listen, or set `workers`\n";
    assert!(said.ends_with(help), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn the_users_file_is_read_again_when_it_changes_and_when_told_to() {
    let server = Folder::new(CONFIG).serve();
    server.folder.add_user("user1");
    server.said("users were read again users=1");
    let good = fs::read_to_string(server.folder.path("users.toml")).unwrap();
    server.folder.write("users.toml", "[[user]]\nname = \n");
    let line = server.said("the users stay as they were: ");
    assert!(line.contains("users.toml"), "{line}");
    server.folder.write("another.toml", &good);
    fs::rename(server.folder.path("another.toml"), server.folder.path("users.toml")).unwrap();
    server.said("users were read again users=1");
    server.signal(SIGHUP);
    server.said("users were read again users=1");
}

#[test]
fn a_certificate_is_read_again_when_told_to_and_a_broken_one_is_not_taken() {
    let folder =
        Folder::new(&CONFIG.replace("[sip]", "certificate = \"cert.pem\"\nkey = \"key.pem\"\n[sip]"));
    let old = write_certificate(&folder);
    let server = folder.serve();
    assert!(ask_securely(server.https, &old).unwrap().starts_with("HTTP/1.1 200 "));
    server.folder.write("cert.pem", "nothing");
    server.signal(SIGHUP);
    server.said("the certificate stays as it was: cert.pem has no certificate in PEM form");
    assert!(ask_securely(server.https, &old).is_ok());
    let new = write_certificate(&server.folder);
    server.signal(SIGHUP);
    server.said("the certificate was read again");
    assert!(ask_securely(server.https, &new).unwrap().starts_with("HTTP/1.1 200 "));
    assert!(ask_securely(server.https, &old).is_err());
}

#[test]
fn the_fingerprint_of_a_certificate_made_at_start_is_logged() {
    let server = Folder::new(CONFIG).serve();
    let line = server.first.iter().find(|line| line.contains("self-signed certificate")).unwrap();
    let fingerprint = line.split("sha256=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(fingerprint.split(':').filter(|pair| pair.len() == 2).count(), 32, "{line}");
}

#[test]
fn plain_http_on_the_https_port_gets_an_answer_that_says_so() {
    let server = Folder::new(CONFIG).serve();
    let answer = ask(connect(server.https), REQUEST);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("plain HTTP, but this port speaks HTTPS"), "{answer}");
}

#[test]
fn sip_is_listened_for_by_connections_alone_and_over_ipv6() {
    let sip =
        "listen = [\"tls:[::1]:0\", \"tcp:127.0.0.1:0\"]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"";
    let config = CONFIG.replace("listen = [\"udp:127.0.0.1:0\"]", sip).replace("sip:127.0.0.1", "sips:[::1]");
    let folder = Folder::new(&config);
    write_certificate(&folder);
    let mut server = folder.serve();
    assert!(server.sip.is_ipv6() && server.sip.port() != 0, "{}", server.sip);
    let tcp = address(&server.said("listening tcp="));
    for to in [server.sip, tcp] {
        connect(to);
    }
    assert_eq!(server.end(), Some(0));
}

#[test]
fn the_files_of_sip_over_tls_are_read_again_when_told_to_and_broken_ones_are_not_taken() {
    let sip = "[sip]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nca = \"cert.pem\"";
    let folder = Folder::new(&CONFIG.replace("[sip]", sip));
    write_certificate(&folder);
    let server = folder.serve();
    server.signal(SIGHUP);
    server.said("TLS for SIP was read again");
    server.folder.write("key.pem", "");
    server.signal(SIGHUP);
    server.said("TLS for SIP stays as it was: key.pem cannot be read: ");
    write_certificate(&server.folder);
    server.signal(SIGHUP);
    server.said("TLS for SIP was read again");
}

/// A figure of a process from the system's table of it, in KiB.
fn resident(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The time that a process has computed, in hundredths of a second.
fn computed(server: &Server) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
    let (_, figures) = stat.rsplit_once(") ").unwrap();
    let figures: Vec<&str> = figures.split(' ').collect();
    figures[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn thousands_of_connections_at_rest_cost_little_memory_and_no_time() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    // Other tests of this process want some too.
    let count = usize::try_from(most).unwrap().saturating_sub(500).min(10_000);
    let folder = Folder::new(&format!("{CONFIG}[limits]\nconnections = 20000\n"));
    let systemd = UnixDatagram::bind(folder.path("notify")).unwrap();
    systemd.set_read_timeout(Some(LONG)).unwrap();
    let mut command = folder.command(PROGRAM, &["serve"]);
    command.env("NOTIFY_SOCKET", folder.path("notify")).env("WATCHDOG_USEC", "200000");
    let server = Server::start(folder, command);
    let before = resident(&server);
    // Its signals are taken meanwhile: it waits for whoever does not.
    let joins = |_| {
        while systemd_is_behind(&systemd) {}
        connect(server.http)
    };
    let crowd: Vec<TcpStream> = (0..count).map(joins).collect();
    // Whoever comes last is accepted last.
    assert!(ask(connect(server.http), REQUEST).starts_with("HTTP/1.1 401 "));
    let each = (resident(&server) - before) * 1024 / count;
    assert!(each < 4096, "a connection at rest takes {each} bytes");
    // The watchdog is a clock: each of its signals is a tenth of a second.
    while systemd.recv(&mut [0; 256]).unwrap() > 0 && systemd_is_behind(&systemd) {}
    let (begin, start) = (computed(&server), std::time::Instant::now());
    for _ in 0..10 {
        systemd.recv(&mut [0; 256]).unwrap();
    }
    let (spent, passed) = (computed(&server) - begin, start.elapsed());
    assert!(spent <= 5, "{spent} hundredths of a second were computed in {passed:?}");
    drop(crowd);
}

/// Whether signals of before are still to be read.
fn systemd_is_behind(systemd: &UnixDatagram) -> bool {
    systemd.set_nonblocking(true).unwrap();
    let more = systemd.recv(&mut [0; 256]).is_ok();
    systemd.set_nonblocking(false).unwrap();
    more
}

#[test]
fn running_out_of_file_descriptors_only_makes_connections_wait() {
    let folder = Folder::new(CONFIG);
    let command = folder.command("sh", &["-c", "ulimit -n 40; exec \"$0\" serve", PROGRAM]);
    let server = Server::start(folder, command);
    let mut crowd: Vec<TcpStream> = (0..60).map(|_| connect(server.http)).collect();
    server.said("accepting connections pauses");
    let last = crowd.pop().unwrap();
    drop(crowd);
    assert!(ask(last, REQUEST).starts_with("HTTP/1.1 401 "));
    assert!(ask(connect(server.http), REQUEST).starts_with("HTTP/1.1 401 "));
}
