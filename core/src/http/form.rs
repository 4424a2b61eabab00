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
    decode(text.as_bytes(), Plus::Itself)
}

/// The names and values of a query or form, in order. A name without `=` has an empty value.
pub(crate) fn pairs(bytes: &[u8]) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), FormFault>> {
    bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = match memchr::memchr(b'=', pair).and_then(|at| pair.split_at_checked(at)) {
            Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
            None => (pair, &[][..]),
        };
        Ok((decode(name, Plus::Space)?, decode(value, Plus::Space)?))
    })
}

/// What a `+` stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Itself,
    Space,
}

fn decode(bytes: &[u8], plus: Plus) -> Result<Cow<'_, str>, FormFault> {
    let is_coded = |byte: &u8| *byte == b'%' || (*byte == b'+' && plus == Plus::Space);
    if !bytes.iter().any(is_coded) {
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
            b'+' if plus == Plus::Space => decoded.push(b' '),
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
    use proptest::prelude::*;

    use super::*;

    fn owned(encoded: &[u8]) -> Result<Vec<(String, String)>, FormFault> {
        pairs(encoded).map(|pair| pair.map(|(name, value)| (name.into_owned(), value.into_owned()))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_segment_is_decoded_once_and_keeps_its_plus() {
        assert_eq!(segment("user%40example.com+1").as_deref(), Ok("user@example.com+1"));
        assert_eq!(segment("%2541%2fb").as_deref(), Ok("%41/b"));
        assert_eq!(segment("J%C3%BCrgen").as_deref(), Ok("J\u{fc}rgen"));
        assert!(matches!(segment("plain+"), Ok(Cow::Borrowed("plain+"))));
    }

    #[test]
    fn a_bad_escape_is_an_error() {
        for bad in ["%", "a%2", "a%zz", "%+1", "%%41", "% 1", "%4\u{e9}"] {
            assert_eq!(segment(bad), Err(FormFault::BadEscape), "{bad}");
            assert_eq!(owned(format!("a={bad}").as_bytes()), Err(FormFault::BadEscape), "{bad}");
        }
    }

    #[test]
    fn what_is_not_utf8_is_an_error() {
        for bad in ["%ff", "%c3", "%c0%80", "%ed%a0%80"] {
            assert_eq!(segment(bad), Err(FormFault::NotUtf8), "{bad}");
        }
        assert_eq!(owned(b"a=\xff"), Err(FormFault::NotUtf8));
        assert_eq!(owned(b"\xff+=b"), Err(FormFault::NotUtf8));
    }

    #[test]
    fn pairs_come_in_their_order_with_plus_as_space() {
        let all = owned(b"a=1+2&&b&c=%3D=x&=y&a=%2B").unwrap();
        let expected = [pair("a", "1 2"), pair("b", ""), pair("c", "==x"), pair("", "y"), pair("a", "+")];
        assert_eq!(all, expected);
        assert_eq!(owned(b""), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_its_escapes(name in ".*", value in ".*") {
            let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
            let escaped = escape(&value);
            prop_assert_eq!(segment(&escaped), Ok(Cow::Borrowed(&*value)));
            let encoded = format!("x&{}={}", escape(&name), escape(&value));
            prop_assert_eq!(owned(encoded.as_bytes()), Ok(vec![pair("x", ""), (name, value)]));
        }

        #[test]
        fn no_bytes_make_it_panic_and_each_pair_takes_one_of_them(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(pairs(&bytes).count() <= bytes.len());
        }
    }
}
