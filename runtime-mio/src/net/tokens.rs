//! Whom an event is about: tokens of the poll in ranges, one for each kind of source.

use cordboard_core::io::{ConnectionId, QueryId};
use mio::Token;

/// Tokens below are the host's, but for the last.
pub(super) const HOST_TOKENS: usize = 16;
const MAILBOX: usize = HOST_TOKENS - 1;
const LISTENERS: usize = 1 << 16;
const ACCEPTED: usize = 1 << 20;
const QUERIES: usize = 1 << (usize::BITS - 2);
const OPENED: usize = 1 << (usize::BITS - 1);
/// The highest bit of a connection's id says that core opened it.
const OPENED_BY_CORE: u64 = 1 << 63;

/// Whom an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A source of the host's, by its own token.
    Host(usize),
    /// Letters of other workers.
    Mailbox,
    /// A datagram socket, by its place.
    Port(usize),
    /// A listener, by its place.
    Listener(usize),
    /// A connection.
    Connection(ConnectionId),
    /// A question to a name server.
    Query(QueryId),
}

impl Source {
    /// Whom a token stands for.
    pub(super) fn of(token: Token) -> Self {
        match token.0 {
            token if token >= OPENED => {
                Source::Connection(ConnectionId((token - OPENED) as u64 | OPENED_BY_CORE))
            }
            token if token >= QUERIES => Source::Query(QueryId((token - QUERIES) as u64)),
            token if token >= ACCEPTED => Source::Connection(ConnectionId((token - ACCEPTED) as u64)),
            token if token >= LISTENERS => Source::Listener(token - LISTENERS),
            token if token >= HOST_TOKENS => Source::Port(token - HOST_TOKENS),
            MAILBOX => Source::Mailbox,
            token => Source::Host(token),
        }
    }

    /// Its token.
    pub(super) fn token(self) -> Token {
        // Ids are counted up: none ever reaches the next range.
        Token(match self {
            Source::Host(token) => token,
            Source::Mailbox => MAILBOX,
            Source::Port(place) => HOST_TOKENS + place,
            Source::Listener(place) => LISTENERS + place,
            Source::Connection(ConnectionId(id)) if id & OPENED_BY_CORE != 0 => {
                OPENED + (id & !OPENED_BY_CORE) as usize
            }
            Source::Connection(ConnectionId(id)) => ACCEPTED + id as usize,
            Source::Query(QueryId(id)) => QUERIES + id as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_found_again_by_its_token() {
        let numbers = [0, 1, 70_000, 5_000_000];
        let connections = numbers.iter().flat_map(|id| [*id, *id | OPENED_BY_CORE]);
        let mut sources: Vec<Source> = connections.map(|id| Source::Connection(ConnectionId(id))).collect();
        sources.extend(numbers.map(|id| Source::Query(QueryId(id))));
        for place in [0, 1, 1000] {
            sources.extend([Source::Port(place), Source::Listener(place)]);
        }
        sources.extend([Source::Host(0), Source::Host(HOST_TOKENS - 2), Source::Mailbox]);
        for source in &sources {
            assert_eq!(Source::of(source.token()), *source);
        }
        let mut tokens: Vec<usize> = sources.iter().map(|source| source.token().0).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), sources.len(), "no two have the same");
    }
}
