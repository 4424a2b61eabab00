//! Measures the server by real sockets, beside a stand-in that only moves the same packets, and prints tables.
//!
//! `cargo build --release -p cordboard && cargo run --release -p cordboard-tests --bin load`: all rows, in some 80 seconds.
//! `load refer half` measures these; `load --calls N --window N --rest N --seconds N --rounds N --connections N` says how
//! much, and `--workers N` how many workers the server has where the row does not say.
//! Everything is started here and ended here, on loopback addresses. Rows alternate over several rounds, and medians are
//! shown: quote ratios of one run, never seconds, for machines differ and are noisy.
//!
//! | column | is |
//! |---|---|
//! | `calls/s` | completed calls a second, by the clock; of calls that are held, as the window lets be; in even steps, of those done meanwhile |
//! | `CPU us/call` | the processor time that the server took (all threads, user and system), for each completed call |
//! | `ratio` | that, by that of the row it is compared with in the same round: floor, alone, one worker |
//! | `bound/s` | how many calls a second would keep the busiest thread of the server at work all the time |
//! | `INVITE p50`, `p99` | from the POST, or from when it was due if no connection was free, until the system got the first INVITE |
//! | `answer p50`, `p99` | from the POST to its answer 200, as read here |
//! | `load busy` | the part of the time in which this program was at work: near 100 %, it is what sets the pace |
//! | `late p99` | how long a turn of this program took: so late it may have ordered, read and answered |
//! | `starved` | the part of the time in which this program, and the server's worst thread, had something to do and no processor: by much, the machine is what is measured |
//! | `repeated` | requests that came to a phone more than once, and messages that the phones sent again because they were not heard |
//! | `lost` | datagrams for which the server's sockets had no room, and those for which the phones' had none |
//! | `failed` | calls without 200, or that did not end connected, and messages that were wrong |
//!
//! | row | is |
//! |---|---|
//! | `floor-refer`, `floor-invite` | the stand-in, a process of its own: a system call for each datagram, no parsing, no state |
//! | `refer-https`, `refer-digest` | calls by REFER, over HTTPS from a trusted host, over HTTP with Digest on every request |
//! | `invite-https` | calls that the server stays in, held for a second, then hung up by the calling phone; 160 windows at once |
//! | `half-load` | calls by REFER in even steps, at half of the peak |
//! | `set-up`, `refer-alone`, `refer-beside` | calls that are left standing; calls by REFER without and with those beside them |
//! | `workers-1`, `workers-2` | calls by REFER with as many workers |
//! | `peak`, `overload` | calls by REFER as fast as one worker takes them, and twice as many orders |
//!
//! Ends with 1 when a call failed that should not have; a goal that is missed is only told.

use std::process::ExitCode;

use cordboard_tests::load::options::{Options, Task, USAGE};
use cordboard_tests::load::{floor, machine, rows};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match Task::read(&arguments) {
        Ok(Task::Floor(method, phones)) => {
            floor::serve(method, phones).map(|()| ExitCode::SUCCESS).map_err(|e| e.to_string())
        }
        Ok(Task::Measure(options)) => measure(&options),
        Err(why) => Err(format!("{why}\n{USAGE}")),
    };
    done.unwrap_or_else(|why| {
        eprintln!("load: {why}");
        ExitCode::from(2)
    })
}

fn measure(options: &Options) -> Result<ExitCode, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    println!("{}\n", machine::line());
    let report = rows::measure(options, program).map_err(|e| e.to_string())?;
    print!("{report}");
    match report.failed() {
        0 => Ok(ExitCode::SUCCESS),
        failed => {
            println!("\n{failed} CALLS FAILED: the figures of their rows say nothing");
            Ok(ExitCode::FAILURE)
        }
    }
}
