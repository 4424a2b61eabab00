//! The arithmetic of Digest (RFC 7616 §3.4), on stack memory only.

use std::fmt;

use md5::Md5;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::digest::Digest;
use sha2::{Sha256, Sha512_256};
use subtle::ConstantTimeEq;

/// A hash algorithm of Digest, as the `algorithm` parameter names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// `MD5`
    #[serde(rename = "MD5")]
    Md5,
    /// `SHA-256`
    #[serde(rename = "SHA-256")]
    Sha256,
    /// `SHA-512-256`: SHA-512 cut to 256 bits, with its own initial values.
    #[serde(rename = "SHA-512-256")]
    Sha512_256,
}

impl Algorithm {
    /// The name in the `algorithm` parameter.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512_256 => "SHA-512-256",
        }
    }

    /// The algorithm of this name, in any case.
    pub(crate) fn of(name: &str) -> Option<Self> {
        [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256]
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The hash of these pieces with colons between them.
    pub(crate) fn hash(self, pieces: &[&[u8]]) -> Hex {
        match self {
            Algorithm::Md5 => joined::<Md5>(pieces),
            Algorithm::Sha256 => joined::<Sha256>(pieces),
            Algorithm::Sha512_256 => joined::<Sha512_256>(pieces),
        }
    }

    /// HA1: what is stored of a user's secret.
    pub fn ha1(self, user: &str, realm: &str, secret: &str) -> Hex {
        self.hash(&[user.as_bytes(), realm.as_bytes(), secret.as_bytes()])
    }

    fn digits(self) -> usize {
        if self == Algorithm::Md5 { 32 } else { 64 }
    }
}

fn joined<H: Digest>(pieces: &[&[u8]]) -> Hex {
    let mut hash = H::new();
    for (place, piece) in pieces.iter().enumerate() {
        if place > 0 {
            hash.update(b":");
        }
        hash.update(piece);
    }
    Hex::of(&hash.finalize())
}

/// A hash as lower-case hexadecimal digits. Comparing takes the same time whatever differs.
#[derive(Clone, Copy)]
pub struct Hex {
    digits: [u8; 64],
    length: u8,
}

impl Hex {
    fn of(bytes: &[u8]) -> Self {
        // Reckoned and not looked up: the compiler does many at once.
        let digit = |half: u8| half + if half > 9 { b'a' - 10 } else { b'0' };
        let mut digits = [0; 64];
        for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(bytes) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        Self { digits, length: (bytes.len().min(32) * 2) as u8 }
    }

    /// Reads the digits of a hash of this algorithm; `None` if there are not as many, or others.
    pub(crate) fn parse(algorithm: Algorithm, text: &str) -> Option<Self> {
        let fits = text.len() == algorithm.digits() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !fits {
            return None;
        }
        let mut digits = [0; 64];
        for (slot, byte) in digits.iter_mut().zip(text.bytes()) {
            *slot = byte.to_ascii_lowercase();
        }
        Some(Self { digits, length: text.len() as u8 })
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.digits.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl PartialEq for Hex {
    fn eq(&self, other: &Self) -> bool {
        self.digits.ct_eq(&other.digits).into()
    }
}

impl Eq for Hex {}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hex(..)")
    }
}

/// Quality of protection (RFC 7616 §3.4): what the response covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qop {
    /// Method and URI.
    Auth,
    /// The body as well.
    AuthInt,
}

impl Qop {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| qop.name().eq_ignore_ascii_case(name))
    }
}

/// The part of a response that depends on `qop`; without it the response is that of RFC 2069.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count<'a> {
    pub(crate) qop: Qop,
    pub(crate) nc: &'a str,
    pub(crate) cnonce: &'a str,
}

/// `response` (RFC 7616 §3.4.1): `method` is empty for `rspauth`.
pub(crate) fn response(
    algorithm: Algorithm,
    ha1: &Hex,
    nonce: &str,
    count: Option<Count<'_>>,
    (method, uri, body): (&str, &str, &[u8]),
) -> Hex {
    let ha2 = match count {
        Some(Count { qop: Qop::AuthInt, .. }) => {
            let body = algorithm.hash(&[body]);
            algorithm.hash(&[method.as_bytes(), uri.as_bytes(), body.as_bytes()])
        }
        _ => algorithm.hash(&[method.as_bytes(), uri.as_bytes()]),
    };
    match count {
        Some(Count { qop, nc, cnonce }) => algorithm.hash(&[
            ha1.as_bytes(),
            nonce.as_bytes(),
            nc.as_bytes(),
            cnonce.as_bytes(),
            qop.name().as_bytes(),
            ha2.as_bytes(),
        ]),
        None => algorithm.hash(&[ha1.as_bytes(), nonce.as_bytes(), ha2.as_bytes()]),
    }
}

