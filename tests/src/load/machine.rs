//! What machine this is, for whoever reads figures later.

use std::fs;
use std::process::Command;

/// How many processors this program may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Processor, how many of them, kernel and date, in one line.
pub fn line() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {} processors, Linux {}, {}", processors(), kernel.trim(), date())
}

/// The date as the system's own program writes it.
fn date() -> String {
    let said = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    said.map_or_else(|_| "no date".to_owned(), |said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}
