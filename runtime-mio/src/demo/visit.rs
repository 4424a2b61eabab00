//! The program that uses the controller: it places a call by REFER, then one that stays in the path, transfers that and
//! hangs it up, and says what can be tried.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls_pki_types::CertificateDer;

use super::client::{Answer, Client};
use super::{PIN, say};

/// How long any step of the demo may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the progress of a call is asked for.
const PAUSE: Duration = Duration::from_millis(50);

const CALL: &str = "/callcontroller/user1/user2";
const TRANSFERRED: &str = "/callcontroller/user3/user2";

/// Where the controller listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) https: SocketAddr,
    pub(super) http: SocketAddr,
}

/// Shows both kinds of calls; ends the demo if one fails.
pub(super) fn visit(addresses: Addresses, certificate: &CertificateDer<'static>) {
    if let Err(wrong) = show(addresses, certificate) {
        eprintln!("cordboard: the demo's call failed: {wrong}");
        std::process::exit(1);
    }
}

fn show(addresses: Addresses, certificate: &CertificateDer<'static>) -> Result<(), String> {
    let client = Client::connect(addresses.https, certificate)?;
    let mut visitor = Visitor { client, https: addresses.https };
    say("1. user1's phone is rung and handed over to user2 by REFER.");
    visitor.ask("POST", CALL, 200)?;
    visitor.wait(CALL, "ended")?;
    visitor.progress(CALL)?;
    say("\n2. Another call between them, which Cordboard stays in (RFC 3725 flow IV).");
    visitor.ask("POST", &format!("{CALL}?sipMethod=INVITE"), 200)?;
    visitor.wait(CALL, "connected")?;
    visitor.progress(CALL)?;
    say("\n3. user3 takes user1's place in it.");
    visitor.ask("POST", &format!("{CALL}?action=transfer&target=user3"), 200)?;
    visitor.wait(&format!("{TRANSFERRED}?agent=user1"), "connected")?;
    visitor.progress(&format!("{TRANSFERRED}?agent=user1"))?;
    say("\n4. Both are hung up.");
    visitor.ask("DELETE", &format!("{TRANSFERRED}?agent=user1"), 204)?;
    visitor.wait(&format!("{TRANSFERRED}?agent=user1"), "ended")?;
    print_what_to_try(addresses);
    Ok(())
}

struct Visitor {
    client: Client,
    https: SocketAddr,
}

impl Visitor {
    fn ask(&mut self, method: &str, path: &str, expected: u16) -> Result<(), String> {
        say(&format!("\n{method} https://{}{path}\n", self.https));
        let Answer { status, body } = self.client.request(method, path, "*/*")?;
        if status == expected { Ok(()) } else { Err(format!("{method} {path}: {status} {body}")) }
    }

    /// The call is asked for again and again, as programs do, until it has got so far.
    fn wait(&mut self, path: &str, state: &str) -> Result<(), String> {
        let patience = Instant::now() + PATIENCE;
        let wanted = format!("\"state\":\"{state}\",\"agent\"");
        while !self.client.request("GET", path, "application/json")?.body.contains(&wanted) {
            if Instant::now() > patience {
                return Err(format!("{path} was not {state} within {} s", PATIENCE.as_secs()));
            }
            std::thread::park_timeout(PAUSE);
        }
        Ok(())
    }

    fn progress(&mut self, path: &str) -> Result<(), String> {
        let shown = self.client.request("GET", path, "text/xml")?;
        say(&format!("\nGET https://{}{path}\n\n{}", self.https, shown.body.trim_end()));
        Ok(())
    }
}

/// The lines can be pasted one by one or all at once: they wait where the phones take a moment to pick up.
fn print_what_to_try(Addresses { https, http }: Addresses) {
    say(&format!(
        "\nuser1 and user2 are still in the first call, which is their own. Everything stays up until Ctrl-C; try in \
         another terminal:\n\n  \
         curl -k -X POST https://{https}/callcontroller/user2/user3\n  \
         sleep 1; curl -k https://{https}/callcontroller/user2/user3\n\n  \
         curl -k -X POST 'https://{https}{CALL}?sipMethod=INVITE'\n  \
         sleep 1; curl -k https://{https}{CALL}\n  \
         curl -k -X POST 'https://{https}{CALL}?action=transfer&target=user3'\n  \
         sleep 1; curl -k 'https://{https}{TRANSFERRED}?agent=user1'\n  \
         curl -k -X DELETE 'https://{https}{TRANSFERRED}?agent=user1'\n\n  \
         curl -k https://{https}/calls\n  \
         curl --digest -u user1:{PIN} -X POST 'http://{http}/callcontroller/user1/user3?subject=Hello'\n"
    ));
}
