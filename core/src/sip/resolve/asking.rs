//! Questions on their way: sent again, to the next server, by TCP, until one answers or none does.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::Names;
use super::cache::{Answer, Question};
use super::codec::{self, Reply};
use crate::Tick;
use crate::io::{Close, ConnectionId, Outbox, QueryId};
use crate::random::Random;

/// How many questions may be on their way at once.
const MOST: usize = 256;
/// The two highest bits are those of connections to name servers.
const OURS: u64 = 0b11 << 62;
/// How long it is remembered that nobody answered.
const SILENCE: Duration = Duration::from_secs(5);

/// Whether a connection is one to a name server.
pub(super) fn owns(connection: ConnectionId) -> bool {
    connection.0 & OURS == OURS
}

/// A question that is over.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) question: Question,
    pub(super) learned: Vec<(Question, Answer, Duration)>,
}

#[derive(Debug)]
struct Asked {
    question: Question,
    id: u16,
    edns: bool,
    /// How many servers were tried, one counted as often as it was.
    tries: u32,
    tcp: Option<Tcp>,
    until: Tick,
}

#[derive(Debug)]
struct Tcp {
    connection: ConnectionId,
    held: Vec<u8>,
}

/// All questions on their way.
#[derive(Debug, Default)]
pub(super) struct Asking {
    asked: BTreeMap<QueryId, Asked>,
    minted: u64,
    connections: u64,
}

impl Asking {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// Asks a question, unless it is asked already; false if that is not possible.
    pub(super) fn ask(
        &mut self,
        now: Tick,
        question: &Question,
        names: &Names,
        random: &mut Random,
        outbox: &mut Outbox,
    ) -> bool {
        if self.asked.values().any(|asked| asked.question == *question) {
            return true;
        }
        let id = random.bits() as u16;
        if self.asked.len() >= MOST || codec::question(id, question, true).is_none() {
            return false;
        }
        let query = QueryId(self.minted);
        self.minted += 1;
        let question = question.clone();
        self.asked.insert(query, Asked { question, id, edns: true, tries: 0, tcp: None, until: now });
        self.send(now, query, names, outbox);
        true
    }

    /// Asks the server whose turn it is.
    fn send(&mut self, now: Tick, query: QueryId, names: &Names, outbox: &mut Outbox) {
        let Some(asked) = self.asked.get_mut(&query) else { return };
        asked.until = now + names.timeout;
        let message = codec::question(asked.id, &asked.question, asked.edns);
        if let (Some(server), Some(message)) = (server(names, asked.tries), message) {
            outbox.query(query, server, &message);
        }
    }

    /// The server whose turn it was says nothing: the next one's turn, if there is one.
    fn next_server(&mut self, now: Tick, query: QueryId, names: &Names, outbox: &mut Outbox) -> Option<Over> {
        let asked = self.asked.get_mut(&query)?;
        hang_up(asked, outbox);
        asked.tries += 1;
        let most = names.rounds.saturating_mul(u32::try_from(names.servers.len()).unwrap_or(u32::MAX));
        if asked.tries < most {
            self.send(now, query, names, outbox);
            return None;
        }
        let question = asked.question.clone();
        self.end(query, vec![(question, Answer::Silence, SILENCE)], outbox)
    }

    fn end(
        &mut self,
        query: QueryId,
        learned: Vec<(Question, Answer, Duration)>,
        outbox: &mut Outbox,
    ) -> Option<Over> {
        let mut asked = self.asked.remove(&query)?;
        hang_up(&mut asked, outbox);
        outbox.query_over(query);
        Some(Over { question: asked.question, learned })
    }

    /// Takes what may be the answer.
    pub(super) fn answer(
        &mut self,
        now: Tick,
        query: QueryId,
        bytes: &[u8],
        names: &Names,
        outbox: &mut Outbox,
    ) -> Option<Over> {
        let asked = self.asked.get_mut(&query)?;
        match codec::answer(bytes, asked.id, &asked.question, asked.edns)? {
            Reply::Learned(learned) => self.end(query, learned, outbox),
            // What does not even fit there is no use.
            Reply::Truncated if asked.tcp.is_some() => self.next_server(now, query, names, outbox),
            Reply::Truncated => {
                self.by_tcp(now, query, names, outbox);
                None
            }
            Reply::NoEdns => {
                asked.edns = false;
                hang_up(asked, outbox);
                self.send(now, query, names, outbox);
                None
            }
            Reply::Refused => self.next_server(now, query, names, outbox),
        }
    }

