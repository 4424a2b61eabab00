//! The configuration, from TOML text. Every key has a default but `sip.domain`; unknown keys are refused by name.

mod print;
mod values;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::auth::digest::Algorithm;
pub use values::{Cidr, Listen, Proxy, SipTransport};
use values::{duration, optional_duration};

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// It is no TOML, a key is unknown, or a value is of the wrong kind: the text tells line and column.
    #[error("{0}")]
    Unreadable(String),
    /// A value cannot be used.
    #[error("{key}: {why}")]
    Unusable {
        /// The key, with its table.
        key: &'static str,
        /// What would be right.
        why: String,
    },
}

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Listeners for HTTP.
    #[serde(default)]
    pub http: Http,
    /// Who may call.
    #[serde(default)]
    pub auth: Auth,
    /// SIP.
    pub sip: Sip,
    /// Calls.
    #[serde(default)]
    pub calls: Calls,
    /// The users file.
    #[serde(default)]
    pub users: Users,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Addresses for HTTPS.
    pub https: Vec<SocketAddr>,
    /// Addresses for HTTP.
    pub http: Vec<SocketAddr>,
    /// PEM file of the certificate chain; without it a self-signed one is made at start.
    pub certificate: Option<String>,
    /// PEM file of the certificate's key.
    pub key: Option<String>,
    /// Who needs no login over HTTPS.
    pub trusted: Vec<Cidr>,
}

/// `[auth]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The HTTP realm; `sip.domain` if it is not given.
    pub realm: Option<String>,
    /// Digest algorithms, strongest first.
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce may be used.
    #[serde(deserialize_with = "duration")]
    pub nonce_lifetime: Duration,
    /// Whether HTTPS takes Basic too.
    pub basic_over_https: bool,
}

/// `[sip]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sip {
    /// The domain of users that are named without one.
    pub domain: String,
    /// Our own addresses.
    #[serde(default = "default_listen")]
    pub listen: Vec<Listen>,
    /// Our address for Via and Contact, where it is not the one that is listened on.
    #[serde(default)]
    pub advertise: Option<IpAddr>,
    /// Where every new request goes; without it, to the host of the party's URI.
    #[serde(default)]
    pub proxy: Option<Proxy>,
    /// Which server's extensions are used.
    #[serde(default)]
    pub dialect: Dialect,
    /// T1 of RFC 3261 §17.
    #[serde(default = "default_t1", deserialize_with = "duration")]
    pub t1: Duration,
    /// T2 of RFC 3261 §17.
    #[serde(default = "default_t2", deserialize_with = "duration")]
    pub t2: Duration,
    /// T4 of RFC 3261 §17.
    #[serde(default = "default_t4", deserialize_with = "duration")]
    pub t4: Duration,
}

fn default_listen() -> Vec<Listen> {
    vec![Listen { transport: SipTransport::Udp, address: SocketAddr::from(([127, 0, 0, 1], 6050)) }]
}
fn default_t1() -> Duration {
    Duration::from_millis(500)
}
fn default_t2() -> Duration {
    Duration::from_secs(4)
}
fn default_t4() -> Duration {
    Duration::from_secs(5)
}

/// `sip.dialect`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Nothing but the RFCs.
    #[default]
    Generic,
    /// sipXecs and sipXcom: URI parameters that switch forwarding off.
    Sipx,
}

/// `[calls]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Calls {
    /// How many calls may be there at once.
    pub max_calls: usize,
    /// How long the calling party is alerted, unless the request says.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// How long a record is kept, unless the request says.
    #[serde(deserialize_with = "duration")]
    pub result_cache_time: Duration,
    /// The first offers, in the order in which they are tried.
    pub hold_sdp: Vec<HoldSdp>,
    /// Whom the called phone sees as the caller.
    pub identity: Identity,
    /// Whether P-Asserted-Identity is sent.
    pub asserted_identity: bool,
    /// When a referred phone is let go.
    pub refer_hangup: ReferHangup,
    /// What becomes of a call whose phone refuses REFER.
    pub refer_fallback: ReferFallback,
    /// The session timer's interval for calls that Cordboard stays in.
    #[serde(deserialize_with = "optional_duration")]
    pub session_expires: Option<Duration>,
}

