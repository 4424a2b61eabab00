//! dnsmasq as the name server of a zone that the test writes.

use std::fmt::Write;
use std::net::IpAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::ports;
use crate::process::Process;

/// The names that a server is to know.
#[derive(Clone, Debug, Default)]
pub struct Zone(String);

impl Zone {
    /// A zone without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// The address of a host; a host may have several, also of both families.
    pub fn host(mut self, name: &str, address: impl Into<IpAddr>) -> Self {
        self.line(format_args!("host-record={name},{}", address.into()));
        self
    }

    /// A server of a service like `_sip._tcp.example.com`: its host, its port, and its priority, of which the lowest is
    /// asked first.
    pub fn srv(mut self, service: &str, host: &str, port: u16, priority: u16) -> Self {
        self.line(format_args!("srv-host={service},{host},{port},{priority},10"));
        self
    }

    /// A way to reach a domain, `SIP+D2U`, `SIP+D2T` or `SIPS+D2T`, by the SRV records of a service; the lowest order is
    /// the domain's first choice.
    pub fn naptr(mut self, domain: &str, order: u16, way: &str, service: &str) -> Self {
        self.line(format_args!("naptr-record={domain},{order},10,s,{way},,{service}"));
        self
    }

    /// So many servers of a service, all at this port of this address, that their records fill more than a datagram may
    /// have by RFC 1035; all have this priority.
    pub fn crowd(mut self, service: &str, address: impl Into<IpAddr>, port: u16, priority: u16) -> Self {
        let address = address.into();
        for number in 0..60 {
            let host = format!("server-number-{number}.with-a-long-name-of-its-own-{number}.test");
            self = self.srv(service, &host, port, priority).host(&host, address);
        }
        self
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a text grows");
    }
}

/// A running name server.
#[derive(Debug)]
pub struct NameServer {
    /// Holds its files until its process has ended.
    _folder: TempDir,
    process: Process,
    port: u16,
}

impl NameServer {
    /// Starts a server that knows this zone, that nothing else is below `test`, and nothing of other domains.
    pub fn start(zone: &Zone) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = ports::free();
        let config = format!(
            "port={port}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nno-poll\nlocal=/test/\n\
             log-queries\nlog-facility=-\ncache-size=0\nlocal-ttl=60\n{}",
            zone.0
        );
        let file = folder.path().join("dnsmasq.conf");
        std::fs::write(&file, config).expect("a file can be written");
        let mut command = Command::new("dnsmasq");
        // Without a daemon it stays the user that it is, and in the foreground.
        command.arg("--no-daemon").arg(format!("--conf-file={}", file.display())).arg("--pid-file");
        let mut process = Process::start("dnsmasq", &mut command, folder.path());
        process.wait_said("its start", |said| said.contains("started, version").then_some(()));
        Self { _folder: folder, process, port }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The key `nameservers` of `[sip]`.
    pub fn config(&self) -> String {
        format!("nameservers = [\"127.0.0.1:{}\"]\n", self.port)
    }

    /// What it was asked, and what it has answered.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// How often it was asked for records of this type and name.
    pub fn asked(&self, kind: &str, name: &str) -> usize {
        self.said().matches(&format!("query[{kind}] {name} from ")).count()
    }
}
