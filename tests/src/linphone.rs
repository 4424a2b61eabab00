//! linphonec, a real phone that is ruled by its console.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use crate::kamailio::{DOMAIN, Kamailio, PASSWORD};
use crate::ports;
use crate::process::Process;

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
            .write_all(format!("soundcard use files\nports sip {sip}\n").as_bytes())
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

fn config(proxy: u16, user: &str, sip: u16) -> String {
    let media = ports::free_pair();
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
