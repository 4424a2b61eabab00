//! The user file of sipXecs, `validusers.xml`.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::{User, is_name};
use crate::auth::digest::{Algorithm, Hex, Verifiers};

/// What came of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// The users that could be read.
    pub users: Vec<User>,
    /// What was left out, and why: one line each.
    pub skipped: Vec<String>,
}

#[derive(Default)]
struct Item {
    identity: String,
    user: String,
    pin: String,
    password: String,
    display: String,
    aliases: Vec<String>,
}

/// Reads `validusers.xml`. A user's `pintoken` is the MD5 HA1 over user, realm and PIN already, its `passtoken`
/// the SIP password. Returns an error that says where, if the text is no XML.
pub fn import_sipxecs(text: &str, realm: &str) -> Result<Imported, String> {
    let mut reader = Reader::from_str(text);
    let mut imported = Imported::default();
    let mut item: Option<Item> = None;
    let mut path: Vec<String> = Vec::new();
    let mut value = String::new();
    loop {
        let position = reader.buffer_position();
        let event = reader.read_event().map_err(|e| format!("at byte {position}: {e}"))?;
        match event {
            // Entities of its own are what XML bombs are made of, and the file has none.
            Event::DocType(_) => return Err(format!("at byte {position}: a document type is not taken")),
            Event::Start(start) => {
                let name = start.local_name().as_ref().to_owned();
                if name == "item" {
                    item = Some(Item::default());
                }
                path.push(name);
                value.clear();
            }
            Event::Text(text) => value.push_str(&text),
            Event::GeneralRef(reference) => value
                .push(entity(&reference).ok_or_else(|| format!("at byte {position}: an unknown entity"))?),
            Event::End(_) => {
                let name = path.pop().unwrap_or_default();
                if name == "item" {
                    if let Some(item) = item.take() {
                        take(item, realm, &mut imported);
                    }
                } else if let Some(item) = &mut item {
                    item.set(&name, value.trim());
                }
                value.clear();
            }
            Event::Eof if path.is_empty() => return Ok(imported),
            Event::Eof => return Err("the file ends in the middle".to_owned()),
            _ => {}
        }
    }
}

fn entity(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return Some(character);
    }
    match reference.as_ref() {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

impl Item {
    fn set(&mut self, name: &str, value: &str) {
        match name {
            "identity" => self.identity = value.to_owned(),
            "userName" | "user-name" | "user" => self.user = value.to_owned(),
            "pintoken" => self.pin = value.to_owned(),
            "passtoken" => self.password = value.to_owned(),
            "displayName" | "display-name" => self.display = value.to_owned(),
            "alias" => self.aliases.push(value.to_owned()),
            _ => {}
        }
    }
}

fn take(item: Item, realm: &str, imported: &mut Imported) {
    let identity = item.identity.trim_start_matches("sip:");
    let (user, domain) = identity.split_once('@').unwrap_or((identity, realm));
    let name = if item.user.is_empty() { user } else { &item.user };
    if !is_name(name) {
        imported.skipped.push(format!("\"{name}\": not a name that a user can have"));
        return;
    }
    let Some(pin) = Hex::parse(Algorithm::Md5, &item.pin) else {
        imported.skipped.push(format!("{name}: its pintoken is not an MD5 value"));
        return;
    };
    let mut verifiers = Verifiers::default();
    verifiers.set(Algorithm::Md5, Some(pin));
    let aliases = item.aliases.into_iter().filter(|alias| alias != name && is_name(alias)).collect();
    let mut imported_user =
        User::with_verifiers(name, verifiers).with_aliases(aliases).with_display_name(&item.display);
    if !item.password.is_empty() {
        imported_user = imported_user.with_sip_password(name, domain, &item.password);
    }
    imported.users.push(imported_user);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<items xmlns="http://www.sipfoundry.org/sipX/schema/xml/validusers-00-00" type="validusers">
  <item>
    <identity>201@example.com</identity>
    <userName>201</userName>
    <pintoken>6629fae49393a05397450978507c4ef1</pintoken>
    <passtoken>s&amp;cret</passtoken>
    <displayName>Anna B</displayName>
    <aliases><alias relation="userid">anna</alias><alias>9201</alias></aliases>
  </item>
  <item><identity>broken@example.com</identity><pintoken>123</pintoken></item>
</items>"#;

    #[test]
    fn users_are_taken_over_and_what_cannot_be_is_named() {
        let imported = import_sipxecs(FILE, "example.com").unwrap();
        let [user] = imported.users.as_slice() else { panic!("{imported:?}") };
        assert_eq!((user.name(), user.display_name()), ("201", "Anna B"));
        assert_eq!(user.aliases(), ["anna", "9201"]);
        assert_eq!(
            user.pin().get(Algorithm::Md5).map(|h| h.as_str().to_owned()).as_deref(),
            Some("6629fae49393a05397450978507c4ef1")
        );
        let sip = user.sip().unwrap();
        assert_eq!(sip.verifiers, Verifiers::of("201", "example.com", "s&cret"));
        assert_eq!(imported.skipped, ["broken: its pintoken is not an MD5 value"]);
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        assert!(import_sipxecs("<items><item>", "r").is_err());
        assert!(import_sipxecs("<!DOCTYPE x [<!ENTITY a \"b\">]><items/>", "r").is_err());
        assert!(import_sipxecs("<items><item><identity>&a;</identity></item></items>", "r").is_err());
    }
}
