//! Whole lookups in virtual time, against a name server that is played here.

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NAPTR, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::prelude::*;

use super::*;
use crate::Seed;
use crate::io::Output;
use crate::random::Consumer;
use crate::sip::message::Uri;

const SECOND: Duration = Duration::from_secs(1);
/// The name servers.
const SERVERS: [&str; 2] = ["192.0.2.53:53", "192.0.2.54:53"];

/// What the resolver sent and nobody has answered.
#[derive(Clone, Debug)]
struct Sent {
    query: QueryId,
    server: SocketAddr,
    message: Message,
}

struct World {
    resolver: Resolver,
    outbox: Outbox,
    now: Tick,
    zone: Vec<(String, RecordType, u32, RData)>,
    /// Everything that was ever asked.
    asked: Vec<String>,
    sent: Vec<Sent>,
    connections: Vec<(ConnectionId, Vec<u8>)>,
    over: usize,
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).unwrap()
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData {
    let target = if target == "." { Name::root() } else { name(target) };
    RData::SRV(SRV::new(priority, weight, port, target))
}

fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> RData {
    let (flags, service) = (b"s".to_vec().into(), service.as_bytes().to_vec().into());
    RData::NAPTR(NAPTR::new(order, preference, flags, service, Box::default(), name(replacement)))
}

fn a(text: &str) -> RData {
    match text.parse::<IpAddr>().unwrap() {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

impl World {
    fn new(zone: &[(&str, RData)]) -> Self {
        Self::with(zone, Families { v4: true, v6: true }, "")
    }

    fn with(zone: &[(&str, RData)], families: Families, hosts: &str) -> Self {
        let random = Random::new(&Seed([3; 32]), Consumer::Resolver);
        let preferred = vec![SipTransport::Udp, SipTransport::Tcp, SipTransport::Tls];
        let mut resolver = Resolver::new(random, preferred, families);
        let servers = SERVERS.map(|server| server.parse().unwrap()).to_vec();
        resolver.set_names(Names::read("", hosts).with_servers(servers));
        let record =
            |(name, data): &(&str, RData)| ((*name).to_owned(), data.record_type(), 60, data.clone());
        Self {
            resolver,
            outbox: Outbox::new(),
            now: Tick::from_micros(1_000_000),
            zone: zone.iter().map(record).collect(),
            asked: Vec::new(),
            sent: Vec::new(),
            connections: Vec::new(),
            over: 0,
        }
    }

    /// Takes what the resolver says out of its outbox.
    fn collect(&mut self) {
        while let Some(output) = self.outbox.pop() {
            match output {
                Output::Query { query, server, bytes } => {
                    let message = Message::from_vec(bytes).unwrap();
                    let asked = &message.queries[0];
                    self.asked.push(format!("{} {}", asked.name, asked.query_type));
                    self.sent.push(Sent { query, server, message });
                }
                Output::QueryOver { query } => {
                    self.over += 1;
                    self.sent.retain(|sent| sent.query != query);
                }
                Output::Connect { connection, .. } => self.connections.push((connection, Vec::new())),
                Output::Write { connection, bytes } => {
                    let open = self.connections.iter_mut().find(|(id, _)| *id == connection).unwrap();
                    open.1.extend_from_slice(bytes);
                }
                Output::Close { connection, .. } => self.connections.retain(|(id, _)| *id != connection),
                other => panic!("{other:?}"),
            }
        }
    }

    /// What the zone says to a question.
    fn answer(&self, question: &Message) -> Message {
        let Query { name, query_type, .. } = question.queries[0].clone();
        let mut message = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
        message.add_query(question.queries[0].clone());
        let own = |(owner, ..): &&(String, RecordType, u32, RData)| self::name(owner) == name;
        for (_, kind, ttl, data) in self.zone.iter().filter(own) {
            if *kind == query_type || *kind == RecordType::CNAME {
                message.add_answer(Record::from_rdata(name.clone(), *ttl, data.clone()));
            }
        }
        if self.zone.iter().filter(own).count() == 0 {
            message.metadata.response_code = ResponseCode::NXDomain;
        }
        message
    }

    fn hand_in(&mut self, query: QueryId, message: &Message) {
        let bytes = message.to_vec().unwrap();
        self.resolver.answer(self.now, query, &bytes, &mut self.outbox);
        self.collect();
    }

    /// Answers everything that is asked, until nothing is.
    fn serve(&mut self) {
        self.collect();
        while let Some(sent) = self.sent.pop() {
            let answer = self.answer(&sent.message);
            self.hand_in(sent.query, &answer);
        }
    }

    fn begin(&mut self, uri: &str) -> Located {
        let hop = Hop::of(&Uri::parse(uri).unwrap()).unwrap();
        let located = self.resolver.locate(self.now, &hop, &mut self.outbox);
        self.collect();
        located
    }

    /// Where a URI leads, by a server that answers everything.
    fn locate(&mut self, uri: &str) -> Result<Vec<String>, Unresolved> {
        let found = match self.begin(uri) {
            Located::Now(targets) => Ok(targets),
            Located::Never(why) => Err(why),
            Located::Later(id) => {
                self.serve();
                let (finished, found) = self.resolver.take_finished().expect("it is over");
                assert_eq!(finished, id);
                found
            }
        };
        found.map(|targets| targets.iter().map(shown).collect())
    }

    /// Lets time go by, and nobody answers.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.resolver.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.resolver.timeout(self.now, &mut self.outbox);
            self.collect();
        }
        self.now = end;
    }

    fn expect_quiet(&self) {
        assert_eq!(self.resolver.census(), Census::default());
        assert_eq!((self.resolver.next(), self.connections.len()), (None, 0));
    }
}

