//! All keys, once: their order, what they mean, and what they may be.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::value::Value;
use super::{Auth, Calls, Config, Http, Limits, Sip};
use crate::http::MAX_HEADERS as MOST_HTTP_HEADERS;
use crate::sip::message::{MAX_HEADERS as MOST_SIP_HEADERS, MAX_MESSAGE};

/// Who walks over the keys: the reader and the printer.
pub(super) trait Keys {
    /// The keys that follow belong to this table.
    fn table(&mut self, name: &'static str, about: &'static str);
    /// A key with a default, any value of its kind.
    fn key<V: Value>(&mut self, name: &'static str, about: &'static str, value: &mut V);
    /// A key with a default whose value lies in a range.
    fn within<V: Value + PartialOrd>(
        &mut self,
        name: &'static str,
        about: &'static str,
        value: &mut V,
        range: RangeInclusive<V>,
    );
    /// A key without a default; the example is TOML.
    fn optional<V: Value>(
        &mut self,
        name: &'static str,
        about: &'static str,
        example: &'static str,
        value: &mut Option<V>,
    );
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

impl Config {
    /// Walks over all keys in the order in which they are printed.
    pub(super) fn walk(&mut self, keys: &mut impl Keys) {
        keys.optional(
            "workers",
            "How many workers share the calls, each with SIP ports of its own: the first listens at those of sip.listen, \
             each further one at the next that are free of the others. Without this one works on each processor, up to \
             eight; cordboard-lite always has one.",
            "2",
            &mut self.workers,
        );
        self.http.walk(keys);
        self.auth.walk(keys);
        self.sip.walk(keys);
        self.calls.walk(keys);
        keys.table("users", "Who may place calls, and with which SIP credentials.");
        keys.key(
            "file",
            "Written by `cordboard user`; relative to this file's folder. Read again when it changes.",
            &mut self.users.file,
        );
        self.limits.walk(keys);
    }
}

impl Http {
    fn walk(&mut self, keys: &mut impl Keys) {
        keys.table("http", "Where programs reach the REST interface.");
        keys.key("https", "Addresses for HTTPS.", &mut self.https);
        keys.key("http", "Addresses for HTTP, where every request needs a login.", &mut self.http);
        keys.optional(
            "certificate",
            "PEM files for HTTPS, relative to this file's folder. Without these two a self-signed certificate \
             is made at start and its fingerprint logged.",
            "\"cert.pem\"",
            &mut self.certificate,
        );
        keys.optional("key", "", "\"key.pem\"", &mut self.key);
        keys.key(
            "trusted",
            "Hosts that need no login over HTTPS: addresses or ranges of them.",
            &mut self.trusted,
        );
    }
}

impl Auth {
    fn walk(&mut self, keys: &mut impl Keys) {
        keys.table("auth", "How everybody else logs in.");
        keys.optional(
            "realm",
            "The realm that PINs are stored for; changing it makes them all wrong. Default: sip.domain.",
            "\"example.com\"",
            &mut self.realm,
        );
        keys.key(
            "algorithms",
            "Digest algorithms in the order offered, strongest first.",
            &mut self.algorithms,
        );
        keys.within(
            "nonce_lifetime",
            "How long a nonce may be used, 1s to 24h.",
            &mut self.nonce_lifetime,
            secs(1)..=secs(86_400),
        );
        keys.key("basic_over_https", "Whether HTTPS takes Basic too.", &mut self.basic_over_https);
    }
}

impl Sip {
    fn walk(&mut self, keys: &mut impl Keys) {
        keys.table("sip", "Our place in the SIP network.");
        keys.key(
            "domain",
            "The domain of users that are named without one. The only key without a default.",
            &mut self.domain,
        );
        keys.key(
            "listen",
            "Our own addresses, with transport: udp, tcp or tls. Each family is listened for by itself: name both \
             0.0.0.0 and [::] for both.",
            &mut self.listen,
        );
        keys.key(
            "advertise",
            "Our address for Via and Contact, or one of each family; needed when listening on a wildcard like \
             0.0.0.0, or behind NAT.",
            &mut self.advertise,
        );
        keys.optional(
            "proxy",
            "Where every new request goes, by address or by name. Default: where the DNS has the party's domain \
             (RFC 3263).",
            "\"sip:127.0.0.1:5060;transport=udp\"",
            &mut self.proxy,
        );
        keys.key(
            "nameservers",
            "Name servers, with their ports. Default: those of the system.",
            &mut self.nameservers,
        );
        self.walk_tls(keys);
        keys.key(
            "dialect",
            "\"generic\", or \"sipx\": the URI parameters by which sipXecs and sipXcom forward no call.",
            &mut self.dialect,
        );
        let times = millis(1)..=secs(60);
        keys.within(
            "t1",
            "The timers T1, T2 and T4 of RFC 3261, section 17; 1ms to 60s.",
            &mut self.t1,
            times.clone(),
        );
        keys.within("t2", "", &mut self.t2, times.clone());
        keys.within("t4", "", &mut self.t4, times);
    }

