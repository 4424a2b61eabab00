//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{check, demo, serve, user, workers};

#[derive(Parser)]
#[command(
    name = "cordboard",
    version,
    about = "A third-party call controller: places calls between SIP phones over HTTP."
)]
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
    /// Shows a call from beginning to end, with an exchange and three phones of its own, all on loopback
    Demo(Addresses),
    /// Writes the users file
    #[command(subcommand)]
    User(user::Command),
}

/// Where the demo listens.
#[derive(Args)]
struct Addresses {
    /// The address for HTTPS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6666")]
    https: SocketAddr,
    /// The address for HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6667")]
    http: SocketAddr,
}

/// Which configuration.
#[derive(Args)]
pub(crate) struct ConfigFile {
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", default_value = "cordboard.toml")]
    pub(crate) path: PathBuf,
}

/// Does what the command line asks; returns what is to be printed, or one line that says what is wrong.
pub(crate) fn run() -> Result<String, String> {
    match Cli::parse().command {
        Command::Serve(config) => serve::run(&config.path).map(|()| String::new()),
        Command::Check { config, print } => check::run(&config.path, print, workers::count),
        Command::Demo(addresses) => demo::run(addresses.https, addresses.http).map(|()| String::new()),
        Command::User(command) => user::run(command),
    }
}
