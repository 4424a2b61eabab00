//! Calls of one kind, rehearsed with phones that answer at once and written down, to be measured when they are played again
//! to a controller alone.

use std::time::Duration;

use cordboard_core::{Census, Controller};

use crate::board::{Agent, Board, controllers};
use crate::tape::Tape;

/// The configuration's end: a nonce for all calls, and no records of those that are over.
const TABLES: &str = "[auth]\nnonce_lifetime = \"24h\"\n[calls]\nresult_cache_time = \"0s\"";
/// After so many calls what is over is forgotten, in its time.
const AT_ONCE: u32 = 100;
/// Longer than any transaction or record of a call that is over.
const LONG_ENOUGH: Duration = Duration::from_secs(40);
/// Longer than anything lives.
const TO_THE_END: Duration = Duration::from_secs(2 * 24 * 3600);

/// How calls are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The calling party is handed over: INVITE, 200, ACK, REFER, 202, NOTIFY, 200, BYE, 200.
    Refer,
    /// Both are connected by RFC 3725 flow IV, and hung up by DELETE.
    Invite,
}

impl Flow {
    /// Both.
    pub const ALL: [Flow; 2] = [Flow::Refer, Flow::Invite];

    /// As it is called on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Flow::Refer => "refer",
            Flow::Invite => "invite",
        }
    }
}

/// So many calls from the first to the last word, all of them ordered by one agent who logs in by Digest with each request.
#[derive(Debug)]
pub struct Rehearsal {
    /// What the controller was handed.
    pub tape: Tape,
    /// How many datagrams it sent.
    pub datagrams: u64,
}

impl Rehearsal {
    /// Places the calls.
    ///
    /// # Panics
    /// If one of them is refused, or if anything is left of them at the end.
    pub fn of(flow: Flow, calls: u32) -> Self {
        let mut board = Board::taped(TABLES);
        let mut agent = Agent::at(&mut board, 0);
        let mut order = |board: &mut Board, method: &str, uri: &str, status: u16| {
            let response = agent.ask(board, method, uri);
            assert_eq!(response.status, status, "{method} {uri}: {response:?}");
        };
        for call in 0..calls {
            let path = format!("/callcontroller/one{call}/two{call}");
            match flow {
                Flow::Refer => order(&mut board, "POST", &format!("{path}?agent=agent"), 200),
                Flow::Invite => {
                    order(&mut board, "POST", &format!("{path}?agent=agent&sipMethod=INVITE"), 200);
                    order(&mut board, "DELETE", &path, 204);
                }
            }
            if call % AT_ONCE == AT_ONCE - 1 {
                board.pass(LONG_ENOUGH);
            }
        }
        board.pass(TO_THE_END);
        assert_eq!(board.censuses(), [Census::default()], "something is left");
        Self { tape: board.tape().clone(), datagrams: board.datagrams() }
    }

    /// A controller that decides as the one did that was rehearsed with.
    pub fn controller(&self) -> Controller {
        controllers(1, TABLES).remove(0)
    }
}

#[cfg(test)]
mod tests {
    use cordboard_core::io::Outbox;

    use super::*;

    #[test]
    fn what_is_played_again_is_the_same_calls() {
        for flow in Flow::ALL {
            let rehearsal = Rehearsal::of(flow, 3);
            let mut controller = rehearsal.controller();
            assert_eq!(rehearsal.tape.play(&mut controller, &mut Outbox::new()), rehearsal.datagrams);
            assert_eq!(controller.census(), Census::default());
        }
    }
}
