//! The DNS codec as functions over bytes, for the fuzz targets.

use super::cache::{Kind, Question};
use super::codec;

fn asked(name: &str, kind: u8) -> Question {
    let kinds = [Kind::A, Kind::Aaaa, Kind::Srv, Kind::Naptr];
    Question { name: name.into(), kind: kinds.get(usize::from(kind & 3)).copied().unwrap_or(Kind::A) }
}

/// The message that asks for a name's A, AAAA, SRV or NAPTR records, by `kind` from 0 to 3; `None` for no such name.
pub fn dns_question(id: u16, name: &str, kind: u8) -> Option<Vec<u8>> {
    codec::question(id, &asked(name, kind), true)
}

/// What is made of an answer to that question; `None` if it is none.
pub fn dns_answer(bytes: &[u8], id: u16, name: &str, kind: u8) -> Option<String> {
    codec::answer(bytes, id, &asked(name, kind), true).map(|reply| format!("{reply:?}"))
}
