//! The configuration, from TOML text. Every key has a default but `sip.domain`; unknown keys are refused by name.
//!
//! The module `keys` lists all keys once; reading and printing both walk that list.

mod check;
mod choice;
mod cidr;
mod keys;
mod listen;
mod print;
mod proxy;
mod read;
mod span;
mod value;
mod workers;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use thiserror::Error;

use crate::auth::digest::Algorithm;
pub use choice::{ClientCertificates, Dialect, HoldSdp, Identity, ReferFallback, ReferHangup, SipTransport};
pub use cidr::Cidr;
pub use listen::Listen;
pub use proxy::Proxy;
pub use workers::NoPort;

/// A place in a text, for people: the first character is line 1, column 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Place {
    /// The place of the character that begins at this byte; of the end, if it lies behind.
    pub fn of(text: &str, byte: usize) -> Self {
        let before = text.get(..text.floor_char_boundary(byte)).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self { line: before.split('\n').count(), column: line.chars().count() + 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// What is wrong with a configuration, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The text is not TOML.
    #[error("this is not TOML, {place}: {why}")]
    NotToml {
        /// Where.
        place: Place,
        /// What the TOML reader found and wanted.
        why: String,
    },
    /// A key or table that no configuration has.
    #[error("unknown {what}, {place}{hint}")]
    Unknown {
        /// Where.
        place: Place,
        /// The key and its table, or the table.
        what: String,
        /// What may have been meant; empty, or begins with a semicolon.
        hint: String,
    },
    /// A value that cannot be used.
    #[error("{key}: {why}, {place}; {right}")]
    Unusable {
        /// Where.
        place: Place,
        /// The key with its table.
        key: String,
        /// What is wrong with its value.
        why: String,
        /// What would be right.
        right: String,
    },
}

impl ConfigError {
    /// Where it is.
    pub fn place(&self) -> Place {
        match self {
            ConfigError::NotToml { place, .. }
            | ConfigError::Unknown { place, .. }
            | ConfigError::Unusable { place, .. } => *place,
        }
    }
}

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many workers share the service; `None` for one on each processor, up to eight.
    pub workers: Option<usize>,
    /// `[http]`
    pub http: Http,
    /// `[auth]`
    pub auth: Auth,
    /// `[sip]`
    pub sip: Sip,
    /// `[calls]`
    pub calls: Calls,
    /// `[users]`
    pub users: Users,
    /// `[limits]`
    pub limits: Limits,
}

/// `[http]`: who may reach the service, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Addresses for HTTPS.
    pub https: Vec<SocketAddr>,
    /// Addresses for HTTP.
    pub http: Vec<SocketAddr>,
    /// PEM file of the certificate chain, relative to the configuration's folder; there is a `key` if there is this.
    pub certificate: Option<String>,
    /// PEM file of the certificate's key, relative to the configuration's folder.
    pub key: Option<String>,
    /// Who needs no login over HTTPS.
    pub trusted: Vec<Cidr>,
}

/// `[auth]`: how HTTP clients log in (RFC 7616).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The realm; [`Config::realm`] falls back on `sip.domain`.
    pub realm: Option<String>,
    /// Digest algorithms in the order in which they are offered; at least one, none twice.
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce may be used.
    pub nonce_lifetime: Duration,
    /// Whether HTTPS takes Basic too (RFC 7617).
    pub basic_over_https: bool,
}

/// `[sip]`: our place in the SIP network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sip {
    /// The domain of users that are named without one: a name, or an address (IPv6 in brackets).
    pub domain: String,
    /// Our own addresses; at least one.
    pub listen: Vec<Listen>,
    /// Our addresses for Via and Contact, one of a family at the most; one of its family is there for each wildcard in
    /// `listen`.
    pub advertise: Vec<IpAddr>,
    /// Where every new request goes; without it, where RFC 3263 finds the host of the party's URI.
    pub proxy: Option<Proxy>,
    /// Name servers; empty stands for those of the system.
    pub nameservers: Vec<NameServer>,
    /// PEM file of our certificate chain for TLS, relative to the configuration's folder; there is a `key` if there is this.
    pub certificate: Option<String>,
    /// PEM file of the certificate's key, relative to the configuration's folder.
    pub key: Option<String>,
    /// PEM file of the authorities that are trusted, relative to the configuration's folder; `None` stands for those of
    /// the system.
    pub ca: Option<String>,
    /// Whether who connects by TLS has to show a certificate.
    pub client_certificates: ClientCertificates,
    /// Which server's extensions are used.
    pub dialect: Dialect,
    /// T1 of RFC 3261 §17: the first retransmission's delay.
    pub t1: Duration,
    /// T2 of RFC 3261 §17: the longest delay between retransmissions; not less than T1.
    pub t2: Duration,
    /// T4 of RFC 3261 §17: how long a message stays in the network.
    pub t4: Duration,
}

