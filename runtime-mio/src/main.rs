//! Cordboard: the production server.

mod addresses;
mod backlog;
mod certificate;
mod check;
mod cli;
mod demo;
mod files;
mod log;
mod net;
mod serve;
mod system;
mod user;
mod watch;
mod workers;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run().and_then(|said| say(&said)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("cordboard: {wrong}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output; a reader that has seen enough, like `head`, is no failure.
fn say(text: &str) -> Result<(), String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("standard output cannot be written: {error}"))
        }
        _ => Ok(()),
    }
}