/// An offer that carries no media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldSdp {
    /// `a=sendonly` with our address.
    Sendonly,
    /// `c=0.0.0.0` without a direction.
    Blackhole,
    /// `a=inactive`.
    Inactive,
    /// No m= line.
    Nomedia,
}

/// `calls.identity`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// The agent.
    Agent,
    /// The other party of the call.
    Party,
}

/// `calls.refer_hangup`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferHangup {
    /// When the outcome is final.
    Final,
    /// When the called party rings.
    Ringing,
}

/// `calls.refer_fallback`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferFallback {
    /// The call ends.
    None,
    /// The call goes on as an INVITE call.
    Invite,
}

/// `[users]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Users {
    /// The users file, relative to the configuration file's folder.
    pub file: String,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of an HTTP request's head.
    pub http_head: usize,
    /// Bytes of an HTTP request's body.
    pub http_body: usize,
    /// Header fields of an HTTP request.
    pub http_headers: usize,
    /// How long an HTTP request may take to come in.
    #[serde(deserialize_with = "duration")]
    pub request_time: Duration,
    /// How long an HTTP connection may rest.
    #[serde(deserialize_with = "duration")]
    pub idle_time: Duration,
    /// HTTP connections at once.
    pub connections: usize,
    /// HTTP requests of one connection that are answered before their answers were written.
    pub pipelined: usize,
    /// Events in a call's record.
    pub record_events: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            https: vec![SocketAddr::from(([127, 0, 0, 1], 6666))],
            http: vec![SocketAddr::from(([127, 0, 0, 1], 6667))],
            certificate: None,
            key: None,
            trusted: vec![Cidr::LOOPBACK_V4, Cidr::LOOPBACK_V6],
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            realm: None,
            algorithms: vec![Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5],
            nonce_lifetime: Duration::from_secs(300),
            basic_over_https: false,
        }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            max_calls: 100_000,
            timeout: Duration::from_secs(180),
            result_cache_time: Duration::from_secs(180),
            hold_sdp: vec![HoldSdp::Sendonly, HoldSdp::Blackhole, HoldSdp::Inactive],
            identity: Identity::Agent,
            asserted_identity: false,
            refer_hangup: ReferHangup::Final,
            refer_fallback: ReferFallback::None,
            session_expires: Some(Duration::from_secs(1800)),
        }
    }
}

impl Default for Users {
    fn default() -> Self {
        Self { file: "users.toml".to_owned() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            http_head: 16 * 1024,
            http_body: 64 * 1024,
            http_headers: 100,
            request_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(75),
            connections: 1024,
            pipelined: 64,
            record_events: 64,
        }
    }
}

