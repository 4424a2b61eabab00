//! Percent-encoding in paths, and `application/x-www-form-urlencoded` pairs in queries and bodies.

use std::borrow::Cow;

use thiserror::Error;

/// What is wrong with an encoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum FormFault {
    /// A `%` without two hexadecimal digits behind it.
    #[error("a % is not followed by two hexadecimal digits")]
    BadEscape,
    /// The bytes are no UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
}

/// One segment of a path; `+` stands for itself.
pub(crate) fn segment(text: &str) -> Result<Cow<'_, str>, FormFault> {
    decode(text.as_bytes(), false)
}

/// The names and values of a query or form, in order. A name without `=` has an empty value.
pub(crate) fn pairs(bytes: &[u8]) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), FormFault>> {
    bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = match memchr::memchr(b'=', pair).and_then(|at| pair.split_at_checked(at)) {
            Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
            None => (pair, &[][..]),
        };
        Ok((decode(name, true)?, decode(value, true)?))
    })
}

fn decode(bytes: &[u8], plus_is_space: bool) -> Result<Cow<'_, str>, FormFault> {
    let plain = !bytes.iter().any(|byte| *byte == b'%' || (plus_is_space && *byte == b'+'));
    if plain {
        return std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| FormFault::NotUtf8);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'%' => {
                let (high, low) = match behind {
                    [high, low, ..] => (digit(*high)?, digit(*low)?),
                    _ => return Err(FormFault::BadEscape),
                };
                decoded.push(high << 4 | low);
                rest = behind.get(2..).unwrap_or_default();
            }
            b'+' if plus_is_space => decoded.push(b' '),
            byte => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| FormFault::NotUtf8)
}

fn digit(byte: u8) -> Result<u8, FormFault> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok()).ok_or(FormFault::BadEscape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_pairs_are_decoded_strictly() {
        assert_eq!(segment("user%40example.com+1").as_deref(), Ok("user@example.com+1"));
        assert_eq!(segment("a%2"), Err(FormFault::BadEscape));
        assert_eq!(segment("a%zz"), Err(FormFault::BadEscape));
        assert_eq!(segment("%ff"), Err(FormFault::NotUtf8));
        let all: Result<Vec<_>, _> = pairs(b"a=1+2&&b&c=%3D=x").collect();
        let all: Vec<_> = all.unwrap().into_iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        assert_eq!(all, [("a".into(), "1 2".into()), ("b".into(), String::new()), ("c".into(), "==x".into())]);
    }
}
