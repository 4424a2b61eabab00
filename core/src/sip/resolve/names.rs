//! What the system says of names: `/etc/resolv.conf` and `/etc/hosts`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// The port of name servers.
const PORT: u16 = 53;
/// More name servers are not asked (resolv.conf(5)).
const MOST_SERVERS: usize = 3;

/// The system's name servers and hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    pub(super) servers: Vec<SocketAddr>,
    /// How long one server has for its answer.
    pub(super) timeout: Duration,
    /// How often the servers are gone through.
    pub(super) rounds: u32,
    hosts: BTreeMap<Box<str>, Vec<IpAddr>>,
}

impl Names {
    /// Reads the text of `/etc/resolv.conf` (resolv.conf(5)) and of `/etc/hosts` (hosts(5)). Lines that mean nothing are
    /// skipped, as the system does; without a name server, the one of this machine is asked. Search domains do not
    /// count: domains of SIP are whole.
    pub fn read(resolv_conf: &str, hosts: &str) -> Self {
        let mut names =
            Self { servers: Vec::new(), timeout: Duration::from_secs(2), rounds: 2, hosts: BTreeMap::new() };
        resolv_conf.lines().for_each(|line| names.read_resolv(line));
        if names.servers.is_empty() {
            names.servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        }
        hosts.lines().for_each(|line| names.read_host(line));
        names
    }

    /// Asks these name servers instead of the system's.
    #[must_use]
    pub fn with_servers(mut self, servers: Vec<SocketAddr>) -> Self {
        self.servers = servers;
        self
    }

    fn read_resolv(&mut self, line: &str) {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") if self.servers.len() < MOST_SERVERS => {
                self.servers.extend(words.next().and_then(server));
            }
            Some("options") => words.for_each(|option| self.read_option(option)),
            _ => {}
        }
    }

    fn read_option(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else { return };
        let Ok(value) = value.parse::<u32>() else { return };
        match name {
            "timeout" => self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30))),
            "attempts" => self.rounds = value.clamp(1, 5),
            _ => {}
        }
    }

    fn read_host(&mut self, line: &str) {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { return };
        for name in words {
            let name = name.trim_end_matches('.').to_ascii_lowercase().into_boxed_str();
            let addresses = self.hosts.entry(name).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }

    /// The addresses of a name that the system knows by itself; empty for any other.
    pub(super) fn host(&self, name: &str) -> Vec<IpAddr> {
        // RFC 6761 §6.3
        if name == "localhost" || name.ends_with(".localhost") {
            return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        self.hosts.get(name).cloned().unwrap_or_default()
    }
}

fn server(word: &str) -> Option<SocketAddr> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, PORT));
    }
    let (address, scope) = word.split_once('%')?;
    Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, scope.parse().ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let names = Names::read(
            "# made by hand\nsearch example.com\nnameserver 192.0.2.1\nnameserver fe80::1%3 ; the router\n\
             nameserver nonsense\noptions timeout:1 attempts:3 rotate\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
            "127.0.0.1 localhost\n192.0.2.7\tPBX.example.com pbx # ours\n2001:db8::7 pbx\nnonsense x\n",
        );
        let servers: Vec<String> = names.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[fe80::1%3]:53", "192.0.2.3:53"]);
        assert_eq!((names.timeout, names.rounds), (Duration::from_secs(1), 3));
        let host = |name| names.host(name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(host("pbx"), ["192.0.2.7", "2001:db8::7"]);
        assert_eq!(host("pbx.example.com"), ["192.0.2.7"]);
        assert_eq!(host("x"), Vec::<String>::new());
        assert_eq!(host("a.localhost"), ["127.0.0.1", "::1"]);
    }

    #[test]
    fn a_system_that_says_nothing_is_its_own_name_server() {
        let names = Names::read("", "");
        assert_eq!(names.servers, ["127.0.0.1:53".parse().unwrap()]);
        let others = vec!["127.0.0.1:5353".parse().unwrap()];
        assert_eq!(names.with_servers(others.clone()).servers, others);
    }
}