    fn walk_tls(&mut self, keys: &mut impl Keys) {
        keys.optional(
            "certificate",
            "PEM files of our certificate for TLS, relative to this file's folder; needed when listening on tls. Shown \
             also to servers that ask for one. Read again on SIGHUP.",
            "\"sip-cert.pem\"",
            &mut self.certificate,
        );
        keys.optional("key", "", "\"sip-key.pem\"", &mut self.key);
        keys.optional(
            "ca",
            "PEM file of the authorities that are trusted. Default: those of the system.",
            "\"ca.pem\"",
            &mut self.ca,
        );
        keys.key(
            "client_certificates",
            "Whether who connects by TLS has to show a certificate: \"none\", \"optional\" or \"required\".",
            &mut self.client_certificates,
        );
    }
}

impl Calls {
    fn walk(&mut self, keys: &mut impl Keys) {
        keys.table("calls", "How calls are placed.");
        keys.within(
            "max_calls",
            "Calls at once; one more is answered 503. As many that are over wait, at each worker, for what a phone may still \
             notify.",
            &mut self.max_calls,
            1..=10_000_000,
        );
        keys.within(
            "timeout",
            "How long the calling party is alerted unless the request says, 1s to 1h.",
            &mut self.timeout,
            secs(1)..=secs(3600),
        );
        keys.within(
            "result_cache_time",
            "How long a call's progress can be asked for after its end unless the request says, 0s to 24h.",
            &mut self.result_cache_time,
            secs(0)..=secs(86_400),
        );
        keys.key(
            "hold_sdp",
            "First offers, tried in this order while the phone refuses: \"sendonly\", \"blackhole\", \
             \"inactive\", \"nomedia\".",
            &mut self.hold_sdp,
        );
        self.walk_identity(keys);
        keys.key(
            "refer_hangup",
            "When the referred phone is let go: when the outcome is \"final\", or already when the called \
             party is \"ringing\".",
            &mut self.refer_hangup,
        );
        keys.key(
            "refer_fallback",
            "What becomes of a call whose phone refuses REFER: \"none\" ends it, \"invite\" stays in it.",
            &mut self.refer_fallback,
        );
        keys.key(
            "session_expires",
            "The session timer of calls that Cordboard stays in, 90s to 24h, or \"off\".",
            &mut self.session_expires,
        );
    }

    fn walk_identity(&mut self, keys: &mut impl Keys) {
        keys.key("identity", "Whom phones see: the \"agent\", or the other \"party\".", &mut self.identity);
        keys.key(
            "asserted_identity",
            "Whether P-Asserted-Identity is sent, to the proxies of trusted_proxy only (none named: sip.proxy).",
            &mut self.asserted_identity,
        );
        keys.key("trusted_proxy", "", &mut self.trusted_proxy);
    }
}

impl Limits {
    fn walk(&mut self, keys: &mut impl Keys) {
        keys.table("limits", "What a peer may ask of the service before it is refused.");
        keys.within("http_head", "Bytes of an HTTP request's head.", &mut self.http_head, 1024..=1 << 20);
        keys.within("http_body", "Bytes of an HTTP request's body.", &mut self.http_body, 0..=16 << 20);
        keys.within(
            "http_headers",
            "Header fields of an HTTP request, up to 256.",
            &mut self.http_headers,
            8..=MOST_HTTP_HEADERS,
        );
        keys.within(
            "request_time",
            "From the first byte of a request, or of a SIP message on a connection, to its last.",
            &mut self.request_time,
            millis(100)..=secs(3600),
        );
        keys.within(
            "idle_time",
            "How long an HTTP connection may rest.",
            &mut self.idle_time,
            millis(100)..=secs(86_400),
        );
        keys.within("connections", "HTTP connections at once.", &mut self.connections, 1..=1_000_000);
        keys.within(
            "pipelined",
            "Requests of one connection whose answers it has not yet taken.",
            &mut self.pipelined,
            1..=10_000,
        );
        keys.within(
            "sip_connections",
            "Connections that bring SIP, at once.",
            &mut self.sip_connections,
            1..=1_000_000,
        );
        keys.within(
            "sip_idle_time",
            "How long a connection of SIP may rest.",
            &mut self.sip_idle_time,
            secs(1)..=secs(86_400),
        );
        keys.within(
            "sip_message",
            "Bytes of a SIP message, up to 65535.",
            &mut self.sip_message,
            1300..=MAX_MESSAGE,
        );
        keys.within(
            "sip_headers",
            "Header fields of a SIP message, up to 128.",
            &mut self.sip_headers,
            16..=MOST_SIP_HEADERS,
        );
        keys.within(
            "record_events",
            "Events in a call's record; of more, the oldest in the middle are dropped and counted.",
            &mut self.record_events,
            4..=100_000,
        );
        keys.within(
            "behind",
            "When a worker has so long to work on what has come in already, new calls are taken at a pace at which it has not, \
             and the others are refused (503), so that those in progress go on.",
            &mut self.behind,
            millis(1)..=secs(60),
        );
    }
}
