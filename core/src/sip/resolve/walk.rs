//! RFC 3263 §4 over what is known: to servers, or to what has to be asked next.

use std::net::SocketAddr;

use super::cache::{Answer, Cache, Kind, Pointer, Question, Server};
use super::{Families, Hop, HopHost, Names, Target, Targets, Unresolved, default_port};
use crate::Tick;
use crate::config::SipTransport;

/// How many names one may be another name for, one after the other.
const MOST_ALIASES: usize = 8;
/// More servers of one name are not looked up.
const MOST_SERVERS: usize = 12;
/// More addresses of one name are not tried.
const MOST_TARGETS: usize = 32;

/// What is known.
pub(super) struct Known<'a> {
    pub(super) now: Tick,
    pub(super) cache: &'a Cache,
    pub(super) names: &'a Names,
    pub(super) preferred: &'a [SipTransport],
    pub(super) families: Families,
    /// What servers of the same priority are drawn by.
    pub(super) draw: u64,
}

/// How far one comes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// To these servers.
    Done(Targets),
    /// Nowhere.
    Failed(Unresolved),
    /// These have to be answered first.
    Needs(Vec<Question>),
}

/// What was gathered on the way.
#[derive(Default)]
struct Found {
    targets: Targets,
    needs: Vec<Question>,
    silence: bool,
    /// There are addresses, but of a family that we do not have.
    foreign: bool,
}

impl Found {
    fn end(mut self) -> Walk {
        if !self.needs.is_empty() {
            self.needs.dedup();
            return Walk::Needs(self.needs);
        }
        self.targets.truncate(MOST_TARGETS);
        match (self.targets.is_empty(), self.silence, self.foreign) {
            (false, ..) => Walk::Done(self.targets),
            (_, true, _) => Walk::Failed(Unresolved::Silent),
            (_, _, true) => Walk::Failed(Unresolved::Foreign),
            _ => Walk::Failed(Unresolved::Unknown),
        }
    }
}

/// Goes from a hop to its servers.
pub(super) fn walk(hop: &Hop, known: &Known<'_>) -> Walk {
    let HopHost::Name(name) = &hop.host else { return Walk::Failed(Unresolved::Unknown) };
    if name.is_empty() || name.len() > 253 {
        return Walk::Failed(Unresolved::Unknown);
    }
    let transport = hop.default_transport();
    let mut found = Found::default();
    if hop.port.is_some() || !known.names.host(name).is_empty() {
        known.addresses(name, hop.port.unwrap_or(default_port(transport)), transport, &mut found);
        return found.end();
    }
    if let Some(transport) = hop.transport {
        return match known.servers(&service(name, transport), transport, &mut found) {
            Has::Yes => found.end(),
            Has::No => known.plainly(name, transport),
        };
    }
    known.by_pointers(name, hop.secure)
}

/// Whether a name has records.
#[derive(PartialEq, Eq)]
enum Has {
    /// It has, or may have: what is not known is among what is needed.
    Yes,
    No,
}

/// The name of the SRV records (RFC 3263 §4.2).
fn service(name: &str, transport: SipTransport) -> Box<str> {
    match transport {
        SipTransport::Udp => format!("_sip._udp.{name}"),
        SipTransport::Tcp => format!("_sip._tcp.{name}"),
        SipTransport::Tls => format!("_sips._tcp.{name}"),
    }
    .into()
}