fn shown(target: &Target) -> String {
    format!("{} {}", target.transport.word(), target.address)
}

#[test]
fn an_address_asks_nobody() {
    let mut world = World::new(&[]);
    for (uri, target) in [
        ("sip:a@192.0.2.1", "udp 192.0.2.1:5060"),
        ("sip:a@192.0.2.1:5070;transport=tcp", "tcp 192.0.2.1:5070"),
        ("sip:a@[2001:db8::1];transport=tls", "tls [2001:db8::1]:5061"),
        ("sips:192.0.2.1", "tls 192.0.2.1:5061"),
        ("sips:192.0.2.1:5070;transport=TCP", "tls 192.0.2.1:5070"),
        ("sip:a@example.com;maddr=192.0.2.9", "udp 192.0.2.9:5060"),
    ] {
        assert_eq!(world.locate(uri), Ok(vec![target.to_owned()]), "{uri}");
    }
    assert_eq!(world.asked, Vec::<String>::new());
    world.expect_quiet();
    let v4 = Families { v4: true, v6: false };
    assert_eq!(World::with(&[], v4, "").locate("sip:[::1]"), Err(Unresolved::Foreign));
    for uri in ["tel:+491", "sips:a;transport=udp", "sip:a;transport=sctp"] {
        assert_eq!(Hop::of(&Uri::parse(uri).unwrap()), None, "{uri}");
    }
}

#[test]
fn pointers_say_which_transport_then_services_which_server_then_names_where() {
    let mut world = World::new(&[
        ("example.com", naptr(20, 0, "SIP+D2U", "_sip._udp.example.com")),
        ("example.com", naptr(10, 5, "SIP+D2T", "_sip._tcp.example.com")),
        ("example.com", naptr(10, 1, "SIP+D2S", "_sip._sctp.example.com")),
        ("_sip._tcp.example.com", srv(2, 0, 5062, "b.example.com")),
        ("_sip._tcp.example.com", srv(1, 0, 5061, "a.example.com")),
        ("_sip._udp.example.com", srv(1, 0, 5060, "a.example.com")),
        ("a.example.com", a("192.0.2.1")),
        ("a.example.com", a("2001:db8::1")),
        ("b.example.com", a("192.0.2.2")),
    ]);
    let found = world.locate("sip:user@Example.COM.").unwrap();
    assert_eq!(found, ["tcp 192.0.2.1:5061", "tcp [2001:db8::1]:5061", "tcp 192.0.2.2:5062"]);
    let asked = world.asked.len();
    assert_eq!(world.locate("sip:other@example.com").unwrap(), found, "from memory");
    assert_eq!(world.asked.len(), asked);
    world.expect_quiet();
}

#[test]
fn sips_takes_nothing_but_tls() {
    let mut world = World::new(&[
        ("example.com", naptr(1, 0, "SIP+D2U", "_sip._udp.example.com")),
        ("example.com", naptr(2, 0, "SIPS+D2T", "_sips._tcp.example.com")),
        ("_sip._udp.example.com", srv(1, 0, 5060, "a.example.com")),
        ("_sips._tcp.example.com", srv(1, 0, 5061, "a.example.com")),
        ("a.example.com", a("192.0.2.1")),
        ("plain.example", a("192.0.2.3")),
    ]);
    assert_eq!(world.locate("sips:example.com").unwrap(), ["tls 192.0.2.1:5061"]);
    assert_eq!(world.locate("sips:plain.example").unwrap(), ["tls 192.0.2.3:5061"]);
}

