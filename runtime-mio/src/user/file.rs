//! The users file: edited so that its comments and order stay, written so that nobody sees half of it.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use cordboard_core::users::{Directory, User};
use tempfile::NamedTempFile;
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use crate::check;

/// What a new file begins with.
const HEADER: &str =
    "# Users of Cordboard, written by `cordboard user`. Keep it secret: what stands here logs users in.\n\n";

/// A users file in memory.
pub(super) struct UsersFile {
    path: PathBuf,
    document: DocumentMut,
}

/// Keeps other `cordboard user` commands off the users file while it is held.
pub(super) fn lock(path: &Path) -> Result<File, String> {
    // The file itself is replaced by writing, so its folder is what is locked.
    let folder = folder(path);
    File::open(folder)
        .and_then(|folder| folder.lock().map(|()| folder))
        .map_err(|error| format!("{} cannot be locked: {error}", folder.display()))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl UsersFile {
    /// Reads the file.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let unreadable = |error| format!("{} cannot be read: {error}", path.display());
        Self::parse(path, &std::fs::read_to_string(path).map_err(unreadable)?)
    }

    /// Reads the file, or begins a new one.
    pub(super) fn open_or_new(path: &Path) -> Result<Self, String> {
        match path.try_exists() {
            Ok(false) => Self::parse(path, ""),
            Ok(true) | Err(_) => Self::open(path),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, String> {
        // The directory's errors tell line and column in the way of `cordboard check`.
        check::parse_users(path, text, "")?;
        let document = text
            .parse::<DocumentMut>()
            .map_err(|error| format!("{}: {}", path.display(), error.message()))?;
        Ok(Self { path: path.to_owned(), document })
    }

    /// The users as they stand now; an error if they cannot stand together.
    pub(super) fn directory(&self, realm: &str) -> Result<Directory, String> {
        check::parse_users(&self.path, &self.document.to_string(), realm)
    }

    /// Adds a user behind the others, unless its name or an alias is taken.
    pub(super) fn add(&mut self, user: &User, realm: &str) -> Result<(), String> {
        let (name, path) = (user.name(), self.path.display());
        if self.directory(realm)?.get(name).is_some() {
            return Err(format!(
                "{path} has a user \"{name}\" already; `cordboard user passwd {name}` changes its PIN"
            ));
        }
        let others = self.directory(realm)?;
        Directory::new(others.users().iter().chain([user]).cloned().collect(), realm)
            .map_err(|error| error.to_string())?;
        self.push(user)
    }

    /// Adds a user behind the others.
    pub(super) fn push(&mut self, user: &User) -> Result<(), String> {
        let mut table = table(user)?;
        let trailing = self.document.trailing().as_str().unwrap_or_default().trim_end().to_owned();
        let prefix = if !self.document.is_empty() {
            "\n".to_owned()
        } else if trailing.is_empty() {
            HEADER.to_owned()
        } else {
            // The comments of a file without users are at its end; they are meant to stay at its head.
            self.document.set_trailing("");
            trailing + "\n\n"
        };
        table.decor_mut().set_prefix(prefix);
        self.users()?.push(table);
        Ok(())
    }

    /// Gives a user another's secrets: its PIN, and its SIP credentials if it has some.
    pub(super) fn set_secrets(&mut self, user: &User) -> Result<(), String> {
        let mut fresh = table(user)?;
        let (_, old) = self.find(user.name())?;
        for key in ["pin", "sip"] {
            let Some(mut item) = fresh.remove(key) else { continue };
            match old.get_mut(key) {
                Some(before) => {
                    // What stands behind the value, a comment say, stays there.
                    if let (Some(new), Some(old)) = (item.as_value_mut(), before.as_value()) {
                        *new.decor_mut() = old.decor().clone();
                    }
                    *before = item;
                }
                None => {
                    old.insert(key, item);
                }
            }
        }
        Ok(())
    }

    /// Removes a user with the comment right above it; what stands above an empty line stays.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), String> {
        let (place, table) = self.find(name)?;
        let prefix = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
        let kept = prefix.rfind("\n\n").map_or("", |at| &prefix[..at + 2]).to_owned();
        let users = self.users()?;
        users.remove(place);
        if let Some(next) = users.get_mut(place) {
            let prefix = next.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
            let below = if kept.is_empty() && place > 0 { prefix } else { prefix.trim_start_matches('\n') };
            let prefix = kept + below;
            next.decor_mut().set_prefix(prefix);
            return Ok(());
        }
        if users.is_empty() {
            self.document.remove("user");
        }
        let trailing = self.document.trailing().as_str().unwrap_or_default().to_owned();
        self.document.set_trailing(kept + &trailing);
        Ok(())
    }

    fn find(&mut self, name: &str) -> Result<(usize, &mut Table), String> {
        let missing = format!("{} has no user \"{name}\"", self.path.display());
        let named = |table: &Table| table.get("name").and_then(Item::as_str) == Some(name);
        self.users()?.iter_mut().enumerate().find(|(_, table)| named(table)).ok_or(missing)
    }

    fn users(&mut self) -> Result<&mut ArrayOfTables, String> {
        let error = format!("{}: the users are not written as [[user]] tables", self.path.display());
        let item = self.document.entry("user").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        item.as_array_of_tables_mut().ok_or(error)
    }

    /// Writes the file: for its owner alone, whole or not at all.
    pub(super) fn write(&self) -> Result<(), String> {
        // Behind a symbolic link it is the file that is replaced, not the link.
        let path = match self.path.canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => self.path.clone(),
            Err(error) => return Err(format!("{} cannot be found: {error}", self.path.display())),
        };
        self.replace(&path).map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    fn replace(&self, path: &Path) -> std::io::Result<()> {
        let folder = folder(path);
        // Made with mode 0600.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(self.document.to_string().as_bytes())?;
        // The service may run as another user than the one who edits.
        if let Ok(before) = path.metadata() {
            let now = file.as_file().metadata()?;
            if (before.uid(), before.gid()) != (now.uid(), now.gid()) {
                fchown(file.as_file(), Some(before.uid()), Some(before.gid()))?;
            }
        }
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }
}

/// A user as the table of the users file, PIN and SIP credentials on a line each.
fn table(user: &User) -> Result<Table, String> {
    let mut document = toml_edit::ser::to_document(user)
        .map_err(|error| format!("{} cannot be written: {error}", user.name()))?;
    let mut table = std::mem::take(document.as_table_mut());
    for key in ["pin", "sip"] {
        let Some(Item::Table(inner)) = table.get(key) else { continue };
        let line: InlineTable = inner.clone().into_inline_table();
        table.insert(key, Item::Value(Value::InlineTable(line)));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> UsersFile {
        UsersFile::parse(Path::new("users.toml"), text).unwrap()
    }

    fn entry(name: &str) -> String {
        let pin = "0".repeat(32);
        format!("[[user]]\nname = \"{name}\"\npin = {{ md5 = \"{pin}\" }}\n")
    }

    fn without(text: &str, name: &str) -> String {
        let mut file = file(text);
        file.remove(name).unwrap();
        file.document.to_string()
    }

    #[test]
    fn a_removed_user_takes_only_its_own_comment_along() {
        let (a, b, c) = (entry("a"), entry("b"), entry("c"));
        let text =
            format!("# All of us\n\n# about a\n{a}\n# Upstairs\n\n# about b\n{b}\n# about c\n{c}# end\n");
        let without_a = format!("# All of us\n\n# Upstairs\n\n# about b\n{b}\n# about c\n{c}# end\n");
        let without_b = format!("# All of us\n\n# about a\n{a}\n# Upstairs\n\n# about c\n{c}# end\n");
        let without_c = format!("# All of us\n\n# about a\n{a}\n# Upstairs\n\n# about b\n{b}# end\n");
        assert_eq!(without(&text, "a"), without_a);
        assert_eq!(without(&text, "b"), without_b);
        assert_eq!(without(&text, "c"), without_c);
    }

    #[test]
    fn the_head_of_the_file_stays_when_all_users_go_and_come_back() {
        let mut file = file(&format!("# All of us\n\n{}", entry("a")));
        file.remove("a").unwrap();
        assert_eq!(file.document.to_string(), "# All of us\n\n");
        file.push(&User::new("b", "r", "1")).unwrap();
        let text = file.document.to_string();
        assert!(text.starts_with("# All of us\n\n[[user]]\nname = \"b\"\n"), "{text}");
    }

    #[test]
    fn new_secrets_leave_everything_else_as_it_was() {
        let text = format!(
            "[[user]] # one\nname = \"a\" # two\naliases = [ \"1\",\n  \"2\" ]\n# three\npin = {{ md5 = \"{}\" }} # four\n",
            "0".repeat(32)
        );
        let mut file = file(&text);
        file.set_secrets(&User::new("a", "r", "1").with_sip_password("a", "r", "pw")).unwrap();
        let after = file.document.to_string();
        let (before_pin, _) = text.split_once("pin =").unwrap();
        let (kept, rest) = after.split_once("pin =").unwrap();
        assert_eq!(kept, before_pin);
        assert!(rest.contains(" } # four\nsip = { username = \"a\", realm = \"r\", md5 = "), "{rest}");
        assert_eq!(file.directory("r").unwrap().get("a").unwrap().pin(), User::new("a", "r", "1").pin());
    }

    #[test]
    fn secrets_written_as_tables_of_their_own_are_replaced_too() {
        let zeros = "0".repeat(32);
        let mut file = file(&format!(
            "[[user]]\nname = \"a\"\n[user.pin]\nmd5 = \"{zeros}\"\n\n[[user]]\nname = \"b\"\npin.md5 = \"{zeros}\"\n"
        ));
        for name in ["a", "b"] {
            file.set_secrets(&User::new(name, "r", "1")).unwrap();
        }
        let users = file.directory("r").unwrap();
        for name in ["a", "b"] {
            assert_eq!(users.get(name).map(User::pin), Some(User::new(name, "r", "1").pin()));
        }
    }

    #[test]
    fn users_in_an_inline_list_are_not_edited() {
        let mut file =
            file(&format!("user = [{{ name = \"a\", pin = {{ md5 = \"{}\" }} }}]\n", "0".repeat(32)));
        let error = file.push(&User::new("b", "r", "1")).unwrap_err();
        assert_eq!(error, "users.toml: the users are not written as [[user]] tables");
    }
}
