//! How the agent logs in by HTTP in virtual time.

use cordboard_core::digest::Algorithm;
use sha2::{Digest, Sha256};

/// The realm.
const DOMAIN: &str = "example.com";

/// The header line that answers the challenge in this head, with SHA-256 and qop's count never above one.
pub(crate) fn authorization(head: &str, method: &str, uri: &str, pin: &str) -> String {
    let nonce = head.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next());
    let nonce = nonce.expect("it asks who we are");
    let hash = |text: String| {
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let ha1 = Algorithm::Sha256.ha1("agent", DOMAIN, pin);
    let ha2 = hash(format!("{method}:{uri}"));
    let response = hash(format!("{}:{nonce}:00000001:c:auth:{ha2}", ha1.as_str()));
    format!(
        "Authorization: Digest username=\"agent\", realm=\"{DOMAIN}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"c\", response=\"{response}\"\r\n"
    )
}