#[test]
fn without_pointers_our_own_preference_counts_and_without_services_the_name_itself() {
    let mut world = World::new(&[
        ("_sip._tcp.tcp.example", srv(1, 0, 5070, "a.example.com")),
        ("_sip._tcp.both.example", srv(1, 0, 5070, "a.example.com")),
        ("_sip._udp.both.example", srv(1, 0, 5071, "a.example.com")),
        ("a.example.com", a("192.0.2.1")),
    ]);
    assert_eq!(world.locate("sip:tcp.example").unwrap(), ["tcp 192.0.2.1:5070"]);
    assert_eq!(world.locate("sip:both.example").unwrap(), ["udp 192.0.2.1:5071"]);
    assert_eq!(world.locate("sip:a.example.com").unwrap(), ["udp 192.0.2.1:5060"]);
    assert_eq!(world.locate("sip:nowhere.example"), Err(Unresolved::Unknown));
    world.expect_quiet();
}

#[test]
fn a_named_port_or_transport_leaves_the_rest_to_be_asked() {
    let mut world = World::new(&[
        ("example.com", naptr(1, 0, "SIP+D2T", "_sip._tcp.example.com")),
        ("example.com", a("192.0.2.1")),
        ("_sip._tcp.example.com", srv(1, 0, 5070, "example.com")),
    ]);
    assert_eq!(world.locate("sip:example.com:5080").unwrap(), ["udp 192.0.2.1:5080"]);
    assert!(world.asked.iter().all(|asked| !asked.contains("SRV") && !asked.contains("NAPTR")));
    assert_eq!(world.locate("sip:example.com;transport=tcp").unwrap(), ["tcp 192.0.2.1:5070"]);
    assert_eq!(world.locate("sip:example.com;transport=udp").unwrap(), ["udp 192.0.2.1:5060"]);
    assert!(world.asked.iter().all(|asked| !asked.contains("NAPTR")), "{:?}", world.asked);
}

#[test]
fn a_service_that_is_said_not_to_be_there_is_not_sought_elsewhere() {
    let mut world =
        World::new(&[("_sip._udp.example.com", srv(0, 0, 0, ".")), ("example.com", a("192.0.2.1"))]);
    assert_eq!(world.locate("sip:example.com;transport=udp"), Err(Unresolved::Unknown));
}

#[test]
fn hosts_are_known_without_asking() {
    let families = Families { v4: true, v6: true };
    let mut world = World::with(&[], families, "192.0.2.7 pbx\n");
    assert_eq!(world.locate("sip:pbx").unwrap(), ["udp 192.0.2.7:5060"]);
    assert_eq!(world.locate("sips:PBX:5099").unwrap(), ["tls 192.0.2.7:5099"]);
    assert_eq!(world.locate("sip:localhost").unwrap(), ["udp 127.0.0.1:5060", "udp [::1]:5060"]);
    assert_eq!(world.asked, Vec::<String>::new());
}

#[test]
fn each_server_is_asked_in_turn_and_then_it_is_given_up() {
    let mut world = World::new(&[]);
    let Located::Later(id) = world.begin("sip:example.com:5060") else { panic!("it cannot be known") };
    world.pass(Duration::from_millis(7_999));
    let to = |query: &str| -> Vec<String> {
        let of = |sent: &&Sent| sent.message.queries[0].query_type.to_string() == query;
        world.sent.iter().filter(of).map(|sent| sent.server.to_string()).collect()
    };
    assert_eq!(to("A"), [SERVERS[0], SERVERS[1], SERVERS[0], SERVERS[1]], "every two seconds");
    assert!(world.resolver.take_finished().is_none());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.resolver.take_finished(), Some((id, Err(Unresolved::Silent))));
    world.expect_quiet();
    assert!(matches!(world.begin("sip:example.com:5060"), Located::Never(Unresolved::Silent)), "for a while");
    world.pass(5 * SECOND);
    assert!(matches!(world.begin("sip:example.com:5060"), Located::Later(_)));
}

