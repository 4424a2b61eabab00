//! baresip, a real phone, with sound that needs no device.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::certificates::Identity;
use crate::kamailio::{DOMAIN, Kamailio, PASSWORD};
use crate::phone::Phone;
use crate::process::Process;
use crate::{ports, wait_for};

/// Whether the phone picks up by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Auto,
    /// [`Baresip::command`] has to say `accept` or `hangup`.
    Manual,
}

/// How the phone and its proxy speak to each other.
#[derive(Clone, Copy, Debug)]
pub enum Way<'a> {
    /// By datagrams.
    Udp,
    /// By TCP.
    Tcp,
    /// By TLS.
    Tls {
        /// What the phone shows to a proxy that connects to it.
        own: &'a Identity,
        /// The file of the authorities that it trusts.
        trusted: &'a Path,
    },
}

/// A running phone that is registered.
#[derive(Debug)]
pub struct Baresip {
    folder: TempDir,
    process: Process,
    control: u16,
}

impl Baresip {
    /// Starts the phone of this user and waits for its registration.
    pub fn start(proxy: &Kamailio, user: &str, answer: Answer) -> Self {
        Self::start_by(Way::Udp, proxy, user, answer)
    }

    /// The same, but the phone is registered this way.
    pub fn start_by(way: Way<'_>, proxy: &Kamailio, user: &str, answer: Answer) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (sip, control, media) = (ports::free(), ports::free(), ports::free());
        let mode = if answer == Answer::Auto { "auto" } else { "manual" };
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).expect("a file can be written");
        };
        let (transport, port, certificates) = match way {
            Way::Udp => ("udp", proxy.port, String::new()),
            Way::Tcp => ("tcp", proxy.port, String::new()),
            Way::Tls { own, trusted } => {
                let files =
                    format!("sip_certificate {}\nsip_cafile {}\n", own.both.display(), trusted.display());
                ("tls", proxy.tls_port(), files)
            }
        };
        write("config", config(sip, control, media) + &certificates);
        write("contacts", String::new());
        write(
            "accounts",
            format!(
                "<sip:{user}@{DOMAIN}>;auth_user={user};auth_pass={PASSWORD};answermode={mode};regint=600;\
                 outbound=\"sip:127.0.0.1:{port};transport={transport}\"\n"
            ),
        );
        let mut command = Command::new("baresip");
        command.args(["-s", "-f", "."]).current_dir(folder.path());
        let mut process = Process::start("baresip", &mut command, folder.path());
        process.wait_said("its registration", |said| said.contains(" binding").then_some(()));
        Self { folder, process, control }
    }

    /// Lets the phone do something and returns what it says.
    pub fn command(&self, command: &str) -> String {
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.control)).expect("the phone can be controlled");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket takes a time limit");
        let request = format!("{{\"command\":\"{command}\",\"token\":\"t\"}}");
        stream.write_all(format!("{}:{request},", request.len()).as_bytes()).expect("the phone reads");
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        // Events come in between; the answer to the command is the frame with our token.
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            said.extend_from_slice(&buffer[..length]);
            let text = String::from_utf8_lossy(&said);
            if text.contains("\"response\":true") && text.ends_with(',') {
                break;
            }
        }
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Waits until the phone is in a call with `peer`, whose URI it shows.
    pub fn wait_in_call_with(&self, peer: &str) {
        wait_for(&format!("a call with {peer}"), || {
            let calls = self.command("listcalls");
            (calls.contains("ESTABLISHED") && calls.contains(peer)).then_some(())
        });
    }

    /// Waits until the phone rings.
    pub fn wait_ringing(&self) {
        wait_for("the phone's ringing", || self.command("listcalls").contains("INCOMING").then_some(()));
    }

    /// Waits until the phone is in no call.
    pub fn wait_idle(&self) {
        wait_for("the end of all calls", || {
            self.command("listcalls").contains("Active calls (0)").then_some(())
        });
    }

    /// What the phone has written so far.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

/// How many packets of audio have to flow each way until the phone is taken to talk: those of half a second.
const ENOUGH: u64 = 25;

/// The phone's audio, by its own counters.
#[derive(Debug)]
struct Audio {
    /// Whether it goes both ways.
    both_ways: bool,
    /// Where it goes to.
    remote: u16,
    /// How many packets the phone has sent.
    sent: u64,
    /// From which ports it has received how many.
    received: Vec<(u16, u64)>,
}

impl Audio {
    /// Reads what the phone says to `audio_debug`.
    fn read(said: &str) -> Option<Self> {
        let port = |address: &str| {
            let (host, rest) = address.split_once(':')?;
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            (host == "127.0.0.1").then(|| digits.parse().ok()).flatten()
        };
        let number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
        let received = said
            .split(" IP=")
            .skip(1)
            .filter_map(|member| Some((port(member)?, number(member.split(" rcvd=").nth(1)?)?)));
        Some(Self {
            both_ways: said.contains("audio dir=sendrecv"),
            remote: port(said.split(", remote: ").nth(1)?)?,
            sent: number(said.split("TX: packets=").nth(1)?)?,
            received: received.collect(),
        })
    }
}

impl Baresip {
    fn audio(&self) -> Option<Audio> {
        Audio::read(&self.command("audio_debug"))
    }

    /// The ports that audio has come from in the call that it is in.
    pub fn heard_from(&self) -> Vec<u16> {
        let audio = self.audio().expect("the phone is in a call");
        audio.received.into_iter().map(|(port, _)| port).collect()
    }
}

impl Phone for Baresip {
    fn log(&self) -> String {
        self.said()
    }

    fn wait_talking_to(&self, port: u16) {
        let turned = wait_for(&format!("audio to {port}"), || {
            self.audio().filter(|audio| audio.both_ways && audio.remote == port)
        });
        wait_for(&format!("packets to and from {port}"), || {
            let audio = self.audio()?;
            let received =
                audio.received.iter().find(|(from, _)| *from == port).map_or(0, |(_, count)| *count);
            (audio.remote == port && audio.sent >= turned.sent + ENOUGH && received >= ENOUGH).then_some(())
        });
    }

    fn wait_hung_up(&self) {
        self.wait_idle();
    }

    fn hang_up(&mut self) {
        self.command("hangup");
    }
}

fn config(sip: u16, control: u16, media: u16) -> String {
    let modules = [
        "/usr/lib/baresip/modules",
        "/usr/local/lib/baresip/modules",
        "/usr/lib/x86_64-linux-gnu/baresip/modules",
        "/usr/lib/aarch64-linux-gnu/baresip/modules",
    ];
    let modules =
        modules.into_iter().find(|path| std::path::Path::new(path).is_dir()).expect("baresip has modules");
    let last = media + 20;
    format!(
        "poll_method epoll\nsip_listen 127.0.0.1:{sip}\ncall_local_timeout 600\ncall_max_calls 8\n\
         audio_player aubridge,sink\naudio_source ausine,400\naudio_alert aubridge,alert\n\
         ausrc_srate 48000\nauplay_srate 8000\nausrc_channels 2\nauplay_channels 1\n\
         rtp_ports {media}-{last}\nrtp_stats yes\nnet_interface 127.0.0.1\nmodule_path {modules}\n\
         module g711.so\nmodule ausine.so\nmodule aubridge.so\nmodule_tmp uuid.so\nmodule_tmp account.so\n\
         module_app contact.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{control}\n\
         ringback_disabled yes\nmenu_bell no\nstatmode_default off\n"
    )
}
