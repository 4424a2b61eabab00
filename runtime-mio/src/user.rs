//! `cordboard user`: adds, changes, lists, removes and imports users.

mod file;
mod secrets;
mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cordboard_core::users::{Directory, User, import_sipxecs};

use crate::check;
use file::UsersFile;
use secrets::Secrets;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Adds a user; asks for its PIN and SIP password
    Add {
        /// The user name
        name: String,
        /// The name for people
        #[arg(long, value_name = "TEXT", default_value = "")]
        display_name: String,
        /// Another name of the user, like a phone number; may be repeated
        #[arg(long = "alias", value_name = "NAME")]
        aliases: Vec<String>,
        /// Somebody in whose name the user may place calls, or * for everybody; may be repeated
        #[arg(long = "act-for", value_name = "NAME")]
        act_for: Vec<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Changes a user's PIN and SIP password
    Passwd {
        /// The user name
        name: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Removes a user
    Remove {
        /// The user name
        name: String,
        #[command(flatten)]
        place: FilePlace,
    },
    /// Lists the users
    List {
        #[command(flatten)]
        place: FilePlace,
    },
    /// Takes over the users of sipXecs; their PINs stay valid where auth.realm is the realm of sipXecs
    Import {
        /// The users of sipXecs: validusers.xml
        file: PathBuf,
        #[command(flatten)]
        place: FilePlace,
        #[command(flatten)]
        realms: Realms,
    },
}

/// Where the users file is.
#[derive(Args)]
pub(crate) struct FilePlace {
    /// The configuration, which names the users file and the realms
    #[arg(long, value_name = "FILE", default_value = "cordboard.toml")]
    config: PathBuf,
    /// Another users file than the configuration's
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
}

impl FilePlace {
    fn path(&self) -> Result<PathBuf, String> {
        if let Some(users) = &self.users {
            return Ok(users.clone());
        }
        let config = check::read_config(&self.config)
            .map_err(|error| format!("{error}, or the users file with --users"))?;
        Ok(check::beside(&self.config, &config.users.file))
    }
}

/// The realms that secrets are stored for.
#[derive(Args)]
pub(crate) struct Realms {
    /// The realm of both secrets [default: auth.realm for the PIN, sip.domain for the SIP password]
    #[arg(long, value_name = "REALM")]
    realm: Option<String>,
    /// The realm of the SIP server, if it is another
    #[arg(long, value_name = "REALM")]
    sip_realm: Option<String>,
}

impl Realms {
    /// The realm of the PIN and the one of the SIP password.
    fn settle(&self, place: &FilePlace) -> Result<(String, String), String> {
        let (pin, sip) = match &self.realm {
            Some(realm) => (realm.clone(), realm.clone()),
            None => {
                let config = check::read_config(&place.config)
                    .map_err(|error| format!("{error}, or the realm with --realm"))?;
                (config.realm().to_owned(), config.sip.domain)
            }
        };
        let sip = self.sip_realm.clone().unwrap_or(sip);
        if [&pin, &sip].iter().any(|realm| realm.is_empty() || realm.chars().any(char::is_control)) {
            return Err("a realm is empty or has control characters".to_owned());
        }
        Ok((pin, sip))
    }
}

/// What is asked for a user's secrets, and how.
#[derive(Args)]
pub(crate) struct Asked {
    /// Reads the PIN and the SIP password from standard input, a line each, instead of asking
    #[arg(long)]
    stdin: bool,
    /// The user name at the SIP server, if it is another
    #[arg(long, value_name = "NAME")]
    sip_username: Option<String>,
    #[command(flatten)]
    place: FilePlace,
    #[command(flatten)]
    realms: Realms,
}

/// Does what is asked; returns what is to be printed, or one line that says what is wrong.
pub(crate) fn run(command: Command) -> Result<String, String> {
    match command {
        Command::Add { name, display_name, aliases, act_for, asked } => {
            let draft = User::new(&name, "", "")
                .with_display_name(&display_name)
                .with_aliases(aliases)
                .with_may_act_for(act_for);
            add(&draft, &asked)
        }
        Command::Passwd { name, asked } => passwd(&name, &asked),
        Command::Remove { name, place } => remove(&name, &place),
        Command::List { place } => {
            let path = place.path()?;
            Ok(table::of(&check::read_users(&path, "")?))
        }
        Command::Import { file, place, realms } => import(&file, &place, &realms),
    }
}

/// Adds the drafted user, who has no secrets yet.
fn add(draft: &User, asked: &Asked) -> Result<String, String> {
    let (pin_realm, sip_realm) = asked.realms.settle(&asked.place)?;
    let path = asked.place.path()?;
    let name = draft.name();
    // Refused before anybody types a PIN; looked at again below, when nobody else can write.
    UsersFile::open_or_new(&path)?.add(draft, &pin_realm)?;
    let secrets = Secrets::get(name, asked.stdin, "none")?;
    let mut user = User::new(name, &pin_realm, &secrets.pin)
        .with_display_name(draft.display_name())
        .with_aliases(draft.aliases().to_vec())
        .with_may_act_for(draft.may_act_for().to_vec());
    if let Some(password) = &secrets.sip_password {
        let username = asked.sip_username.as_deref().unwrap_or(name);
        user = user.with_sip_password(username, &sip_realm, password);
    }
    let _lock = file::lock(&path)?;
    let mut file = UsersFile::open_or_new(&path)?;
    file.add(&user, &pin_realm)?;
    file.write()?;
    Ok(format!("{name} added to {}\n", path.display()))
}

fn passwd(name: &str, asked: &Asked) -> Result<String, String> {
    let (pin_realm, sip_realm) = asked.realms.settle(&asked.place)?;
    let path = asked.place.path()?;
    find(&check::read_users(&path, &pin_realm)?, name, &path)?;
    let secrets = Secrets::get(name, asked.stdin, "the old one")?;
    let _lock = file::lock(&path)?;
    let mut file = UsersFile::open(&path)?;
    let before = find(&file.directory(&pin_realm)?, name, &path)?;
    let mut user = User::new(name, &pin_realm, &secrets.pin);
    if let Some(password) = &secrets.sip_password {
        let credentials = before.sip();
        let named = asked.sip_username.as_deref();
        let username = named.or(credentials.map(|sip| sip.username.as_str())).unwrap_or(name);
        let asked_realm = asked.realms.sip_realm.as_ref().or(asked.realms.realm.as_ref());
        let realm = asked_realm.or(credentials.map(|sip| &sip.realm)).unwrap_or(&sip_realm);
        user = user.with_sip_password(username, realm, password);
    }
    file.set_secrets(&user)?;
    file.directory(&pin_realm)?;
    file.write()?;
    Ok(format!("{name} changed in {}\n", path.display()))
}

fn remove(name: &str, place: &FilePlace) -> Result<String, String> {
    let path = place.path()?;
    let _lock = file::lock(&path)?;
    let mut file = UsersFile::open(&path)?;
    find(&file.directory("")?, name, &path)?;
    file.remove(name)?;
    file.write()?;
    Ok(format!("{name} removed from {}\n", path.display()))
}

fn import(source: &Path, place: &FilePlace, realms: &Realms) -> Result<String, String> {
    let (realm, _) = realms.settle(place)?;
    let path = place.path()?;
    let text = std::fs::read_to_string(source)
        .map_err(|error| format!("{} cannot be read: {error}", source.display()))?;
    let imported = import_sipxecs(&text, &realm).map_err(|error| format!("{}: {error}", source.display()))?;
    let mut skipped = imported.skipped;
    let _lock = file::lock(&path)?;
    let mut file = UsersFile::open_or_new(&path)?;
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for user in file.directory(&realm)?.users() {
        taken.insert(user.name().to_owned());
        taken.extend(user.aliases().iter().cloned());
    }
    let mut count = 0;
    for user in imported.users {
        if !taken.insert(user.name().to_owned()) {
            skipped.push(format!("{}: the name is there already", user.name()));
            continue;
        }
        let (aliases, doubles): (Vec<_>, Vec<_>) =
            user.aliases().iter().cloned().partition(|alias| taken.insert(alias.clone()));
        skipped.extend(
            doubles.iter().map(|alias| format!("{}: its alias {alias} is there already", user.name())),
        );
        file.push(&user.with_aliases(aliases))?;
        count += 1;
    }
    file.directory(&realm)?;
    if count > 0 {
        file.write()?;
    }
    for line in &skipped {
        eprintln!("{}: left out: {line}", source.display());
    }
    Ok(format!("{count} users imported to {}, {} left out\n", path.display(), skipped.len()))
}

/// The user of this name; an alias is not taken for it.
fn find(directory: &Directory, name: &str, path: &Path) -> Result<User, String> {
    match (directory.get(name), directory.get_any(name)) {
        (Some(user), _) => Ok(user.clone()),
        (None, Some(owner)) => Err(format!("\"{name}\" is an alias; the user is {}", owner.name())),
        (None, None) => Err(format!("{} has no user \"{name}\"", path.display())),
    }
}
