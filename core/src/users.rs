//! The directory: users, their aliases, and what their secrets are verified with.

mod sipxecs;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::auth::digest::{Algorithm, Hex, Verifiers};
pub use sipxecs::{Imported, import_sipxecs};

/// The credentials that answer a SIP server's challenges: HA1 values for one realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipCredentials {
    /// The user name in the SIP realm.
    pub username: String,
    /// The SIP realm.
    pub realm: String,
    /// HA1 by algorithm.
    pub verifiers: Verifiers,
}

/// One user, as `users.toml` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    display_name: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    may_act_for: Vec<String>,
    pin: PinTable,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sip: Option<SipTable>,
    #[serde(skip)]
    verifiers: Verifiers,
    #[serde(skip)]
    credentials: Option<Arc<SipCredentials>>,
    /// The name, for the calls that are placed in it.
    #[serde(skip)]
    agent: Arc<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinTable {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    md5: Option<Hex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Hex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha512_256: Option<Hex>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SipTable {
    username: String,
    realm: String,
    #[serde(flatten)]
    ha1: PinTable,
}

impl PinTable {
    fn verifiers(&self) -> Verifiers {
        let mut all = Verifiers::default();
        all.set(Algorithm::Md5, self.md5);
        all.set(Algorithm::Sha256, self.sha256);
        all.set(Algorithm::Sha512_256, self.sha512_256);
        all
    }

    fn of(verifiers: &Verifiers) -> Self {
        let get = |algorithm| verifiers.get(algorithm).copied();
        Self {
            md5: get(Algorithm::Md5),
            sha256: get(Algorithm::Sha256),
            sha512_256: get(Algorithm::Sha512_256),
        }
    }
}

impl User {
    /// A user with a PIN for our realm; the clear PIN is not kept.
    pub fn new(name: &str, realm: &str, pin: &str) -> Self {
        Self::with_verifiers(name, Verifiers::of(name, realm, pin))
    }

    pub(crate) fn with_verifiers(name: &str, verifiers: Verifiers) -> Self {
        Self {
            name: name.to_owned(),
            display_name: String::new(),
            aliases: Vec::new(),
            may_act_for: Vec::new(),
            pin: PinTable::of(&verifiers),
            sip: None,
            verifiers,
            credentials: None,
            agent: name.into(),
        }
    }

    /// The same with a display name.
    #[must_use]
    pub fn with_display_name(mut self, display_name: &str) -> Self {
        self.display_name = display_name.to_owned();
        self
    }

    /// The same with these aliases.
    #[must_use]
    pub fn with_aliases(mut self, aliases: Vec<String>) -> Self {
        self.aliases = aliases;
        self
    }

    /// The same with these agents to act for; `*` stands for all.
    #[must_use]
    pub fn with_may_act_for(mut self, agents: Vec<String>) -> Self {
        self.may_act_for = agents;
        self
    }

    /// The same with a SIP password for a realm; the clear password is not kept.
    #[must_use]
    pub fn with_sip_password(mut self, username: &str, realm: &str, password: &str) -> Self {
        let verifiers = Verifiers::of(username, realm, password);
        self.sip = Some(SipTable {
            username: username.to_owned(),
            realm: realm.to_owned(),
            ha1: PinTable::of(&verifiers),
        });
        self.settle();
        self
    }

    /// The user name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name for people, perhaps empty.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// Other names.
    pub fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// The agents that this user may place calls for, besides itself.
    pub fn may_act_for(&self) -> &[String] {
        &self.may_act_for
    }

    /// What the PIN is verified with.
    pub fn pin(&self) -> &Verifiers {
        &self.verifiers
    }

    /// What SIP challenges are answered with.
    pub fn sip(&self) -> Option<&SipCredentials> {
        self.credentials.as_deref()
    }

    /// The same, shared with every call that needs them.
    pub(crate) fn credentials(&self) -> Option<Arc<SipCredentials>> {
        self.credentials.clone()
    }

    /// The user name, shared with every call that is placed in it.
    pub(crate) fn agent(&self) -> Arc<str> {
        self.agent.clone()
    }

    /// Derives the tables of HA1 values from what was read, and what calls share.
    fn settle(&mut self) {
        self.agent = self.name.as_str().into();
        self.verifiers = self.pin.verifiers();
        self.credentials = self.sip.as_ref().map(|sip| {
            Arc::new(SipCredentials {
                username: sip.username.clone(),
                realm: sip.realm.clone(),
                verifiers: sip.ha1.verifiers(),
            })
        });
    }
}

/// What is wrong with a users file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UsersError {
    /// It is no such file; the text tells line and column.
    #[error("{0}")]
    Unreadable(String),
    /// A name or alias is there twice.
    #[error("the name or alias \"{name}\" is both {first}'s and {second}'s")]
    Twice {
        /// The name.
        name: String,
        /// The user that has it first.
        first: String,
        /// The user that has it too.
        second: String,
    },
    /// A name is empty or has characters that no user name may have.
    #[error(
        "\"{0}\" cannot be a user name: it is empty, or has a colon, a slash, white space or control characters"
    )]
    BadName(String),
    /// A user has no PIN to verify.
    #[error("{0} has no PIN: `pin` needs at least one of md5, sha256, sha512_256")]
    NoPin(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    user: Vec<User>,
}

/// All users.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    users: Vec<User>,
    /// Names and aliases.
    by_name: BTreeMap<String, usize>,
    /// Hashed user names (RFC 7616 §3.4.4), by their digits and so by algorithm.
    by_hash: BTreeMap<String, usize>,
}

