//! What no single key can tell: values that do not go together.

use std::net::SocketAddr;
use std::time::Duration;

use super::read::Places;
use super::value::quoted;
use super::workers::MOST;
use super::{Cidr, Config, ConfigError, Listen, SipTransport};
use crate::auth::digest::Algorithm;
use crate::sip::message::Host;

/// The keys of a refusal and its two halves: what is wrong, what would be right.
type Refusal = (&'static str, &'static str, String, &'static str);

impl Config {
    /// Refuses what cannot work.
    pub(super) fn check(&self, places: &Places<'_>) -> Result<(), ConfigError> {
        let refusal = None
            .or_else(|| self.check_workers())
            .or_else(|| self.check_sip())
            .or_else(|| self.check_tls())
            .or_else(|| self.check_proxy())
            .or_else(|| self.check_http())
            .or_else(|| self.check_lists())
            .or_else(|| self.check_times());
        match refusal {
            None => Ok(()),
            Some((table, key, why, right)) => Err(ConfigError::Unusable {
                place: places.of(table, key),
                key: if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") },
                why,
                right: right.to_owned(),
            }),
        }
    }

    fn check_workers(&self) -> Option<Refusal> {
        let workers = self.workers.filter(|workers| !(1..=MOST).contains(workers))?;
        Some(("", "workers", format!("{workers} is out of range"), "write from 1 to 64"))
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
        if let Some(refusal) = self.check_advertised() {
            return Some(refusal);
        }
        let bound = |by_datagram: bool| {
            let is_one = move |listen: &&Listen| (listen.transport == SipTransport::Udp) == by_datagram;
            twice_bound(&sip.listen.iter().filter(is_one).map(|listen| listen.address).collect::<Vec<_>>())
        };
        bound(true)
            .or(bound(false))
            .map(|address| ("sip", "listen", format!("{address} is there twice"), "name each address once"))
    }

    fn check_advertised(&self) -> Option<Refusal> {
        let sip = &self.sip;
        let of_family =
            |v4: bool| sip.advertise.iter().filter(move |address| address.is_ipv4() == v4).count();
        if of_family(true) > 1 || of_family(false) > 1 {
            let why = "has two addresses of one family".to_owned();
            return Some(("sip", "advertise", why, "name one address of each family"));
        }
        let wildcard = |listen: &&Listen| {
            listen.address.ip().is_unspecified() && of_family(listen.address.is_ipv4()) == 0
        };
        let listen = sip.listen.iter().find(wildcard)?;
        let why = format!("\"{listen}\" listens on all addresses, and phones have to be told one");
        Some(("sip", "listen", why, "set sip.advertise to the address that phones reach us at"))
    }

    fn check_tls(&self) -> Option<Refusal> {
        let sip = &self.sip;
        if sip.certificate.is_some() || sip.key.is_some() {
            return check_pair("sip", sip.certificate.is_some(), sip.key.is_some());
        }
        let listen = sip.listen.iter().find(|listen| listen.transport == SipTransport::Tls)?;
        let why = format!("\"{listen}\" needs a certificate");
        Some(("sip", "listen", why, "set sip.certificate and sip.key to its PEM files"))
    }

    fn check_http(&self) -> Option<Refusal> {
        let http = &self.http;
        if http.https.is_empty() && http.http.is_empty() {
            let why = "neither https nor http has an address: nobody could place a call".to_owned();
            return Some(("http", "https", why, "name at least one, like \"127.0.0.1:6666\""));
        }
        if let Some(refusal) = check_pair("http", http.certificate.is_some(), http.key.is_some()) {
            return Some(refusal);
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
        if self.calls.asserted_identity && self.sip.proxy.is_none() && self.calls.trusted_proxy.is_empty() {
            warn(
                "calls.asserted_identity: has nobody to be sent to without sip.proxy or calls.trusted_proxy",
            );
        }
        if let Some(transport) = self.deaf_to_proxy() {
            warn(&format!(
                "sip.proxy: is spoken to by {}, but sip.listen has no such address: what it sends within calls \
                 can only come back on a connection that we opened",
                transport.word()
            ));
        }
        warnings
    }

    /// The transport by which we speak to the proxy and cannot be spoken to.
    fn deaf_to_proxy(&self) -> Option<SipTransport> {
        let transport = self.sip.proxy.as_ref()?.hop().certain_transport()?;
        let listens = self.sip.listen.iter().any(|listen| listen.transport == transport);
        (!listens && transport != SipTransport::Udp).then_some(transport)
    }

    /// A proxy that can be spoken to by nothing that we have.
    fn check_proxy(&self) -> Option<Refusal> {
        let by = self.sip.proxy.as_ref()?.hop().certain_transport()?;
        let listens = self.sip.listen.iter().any(|listen| listen.transport == by);
        if by != SipTransport::Udp || listens {
            return None;
        }
        let why = "is spoken to by udp, but sip.listen has no udp address".to_owned();
        Some(("sip", "proxy", why, "add \"udp:ADDRESS:PORT\" to sip.listen, or name the proxy's transport"))
    }
}

/// Refuses a certificate without its key, and a key without its certificate.
fn check_pair(table: &'static str, certificate: bool, key: bool) -> Option<Refusal> {
    let (there, missing) = match (certificate, key) {
        (true, false) => ("certificate", "key"),
        (false, true) => ("key", "certificate"),
        (true, true) | (false, false) => return None,
    };
    let why = format!("has no {table}.{missing} beside it");
    Some((table, there, why, "certificate and key go together: set both or neither"))
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