    fn by_tcp(&mut self, now: Tick, query: QueryId, names: &Names, outbox: &mut Outbox) {
        let Some(asked) = self.asked.get_mut(&query) else { return };
        let message = codec::question(asked.id, &asked.question, asked.edns);
        let (Some(server), Some(message)) = (server(names, asked.tries), message) else { return };
        let connection = ConnectionId(OURS | self.connections);
        self.connections += 1;
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        outbox.connect(connection, any, server);
        outbox.write(connection, |out| {
            out.extend_from_slice(&u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(&message);
        });
        asked.until = now + names.timeout;
        asked.tcp = Some(Tcp { connection, held: Vec::new() });
    }

    fn on(&self, connection: ConnectionId) -> Option<QueryId> {
        let is_it = |asked: &Asked| asked.tcp.as_ref().is_some_and(|tcp| tcp.connection == connection);
        self.asked.iter().find(|(_, asked)| is_it(asked)).map(|(query, _)| *query)
    }

    /// Bytes came in on a connection: the answer, behind its length (RFC 1035 §4.2.2).
    pub(super) fn received(
        &mut self,
        now: Tick,
        connection: ConnectionId,
        bytes: &[u8],
        names: &Names,
        outbox: &mut Outbox,
    ) -> Option<Over> {
        let query = self.on(connection)?;
        let tcp = self.asked.get_mut(&query)?.tcp.as_mut()?;
        tcp.held.extend_from_slice(bytes);
        let (length, rest) = tcp.held.split_first_chunk::<2>()?;
        let whole = rest.get(..usize::from(u16::from_be_bytes(*length)))?.to_vec();
        let asked = self.asked.get_mut(&query)?;
        match codec::answer(&whole, asked.id, &asked.question, asked.edns) {
            Some(_) => self.answer(now, query, &whole, names, outbox),
            // Nobody but this server could have said it: it is of no use.
            None => self.next_server(now, query, names, outbox),
        }
    }

    /// A connection broke.
    pub(super) fn lost(
        &mut self,
        now: Tick,
        connection: ConnectionId,
        names: &Names,
        outbox: &mut Outbox,
    ) -> Option<Over> {
        let query = self.on(connection)?;
        self.asked.get_mut(&query)?.tcp = None;
        self.next_server(now, query, names, outbox)
    }

    /// The server cannot be asked.
    pub(super) fn unanswered(
        &mut self,
        now: Tick,
        query: QueryId,
        names: &Names,
        outbox: &mut Outbox,
    ) -> Option<Over> {
        // Of a server that is asked by TCP already, its own connection tells.
        let by_tcp = self.asked.get(&query)?.tcp.is_some();
        if by_tcp { None } else { self.next_server(now, query, names, outbox) }
    }

    /// When [`timeout`](Self::timeout) is to be called next.
    pub(super) fn next(&self) -> Option<Tick> {
        self.asked.values().map(|asked| asked.until).min()
    }

    /// Goes on where no answer came in time.
    pub(super) fn timeout(&mut self, now: Tick, names: &Names, outbox: &mut Outbox) -> Vec<Over> {
        let late = self.asked.iter().filter(|(_, asked)| asked.until <= now);
        let late: Vec<QueryId> = late.map(|(query, _)| *query).collect();
        late.into_iter().filter_map(|query| self.next_server(now, query, names, outbox)).collect()
    }
}

/// The servers have their turns one after the other.
fn server(names: &Names, tries: u32) -> Option<SocketAddr> {
    let count = u32::try_from(names.servers.len()).ok().filter(|count| *count > 0)?;
    names.servers.get((tries % count) as usize).copied()
}

fn hang_up(asked: &mut Asked, outbox: &mut Outbox) {
    if let Some(tcp) = asked.tcp.take() {
        outbox.close(tcp.connection, Close::Now);
    }
}
