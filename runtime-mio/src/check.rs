//! `cordboard check`, and the reading of the files that it checks.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cordboard_core::config::{Config, Place};
use cordboard_core::users::{Directory, UsersError};
use toml_edit::Document;

use crate::certificate::{CertificateFiles, SipTlsFiles};

/// Checks the configuration and the files that it names, after printing it if that is wanted. Warnings go to
/// standard error; the error has a line for each file that is wrong. `workers` says how many there would be.
pub(crate) fn run(
    config_path: &Path,
    print: bool,
    workers: impl FnOnce(&Config) -> u8,
) -> Result<String, String> {
    let config = read_config(config_path)?;
    if print {
        crate::say(&config.print())?;
    }
    for warning in config.warnings() {
        eprintln!("{}: warning: {warning}", config_path.display());
    }
    let users_path = beside(config_path, &config.users.file);
    let users = read_users(&users_path, config.realm());
    let https = CertificateFiles::for_https(config_path, &config).and_then(|files| files.load().err());
    let sip = SipTlsFiles::new(config_path, &config).load().err();
    let workers =
        config.for_workers(workers(&config)).map_err(|error| format!("{}: {error}", config_path.display()));
    let wrong = [https, sip, users.as_ref().err().cloned(), workers.as_ref().err().cloned()];
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    if let Ok(directory) = &users {
        warn_of_users(&users_path, directory);
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\ncordboard: "));
    }
    if print {
        return Ok(String::new());
    }
    let count = users.map_or(0, |directory| directory.users().len());
    let users = if count == 1 { "1 user".to_owned() } else { format!("{count} users") };
    let addresses = workers.map_or_else(|_| String::new(), |workers| sip_addresses(&workers));
    Ok(format!("{}: ok, {users} in {}\n{addresses}", config_path.display(), users_path.display()))
}

/// Where several workers take SIP: no configuration says it, and a firewall has to know.
fn sip_addresses(workers: &[Config]) -> String {
    if workers.len() <= 1 {
        return String::new();
    }
    let listens = workers.iter().flat_map(|worker| &worker.sip.listen);
    let addresses: Vec<String> = listens.map(ToString::to_string).collect();
    format!("{} workers take SIP at {}\n", workers.len(), addresses.join(", "))
}

/// Reads the configuration; the error is one line.
pub(crate) fn read_config(path: &Path) -> Result<Config, String> {
    let text = read_text(path).map_err(|error| format!("{error}; name the configuration with --config"))?;
    Config::from_toml(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads the users of a realm; the error is one line.
pub(crate) fn read_users(path: &Path, realm: &str) -> Result<Directory, String> {
    let text = read_text(path).map_err(|error| format!("{error}; `cordboard user add NAME` makes it"))?;
    parse_users(path, &text, realm)
}

/// Reads the users of a realm from the text of their file; the error is one line.
pub(crate) fn parse_users(path: &Path, text: &str, realm: &str) -> Result<Directory, String> {
    Directory::from_toml(text, realm)
        .map_err(|error| format!("{}: {}", path.display(), users_fault(text, &error)))
}

/// A file that the configuration names, seen from the configuration's folder.
pub(crate) fn beside(config_path: &Path, file: &str) -> PathBuf {
    config_path.parent().unwrap_or(Path::new("")).join(file)
}

fn read_text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// What is wrong with a users file, in one line with its place.
fn users_fault(text: &str, error: &UsersError) -> String {
    let name = match error {
        // The TOML reader draws the line that is wrong; the place and the reason are enough.
        UsersError::Unreadable(drawn) => {
            let drawing = |line: &&str| {
                line.trim_start_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
                    .starts_with('|')
            };
            let lines: Vec<&str> = drawn.lines().filter(|line| !drawing(line)).collect();
            return lines.join(", ");
        }
        UsersError::Twice { second, .. } => second,
        UsersError::BadName(name) | UsersError::NoPin(name) => name,
    };
    match place_of_user(text, name) {
        Some(place) => format!("{error}, {place}"),
        None => error.to_string(),
    }
}

/// Where the last user stands that has this name or alias: of two, it is the second that is one too many.
fn place_of_user(text: &str, name: &str) -> Option<Place> {
    let document = Document::parse(text).ok()?;
    let users = document.as_table().get("user")?.as_array_of_tables()?;
    let named = |user: &&toml_edit::Table| {
        let aliases = user.get("aliases").and_then(|aliases| aliases.as_array());
        let alias = aliases.is_some_and(|aliases| aliases.iter().any(|alias| alias.as_str() == Some(name)));
        alias || user.get("name").and_then(|item| item.as_str()) == Some(name)
    };
    let span = users.iter().filter(named).last()?.get("name")?.span()?;
    Some(Place::of(text, span.start))
}

fn warn_of_users(path: &Path, directory: &Directory) {
    let warn = |text: String| eprintln!("{}: warning: {text}", path.display());
    if directory.users().is_empty() {
        warn("has no users; `cordboard user add NAME` adds one".to_owned());
    }
    let mode = path.metadata().map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        warn("anybody on this machine can read what logs users in; chmod 600 helps".to_owned());
    }
    for user in directory.users() {
        if user.sip().is_none() {
            warn(format!(
                "{} has no SIP credentials: a server that asks for them refuses its calls",
                user.name()
            ));
        }
        let strangers =
            user.may_act_for().iter().filter(|agent| *agent != "*" && directory.get(agent).is_none());
        for agent in strangers {
            warn(format!("{} may act for {agent}, who is no user", user.name()));
        }
    }
}
