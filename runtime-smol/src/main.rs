//! Cordboard for small machines: the same core, files and protocol as `cordboard`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cordboard_core::config::Config;
use cordboard_core::users::Directory;

#[derive(Parser)]
#[command(name = "cordboard-lite", version, about = "A third-party call controller for small machines")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says what is wrong with the configuration and the users file
    Check {
        /// The configuration file
        #[arg(long = "config", value_name = "FILE", default_value = "cordboard.toml")]
        path: PathBuf,
    },
}

fn main() -> ExitCode {
    let Command::Check { path } = Cli::parse().command;
    match check(&path) {
        Ok(users) => {
            println!("{}: ok, {users} users", path.display());
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("cordboard-lite: {wrong}");
            ExitCode::FAILURE
        }
    }
}

/// Reads both files; returns how many users there are.
fn check(path: &std::path::Path) -> Result<usize, String> {
    let wrong = |path: &std::path::Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| wrong(path, &e))?;
    let config = Config::from_toml(&text).map_err(|e| wrong(path, &e))?;
    let users_path = path.parent().unwrap_or(std::path::Path::new("")).join(&config.users.file);
    let text = std::fs::read_to_string(&users_path).map_err(|e| wrong(&users_path, &e))?;
    let users = Directory::from_toml(&text, config.realm()).map_err(|e| wrong(&users_path, &e))?;
    Ok(users.users().len())
}