impl Known<'_> {
    /// The transport is the DNS's to say (RFC 3263 §4.1).
    fn by_pointers(&self, name: &str, secure: bool) -> Walk {
        let question = Question { name: name.into(), kind: Kind::Naptr };
        let mut found = Found::default();
        match self.known(&question, &mut found) {
            None => return found.end(),
            Some(Answer::Silence) => return Walk::Failed(Unresolved::Silent),
            Some(Answer::Pointers(pointers)) => {
                let mut usable: Vec<(&Pointer, SipTransport)> = pointers
                    .iter()
                    .filter_map(|pointer| Some((pointer, self.usable(pointer, secure)?)))
                    .collect();
                usable.sort_by_key(|(pointer, _)| (pointer.order, pointer.preference));
                for (pointer, transport) in usable {
                    let mut found = Found::default();
                    if self.servers(&pointer.replacement, transport, &mut found) == Has::Yes {
                        return found.end();
                    }
                }
            }
            Some(_) => {}
        }
        self.by_services(name, secure)
    }

    /// The transport that a NAPTR record is for, if we speak it.
    fn usable(&self, pointer: &Pointer, secure: bool) -> Option<SipTransport> {
        let transport = match &*pointer.service.to_ascii_uppercase() {
            b"SIPS+D2T" => SipTransport::Tls,
            b"SIP+D2T" if !secure => SipTransport::Tcp,
            b"SIP+D2U" if !secure => SipTransport::Udp,
            _ => return None,
        };
        let to_servers = pointer.flags.eq_ignore_ascii_case(b"s") && !pointer.replacement.is_empty();
        (to_servers && self.preferred.contains(&transport)).then_some(transport)
    }

    /// Nothing points anywhere: whichever service is there, in our own order.
    fn by_services(&self, name: &str, secure: bool) -> Walk {
        let transports = self.preferred.iter().copied();
        let transports = transports.filter(|transport| !secure || *transport == SipTransport::Tls);
        let mut needs = Found::default();
        let mut best = None;
        for transport in transports {
            let mut found = Found::default();
            if self.servers(&service(name, transport), transport, &mut found) == Has::Yes {
                if found.needs.iter().any(|question| question.kind == Kind::Srv) {
                    needs.needs.append(&mut found.needs);
                } else if best.is_none() {
                    best = Some(found);
                }
            }
        }
        if !needs.needs.is_empty() {
            return needs.end();
        }
        match best {
            Some(found) => found.end(),
            None => self.plainly(name, if secure { SipTransport::Tls } else { SipTransport::Udp }),
        }
    }

    /// There is no SRV record: the name's own addresses.
    fn plainly(&self, name: &str, transport: SipTransport) -> Walk {
        let mut found = Found::default();
        self.addresses(name, default_port(transport), transport, &mut found);
        found.end()
    }

    /// What is known of a question; else it is noted as needed.
    fn known(&self, question: &Question, found: &mut Found) -> Option<&Answer> {
        let mut question = question.clone();
        for _ in 0..MOST_ALIASES {
            match self.cache.get(self.now, &question) {
                Some(Answer::Alias(other)) => question.name = other.clone(),
                Some(answer) => return Some(answer),
                None => {
                    found.needs.push(question);
                    return None;
                }
            }
        }
        Some(&Answer::Silence)
    }

    /// Gathers the servers of SRV records, in the order in which they are to be tried (RFC 2782).
    fn servers(&self, name: &str, transport: SipTransport, found: &mut Found) -> Has {
        let question = Question { name: name.into(), kind: Kind::Srv };
        let servers = match self.known(&question, found) {
            None => return Has::Yes,
            Some(Answer::Servers(servers)) => servers,
            Some(Answer::Silence) => {
                found.silence = true;
                return Has::Yes;
            }
            Some(_) => return Has::No,
        };
        for server in in_order(servers, self.draw).into_iter().take(MOST_SERVERS) {
            if !server.name.is_empty() {
                self.addresses(&server.name, server.port, transport, found);
            }
        }
        Has::Yes
    }

    /// Gathers the addresses of a name.
    fn addresses(&self, name: &str, port: u16, transport: SipTransport, found: &mut Found) {
        let add = |found: &mut Found, address| {
            if self.families.have(address) {
                found.targets.push(Target { transport, address: SocketAddr::new(address, port) });
            } else {
                found.foreign = true;
            }
        };
        let hosts = self.names.host(name);
        if !hosts.is_empty() {
            hosts.into_iter().for_each(|address| add(found, address));
            return;
        }
        for (kind, wanted) in [(Kind::A, self.families.v4), (Kind::Aaaa, self.families.v6)] {
            if !wanted {
                continue;
            }
            match self.known(&Question { name: name.into(), kind }, found) {
                Some(Answer::Addresses(addresses)) => {
                    addresses.iter().for_each(|address| add(found, *address));
                }
                Some(Answer::Silence) => found.silence = true,
                _ => {}
            }
        }
    }
}

/// Servers by priority, those of one priority drawn by weight (RFC 2782).
fn in_order(servers: &[Server], mut draw: u64) -> Vec<&Server> {
    let mut left: Vec<&Server> = servers.iter().collect();
    // Those without weight first, so that they have a chance at all.
    left.sort_by_key(|server| (server.priority, server.weight != 0));
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(priority) = left.first().map(|server| server.priority) {
        let same = left.iter().take_while(|server| server.priority == priority);
        let sum: u64 = same.map(|server| u64::from(server.weight)).sum();
        draw = next_draw(draw);
        let drawn = (u128::from(draw) * u128::from(sum + 1)) >> 64;
        let mut running = 0;
        let reaches = |server: &&Server| {
            running += u128::from(server.weight);
            running >= drawn
        };
        let at = left.iter().take_while(|server| server.priority == priority).position(reaches);
        ordered.push(left.remove(at.unwrap_or(0)));
    }
    ordered
}

/// The next of a row of numbers as good as drawn.
fn next_draw(draw: u64) -> u64 {
    let mut bits = draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(priority: u16, weight: u16, name: &str) -> Server {
        Server { priority, weight, port: 5060, name: name.into() }
    }

    #[test]
    fn servers_come_by_priority_and_within_it_by_weight() {
        let servers =
            [server(2, 1, "late"), server(1, 30, "often"), server(1, 10, "seldom"), server(1, 0, "never")];
        let mut first = std::collections::BTreeMap::new();
        for draw in 0..4000 {
            let order = in_order(&servers, draw);
            assert_eq!((order.len(), &*order[3].name), (4, "late"));
            *first.entry(order[0].name.clone()).or_insert(0) += 1;
        }
        let share = |name: &str| first.get(name).copied().unwrap_or(0);
        assert!((2600..3200).contains(&share("often")), "three of four: {first:?}");
        assert!((750..1250).contains(&share("seldom")), "one of four: {first:?}");
        assert!((1..250).contains(&share("never")), "hardly ever: {first:?}");
    }
}
