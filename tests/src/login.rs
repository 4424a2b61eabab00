//! How the agent logs in by HTTP: Digest with SHA-256 (RFC 7616). And whether it does so by SIP.

use cordboard_core::digest::Algorithm;
use sha2::{Digest, Sha256};

/// The realm.
const DOMAIN: &str = "example.com";

/// A nonce, and how often it was used.
#[derive(Clone, Debug)]
pub struct Login {
    nonce: String,
    count: u32,
}

impl Login {
    /// With the nonce of the challenge in this head.
    pub fn challenged(head: &str) -> Self {
        let nonce = head.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next());
        Self { nonce: nonce.expect("it asks who we are").to_owned(), count: 0 }
    }

    /// The header line that shows who asks for this.
    pub fn line(&mut self, method: &str, uri: &str, pin: &str) -> String {
        self.count += 1;
        let (nonce, count) = (&self.nonce, self.count);
        let response = response((method, uri), pin, &format!("{nonce}:{count:08x}:c:auth"));
        format!(
            "Authorization: Digest username=\"agent\", realm=\"{DOMAIN}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             algorithm=SHA-256, qop=auth, nc={count:08x}, cnonce=\"c\", response=\"{response}\"\r\n"
        )
    }
}

/// Whether credentials, the value of `Authorization`, are those of the agent with this secret, for what they themselves
/// say of nonce and URI.
pub fn proves(credentials: &str, method: &str, secret: &str) -> bool {
    let value = |name: &str| {
        let parts = credentials.split([',', ' ']);
        let found = parts.filter_map(|part| part.split_once('=')).find(|(found, _)| *found == name);
        found.map_or("", |(_, value)| value.trim_matches('"'))
    };
    let once = [value("nonce"), value("nc"), value("cnonce"), value("qop")].join(":");
    value("username") == "agent" && value("response") == response((method, value("uri")), secret, &once)
}

/// The response to a challenge, with what makes it good for once.
fn response((method, uri): (&str, &str), secret: &str, once: &str) -> String {
    let ha1 = Algorithm::Sha256.ha1("agent", DOMAIN, secret);
    let ha2 = hash(&format!("{method}:{uri}"));
    hash(&format!("{}:{once}:{ha2}", ha1.as_str()))
}

/// As text, two digits a byte; the program that measures logs in for every call and has no time to lose.
fn hash(text: &str) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
    Sha256::digest(text.as_bytes()).iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_the_secret_proves_it() {
        let mut login = Login::challenged("WWW-Authenticate: Digest nonce=\"n=1\"");
        let line = login.line("INVITE", "sip:a@b", "123");
        let credentials = line.trim_end().strip_prefix("Authorization: ").unwrap();
        assert!(proves(credentials, "INVITE", "123"));
        assert!(!proves(credentials, "INVITE", "124"));
        assert!(!proves(credentials, "BYE", "123"));
    }
}