/// A name server's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);

impl NameServer {
    /// The port of one that is written without (RFC 1035 §4.2).
    pub(crate) const PORT: u16 = 53;
}

/// `[calls]`: how calls are placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// How many calls there may be at once.
    pub max_calls: usize,
    /// How long the calling party is alerted, unless the request says.
    pub timeout: Duration,
    /// How long a record is kept after its call, unless the request says.
    pub result_cache_time: Duration,
    /// The first offers in the order in which they are tried; at least one, none twice.
    pub hold_sdp: Vec<HoldSdp>,
    /// Whom the called phone sees as the caller.
    pub identity: Identity,
    /// Whether P-Asserted-Identity is sent (RFC 3325), to hosts of `trusted_proxy` only.
    pub asserted_identity: bool,
    /// The proxies of our trust domain (RFC 3325 §2.3); empty stands for `sip.proxy`.
    pub trusted_proxy: Vec<Cidr>,
    /// When a referred phone is let go.
    pub refer_hangup: ReferHangup,
    /// What becomes of a call whose phone refuses REFER.
    pub refer_fallback: ReferFallback,
    /// The session timer's interval (RFC 4028) in calls that Cordboard stays in; `None` switches it off.
    pub session_expires: Option<Duration>,
}

/// `[users]`: where the users stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users {
    /// The users file, relative to the configuration's folder.
    pub file: String,
}

/// `[limits]`: what a peer may ask of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an HTTP request's head.
    pub http_head: usize,
    /// Bytes of an HTTP request's body.
    pub http_body: usize,
    /// Header fields of an HTTP request.
    pub http_headers: usize,
    /// From the first byte of an HTTP request, or of a SIP message on a connection, to its last; also for a TLS handshake
    /// of SIP.
    pub request_time: Duration,
    /// How long an HTTP connection may rest.
    pub idle_time: Duration,
    /// HTTP connections at once.
    pub connections: usize,
    /// HTTP requests of one connection whose answers are not yet written.
    pub pipelined: usize,
    /// Connections that bring SIP, at once.
    pub sip_connections: usize,
    /// How long a connection of SIP may rest.
    pub sip_idle_time: Duration,
    /// Bytes of a SIP message.
    pub sip_message: usize,
    /// Header fields of a SIP message.
    pub sip_headers: usize,
    /// Events in a call's record.
    pub record_events: usize,
    /// So long a worker has to work on what has come in already until new calls are refused.
    pub behind: Duration,
}

impl Config {
    /// The configuration that has only its domain set.
    pub fn new(domain: &str) -> Self {
        Self {
            workers: None,
            http: Http {
                https: vec![SocketAddr::from(([127, 0, 0, 1], 6666))],
                http: vec![SocketAddr::from(([127, 0, 0, 1], 6667))],
                certificate: None,
                key: None,
                trusted: vec![Cidr::LOOPBACK_V4, Cidr::LOOPBACK_V6],
            },
            auth: Auth {
                realm: None,
                algorithms: vec![Algorithm::Sha256, Algorithm::Sha512_256, Algorithm::Md5],
                nonce_lifetime: Duration::from_secs(300),
                basic_over_https: false,
            },
            sip: Sip::new(domain),
            calls: Calls::default(),
            users: Users { file: "users.toml".to_owned() },
            limits: Limits::default(),
        }
    }

    /// Reads and checks a configuration. Of several faults the first in the text is returned.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let (config, places) = read::read(text)?;
        config.check(&places)?;
        Ok(config)
    }

    /// The realm of HTTP authentication.
    pub fn realm(&self) -> &str {
        self.auth.realm.as_deref().unwrap_or(&self.sip.domain)
    }

    /// Whether a host needs no login over HTTPS.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.http.trusted.iter().any(|range| range.contains(address))
    }
}

impl Sip {
    fn new(domain: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            listen: vec![Listen {
                transport: SipTransport::Udp,
                address: SocketAddr::from(([127, 0, 0, 1], 6050)),
            }],
            advertise: Vec::new(),
            proxy: None,
            nameservers: Vec::new(),
            certificate: None,
            key: None,
            ca: None,
            client_certificates: ClientCertificates::None,
            dialect: Dialect::Generic,
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
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
            trusted_proxy: Vec::new(),
            refer_hangup: ReferHangup::Final,
            refer_fallback: ReferFallback::None,
            session_expires: Some(Duration::from_secs(1800)),
        }
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
            sip_connections: 1024,
            sip_idle_time: Duration::from_secs(600),
            sip_message: crate::sip::message::MAX_MESSAGE,
            sip_headers: crate::sip::message::MAX_HEADERS,
            record_events: 64,
            behind: Duration::from_millis(20),
        }
    }
}

#[cfg(test)]
mod tests;
