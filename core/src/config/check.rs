//! What no single key can tell: values that do not go together, and what this release does not serve yet.

use std::net::SocketAddr;
use std::time::Duration;

use super::read::Places;
use super::value::quoted;
use super::{Cidr, Config, ConfigError, SipTransport};
use crate::auth::digest::Algorithm;
use crate::sip::message::Host;

/// The keys of a refusal and its two halves: what is wrong, what would be right.
type Refusal = (&'static str, &'static str, String, &'static str);

impl Config {
    /// Refuses what cannot work.
    pub(super) fn check(&self, places: &Places<'_>) -> Result<(), ConfigError> {
        let refusal = None
            .or_else(|| self.check_sip())
            .or_else(|| self.check_served())
            .or_else(|| self.check_http())
            .or_else(|| self.check_lists())
            .or_else(|| self.check_times());
        match refusal {
            None => Ok(()),
            Some((table, key, why, right)) => Err(ConfigError::Unusable {
                place: places.of(table, key),
                key: format!("{table}.{key}"),
                why,
                right: right.to_owned(),
            }),
        }
    }

    fn check_sip(&self) -> Option<Refusal> {
        let sip = &self.sip;
        if sip.domain.is_empty() {
            let right = "write domain = \"example.com\", your own SIP domain, below [sip]";
            return Some(("sip", "domain", "is missing".to_owned(), right));
        }
        if Host::parse(&sip.domain).is_err() {
            let why = format!("{} is no domain", quoted(&sip.domain));
            return Some(("sip", "domain", why, "write a name like \"example.com\", or an address"));
        }
        if sip.listen.is_empty() {
            let right = "name at least one address, like \"udp:127.0.0.1:6050\"";
            return Some(("sip", "listen", "is empty".to_owned(), right));
        }
        let wildcard = sip.listen.iter().find(|listen| listen.address.ip().is_unspecified());
        if let (Some(listen), None) = (wildcard, sip.advertise) {
            let why = format!("\"{listen}\" listens on all addresses, and phones have to be told one");
            return Some(("sip", "listen", why, "set sip.advertise to the address that phones reach us at"));
        }
        let addresses: Vec<_> = sip.listen.iter().map(|listen| listen.address).collect();
        twice_bound(&addresses)
            .map(|address| ("sip", "listen", format!("{address} is there twice"), "name each address once"))
    }

    /// What a later release serves.
    fn check_served(&self) -> Option<Refusal> {
        if self.sip.listen.iter().any(|listen| listen.transport != SipTransport::Udp) {
            let why = "this release listens on udp only".to_owned();
            return Some(("sip", "listen", why, "write addresses like \"udp:127.0.0.1:6050\""));
        }
        let proxy = self.sip.proxy.as_ref()?;
        if proxy.transport != SipTransport::Udp {
            let why = "this release speaks SIP over udp only".to_owned();
            return Some(("sip", "proxy", why, "write a URI like \"sip:127.0.0.1:5060;transport=udp\""));
        }
        if proxy.address().is_none() {
            let why = format!("{} is a name, and this release resolves none", quoted(&proxy.to_string()));
            return Some(("sip", "proxy", why, "write its IP address, like \"sip:192.0.2.1:5060\""));
        }
        None
    }

    fn check_http(&self) -> Option<Refusal> {
        let http = &self.http;
        if http.https.is_empty() && http.http.is_empty() {
            let why = "neither https nor http has an address: nobody could place a call".to_owned();
            return Some(("http", "https", why, "name at least one, like \"127.0.0.1:6666\""));
        }
        let together = "certificate and key go together: set both or neither";
        match (&http.certificate, &http.key) {
            (Some(_), None) => {
                return Some(("http", "certificate", "has no http.key beside it".to_owned(), together));
            }
            (None, Some(_)) => {
                return Some(("http", "key", "has no http.certificate beside it".to_owned(), together));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        let addresses: Vec<_> = http.https.iter().chain(&http.http).copied().collect();
        let address = twice_bound(&addresses)?;
        let key = if http.http.contains(&address) { "http" } else { "https" };
        Some(("http", key, format!("{address} is there twice"), "give each listener an address of its own"))
    }

    fn check_lists(&self) -> Option<Refusal> {
        let faulty = |empty: bool, twice: Option<&str>| match twice {
            _ if empty => Some("is empty".to_owned()),
            Some(word) => Some(format!("\"{word}\" is there twice")),
            None => None,
        };
        let algorithms = &self.auth.algorithms;
        let twice = repeated(algorithms).map(Algorithm::name);
        if let Some(why) = faulty(algorithms.is_empty(), twice) {
            return Some((
                "auth",
                "algorithms",
                why,
                "name one or more of \"SHA-256\", \"SHA-512-256\", \"MD5\"",
            ));
        }
        let offers = &self.calls.hold_sdp;
        let why = faulty(offers.is_empty(), repeated(offers).map(super::HoldSdp::word))?;
        let right = "name one or more of \"sendonly\", \"blackhole\", \"inactive\", \"nomedia\"";
        Some(("calls", "hold_sdp", why, right))
    }

    fn check_times(&self) -> Option<Refusal> {
        if self.sip.t2 < self.sip.t1 {
            let why = "is shorter than sip.t1".to_owned();
            return Some(("sip", "t2", why, "write at least as much as T1 has (RFC 3261, section 17.1.2.2)"));
        }
        // RFC 4028 §4: an interval under 90 s must not be asked for.
        let session = Duration::from_secs(90)..=Duration::from_secs(86_400);
        if self.calls.session_expires.is_some_and(|interval| !session.contains(&interval)) {
            let why = "is out of range".to_owned();
            return Some(("calls", "session_expires", why, "write from \"90s\" to \"24h\", or \"off\""));
        }
        None
    }

    /// What is taken as it is, but perhaps not meant: one line each, beginning with the key.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |text: &str| warnings.push(text.to_owned());
        if self.http.trusted.iter().any(Cidr::is_everything) {
            warn("http.trusted: every host in the world may place calls over HTTPS without a login");
        }
        if self.auth.algorithms.first() == Some(&Algorithm::Md5) && self.auth.algorithms.len() > 1 {
            warn("auth.algorithms: MD5 is offered first, so clients that know better will still use it");
        }
        let literal = Host::parse(&self.sip.domain).is_ok_and(|host| host.address().is_some());
        if self.sip.proxy.is_none() && !literal {
            warn(
                "sip.proxy: is not set, and this release resolves no names: only parties at an IP address can be called",
            );
        }
        if self.calls.asserted_identity && self.sip.proxy.is_none() && self.calls.trusted_proxy.is_empty() {
            warn(
                "calls.asserted_identity: has nobody to be sent to without sip.proxy or calls.trusted_proxy",
            );
        }
        warnings
    }
}

/// An address that cannot be bound a second time; port 0 can.
fn twice_bound(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let named: Vec<_> = addresses.iter().copied().filter(|address| address.port() != 0).collect();
    repeated(&named)
}

/// The first value that is there for the second time.
fn repeated<T: Copy + PartialEq>(values: &[T]) -> Option<T> {
    let mut rest = values.iter();
    while let Some(value) = rest.next_back() {
        if rest.as_slice().contains(value) {
            return Some(*value);
        }
    }
    None
}