#[test]
fn a_server_that_cannot_or_will_not_say_is_passed_over_at_once() {
    let mut world = World::new(&[("example.com", a("192.0.2.1"))]);
    let v4_only = world.begin("sip:example.com:5060");
    assert!(matches!(v4_only, Located::Later(_)));
    let start = world.now;
    for sent in std::mem::take(&mut world.sent) {
        let mut refusal = world.answer(&sent.message);
        refusal.answers.clear();
        refusal.metadata.response_code = ResponseCode::ServFail;
        world.hand_in(sent.query, &refusal);
    }
    assert!(world.sent.iter().all(|sent| sent.server.to_string() == SERVERS[1]), "{:?}", world.sent);
    for sent in std::mem::take(&mut world.sent) {
        world.resolver.unanswered(world.now, sent.query, &mut world.outbox);
        world.collect();
    }
    assert!(world.sent.iter().all(|sent| sent.server.to_string() == SERVERS[0]), "{:?}", world.sent);
    world.serve();
    let (_, found) = world.resolver.take_finished().expect("it is over");
    assert_eq!((found.unwrap().len(), world.now), (1, start));
    world.expect_quiet();
}

#[test]
fn what_does_not_fit_a_datagram_comes_by_tcp() {
    let mut world = World::with(&[("example.com", a("192.0.2.1"))], Families { v4: true, v6: false }, "");
    assert!(matches!(world.begin("sip:example.com:5060"), Located::Later(_)));
    let sent = world.sent.pop().unwrap();
    let mut truncated = world.answer(&sent.message);
    truncated.answers.clear();
    truncated.metadata.truncation = true;
    world.hand_in(sent.query, &truncated);
    let (connection, question) = world.connections[0].clone();
    assert!(Resolver::owns(connection));
    let (length, question) = question.split_at(2);
    assert_eq!(usize::from(u16::from_be_bytes([length[0], length[1]])), question.len());
    let answer = world.answer(&Message::from_vec(question).unwrap()).to_vec().unwrap();
    let framed = [&(answer.len() as u16).to_be_bytes()[..], &answer].concat();
    for byte in framed {
        world.resolver.received(world.now, connection, &[byte], &mut world.outbox);
        world.collect();
    }
    let (_, found) = world.resolver.take_finished().expect("it is over");
    assert_eq!(found.unwrap().iter().map(shown).collect::<Vec<_>>(), ["udp 192.0.2.1:5060"]);
    world.expect_quiet();
}

#[test]
fn a_connection_that_breaks_is_the_next_servers_turn() {
    let mut world = World::with(&[("example.com", a("192.0.2.1"))], Families { v4: true, v6: false }, "");
    world.begin("sip:example.com:5060");
    let sent = world.sent.pop().unwrap();
    let mut truncated = world.answer(&sent.message);
    truncated.metadata.truncation = true;
    world.hand_in(sent.query, &truncated);
    let (connection, _) = world.connections.pop().unwrap();
    world.resolver.lost(world.now, connection, &mut world.outbox);
    world.collect();
    assert_eq!(world.sent[0].server.to_string(), SERVERS[1]);
    world.serve();
    assert!(world.resolver.take_finished().expect("it is over").1.is_ok());
    world.expect_quiet();
}

#[test]
fn who_asks_the_same_is_told_together() {
    let mut world = World::new(&[("example.com", a("192.0.2.1"))]);
    for _ in 0..5 {
        assert!(matches!(world.begin("sip:example.com:5060"), Located::Later(_)));
    }
    assert_eq!(world.asked.len(), 2, "A and AAAA, once");
    world.serve();
    assert_eq!(std::iter::from_fn(|| world.resolver.take_finished()).count(), 5);
    world.expect_quiet();
}

#[test]
fn what_is_forgotten_is_told_to_nobody() {
    let mut world = World::new(&[("example.com", a("192.0.2.1"))]);
    let Located::Later(id) = world.begin("sip:example.com:5060") else { panic!("it cannot be known") };
    world.resolver.forget(id);
    world.serve();
    assert_eq!(world.resolver.take_finished(), None);
    world.expect_quiet();
}

#[test]
fn that_there_is_nothing_is_remembered_as_long_as_the_zone_says() {
    let mut world = World::with(&[], Families { v4: true, v6: false }, "");
    world.begin("sip:example.com:5060");
    let sent = world.sent.pop().unwrap();
    let mut nothing = world.answer(&sent.message);
    let soa = SOA::new(name("ns"), name("admin"), 1, 1, 1, 1, 300);
    nothing.add_authority(Record::from_rdata(name("example.com"), 900, RData::SOA(soa)));
    world.hand_in(sent.query, &nothing);
    assert_eq!(world.resolver.take_finished().unwrap().1, Err(Unresolved::Unknown));
    world.pass(299 * SECOND);
    assert!(matches!(world.begin("sip:example.com:5060"), Located::Never(Unresolved::Unknown)));
    world.pass(SECOND);
    assert!(matches!(world.begin("sip:example.com:5060"), Located::Later(_)));
}

