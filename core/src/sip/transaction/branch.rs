//! The branch of a request of ours: the magic cookie and an [`Ident`] (RFC 3261 §8.1.1.7).

use crate::ident::{IDENT_LENGTH, Ident};
#[cfg(any(test, feature = "softphone"))]
use crate::{ident::Key, random::Random};

const MAGIC: &[u8; 7] = b"z9hG4bK";
const LENGTH: usize = MAGIC.len() + IDENT_LENGTH;

/// A branch as text.
#[derive(Clone, Copy)]
pub(crate) struct Branch([u8; LENGTH]);

impl Branch {
    /// The branch of the transaction with this identifier.
    pub(crate) fn of(ident: Ident) -> Self {
        let mut text = [0; LENGTH];
        let (magic, digits) = text.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        digits.copy_from_slice(ident.text().as_str().as_bytes());
        Self(text)
    }

    /// A branch that belongs to no transaction.
    #[cfg(any(test, feature = "softphone"))]
    pub(super) fn fresh(random: &mut Random) -> Self {
        Self::of(Ident::new(Key::<()>::from_bits(random.bits()), random.bits()))
    }

    /// The identifier in a branch; `None` if we cannot have written it.
    pub(super) fn read(text: &str) -> Option<Ident> {
        let (magic, digits) = text.split_at_checked(MAGIC.len())?;
        if magic.as_bytes().eq_ignore_ascii_case(MAGIC) { Ident::parse(digits) } else { None }
    }

    /// The text, to be written into the topmost `Via`.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Branch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_read_as_it_was_written() {
        let ident = Ident::new(Key::<()>::from_bits(7 << 32 | 9), 0x0123_4567_89ab_cdef);
        let branch = Branch::of(ident);
        assert_eq!(branch.as_str(), "z9hG4bK00000007000000090123456789abcdef");
        assert_eq!(Branch::read(branch.as_str()), Some(ident));
    }

    #[test]
    fn a_branch_of_another_is_not_read() {
        for text in
            ["", "z9hG4bK", "z9hG4bKshort", "00000007000000090123456789abcdef", "z9hG4bä", "z9hG4b\u{e4}0123"]
        {
            assert_eq!(Branch::read(text), None, "{text}");
        }
    }
}
