//! Places calls in memory, without sockets and without waiting: what a call costs in instructions and allocations, to be
//! counted by valgrind, which counts the same each time.
//!
//! `percall refer 1000` or `percall invite 1000`. With callgrind, what counts is `Controller::handle`:
//! `valgrind --tool=callgrind --toggle-collect='*Controller*handle*' target/release/percall refer 1000`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use cordboard_core::Census;
use cordboard_tests::board::{Agent, Board};

/// How calls are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Refer,
    Invite,
}

fn arguments() -> Option<(Flow, u32)> {
    let mut arguments = std::env::args().skip(1);
    let flow = match arguments.next()?.as_str() {
        "refer" => Flow::Refer,
        "invite" => Flow::Invite,
        _ => return None,
    };
    Some((flow, arguments.next()?.parse().ok()?))
}

fn main() -> ExitCode {
    let Some((flow, calls)) = arguments() else {
        eprintln!("usage: percall refer|invite CALLS");
        return ExitCode::from(2);
    };
    let mut board = Board::new(1, "[auth]\nnonce_lifetime = \"24h\"\n[calls]\nresult_cache_time = \"0s\"");
    let mut agent = Agent::at(&mut board, 0);
    let mut order = |board: &mut Board, method: &str, uri: &str, status: u16| {
        let response = agent.ask(board, method, uri);
        assert_eq!(response.status, status, "{method} {uri}: {response:?}");
    };
    let start = Instant::now();
    for call in 0..calls {
        let path = format!("/callcontroller/one{call}/two{call}");
        match flow {
            Flow::Refer => order(&mut board, "POST", &format!("{path}?agent=agent"), 200),
            Flow::Invite => {
                order(&mut board, "POST", &format!("{path}?agent=agent&sipMethod=INVITE"), 200);
                order(&mut board, "DELETE", &path, 204);
            }
        }
        // What is over is forgotten in its time.
        if call % 100 == 99 {
            board.pass(Duration::from_secs(40));
        }
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(calls.max(1));
    board.pass(Duration::from_secs(2 * 24 * 3600));
    assert_eq!(board.censuses(), [Census::default()], "something is left");
    println!("{calls} calls, {} datagrams, {each:.1} us a call, phones and all", board.datagrams());
    ExitCode::SUCCESS
}
