//! Slabs with generational keys, and identifiers on the wire that carry them.

use std::fmt;
use std::marker::PhantomData;

use slab::Slab;

use crate::io::WorkerId;

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
    /// The worker in whose table it is, if the table's keys name one.
    pub(crate) fn worker(self) -> WorkerId {
        WorkerId((self.index >> PLACE_BITS) as u8)
    }

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
    /// The worker that the entries belong to, where the index of their keys carries it.
    base: u32,
}

/// The bits of a key's index that are its place; those above are the worker's number.
const PLACE_BITS: u32 = 24;

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slab: Slab::new(), generation: 0, base: 0 }
    }
}

impl<T> Table<T> {
    /// An empty table whose keys name this worker.
    pub(crate) fn of_worker(worker: WorkerId) -> Self {
        Self { base: u32::from(worker.0) << PLACE_BITS, ..Self::default() }
    }

    /// Where the entry of this key would lie, if the key is of this table's worker.
    fn place(&self, key: Key<T>) -> usize {
        (key.index ^ self.base) as usize
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Adds the entry that `make` makes of its own key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key<T>) -> T) -> Key<T> {
        self.generation = self.generation.wrapping_add(1);
        let vacant = self.slab.vacant_entry();
        let key =
            Key { index: vacant.key() as u32 | self.base, generation: self.generation, of: PhantomData };
        vacant.insert(Entry { generation: self.generation, value: make(key) });
        key
    }

    /// Adds an entry.
    pub(crate) fn insert(&mut self, value: T) -> Key<T> {
        self.insert_with(|_| value)
    }

    /// The entry of this key.
    pub(crate) fn get(&self, key: Key<T>) -> Option<&T> {
        self.slab.get(self.place(key)).filter(|e| e.generation == key.generation).map(|e| &e.value)
    }

    /// The entry of this key.
    pub(crate) fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        let place = self.place(key);
        self.slab.get_mut(place).filter(|e| e.generation == key.generation).map(|e| &mut e.value)
    }

    /// Takes the entry of this key out.
    pub(crate) fn remove(&mut self, key: Key<T>) -> Option<T> {
        self.get(key)?;
        Some(self.slab.remove(self.place(key)).value)
    }

    /// All entries, in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.slab.iter().map(|(index, entry)| {
            (
                Key { index: index as u32 | self.base, generation: entry.generation, of: PhantomData },
                &entry.value,
            )
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
        let ([a, b, c, d], []) = digits.as_chunks::<8>() else { return None };
        let word = |digits: &[u8; 8]| word_of(*digits).map(u64::from);
        Some(Self { key: word(a)? << 32 | word(b)?, secret: word(c)? << 32 | word(d)? })
    }

    /// The key that it carries; whether it still names this entry, the entry's own identifier tells.
    pub(crate) fn key<T>(self) -> Key<T> {
        Key::from_bits(self.key)
    }

    /// The text, without allocating.
    pub(crate) fn text(self) -> IdentText {
        let mut text = [0u8; IDENT_LENGTH];
        let words = [self.key >> 32, self.key, self.secret >> 32, self.secret];
        for (eight, word) in text.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *eight = digits_of(word as u32);
        }
        IdentText(text)
    }
}

const ONES: u64 = u64::from_le_bytes([1; 8]);

/// The eight digits of a word, all at once: each of its half bytes in a byte of its own, made a digit.
fn digits_of(word: u32) -> [u8; 8] {
    let mut spread = u64::from(word);
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // Adding 6 to a half byte above 9 carries into the bit above it.
    let letters = (spread + ONES * 6) >> 4 & ONES;
    (spread + ONES * b'0' as u64 + letters * (b'a' - b'0' - 10) as u64).to_be_bytes()
}

/// The word that these eight digits write, all at once; `None` if they are not as [`digits_of`] writes them.
fn word_of(digits: [u8; 8]) -> Option<u32> {
    let bytes = u64::from_be_bytes(digits);
    let letters = bytes >> 6 & ONES;
    let halves = (bytes & (ONES * 15)) + letters * 9;
    // More than a half byte of these is of no digit, and would be cut off.
    let mut word = halves & (ONES * 15);
    word = (word | word >> 4) & 0x00ff_00ff_00ff_00ff;
    word = (word | word >> 8) & 0x0000_ffff_0000_ffff;
    let word = (word | word >> 16) as u32;
    (digits_of(word) == digits).then_some(word)
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
        assert_eq!(ident.text().as_str(), format!("{:016x}0123456789abcdef", key.to_bits()));
        assert_eq!(Ident::parse("not an identifier of ours"), None);
    }

    #[test]
    fn what_is_no_digit_of_ours_makes_no_identifier() {
        let sound = "0123456789abcdef0123456789abcdef";
        for (at, byte) in (0..IDENT_LENGTH).flat_map(|at| (0..128u8).map(move |byte| (at, byte))) {
            let mut text = sound.to_owned();
            text.replace_range(at..=at, char::from(byte).encode_utf8(&mut [0; 4]));
            let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let read = Ident::parse(&text).map(|ident| ident.text().as_str().to_owned());
            assert_eq!(read, is_digit.then_some(text));
        }
        assert_eq!(Ident::parse(&"\u{e9}".repeat(16)), None);
    }
}
