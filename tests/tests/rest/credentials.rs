//! Digest credentials (RFC 7616) computed with openssl: for what curl does not do.

use std::io::Write;
use std::process::{Command, Stdio};

/// Credentials for one request.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'a> {
    /// As the challenge writes it.
    pub(crate) algorithm: &'a str,
    pub(crate) user: &'a str,
    pub(crate) pin: &'a str,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    /// With one, `qop=auth-int` covers it.
    pub(crate) body: Option<&'a str>,
    pub(crate) count: u32,
}

impl<'a> Credentials<'a> {
    /// The first use of a nonce by user1.
    pub(crate) fn new(algorithm: &'a str, method: &'a str, uri: &'a str) -> Self {
        Self { algorithm, user: "user1", pin: "11", method, uri, body: None, count: 1 }
    }

    /// The value of `Authorization` for a challenge's nonce.
    pub(crate) fn answer(self, nonce: &str) -> String {
        let Self { algorithm, user, pin, method, uri, body, count } = self;
        let hash = |text: &str| hash(algorithm, text);
        let ha1 = hash(&format!("{user}:example.com:{pin}"));
        let (qop, ha2) = match body {
            None => ("auth", hash(&format!("{method}:{uri}"))),
            Some(body) => ("auth-int", hash(&format!("{method}:{uri}:{}", hash(body)))),
        };
        let response = hash(&format!("{ha1}:{nonce}:{count:08x}:cn:{qop}:{ha2}"));
        format!(
            "Digest username=\"{user}\", realm=\"example.com\", nonce=\"{nonce}\", uri=\"{uri}\", \
             algorithm={algorithm}, qop={qop}, nc={count:08x}, cnonce=\"cn\", response=\"{response}\""
        )
    }
}

/// A parameter of a challenge.
pub(crate) fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = challenge.split_once(&format!("{name}="))?;
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(',').next(),
    }
}

fn hash(algorithm: &str, text: &str) -> String {
    let option = match algorithm {
        "MD5" => "-md5",
        "SHA-256" => "-sha256",
        "SHA-512-256" => "-sha512-256",
        other => panic!("{other}"),
    };
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-r", option])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl can be started");
    let mut stdin = openssl.stdin.take().expect("it has an input");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let said = openssl.wait_with_output().expect("it ends").stdout;
    String::from_utf8_lossy(&said).split(' ').next().unwrap_or_default().to_owned()
}