impl Config {
    /// Reads and checks a configuration.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|e| ConfigError::Unreadable(e.to_string().trim_end().to_owned()))?;
        config.check()?;
        Ok(config)
    }

    /// The realm of HTTP authentication.
    pub fn realm(&self) -> &str {
        self.auth.realm.as_deref().unwrap_or(&self.sip.domain)
    }

    /// Whether a host needs no login over HTTPS.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.http.trusted.iter().any(|cidr| cidr.contains(address))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let unusable = |key, why: &str| Err(ConfigError::Unusable { key, why: why.to_owned() });
        if !values::is_host(&self.sip.domain) {
            return unusable("sip.domain", "must be a domain name or an address, like \"example.com\"");
        }
        if self.sip.listen.is_empty() {
            return unusable("sip.listen", "at least one address is needed, like \"udp:127.0.0.1:6050\"");
        }
        if self.sip.listen.iter().any(|listen| listen.transport != SipTransport::Udp) {
            return unusable("sip.listen", "this release listens for SIP on udp only");
        }
        if self.sip.proxy.as_ref().is_some_and(|proxy| proxy.transport != SipTransport::Udp) {
            return unusable("sip.proxy", "this release speaks SIP over udp only");
        }
        if self.sip.proxy.as_ref().is_some_and(|proxy| proxy.address().is_none()) {
            return unusable("sip.proxy", "this release needs the proxy's IP address, not its name");
        }
        if self.sip.advertise.is_none() && self.sip.listen.iter().any(|listen| listen.address.ip().is_unspecified()) {
            return unusable("sip.advertise", "is needed when listening on all addresses: phones have to be told one");
        }
        if self.http.https.is_empty() && self.http.http.is_empty() {
            return unusable("http", "neither https nor http has an address: nobody could place a call");
        }
        if self.http.certificate.is_some() != self.http.key.is_some() {
            return unusable("http", "certificate and key go together");
        }
        self.check_values()
    }

    fn check_values(&self) -> Result<(), ConfigError> {
        let unusable = |key, why: &str| Err(ConfigError::Unusable { key, why: why.to_owned() });
        if self.auth.algorithms.is_empty() {
            return unusable("auth.algorithms", "at least one is needed");
        }
        if self.calls.hold_sdp.is_empty() {
            return unusable("calls.hold_sdp", "at least one is needed");
        }
        let within = |value: Duration, low: u64, high: u64| (low..=high).contains(&value.as_secs());
        if !within(self.calls.timeout, 1, 3600) {
            return unusable("calls.timeout", "must be from 1s to 1h");
        }
        if !within(self.calls.result_cache_time, 0, 86_400) {
            return unusable("calls.result_cache_time", "must be from 0s to 24h");
        }
        if self.sip.t1.is_zero() || self.sip.t2 < self.sip.t1 || self.sip.t4.is_zero() {
            return unusable("sip.t1", "t1 and t4 must be more than nothing, and t2 not less than t1");
        }
        if self.limits.http_headers == 0 || self.limits.http_headers > 256 {
            return unusable("limits.http_headers", "must be from 1 to 256");
        }
        if self.limits.record_events < 4 {
            return unusable("limits.record_events", "must be at least 4");
        }
        if self.limits.pipelined == 0 || self.limits.connections == 0 {
            return unusable("limits", "connections and pipelined must be at least 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[sip]\ndomain = \"example.com\"\n";

    fn error(text: &str) -> String {
        Config::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn only_the_domain_is_needed() {
        let config = Config::from_toml(LEAST).unwrap();
        assert_eq!(config.realm(), "example.com");
        assert!(config.trusts("127.0.0.9".parse().unwrap()) && config.trusts("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!config.trusts("192.0.2.1".parse().unwrap()));
        assert_eq!(config.calls.timeout, Duration::from_secs(180));
        assert!(error("").contains("sip"), "{}", error(""));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let unknown = error(&format!("{LEAST}prxy = \"x\"\n"));
        assert!(unknown.contains("line 3, column 1") && unknown.contains("prxy"), "{unknown}");
        let kind = error(&format!("{LEAST}[calls]\ntimeout = \"soon\"\n"));
        assert!(kind.contains("line 4") && kind.contains("soon"), "{kind}");
        let listen = error(&format!("{LEAST}listen = [\"127.0.0.1:6050\"]\n"));
        assert!(listen.contains("line 3") && listen.contains("udp:"), "{listen}");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (text, key) in [
            ("listen = [\"udp:0.0.0.0:6050\"]", "sip.advertise"),
            ("listen = [\"tcp:127.0.0.1:6050\"]", "sip.listen"),
            ("listen = []", "sip.listen"),
            ("proxy = \"sip:pbx.example.com\"", "sip.proxy"),
            ("[http]\nhttps = []\nhttp = []", "http"),
            ("[http]\ncertificate = \"x\"", "http"),
            ("[calls]\ntimeout = \"2h\"", "calls.timeout"),
            ("[auth]\nalgorithms = []", "auth.algorithms"),
            ("[limits]\nrecord_events = 1", "limits.record_events"),
        ] {
            let error = error(&format!("{LEAST}{text}\n"));
            assert!(error.starts_with(key), "{text}: {error}");
        }
        assert!(error("[sip]\ndomain = \"a b\"\n").starts_with("sip.domain"));
    }

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        let custom = format!(
            "{LEAST}advertise = \"192.0.2.1\"\nproxy = \"sip:127.0.0.1:5060;transport=udp\"\ndialect = \"sipx\"\n[http]\ncertificate = \"a.pem\"\nkey = \"b.pem\"\ntrusted = [\"10.0.0.0/8\"]\n[auth]\nrealm = \"r\"\nalgorithms = [\"MD5\"]\n[calls]\ntimeout = \"90s\"\nhold_sdp = [\"nomedia\"]\nidentity = \"party\"\nrefer_hangup = \"ringing\"\nsession_expires = \"off\"\n"
        );
        for text in [LEAST.to_owned(), custom] {
            let config = Config::from_toml(&text).unwrap();
            let printed = config.print();
            assert_eq!(Config::from_toml(&printed).unwrap(), config, "{printed}");
        }
    }
}
