//! Counts what a call costs in memory, without sockets and without waiting: instructions, allocations, datagrams. Counts
//! are the same each time, whatever else the machine does.
//!
//! `percall` prints the table; it runs itself under valgrind's callgrind, which counts the instructions. `percall refer 1000`
//! plays so many calls and says what was counted besides; to see where the instructions go:
//! `valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*tape*play*' target/release/percall refer 1000`.

use std::alloc::System;
use std::process::{Command, ExitCode};

use cordboard_core::Census;
use cordboard_core::io::Outbox;
use cordboard_tests::rehearsal::{Flow, Rehearsal};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The two lengths whose difference is counted, so that what is done once does not count: start, login, end.
const SHORT: u32 = 200;
const LONG: u32 = 1200;

/// What calls have cost.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    instructions: u64,
    allocations: u64,
    bytes: u64,
    datagrams: u64,
}

impl Cost {
    fn numbers(self) -> [u64; 4] {
        [self.instructions, self.allocations, self.bytes, self.datagrams]
    }
}

/// Plays calls, and counts all but the instructions.
fn play(flow: Flow, calls: u32) -> Cost {
    let rehearsal = Rehearsal::of(flow, calls);
    let (mut controller, mut outbox) = (rehearsal.controller(), Outbox::new());
    let region = Region::new(ALLOCATOR);
    let datagrams = rehearsal.tape.play(&mut controller, &mut outbox);
    let change = region.change();
    assert_eq!(datagrams, rehearsal.datagrams, "it was not the same calls");
    assert_eq!(controller.census(), Census::default(), "something is left");
    Cost {
        instructions: 0,
        allocations: (change.allocations + change.reallocations) as u64,
        bytes: change.bytes_allocated as u64,
        datagrams,
    }
}

/// Has all of it counted, by another process under callgrind.
fn counted(flow: Flow, calls: u32) -> Result<Cost, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*tape*play*")
        .arg(this)
        .args([flow.name(), &calls.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let (said, noted) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let read = || {
        let instructions = noted.lines().find_map(|line| line.split_once("Collected :"))?.1;
        let mut others = said.split_whitespace().filter_map(|word| word.parse().ok());
        Some(Cost {
            instructions: instructions.trim().parse().ok()?,
            allocations: others.next()?,
            bytes: others.next()?,
            datagrams: others.next()?,
        })
    };
    let cost = read().filter(|cost| output.status.success() && cost.instructions > 0);
    cost.ok_or_else(|| format!("{} calls by {} were not counted: {said}{noted}", calls, flow.name()))
}

fn table() -> Result<(), String> {
    println!("| per call | instructions | allocations | bytes allocated | datagrams sent |");
    println!("|---|---|---|---|---|");
    for flow in Flow::ALL {
        let (short, long) = (counted(flow, SHORT)?.numbers(), counted(flow, LONG)?.numbers());
        let each =
            short.iter().zip(long).map(|(short, long)| (long - short) as f64 / f64::from(LONG - SHORT));
        let cells: Vec<String> =
            each.zip([0, 1, 0, 1]).map(|(each, digits)| format!("{each:.digits$}")).collect();
        println!("| {} | {} |", flow.name(), cells.join(" | "));
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [] => table(),
        [flow, calls] => {
            let flow = Flow::ALL.into_iter().find(|one| one.name() == *flow);
            match (flow, calls.parse()) {
                (Some(flow), Ok(calls)) => {
                    let cost = play(flow, calls);
                    let Cost { allocations, bytes, datagrams, .. } = cost;
                    println!("{allocations} allocations, {bytes} bytes, {datagrams} datagrams");
                    Ok(())
                }
                _ => Err("usage: percall [refer|invite CALLS]".to_owned()),
            }
        }
        _ => Err("usage: percall [refer|invite CALLS]".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("percall: {error}");
            ExitCode::FAILURE
        }
    }
}
