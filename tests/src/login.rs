//! How the agent logs in by HTTP: Digest with SHA-256 (RFC 7616).

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
        let hash = |text: String| hex(&Sha256::digest(text.as_bytes()));
        let ha1 = Algorithm::Sha256.ha1("agent", DOMAIN, pin);
        let ha2 = hash(format!("{method}:{uri}"));
        let response = hash(format!("{}:{nonce}:{count:08x}:c:auth:{ha2}", ha1.as_str()));
        format!(
            "Authorization: Digest username=\"agent\", realm=\"{DOMAIN}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             algorithm=SHA-256, qop=auth, nc={count:08x}, cnonce=\"c\", response=\"{response}\"\r\n"
        )
    }
}

/// As text, two digits a byte; the program that measures logs in for every call and has no time to lose.
fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
