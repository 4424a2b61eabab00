//! linphonec, a real phone that is ruled by its console.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use crate::kamailio::{DOMAIN, Kamailio, PASSWORD};
use crate::phone::Phone;
use crate::process::Process;
use crate::{ports, wait_for};

/// A running phone that is registered and picks up by itself.
#[derive(Debug)]
pub struct Linphone {
    folder: TempDir,
    process: Process,
    console: std::fs::File,
}

impl Linphone {
    /// Starts the phone of this user and waits for its registration.
    pub fn start(proxy: &Kamailio, user: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().to_owned();
        let sip = ports::free();
        std::fs::write(path.join("linphonerc"), config(proxy.port, user, sip))
            .expect("a file can be written");
        std::fs::create_dir_all(path.join(".local/share/linphone")).expect("a folder can be made");
        std::fs::write(path.join("tone.wav"), tone()).expect("a file can be written");
        let fifo = path.join("console");
        mkfifo(&fifo, Mode::S_IRWXU).expect("a fifo can be made");
        // Open for reading and writing, so that neither side waits for the other and the phone never reads its end.
        let console = OpenOptions::new().read(true).write(true).open(&fifo).expect("the fifo can be opened");
        let script = "exec linphonec -c linphonerc -d 6 -l debug -a <> console";
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(&path).env("HOME", &path).env("TMPDIR", &path);
        let mut process = Process::start("linphone", &mut command, &path);
        let mut phone_console = console.try_clone().expect("a file handle can be copied");
        process.wait_said("its console", |said| (!said.is_empty()).then_some(()));
        // Its SIP port opens only when it is told so while it runs.
        phone_console
            .write_all(format!("soundcard use files\nplay tone.wav\nports sip {sip}\n").as_bytes())
            .expect("the phone reads");
        process.wait_said("its registration", |said| {
            let debug = std::fs::read(path.join("debug")).unwrap_or_default();
            let debug = String::from_utf8_lossy(&debug);
            (said.contains("successful") || debug.contains("LinphoneRegistrationOk")).then_some(())
        });
        Self { folder, process, console }
    }

    /// Types a line on its console.
    pub fn command(&mut self, line: &str) {
        self.console.write_all(format!("{line}\n").as_bytes()).expect("the phone reads");
    }

    /// Waits until its debug log says this.
    pub fn wait_logged(&mut self, what: &str) {
        let debug = self.folder.path().join("debug");
        self.process.wait_said(what, |_| {
            let log = std::fs::read(&debug).unwrap_or_default();
            String::from_utf8_lossy(&log).contains(what).then_some(())
        });
    }
}

impl Phone for Linphone {
    fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("debug")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn wait_talking_to(&self, port: u16) {
        wait_for(&format!("audio to and from {port}"), || {
            let log = self.log();
            // Of every second the phone tells how much went which way, once it has told where to.
            let since = log.rfind("sending to rtp [")?;
            let to = format!("]:{port} rtcp");
            let since = log[since..].split_once(&to).filter(|(before, _)| !before.contains('\n'))?.1;
            since.lines().any(flows_both_ways).then_some(())
        });
    }

    fn wait_hung_up(&self) {
        wait_for("the end of all calls", || {
            let log = self.log();
            let count = |state: &str| log.matches(&format!("LinphoneCallIdle to {state}")).count();
            let begun = count("LinphoneCallIncomingReceived") + count("LinphoneCallOutgoingInit");
            let over = log.matches("LinphoneCallEnd to LinphoneCallReleased").count();
            (begun > 0 && begun == over).then_some(())
        });
    }

    fn hang_up(&mut self) {
        self.command("terminate all");
    }
}

/// Whether a line tells that audio came and went: `RTP : [d=75.12,u=74.90]`, in kbit/s.
fn flows_both_ways(line: &str) -> bool {
    let rates = || {
        let (down, rest) = line.split_once("(audio)")?.1.split_once("RTP : [d=")?.1.split_once(",u=")?;
        let up = rest.split_once(']')?.0;
        Some((down.parse::<f64>().ok()?, up.parse::<f64>().ok()?))
    };
    rates().is_some_and(|(down, up)| down > 20.0 && up > 20.0)
}

/// Ten seconds of a tone as a WAV file: 8000 samples a second, 16 bits, one channel.
fn tone() -> Vec<u8> {
    let samples = (0..80_000u32).flat_map(|n| if n / 10 % 2 == 0 { 4000i16 } else { -4000 }.to_le_bytes());
    let samples: Vec<u8> = samples.collect();
    let length = samples.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((length + 36).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(8000u32.to_le_bytes());
    file.extend(16_000u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(length.to_le_bytes());
    file.extend(samples);
    file
}

fn config(proxy: u16, user: &str, sip: u16) -> String {
    let media = ports::free();
    format!(
        "[sip]\nsip_port={sip}\nsip_tcp_port=-2\nsip_tls_port=-2\nbind_address=127.0.0.1\nguess_hostname=0\n\
         contact=sip:{user}@127.0.0.1\ninc_timeout=600\nregister_only_when_network_is_up=0\ndefault_proxy=0\n\
         zrtp_cache_migration_done=1\nlime_migration_done=1\nuse_ipv6=0\n\
         [net]\nmtu=1300\n[rtp]\naudio_rtp_port={media}\n[video]\nenabled=0\ncapture=0\ndisplay=0\n\
         [sound]\nechocancellation=0\nplayback_dev_id=\n\
         [misc]\nuuid=00000000-0000-4000-8000-{sip:012}\nconfig-uri=\nversion_check_url_root=\n\
         [auth_info_0]\nusername={user}\npasswd={PASSWORD}\nrealm={DOMAIN}\ndomain={DOMAIN}\n\
         [proxy_0]\nreg_proxy=<sip:127.0.0.1:{proxy};transport=udp>\nreg_route=<sip:127.0.0.1:{proxy};transport=udp;lr>\n\
         reg_identity=sip:{user}@{DOMAIN}\nreg_expires=600\nreg_sendregister=1\npublish=0\n"
    )
}
