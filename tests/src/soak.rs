//! Calls of all kinds, with all faults, for a long time, against the real server on real sockets: it has to be at the end
//! as it was at the beginning.
//!
//! One thread plays all phones and all programs that order calls. How each call has to end is known when it is drawn
//! ([`plan`]), and is checked with the phones and by HTTP; what the server needs for it is counted by fifths of the time
//! ([`tally`]), and judged in the end ([`judge`](mod@judge)).

pub mod abuse;
pub mod agenda;
pub mod calls;
pub mod connection;
pub mod datagrams;
pub mod judge;
pub mod leg;
pub mod options;
pub mod phones;
pub mod plan;
pub mod site;
pub mod stage;
pub mod tally;
pub mod usage;
pub mod web;

use judge::{Tolerances, judge};
use options::Options;
use stage::Stage;

/// Runs it, prints what was counted, and returns what was wrong.
pub fn run(options: &Options) -> Vec<String> {
    let mut stage = Stage::set(options);
    let rate = options.rate.unwrap_or_else(|| {
        let peak = stage.measure_peak();
        println!("peak: {peak:.0} calls/s");
        peak * options.share
    });
    println!(
        "seed {}, {rate:.0} calls/s for {:.0} s, T1 {:?}, {} calls at rest",
        options.seed,
        options.time.as_secs_f64(),
        options.t1(),
        options.resting
    );
    stage.play(rate, options.time);
    let (tally, mut faults) = stage.clear();
    println!("{tally}");
    let tolerances = if options.is_long() { Tolerances::LONG } else { Tolerances::SHORT };
    faults.extend(judge(&tally, &tolerances));
    faults
}