/// The HA1 values of one secret, by algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verifiers {
    md5: Option<Hex>,
    sha256: Option<Hex>,
    sha512_256: Option<Hex>,
}

impl Verifiers {
    /// All three of a secret.
    pub fn of(user: &str, realm: &str, secret: &str) -> Self {
        let ha1 = |algorithm: Algorithm| Some(algorithm.ha1(user, realm, secret));
        Self {
            md5: ha1(Algorithm::Md5),
            sha256: ha1(Algorithm::Sha256),
            sha512_256: ha1(Algorithm::Sha512_256),
        }
    }

    /// That of one algorithm, if it is known.
    pub fn get(&self, algorithm: Algorithm) -> Option<&Hex> {
        match algorithm {
            Algorithm::Md5 => self.md5.as_ref(),
            Algorithm::Sha256 => self.sha256.as_ref(),
            Algorithm::Sha512_256 => self.sha512_256.as_ref(),
        }
    }

    /// Sets that of one algorithm.
    pub(crate) fn set(&mut self, algorithm: Algorithm, ha1: Option<Hex>) {
        match algorithm {
            Algorithm::Md5 => self.md5 = ha1,
            Algorithm::Sha256 => self.sha256 = ha1,
            Algorithm::Sha512_256 => self.sha512_256 = ha1,
        }
    }
}

/// HA1 digits in a file, whose length tells the algorithm's family.
impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Reads 32 digits (MD5) or 64 (SHA-256, SHA-512-256).
impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let algorithm = if text.len() == 32 { Algorithm::Md5 } else { Algorithm::Sha256 };
        Hex::parse(algorithm, &text).ok_or_else(|| {
            serde::de::Error::custom(
                "an HA1 value has 32 (MD5) or 64 (SHA-256, SHA-512-256) hexadecimal digits",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616 §3.9.1.
    #[test]
    fn the_examples_of_rfc_7616_come_out() {
        let (nonce, cnonce) =
            ("7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ");
        let of = |algorithm: Algorithm| {
            let ha1 = algorithm.ha1("Mufasa", "http-auth@example.org", "Circle of Life");
            let count = Count { qop: Qop::Auth, nc: "00000001", cnonce };
            response(algorithm, &ha1, nonce, Some(count), ("GET", "/dir/index.html", b"")).as_str().to_owned()
        };
        assert_eq!(of(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(of(Algorithm::Sha256), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    }

    /// RFC 7616 §3.9.2, with the response that its values really give (erratum 4897), computed with Python's hashlib.
    #[test]
    fn sha_512_256_is_the_real_one() {
        let algorithm = Algorithm::Sha512_256;
        let user = "J\u{e4}s\u{f8}n Doe";
        let ha1 = algorithm.ha1(user, "api@example.org", "Secret, or not?");
        let userhash = algorithm.hash(&[user.as_bytes(), b"api@example.org"]);
        assert_eq!(userhash.as_str(), "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b");
        let count = Count { qop: Qop::Auth, nc: "00000001", cnonce: "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm" };
        let nonce = "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK";
        let response = response(algorithm, &ha1, nonce, Some(count), ("GET", "/doe.json", b""));
        assert_eq!(response.as_str(), "7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c");
    }

    /// RFC 2617 §3.5, and the same without `qop`.
    #[test]
    fn the_example_of_rfc_2617_comes_out() {
        let ha1 = Algorithm::Md5.ha1("Mufasa", "testrealm@host.com", "Circle Of Life");
        let count = Count { qop: Qop::Auth, nc: "00000001", cnonce: "0a4f113b" };
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let request = ("GET", "/dir/index.html", &b""[..]);
        let with = response(Algorithm::Md5, &ha1, nonce, Some(count), request);
        assert_eq!(with.as_str(), "6629fae49393a05397450978507c4ef1");
        let without = response(Algorithm::Md5, &ha1, nonce, None, request);
        assert_eq!(without.as_str(), "670fd8c2df070c60b045671b8b24ff02");
    }
}
