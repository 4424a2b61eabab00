//! Slabs with generational keys, and identifiers on the wire that carry them.

use std::fmt;
use std::marker::PhantomData;

use slab::Slab;

/// Names an entry of a [`Table`]; once the entry is removed it names nothing for ever.
pub(crate) struct Key<T> {
    index: u32,
    generation: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.generation == other.generation
    }
}
impl<T> Eq for Key<T> {}
impl<T> std::hash::Hash for Key<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.index, self.generation).hash(state);
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

impl<T> Key<T> {
    /// The key as a number, for layers that hand it back without knowing what it names.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key that [`to_bits`](Self::to_bits) made a number of.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32, of: PhantomData }
    }
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: T,
}

/// A slab whose keys carry a generation, so that an old key never finds a new entry.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slab: Slab<Entry<T>>,
    generation: u32,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slab: Slab::new(), generation: 0 }
    }
}

impl<T> Table<T> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Adds the entry that `make` makes of its own key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key<T>) -> T) -> Key<T> {
        self.generation = self.generation.wrapping_add(1);
        let vacant = self.slab.vacant_entry();
        let key = Key { index: vacant.key() as u32, generation: self.generation, of: PhantomData };
        vacant.insert(Entry { generation: self.generation, value: make(key) });
        key
    }

    /// Adds an entry.
    pub(crate) fn insert(&mut self, value: T) -> Key<T> {
        self.insert_with(|_| value)
    }

    /// The entry of this key.
    pub(crate) fn get(&self, key: Key<T>) -> Option<&T> {
        self.slab.get(key.index as usize).filter(|e| e.generation == key.generation).map(|e| &e.value)
    }

    /// The entry of this key.
    pub(crate) fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        self.slab.get_mut(key.index as usize).filter(|e| e.generation == key.generation).map(|e| &mut e.value)
    }

    /// Takes the entry of this key out.
    pub(crate) fn remove(&mut self, key: Key<T>) -> Option<T> {
        self.get(key)?;
        Some(self.slab.remove(key.index as usize).value)
    }

    /// All entries, in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.slab.iter().map(|(index, entry)| {
            (Key { index: index as u32, generation: entry.generation, of: PhantomData }, &entry.value)
        })
    }
}

/// An identifier that we put on the wire (branch, tag, Call-ID): whose it is, and bits that nobody can guess.
///
/// As text it is 32 hexadecimal digits: the key and 64 random bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ident {
    key: u64,
    secret: u64,
}

/// The length of an [`Ident`] as text.
pub(crate) const IDENT_LENGTH: usize = 32;

impl Ident {
    /// The identifier of what `key` names.
    pub(crate) fn new<T>(key: Key<T>, secret: u64) -> Self {
        Self { key: key.to_bits(), secret }
    }

    /// Reads an identifier; `None` if we cannot have written it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != IDENT_LENGTH {
            return None;
        }
        let mut bits = 0u128;
        for digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            bits = bits << 4 | u128::from(value);
        }
        Some(Self { key: (bits >> 64) as u64, secret: bits as u64 })
    }

    /// The key that it carries; whether it still names this entry, the entry's own identifier tells.
    pub(crate) fn key<T>(self) -> Key<T> {
        Key::from_bits(self.key)
    }

    /// The text, without allocating.
    pub(crate) fn text(self) -> IdentText {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let bits = u128::from(self.key) << 64 | u128::from(self.secret);
        let mut text = [0u8; IDENT_LENGTH];
        for (place, digit) in text.iter_mut().enumerate() {
            let value = (bits >> (124 - 4 * place)) as usize & 15;
            *digit = DIGITS.get(value).copied().unwrap_or(b'0');
        }
        IdentText(text)
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

/// An [`Ident`] as text.
#[derive(Clone, Copy)]
pub(crate) struct IdentText([u8; IDENT_LENGTH]);

impl IdentText {
    /// The digits.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for IdentText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_never_finds_a_new_entry() {
        let mut table = Table::default();
        let old = table.insert("old");
        table.remove(old);
        let new = table.insert("new");
        assert_eq!(table.get(old), None);
        assert_eq!(table.get(new), Some(&"new"));
    }

    #[test]
    fn an_identifier_is_read_as_it_was_written() {
        let mut table = Table::default();
        let key = table.insert(());
        let ident = Ident::new(key, 0x0123_4567_89ab_cdef);
        assert_eq!(Ident::parse(ident.text().as_str()), Some(ident));
        assert_eq!(ident.key(), key);
        assert_eq!(Ident::parse("not an identifier of ours"), None);
    }
}
