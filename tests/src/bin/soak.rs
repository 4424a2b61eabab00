//! Ten minutes of calls of all kinds at half of the peak, with all faults, against `cordboard serve` beside this program:
//! a table by fifths of the time, and exit 1 naming what was wrong.
//!
//! `soak`, `soak --minutes 2`, `soak --seconds 10 --rate 150 --seed 3`.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use cordboard_tests::soak::{self, options::Options};

fn main() -> ExitCode {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    let seed = u64::from(since_1970.subsec_micros());
    let options = match Options::read(std::env::args().skip(1), seed) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let faults = soak::run(&options);
    if faults.is_empty() {
        println!("soak: right");
        return ExitCode::SUCCESS;
    }
    faults.iter().for_each(|fault| println!("WRONG: {fault}"));
    println!("soak: wrong, seed {}", options.seed);
    ExitCode::FAILURE
}
