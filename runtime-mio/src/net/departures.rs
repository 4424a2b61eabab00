//! Datagrams on their way out: those that may go together are put side by side.

use std::collections::HashMap;
use std::net::SocketAddr;

use cordboard_core::io::{Sequence, SocketId};

/// The most datagrams, and the most bytes, that the system cuts out of one (`UDP_MAX_SEGMENTS`).
const MOST: usize = 64;
const MOST_BYTES: usize = 65_000;

/// One datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Departure<'a> {
    pub(super) socket: SocketId,
    pub(super) to: SocketAddr,
    pub(super) bytes: &'a [u8],
    /// How many others have to leave before it, counted in rounds.
    round: u32,
}

/// What leaves in one go, collected in the order in which it was decided.
///
/// Datagrams of one length to one address cost the system little more than a single one. To have many of them side by
/// side the order between sequences is given up; within one, and around those without one, it is kept.
#[derive(Debug, Default)]
pub(super) struct Departures<'a> {
    all: Vec<Departure<'a>>,
    /// The round that the next one of a sequence may leave in.
    next: HashMap<Sequence, u32>,
    /// The round that all others may leave in at the earliest, and the first that nothing has been put in yet.
    first: u32,
    free: u32,
}

impl<'a> Departures<'a> {
    /// Puts one behind those of its sequence; without a sequence, behind all and before all that come later.
    pub(super) fn push(
        &mut self,
        (socket, to): (SocketId, SocketAddr),
        sequence: Option<Sequence>,
        bytes: &'a [u8],
    ) {
        let round = match sequence {
            Some(sequence) => {
                let next = self.next.entry(sequence).or_insert(self.first);
                let round = (*next).max(self.first);
                *next = round + 1;
                self.free = self.free.max(round + 1);
                round
            }
            None => {
                let round = self.free;
                self.free += 1;
                self.first = self.free;
                round
            }
        };
        self.all.push(Departure { socket, to, bytes, round });
    }

    /// Whether nothing leaves.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All, in an order in which they may leave, with those that can go together side by side.
    pub(super) fn ordered(&mut self) -> &[Departure<'a>] {
        self.all.sort_by_key(|one| (one.round, one.socket, one.bytes.len(), one.to));
        &self.all
    }
}

/// How many of these, from the first on, are alike enough to be sent as one.
pub(super) fn alike(departures: &[Departure<'_>]) -> usize {
    let Some(first) = departures.first() else { return 0 };
    let length = first.bytes.len();
    if length == 0 {
        return 1;
    }
    let most = MOST.min(MOST_BYTES / length).max(1);
    let same =
        |one: &&Departure<'_>| (one.socket, one.to, one.bytes.len()) == (first.socket, first.to, length);
    departures.iter().take(most).take_while(same).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn order(datagrams: &[(u16, Option<u32>, &'static str)]) -> Vec<&'static str> {
        let mut departures = Departures::default();
        for (port, sequence, text) in datagrams {
            departures.push((SocketId(0), to(*port)), sequence.map(Sequence), text.as_bytes());
        }
        let texts = departures.ordered().iter().map(|one| std::str::from_utf8(one.bytes).expect("text"));
        texts.collect()
    }

    #[test]
    fn a_call_keeps_its_order_and_calls_overtake_each_other() {
        let calls =
            [(1, Some(1), "ack1"), (1, Some(1), "refer1"), (1, Some(2), "ack2"), (1, Some(2), "refer2")];
        assert_eq!(order(&calls), ["ack1", "ack2", "refer1", "refer2"]);
        // The shorter one came later, and stays there.
        assert_eq!(order(&[(1, Some(1), "longer"), (2, Some(1), "short")]), ["longer", "short"]);
    }

    #[test]
    fn what_is_of_no_call_keeps_its_place_among_all() {
        let mixed = [
            (1, Some(1), "aaa"),
            (1, Some(2), "bbb"),
            (1, None, "x"),
            (1, Some(2), "c"),
            (1, Some(3), "d"),
            (1, None, "y"),
        ];
        assert_eq!(order(&mixed), ["aaa", "bbb", "x", "c", "d", "y"]);
    }

    #[test]
    fn only_those_of_one_length_to_one_address_go_together() {
        let mut departures = Departures::default();
        let texts = ["aaaa", "bbbb", "cc", "dddd", "eeee"];
        for (call, (port, text)) in [1, 1, 1, 2, 1].into_iter().zip(texts).enumerate() {
            departures.push((SocketId(0), to(port)), Some(Sequence(call as u32)), text.as_bytes());
        }
        let mut rest = departures.ordered();
        let mut groups = Vec::new();
        while !rest.is_empty() {
            let count = alike(rest);
            let (group, others) = rest.split_at(count);
            groups.push(group.iter().map(|one| one.bytes).collect::<Vec<_>>());
            rest = others;
        }
        let expected: [&[&[u8]]; 3] = [&[b"cc"], &[b"aaaa", b"bbbb", b"eeee"], &[b"dddd"]];
        assert_eq!(groups, expected);
    }

    #[test]
    fn no_more_go_together_than_the_system_takes() {
        let long = vec![b'x'; 1400];
        let mut departures = Departures::default();
        for call in 0..100 {
            departures.push((SocketId(0), to(1)), Some(Sequence(call)), &long);
        }
        assert_eq!(alike(departures.ordered()), 46);
        let mut departures = Departures::default();
        for call in 0..100 {
            departures.push((SocketId(0), to(1)), Some(Sequence(call)), b"short");
        }
        assert_eq!(alike(departures.ordered()), 64);
        let mut empty = Departures::default();
        empty.push((SocketId(0), to(1)), None, b"");
        assert_eq!(alike(empty.ordered()), 1);
    }
}
