//! What a controller was handed, written down: played again to a new one with the same seed, it makes the same decisions, to
//! the byte. So calls can be measured without the phones and the callers that took part in them.

use std::hint::black_box;
use std::net::SocketAddr;

use cordboard_core::io::{ConnectionId, Datagram, Input, ListenerId, Outbox, Output, SocketId};
use cordboard_core::{Controller, Tick};

/// One input, with bytes of its own.
#[derive(Clone, Debug)]
enum Taken {
    Timeout,
    Datagram { socket: SocketId, from: SocketAddr, bytes: Box<[u8]> },
    Accepted { listener: ListenerId, connection: ConnectionId, peer: SocketAddr },
    Received { connection: ConnectionId, bytes: Box<[u8]> },
    Written { connection: ConnectionId, bytes: usize },
}

impl Taken {
    /// Panics for what no call in memory brings.
    fn of(input: &Input<'_>) -> Self {
        match *input {
            Input::Timeout => Taken::Timeout,
            Input::Datagram(Datagram { socket, from, bytes }) => {
                Taken::Datagram { socket, from, bytes: bytes.into() }
            }
            Input::Accepted { listener, connection, peer } => Taken::Accepted { listener, connection, peer },
            Input::Received { connection, bytes } => Taken::Received { connection, bytes: bytes.into() },
            Input::Written { connection, bytes } => Taken::Written { connection, bytes },
            ref other => panic!("{other:?} is not written down"),
        }
    }

    fn input(&self) -> Input<'_> {
        match *self {
            Taken::Timeout => Input::Timeout,
            Taken::Datagram { socket, from, ref bytes } => Input::Datagram(Datagram { socket, from, bytes }),
            Taken::Accepted { listener, connection, peer } => Input::Accepted { listener, connection, peer },
            Taken::Received { connection, ref bytes } => Input::Received { connection, bytes },
            Taken::Written { connection, bytes } => Input::Written { connection, bytes },
        }
    }
}

/// All that a controller was handed from its beginning on, and when.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    inputs: Vec<(Tick, Taken)>,
}

impl Tape {
    /// Writes an input down.
    pub(crate) fn take(&mut self, now: Tick, input: &Input<'_>) {
        self.inputs.push((now, Taken::of(input)));
    }

    /// How many inputs there are.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether nothing was handed in.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Hands all of it to a new controller, one input after the other, and throws away what comes of it. Returns how many
    /// datagrams that were.
    ///
    /// What is counted or timed here is the controller, and next to nothing besides. It is one function of its own, which
    /// a profiler can be told to look at.
    #[inline(never)]
    pub fn play(&self, controller: &mut Controller, outbox: &mut Outbox) -> u64 {
        let mut datagrams = 0;
        for (now, taken) in &self.inputs {
            let wake = controller.handle(*now, taken.input(), outbox);
            black_box(&wake);
            while let Some(output) = outbox.pop() {
                datagrams += u64::from(matches!(black_box(output), Output::Datagram { .. }));
            }
        }
        datagrams
    }
}