#[test]
fn other_names_are_followed_but_not_in_circles() {
    let alias = |to: &str| RData::CNAME(CNAME(name(to)));
    let mut world = World::with(
        &[
            ("a.example", alias("b.example")),
            ("b.example", alias("c.example")),
            ("c.example", a("192.0.2.1")),
            ("x.example", alias("y.example")),
            ("y.example", alias("x.example")),
            ("self.example", alias("self.example")),
        ],
        Families { v4: true, v6: false },
        "",
    );
    assert_eq!(world.locate("sip:a.example:5060").unwrap(), ["udp 192.0.2.1:5060"]);
    assert!(world.locate("sip:x.example:5060").is_err());
    assert!(world.locate("sip:self.example:5060").is_err());
    world.expect_quiet();
}

#[test]
fn lies_are_not_believed_and_the_wait_goes_on() {
    let mut world = World::with(&[("example.com", a("192.0.2.1"))], Families { v4: true, v6: false }, "");
    world.begin("sip:example.com:5060");
    let sent = world.sent[0].clone();
    let truth = world.answer(&sent.message);
    let lies: [fn(&mut Message); 5] = [
        |lie| lie.metadata.id ^= 1,
        |lie| lie.metadata.message_type = MessageType::Query,
        |lie| lie.queries[0].name = name("example.net"),
        |lie| lie.queries[0].query_type = RecordType::AAAA,
        |lie| lie.queries.clear(),
    ];
    for lie in lies {
        let mut message = truth.clone();
        lie(&mut message);
        world.hand_in(sent.query, &message);
        assert_eq!(world.resolver.take_finished(), None);
    }
    let mut loop_of_pointers = truth.to_vec().unwrap();
    loop_of_pointers[12..14].copy_from_slice(&[0xc0, 12]);
    world.resolver.answer(world.now, sent.query, &loop_of_pointers, &mut world.outbox);
    world.resolver.answer(world.now, QueryId(99), &truth.to_vec().unwrap(), &mut world.outbox);
    assert_eq!(world.resolver.take_finished(), None);
    world.hand_in(sent.query, &truth);
    assert!(world.resolver.take_finished().expect("it is over").1.is_ok());
    world.expect_quiet();
}

#[test]
fn a_server_that_knows_no_edns_is_asked_without() {
    let mut world = World::with(&[("example.com", a("192.0.2.1"))], Families { v4: true, v6: false }, "");
    world.begin("sip:example.com:5060");
    let sent = world.sent.pop().unwrap();
    assert!(sent.message.edns.is_some());
    let mut refusal = Message::new(sent.message.metadata.id, MessageType::Response, OpCode::Query);
    refusal.metadata.response_code = ResponseCode::FormErr;
    world.hand_in(sent.query, &refusal);
    assert!(world.sent[0].message.edns.is_none());
    world.serve();
    assert!(world.resolver.take_finished().expect("it is over").1.is_ok());
}

#[test]
fn of_ever_more_servers_only_the_first_are_looked_up() {
    let targets: Vec<String> = (0..40).map(|n| format!("t{n}.example")).collect();
    let zone: Vec<(&str, RData)> =
        targets.iter().map(|target| ("_sip._udp.example.com", srv(1, 1, 5060, target))).collect();
    let mut world = World::new(&zone);
    assert_eq!(world.locate("sip:example.com;transport=udp"), Err(Unresolved::Unknown));
    assert!(world.asked.len() < MOST_QUESTIONS, "{:?}", world.asked);
    world.pass(60 * SECOND);
    world.expect_quiet();
}

proptest! {
    #[test]
    fn whatever_a_server_says_every_lookup_ends(
        answers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20),
        cut in 0usize..60, flip in any::<u8>(),
    ) {
        let mut world = World::new(&[
            ("example.com", naptr(1, 0, "SIP+D2T", "_sip._tcp.example.com")),
            ("_sip._tcp.example.com", srv(1, 0, 5070, "a.example.com")),
            ("a.example.com", a("192.0.2.1")),
        ]);
        world.begin("sip:example.com");
        for bytes in answers {
            let Some(sent) = world.sent.last().cloned() else { break };
            // Half true, half noise.
            let mut answer = world.answer(&sent.message).to_vec().unwrap();
            if let Some(byte) = answer.get_mut(cut) {
                *byte ^= flip;
            }
            answer.extend_from_slice(&bytes);
            world.resolver.answer(world.now, sent.query, &answer, &mut world.outbox);
            world.collect();
        }
        world.pass(LOOKUP_TIME + 10 * SECOND);
        prop_assert!(world.resolver.take_finished().is_some());
        world.expect_quiet();
    }
}