impl Directory {
    /// Reads `users.toml`; `realm` is that of HTTP authentication.
    pub fn from_toml(text: &str, realm: &str) -> Result<Self, UsersError> {
        let file: File =
            toml::from_str(text).map_err(|e| UsersError::Unreadable(e.to_string().trim_end().to_owned()))?;
        Self::new(file.user, realm)
    }

    /// A directory of these users.
    pub fn new(users: Vec<User>, realm: &str) -> Result<Self, UsersError> {
        let mut directory = Self::default();
        for mut user in users {
            user.settle();
            directory.add(user, realm)?;
        }
        Ok(directory)
    }

    fn add(&mut self, user: User, realm: &str) -> Result<(), UsersError> {
        let place = self.users.len();
        for name in std::iter::once(&user.name).chain(&user.aliases) {
            if !is_name(name) {
                return Err(UsersError::BadName(name.clone()));
            }
            if let Some(first) = self.get_any(name) {
                let first = first.name.clone();
                return Err(UsersError::Twice { name: name.clone(), first, second: user.name });
            }
            self.by_name.insert(name.clone(), place);
        }
        if user.verifiers == Verifiers::default() {
            return Err(UsersError::NoPin(user.name));
        }
        for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512_256] {
            let hash = algorithm.hash(&[user.name.as_bytes(), realm.as_bytes()]);
            self.by_hash.insert(format!("{}:{}", algorithm.name(), hash.as_str()), place);
        }
        self.users.push(user);
        Ok(())
    }

    /// All users in the order of the file.
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// The user of this name; aliases do not count.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.get_any(name).filter(|user| user.name == name)
    }

    /// The user of this name or alias.
    pub fn get_any(&self, name: &str) -> Option<&User> {
        self.users.get(*self.by_name.get(name)?)
    }

    /// The user whose name, hashed with the realm, is this.
    pub(crate) fn by_hash(&self, algorithm: Algorithm, hash: &str) -> Option<&User> {
        self.users.get(*self.by_hash.get(&format!("{}:{}", algorithm.name(), hash.to_ascii_lowercase()))?)
    }

    /// Whether this user may place calls in the name of that one.
    pub(crate) fn may_act(&self, principal: &str, agent: &str) -> bool {
        principal == agent
            || self
                .get(principal)
                .is_some_and(|user| user.may_act_for.iter().any(|name| name == "*" || name == agent))
    }
}

/// Whether a text can be a user's name or alias: a colon would break Basic and HA1, a slash the path.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || matches!(c, ':' | '/' | '@' | '"' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        let one = User::new("user1", "r", "123")
            .with_aliases(vec!["201".into()])
            .with_sip_password("user1", "sip", "pw");
        let two = User::new("bridge", "r", "1").with_may_act_for(vec!["*".into()]);
        let three = User::new("boss", "r", "1").with_may_act_for(vec!["user1".into()]);
        Directory::new(vec![one, two, three], "r").unwrap()
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let users = directory();
        let text = toml_of(&users);
        let again = Directory::from_toml(&text, "r").unwrap();
        assert_eq!(again.users(), users.users());
        assert_eq!(again.get_any("201").map(User::name), Some("user1"));
        assert_eq!(again.get("201"), None);
        assert!(again.get("user1").unwrap().sip().unwrap().verifiers.get(Algorithm::Sha256).is_some());
    }

    fn toml_of(users: &Directory) -> String {
        let ha1 = |v: &Verifiers| {
            let get = |a| v.get(a).unwrap().as_str().to_owned();
            format!(
                "md5 = \"{}\", sha256 = \"{}\", sha512_256 = \"{}\"",
                get(Algorithm::Md5),
                get(Algorithm::Sha256),
                get(Algorithm::Sha512_256)
            )
        };
        users
            .users()
            .iter()
            .map(|user| {
                let sip = user
                    .sip()
                    .map(|s| {
                        format!(
                            "sip = {{ username = {:?}, realm = {:?}, {} }}\n",
                            s.username,
                            s.realm,
                            ha1(&s.verifiers)
                        )
                    })
                    .unwrap_or_default();
                format!(
                    "[[user]]\nname = {:?}\naliases = {:?}\nmay_act_for = {:?}\npin = {{ {} }}\n{sip}",
                    user.name,
                    user.aliases,
                    user.may_act_for,
                    ha1(user.pin())
                )
            })
            .collect()
    }

    #[test]
    fn a_name_that_is_there_twice_is_refused_naming_both() {
        let a = User::new("a", "r", "1").with_aliases(vec!["x".into()]);
        let b = User::new("b", "r", "1").with_aliases(vec!["x".into()]);
        let error = Directory::new(vec![a, b], "r").unwrap_err();
        assert_eq!(error.to_string(), "the name or alias \"x\" is both a's and b's");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = Directory::from_toml("[[user]]\nname = \"a\"\npni = {}\n", "r").unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    }

    #[test]
    fn who_may_act_for_whom_is_as_the_file_says() {
        let users = directory();
        assert!(users.may_act("user1", "user1"));
        assert!(!users.may_act("user1", "boss"));
        assert!(users.may_act("bridge", "boss") && users.may_act("bridge", "user1"));
        assert!(users.may_act("boss", "user1") && !users.may_act("boss", "bridge"));
    }

    #[test]
    fn a_hashed_name_finds_its_user() {
        let users = directory();
        let hash = Algorithm::Sha256.hash(&[b"user1", b"r"]);
        assert_eq!(users.by_hash(Algorithm::Sha256, hash.as_str()).map(User::name), Some("user1"));
        assert_eq!(users.by_hash(Algorithm::Md5, hash.as_str()), None);
    }
}
