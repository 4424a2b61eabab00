//! Reading: every key of the text is found among the known ones, every fault has its place.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::Keys;
use super::value::{Value, Wrong, kind, shown};
use super::{Config, ConfigError, Place};

/// Where the keys stand in the text.
pub(super) struct Places<'a> {
    text: &'a str,
    /// Table, key (empty for the table itself) and byte.
    found: Vec<(&'static str, &'static str, usize)>,
}

impl Places<'_> {
    /// The place of a key's value; of its table if it is not there, of the text's start if neither is.
    pub(super) fn of(&self, table: &str, key: &str) -> Place {
        let at =
            |key: &str| self.found.iter().find(|(t, k, _)| *t == table && *k == key).map(|(_, _, at)| *at);
        Place::of(self.text, at(key).or_else(|| at("")).unwrap_or(0))
    }
}

/// Reads the text over the defaults. Of several faults the first in the text is returned.
pub(super) fn read(text: &str) -> Result<(Config, Places<'_>), ConfigError> {
    let document = DeTable::parse(text).map_err(|error| ConfigError::NotToml {
        place: Place::of(text, error.span().map_or(text.len(), |span| span.start)),
        why: error.message().replace('\n', ", "),
    })?;
    let mut config = Config::new("");
    let mut reader = Reader {
        document: document.get_ref(),
        // Before the first table come the keys that stand in none.
        table: Some(document.get_ref()),
        name: "",
        known: Vec::new(),
        places: Places { text, found: Vec::new() },
        faults: Vec::new(),
    };
    config.walk(&mut reader);
    reader.refuse_unknown();
    match reader.faults.into_iter().min_by_key(|(at, _)| *at) {
        Some((_, error)) => Err(error),
        None => Ok((config, reader.places)),
    }
}

struct Reader<'a, 't> {
    document: &'a DeTable<'t>,
    /// The table that is being read, if the text has it.
    table: Option<&'a DeTable<'t>>,
    /// Its name.
    name: &'static str,
    /// All tables and their keys; the table itself has the empty key.
    known: Vec<(&'static str, &'static str)>,
    places: Places<'t>,
    faults: Vec<(usize, ConfigError)>,
}

impl<'a, 't> Reader<'a, 't> {
    fn place(&self, at: usize) -> Place {
        Place::of(self.places.text, at)
    }

    /// The value of a key, if the text has it.
    fn find(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'t>>> {
        self.known.push((self.name, key));
        let value = self.table?.get(key)?;
        self.places.found.push((self.name, key, value.span().start));
        Some(value)
    }

    fn take<V: Value>(&mut self, key: &'static str) -> Option<(V, usize)> {
        let value = self.find(key)?;
        match V::read(value) {
            Ok(read) => Some((read, value.span().start)),
            Err(wrong) => {
                self.wrong(key, wrong);
                None
            }
        }
    }

    fn wrong(&mut self, key: &str, wrong: Wrong) {
        let key = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        let error =
            ConfigError::Unusable { place: self.place(wrong.at), key, why: wrong.why, right: wrong.right };
        self.faults.push((wrong.at, error));
    }

    fn refuse_unknown(&mut self) {
        for (name, value) in self.document {
            let (at, name) = (name.span().start, name.get_ref().as_ref());
            match value.get_ref() {
                DeValue::Table(table) if self.known.contains(&(name, "")) => {
                    for key in table.keys() {
                        let (at, key) = (key.span().start, key.get_ref().as_ref());
                        if !self.known.contains(&(name, key)) {
                            let error = self.unknown_key(at, name, key);
                            self.faults.push((at, error));
                        }
                    }
                }
                _ if self.known.contains(&("", name)) => {}
                // What the text has in a known table's stead is refused by `table`.
                _ if self.known.contains(&(name, "")) => {}
                DeValue::Table(_) | DeValue::Array(_) => {
                    let hint = nearest(name, self.known.iter().map(|(table, _)| *table))
                        .map(|table| format!("; did you mean [{table}]?"))
                        .unwrap_or_default();
                    let what = format!("table [{}]", name.escape_debug());
                    self.faults.push((at, ConfigError::Unknown { place: self.place(at), what, hint }));
                }
                _ => {
                    let error = self.unknown_key(at, "", name);
                    self.faults.push((at, error));
                }
            }
        }
    }

    fn unknown_key(&self, at: usize, table: &str, key: &str) -> ConfigError {
        let place = self.place(at);
        let of_table = self.known.iter().filter(|(name, _)| *name == table).map(|(_, key)| *key);
        let elsewhere = self.known.iter().find(|(_, known)| *known == key && !key.is_empty());
        let hint = match (elsewhere, nearest(key, of_table)) {
            (Some((table, _)), _) => format!("; it belongs in [{table}]"),
            (None, Some(near)) => format!("; did you mean `{near}`?"),
            (None, None) => String::new(),
        };
        let shown = shown(key);
        let key = shown.trim_matches('"');
        let what = if table.is_empty() {
            format!("key `{key}` outside of any table")
        } else {
            format!("key `{key}` in [{table}]")
        };
        ConfigError::Unknown { place, what, hint }
    }
}

impl Keys for Reader<'_, '_> {
    fn table(&mut self, name: &'static str, _: &'static str) {
        self.name = name;
        self.known.push((name, ""));
        self.table = None;
        let Some((key, value)) = self.document.get_key_value(name) else { return };
        let at = key.span().start;
        match value.get_ref() {
            DeValue::Table(table) => {
                self.places.found.push((name, "", at));
                self.table = Some(table);
            }
            other => {
                let error = ConfigError::Unusable {
                    place: self.place(at),
                    key: name.to_owned(),
                    why: format!("here stands {}", kind(other)),
                    right: format!("write [{name}] on a line of its own, once, and the keys below"),
                };
                self.faults.push((at, error));
            }
        }
    }

    fn key<V: Value>(&mut self, name: &'static str, _: &'static str, value: &mut V) {
        if let Some((read, _)) = self.take(name) {
            *value = read;
        }
    }

    fn within<V: Value + PartialOrd>(
        &mut self,
        name: &'static str,
        _: &'static str,
        value: &mut V,
        range: RangeInclusive<V>,
    ) {
        let Some((read, at)) = self.take::<V>(name) else { return };
        if range.contains(&read) {
            *value = read;
        } else {
            let why = format!("{} is out of range", read.toml());
            let right = format!("write from {} to {}", range.start().toml(), range.end().toml());
            self.wrong(name, Wrong { at, why, right });
        }
    }

    fn optional<V: Value>(
        &mut self,
        name: &'static str,
        _: &'static str,
        _: &'static str,
        value: &mut Option<V>,
    ) {
        if let Some((read, _)) = self.take(name) {
            *value = Some(read);
        }
    }
}

/// The known name that a misspelt one is nearest to, if it is near enough.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 32;
    if name.chars().nth(LONGEST).is_some() {
        return None;
    }
    known
        .filter(|known| !known.is_empty())
        .map(|known| (distance(name, known), known))
        .filter(|(distance, known)| *distance <= 2.min(known.len() / 2))
        .min()
        .map(|(_, known)| known)
}

/// How many characters have to be put in, left out or changed to make one of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (place, left) in a.chars().enumerate() {
        let mut diagonal = place;
        let mut before = place + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = before;
        }
        for (cell, right) in cells.zip(b.chars()) {
            let changed = diagonal + usize::from(left != right);
            diagonal = *cell;
            before = changed.min(before + 1).min(diagonal + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(0)
}
