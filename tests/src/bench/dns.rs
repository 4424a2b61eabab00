//! A name server that knows a zone.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, NAPTR, SRV};
use hickory_proto::rr::{Name, RData, Record};

/// How long each record holds, in seconds.
const TTL: u32 = 60;

/// Names and their records.
#[derive(Clone, Debug, Default)]
pub struct Zone(Vec<(String, RData)>);

/// An address.
pub fn a(address: &str) -> RData {
    match address.parse().expect("an address") {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

/// A server for a service: its priority, port and name.
pub fn srv(priority: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(priority, 1, port, name(target)))
}

/// A service for a domain, its order among them, and where its servers are named.
pub fn naptr(order: u16, service: &str, replacement: &str) -> RData {
    let (flags, service) = (b"s".to_vec().into(), service.as_bytes().to_vec().into());
    RData::NAPTR(NAPTR::new(order, 0, flags, service, Box::default(), name(replacement)))
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{text}.")).expect("a name")
}

impl Zone {
    /// The same with one more record.
    #[must_use]
    pub fn with(mut self, name: &str, record: RData) -> Self {
        self.0.push((name.to_owned(), record));
        self
    }

    /// What it says to a question.
    pub(super) fn answer(&self, question: &[u8]) -> Vec<u8> {
        let asked = Message::from_vec(question).expect("it asks in order");
        let query = asked.queries[0].clone();
        let mut message = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
        let own = |(owner, _): &&(String, RData)| name(owner) == query.name;
        for (_, data) in self.0.iter().filter(own) {
            if data.record_type() == query.query_type {
                message.add_answer(Record::from_rdata(query.name.clone(), TTL, data.clone()));
            }
        }
        if self.0.iter().filter(own).count() == 0 {
            message.metadata.response_code = ResponseCode::NXDomain;
        }
        message.add_query(query);
        message.to_vec().expect("it can be written")
    }
}

/// What a question asks for, as `NAME TYPE`.
pub(super) fn asked(question: &[u8]) -> String {
    let message = Message::from_vec(question).expect("it asks in order");
    let query = &message.queries[0];
    format!("{} {}", query.name.to_ascii().trim_end_matches('.'), query.query_type)
}
