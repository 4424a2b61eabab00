//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{check, serve, user};

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
    Demo,
    /// Writes the users file
    #[command(subcommand)]
    User(user::Command),
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
        Command::Check { config, print } => check::run(&config.path, print),
        Command::Demo => Err("demo is not in this build".to_owned()),
        Command::User(command) => user::run(command),
    }
}
