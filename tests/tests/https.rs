//! HTTPS as the internet checks it: real curl, real openssl and testssl.sh against the real listener.

#[path = "https/handshakes.rs"]
mod handshakes;
#[path = "https/misbehaviour.rs"]
mod misbehaviour;
#[path = "https/scan.rs"]
mod scan;

use std::process::Command;

use cordboard_tests::certificates::Authority;
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::process::{Ended, run};

/// A path that is answered with 200.
const PATH: &str = "/callcontroller/user1/user2";

/// A server with a certificate of an authority.
struct Site {
    server: Cordboard,
    authority: Authority,
}

impl Site {
    /// Starts it with these further lines in its configuration.
    fn start(more: &str) -> Self {
        let authority = Authority::new("Test Authority");
        let identity = authority.issue(&["cordboard.test", "127.0.0.1"]);
        let config = format!(
            "[http]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\n{}\
             [sip]\ndomain = \"example.com\"\nlisten = [\"udp:127.0.0.1:0\"]\n{more}\n",
            identity.config()
        );
        Self { server: Cordboard::configured(&config, &[("user1", "1", &[])]), authority }
    }

    /// Panics unless a client that checks the certificate is served.
    #[track_caller]
    fn assert_serves(&self) {
        let answer = self.curl(&["--write-out", "%{http_code}", "--output", "/dev/null"]);
        assert_eq!((answer.exit, answer.said.as_str()), (Some(0), "200"));
    }

    /// Runs curl, which trusts the authority and nobody else, on [`PATH`].
    fn curl(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]);
        command.arg(self.authority.file()).args(arguments);
        command.arg(format!("https://{}{PATH}", self.server.https));
        run(&mut command, "")
    }

    /// Runs `openssl s_client`, which checks the certificate, with this input.
    fn openssl(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &self.server.https, "-verify_return_error", "-CAfile"]);
        command.arg(self.authority.file()).args(arguments);
        run(&mut command, input)
    }
}
