//! What is ordered by HTTP, with a login that is right.

use arbitrary::Arbitrary;
use cordboard_core::digest::Algorithm;
use cordboard_core::io::Input;
use sha2::{Digest, Sha256};

use super::world::{DOMAIN, Kind, PIN, World};

/// What is ordered.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum What {
    Place,
    Transfer,
    Progress,
    HangUp,
    List,
}

/// An order.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) struct Order {
    what: What,
    pair: u8,
    invite: bool,
    options: u8,
    stays: bool,
}

impl Order {
    fn request(self) -> (&'static str, String) {
        let pair = match self.pair % 5 {
            0 => "user1/user2",
            1 => "user1/user3",
            2 => "201/user2@other.example.net",
            3 => "user1/tel:%2B4930",
            _ => "user2/user1",
        };
        let (method, more) = match self.what {
            What::Place => ("POST", "&action=call"),
            What::Transfer => ("POST", "&action=transfer&target=user4"),
            What::Progress => ("GET", ""),
            What::HangUp => ("DELETE", ""),
            What::List => return ("GET", "/calls".to_owned()),
        };
        let mut target = format!("/callcontroller/{pair}?agent=agent{more}");
        if method == "POST" {
            let choices = [
                (1, "&isForwardingAllowed=true"),
                (2, "&autoAnswer=true"),
                (4, "&timeout=20"),
                (8, "&resultCacheTime=0"),
                (16, "&subject=Lunch%20%C3%A9"),
                (32, "&confpin=12"),
                (64, "&strange=1"),
            ];
            target.push_str(if self.invite { "&sipMethod=INVITE" } else { "&sipMethod=REFER" });
            choices
                .iter()
                .filter(|(bit, _)| self.options & bit != 0)
                .for_each(|(_, text)| target.push_str(text));
        }
        (method, target)
    }

    /// Asks on a connection of its own, which may stay open.
    pub(super) fn ask(self, world: &mut World) {
        let (method, target) = self.request();
        let connection = world.accept(Kind::Http);
        for _ in 0..2 {
            let login = login(world, method, &target);
            let request =
                format!("{method} {target} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n{login}\r\n");
            world.hand(Input::Received { connection, bytes: request.as_bytes() });
            let answer = String::from_utf8(world.take_text(connection)).expect("answers are text");
            let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or_default();
            assert!(
                answer.is_empty() || status.parse::<u16>().is_ok_and(|s| s < 500 || s == 503),
                "{answer}"
            );
            if status != "401" {
                break;
            }
            world.nonce = answer
                .split("nonce=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .map(|nonce| (nonce.to_owned(), 0));
        }
        if !self.stays {
            world.lost(connection);
        }
    }
}

fn login(world: &mut World, method: &str, uri: &str) -> String {
    let Some((nonce, count)) = &mut world.nonce else { return String::new() };
    *count += 1;
    let hash = |text: String| {
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let ha1 = Algorithm::Sha256.ha1("agent", DOMAIN, PIN);
    let ha2 = hash(format!("{method}:{uri}"));
    let response = hash(format!("{}:{nonce}:{count:08x}:c:auth:{ha2}", ha1.as_str()));
    format!(
        "Authorization: Digest username=\"agent\", realm=\"{DOMAIN}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         algorithm=SHA-256, qop=auth, nc={count:08x}, cnonce=\"c\", response=\"{response}\"\r\n"
    )
}
