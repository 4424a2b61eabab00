//! Questions and answers as DNS messages (RFC 1035, EDNS of RFC 6891), written and read by hickory-proto.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::cache::{Answer, Kind, Pointer, Question, Server};

/// The longest answer that may come by datagram.
const DATAGRAM: u16 = 1232;
/// More records of one answer are not looked at.
const MOST_RECORDS: usize = 256;
/// How long it is remembered that there is nothing, where the answer does not say (RFC 2308 §5).
const NOTHING: Duration = Duration::from_secs(60);
/// And the longest.
const LONGEST_NOTHING: Duration = Duration::from_secs(900);

/// What a name server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// These answers, each for so long.
    Learned(Vec<(Question, Answer, Duration)>),
    /// It did not fit: to be asked again by TCP.
    Truncated,
    /// The server does not understand the question with EDNS.
    NoEdns,
    /// The server cannot say.
    Refused,
}

/// The message that asks; `None` for a name that cannot be asked for.
pub(super) fn question(id: u16, question: &Question, edns: bool) -> Option<Vec<u8>> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(&question.name)?, record_type(question.kind)));
    if edns {
        let mut options = Edns::new();
        options.set_max_payload(DATAGRAM).set_version(0);
        message.set_edns(options);
    }
    message.to_vec().ok()
}

/// Reads what claims to answer a question; `None` if it does not: the wait goes on.
pub(super) fn answer(bytes: &[u8], id: u16, asked: &Question, edns: bool) -> Option<Reply> {
    let message = Message::from_vec(bytes).ok()?;
    let head = &message.metadata;
    if head.id != id || head.message_type != MessageType::Response || head.op_code != OpCode::Query {
        return None;
    }
    // A server that does not even understand the question need not repeat it.
    if head.response_code == ResponseCode::FormErr && edns {
        return Some(Reply::NoEdns);
    }
    let [query] = message.queries.as_slice() else { return None };
    let is_it = query.query_type == record_type(asked.kind)
        && query.query_class == DNSClass::IN
        && text(&query.name) == asked.name;
    if !is_it {
        return None;
    }
    if head.truncation {
        return Some(Reply::Truncated);
    }
    Some(match head.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Reply::Learned(learned(&message, asked)),
        ResponseCode::NotImp if edns => Reply::NoEdns,
        _ => Reply::Refused,
    })
}

/// Follows the aliases in an answer to the records that were asked for.
fn learned(message: &Message, asked: &Question) -> Vec<(Question, Answer, Duration)> {
    let records: Vec<&Record> = message.answers.iter().take(MOST_RECORDS).collect();
    let mut all = Vec::new();
    let mut question = asked.clone();
    // Each alias is another record, so this ends.
    for _ in 0..=records.len() {
        let own = records.iter().filter(|record| text(&record.name) == question.name);
        let alias = own.clone().find_map(|record| match &record.data {
            RData::CNAME(other) => Some((text(&other.0), record.ttl)),
            _ => None,
        });
        let (answer, ttl) = gather(own.copied(), question.kind);
        match (answer, alias) {
            (Some(answer), _) => {
                all.push((question, answer, ttl));
                return all;
            }
            (None, Some((other, ttl))) if other != question.name => {
                let ttl = Duration::from_secs(u64::from(ttl));
                let next = Question { name: other.clone(), kind: question.kind };
                all.push((question, Answer::Alias(other), ttl));
                question = next;
            }
            (None, _) => break,
        }
    }
    // An alias whose other name says nothing here may still lead on: it is asked for by itself.
    if all.is_empty() {
        all.push((question, Answer::Nothing, nothing_for(message)));
    }
    all
}

/// The records of one kind, and how long they hold.
fn gather<'a>(records: impl Iterator<Item = &'a Record>, kind: Kind) -> (Option<Answer>, Duration) {
    let (mut addresses, mut servers, mut pointers) = (Vec::new(), Vec::new(), Vec::new());
    let mut ttl = u32::MAX;
    for record in records {
        match (&record.data, kind) {
            (RData::A(address), Kind::A) => addresses.push(IpAddr::from(address.0)),
            (RData::AAAA(address), Kind::Aaaa) => addresses.push(IpAddr::from(address.0)),
            (RData::SRV(server), Kind::Srv) => servers.push(Server {
                priority: server.priority,
                weight: server.weight,
                port: server.port,
                name: text(&server.target),
            }),
            (RData::NAPTR(pointer), Kind::Naptr) => pointers.push(Pointer {
                order: pointer.order,
                preference: pointer.preference,
                flags: pointer.flags.clone(),
                service: pointer.services.clone(),
                replacement: text(&pointer.replacement),
            }),
            _ => continue,
        }
        ttl = ttl.min(record.ttl);
    }
    let answer = match kind {
        Kind::A | Kind::Aaaa => (!addresses.is_empty()).then_some(Answer::Addresses(addresses)),
        Kind::Srv => (!servers.is_empty()).then_some(Answer::Servers(servers)),
        Kind::Naptr => (!pointers.is_empty()).then_some(Answer::Pointers(pointers)),
    };
    (answer, Duration::from_secs(u64::from(ttl)))
}

/// How long there is nothing, as the zone says (RFC 2308 §5).
fn nothing_for(message: &Message) -> Duration {
    let soa = message.authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    soa.map_or(NOTHING, |seconds| Duration::from_secs(u64::from(seconds))).min(LONGEST_NOTHING)
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Srv => RecordType::SRV,
        Kind::Naptr => RecordType::NAPTR,
    }
}

fn name(text: &str) -> Option<Name> {
    Name::from_ascii(format!("{text}.")).ok()
}

/// A name in lower case, without the dot at its end.
fn text(name: &Name) -> Box<str> {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase().into()
}
