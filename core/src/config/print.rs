//! The configuration with all its keys and what they mean, as `cordboard check --print` shows it.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::values::write_duration;
use super::{Config, Dialect, HoldSdp, Identity, ReferFallback, ReferHangup};

impl Config {
    /// The configuration as TOML text with comments; reading it gives the same configuration.
    pub fn print(&self) -> String {
        let mut page = Page::default();
        self.print_http(&mut page);
        self.print_sip(&mut page);
        self.print_calls(&mut page);
        self.print_limits(&mut page);
        page.0
    }

    fn print_http(&self, page: &mut Page) {
        page.table("http");
        page.key("https", &list(&self.http.https), "addresses for HTTPS");
        page.key("http", &list(&self.http.http), "addresses for HTTP: always with a login");
        page.optional("certificate", self.http.certificate.as_deref(), "\"cert.pem\"", "PEM files; without these two a self-signed certificate is made at start");
        page.optional("key", self.http.key.as_deref(), "\"key.pem\"", "");
        page.key("trusted", &list(&self.http.trusted), "who needs no login over HTTPS");
        page.table("auth");
        page.optional("realm", self.auth.realm.as_deref(), &text(&self.sip.domain), "default: sip.domain");
        let algorithms: Vec<_> = self.auth.algorithms.iter().map(|algorithm| algorithm.name()).collect();
        page.key("algorithms", &list(&algorithms), "what is offered, strongest first");
        page.key("nonce_lifetime", &span(self.auth.nonce_lifetime), "how long a nonce may be used");
        page.key("basic_over_https", &self.auth.basic_over_https.to_string(), "whether HTTPS takes Basic too");
    }

    fn print_sip(&self, page: &mut Page) {
        page.table("sip");
        page.key("domain", &text(&self.sip.domain), "the domain of users that are named without one");
        page.key("listen", &list(&self.sip.listen), "our own addresses");
        let advertise = self.sip.advertise.map(|address| address.to_string());
        page.optional("advertise", advertise.as_deref(), "\"192.0.2.1\"", "for Via and Contact when listening on a wildcard");
        let proxy = self.sip.proxy.as_ref().map(ToString::to_string);
        page.optional("proxy", proxy.as_deref(), "\"sip:127.0.0.1:5060;transport=udp\"", "where requests go; default: to the party's own host");
        let dialect = match self.sip.dialect {
            Dialect::Generic => "generic",
            Dialect::Sipx => "sipx",
        };
        page.key("dialect", &text(dialect), "or \"sipx\": the URI parameters of sipXecs");
        page.key("t1", &span(self.sip.t1), "T1, T2, T4 of RFC 3261");
        page.key("t2", &span(self.sip.t2), "");
        page.key("t4", &span(self.sip.t4), "");
    }

    fn print_calls(&self, page: &mut Page) {
        let calls = &self.calls;
        page.table("calls");
        page.key("max_calls", &calls.max_calls.to_string(), "calls at once; beyond, 503");
        page.key("timeout", &span(calls.timeout), "how long the calling party is alerted");
        page.key("result_cache_time", &span(calls.result_cache_time), "how long a record is kept after the call");
        let hold: Vec<_> = calls.hold_sdp.iter().map(|kind| match kind {
            HoldSdp::Sendonly => "sendonly",
            HoldSdp::Blackhole => "blackhole",
            HoldSdp::Inactive => "inactive",
            HoldSdp::Nomedia => "nomedia",
        }).collect();
        page.key("hold_sdp", &list(&hold), "first offers, tried in this order");
        let identity = match calls.identity {
            Identity::Agent => "agent",
            Identity::Party => "party",
        };
        page.key("identity", &text(identity), "whom phones see: the agent, or the other \"party\"");
        page.key("asserted_identity", &calls.asserted_identity.to_string(), "whether P-Asserted-Identity is sent");
        let hangup = match calls.refer_hangup {
            ReferHangup::Final => "final",
            ReferHangup::Ringing => "ringing",
        };
        page.key("refer_hangup", &text(hangup), "or \"ringing\": let the referred phone go at the first 18x");
        let fallback = match calls.refer_fallback {
            ReferFallback::None => "none",
            ReferFallback::Invite => "invite",
        };
        page.key("refer_fallback", &text(fallback), "or \"invite\": stay in the call of a phone that refuses REFER");
        let expires = calls.session_expires.map_or("off".to_owned(), write_duration);
        page.key("session_expires", &text(&expires), "session timer of calls that Cordboard stays in, or \"off\"");
        page.table("users");
        page.key("file", &text(&self.users.file), "relative to this file's folder");
    }

    fn print_limits(&self, page: &mut Page) {
        let limits = &self.limits;
        page.table("limits");
        page.key("http_head", &limits.http_head.to_string(), "bytes");
        page.key("http_body", &limits.http_body.to_string(), "bytes");
        page.key("http_headers", &limits.http_headers.to_string(), "");
        page.key("request_time", &span(limits.request_time), "from a request's first byte to its last");
        page.key("idle_time", &span(limits.idle_time), "between requests");
        page.key("connections", &limits.connections.to_string(), "HTTP connections at once");
        page.key("pipelined", &limits.pipelined.to_string(), "requests answered ahead of the client's reading");
        page.key("record_events", &limits.record_events.to_string(), "events in a call's record");
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    fn table(&mut self, name: &str) {
        self.line(&format!("[{name}]"));
    }

    fn key(&mut self, name: &str, value: &str, comment: &str) {
        let mut line = format!("{name} = {value}");
        if !comment.is_empty() {
            // Writing to a String cannot fail.
            let _: std::fmt::Result = write!(line, "{:width$}  # {comment}", "", width = 44usize.saturating_sub(line.len()));
        }
        self.line(&line);
    }

    /// A key without a default: shown as a comment with an example when it is not set.
    fn optional(&mut self, name: &str, value: Option<&str>, example: &str, comment: &str) {
        match value {
            Some(value) => self.key(name, &text(value), comment),
            None => self.key(&format!("# {name}"), example, comment),
        }
    }
}

fn text(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn span(duration: Duration) -> String {
    text(&write_duration(duration))
}

fn list<T: Display>(values: &[T]) -> String {
    let values: Vec<_> = values.iter().map(|value| text(&value.to_string())).collect();
    format!("[{}]", values.join(", "))
}
