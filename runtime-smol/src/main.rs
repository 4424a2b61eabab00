//! Cordboard for small machines: the same core, files and protocol as `cordboard`, on smol's executor.

#[path = "../../runtime-mio/src/addresses.rs"]
mod addresses;
#[path = "../../runtime-mio/src/backlog.rs"]
mod backlog;
#[path = "../../runtime-mio/src/certificate.rs"]
mod certificate;
#[path = "../../runtime-mio/src/check.rs"]
mod check;
#[path = "../../runtime-mio/src/files.rs"]
mod files;
#[path = "../../runtime-mio/src/log.rs"]
mod log;
mod net;
mod serve;
#[path = "../../runtime-mio/src/system.rs"]
mod system;
mod watch;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cordboard-lite", version, about = "A third-party call controller for small machines")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the service in the foreground: SIGTERM drains it, SIGHUP reads the users again
    Serve(ConfigFile),
    /// Says what is wrong with the configuration and its files
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Prints all keys with their values and what they mean
        #[arg(long)]
        print: bool,
    },
}

/// Which configuration.
#[derive(Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", default_value = "cordboard.toml")]
    path: PathBuf,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(config) => serve::run(&config.path).map(|()| String::new()),
        Command::Check { config, print } => check::run(&config.path, print, |_| 1),
    };
    match done.and_then(|said| say(&said)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("cordboard-lite: {wrong}");
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
