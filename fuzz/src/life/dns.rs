//! What name servers answer.

use arbitrary::Arbitrary;

use super::world::World;

/// A record of an answer; its name is the one that was asked for.
#[derive(Arbitrary, Debug)]
enum Record<'a> {
    A(u8),
    Srv { priority: u8, weight: u8, target: u8 },
    Naptr { order: u8, flags: u8, service: u8, target: u8 },
    Cname(u8),
    Aaaa(u8),
    Soa(u8),
    Raw { kind: u8, data: &'a [u8] },
}

/// An answer.
#[derive(Arbitrary, Debug)]
pub(super) struct Lookup<'a> {
    which: u8,
    ttl: u8,
    code: u8,
    truncated: bool,
    records: Vec<Record<'a>>,
}

/// A name as DNS writes it.
fn name(choice: u8) -> Vec<u8> {
    let first = match choice % 8 {
        0 => "pbx",
        1 => "sip1",
        2 => "sip2",
        3 => "_sip._udp",
        4 => "_sip._tcp",
        5 => return vec![0],
        6 => "_sips._tcp",
        _ => "other",
    };
    let mut out = Vec::new();
    for label in first.split('.').chain(["example", "com"]) {
        out.push(u8::try_from(label.len()).unwrap_or(0));
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

impl Record<'_> {
    fn data(&self) -> (u8, Vec<u8>) {
        match self {
            Record::A(last) => (1, vec![127, 0, 0, *last]),
            Record::Aaaa(last) => (28, [&[0; 15][..], &[*last]].concat()),
            Record::Cname(other) => (5, name(*other)),
            Record::Srv { priority, weight, target } => {
                let head = [0, *priority, 0, *weight, 0x13, 0xc4];
                (33, [&head[..], &name(*target)].concat())
            }
            Record::Naptr { order, flags, service, target } => {
                let flags = [&b"\x01s"[..], b"\x01S", b"\x01u", b"\x00"][usize::from(*flags) % 4];
                let service = [&b"\x07SIP+D2U"[..], b"\x07SIP+D2T", b"\x08SIPS+D2T", b"\x00"]
                    [usize::from(*service) % 4];
                (35, [&[0, *order, 0, 1], flags, service, &b"\x00"[..], &name(*target)].concat())
            }
            Record::Soa(minimum) => {
                let numbers = [[0; 19].as_slice(), &[*minimum]].concat();
                (6, [name(0), name(1), numbers].concat())
            }
            Record::Raw { kind, data } => (*kind, data.to_vec()),
        }
    }
}

/// Where the question in a message ends.
fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        let length = usize::from(*message.get(at)?);
        at += length + 1;
        if length == 0 {
            return Some(at + 4);
        }
    }
}

impl Lookup<'_> {
    /// Answers a question that was asked.
    pub(super) fn answer(&self, world: &mut World) {
        let at = usize::from(self.which) % world.asked.len().max(1);
        let Some(asked) = world.asked.get(at).cloned() else { return };
        let end = question_end(&asked.message).expect("our question has an end");
        let (id, question) = (asked.message.get(..2), asked.message.get(12..end));
        let (Some(id), Some(question)) = (id, question) else { panic!("our question is whole") };
        let ttl = [60, 0, 1, 5, 255, 3600][usize::from(self.ttl) % 6];
        let is_soa = |record: &&Record<'_>| matches!(record, Record::Soa(_));
        let (authorities, answers): (Vec<_>, Vec<_>) = self.records.iter().partition(is_soa);
        let count = |records: &[&Record<'_>]| u16::try_from(records.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut message = id.to_vec();
        message.extend([0x81 | u8::from(self.truncated) << 1, 0x80 | (self.code % 6), 0, 1]);
        message.extend(count(&answers));
        message.extend(count(&authorities));
        message.extend([0, 0]);
        message.extend_from_slice(question);
        for record in answers.iter().chain(&authorities) {
            let (kind, data) = record.data();
            message.extend([0xc0, 12, 0, kind, 0, 1]);
            message.extend(u32::to_be_bytes(ttl));
            message.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
            message.extend(data);
        }
        world.resolve(&asked, &message);
    }
}
