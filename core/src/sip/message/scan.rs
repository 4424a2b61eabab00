//! What bytes may stand where, and cutting text at single bytes: every header field of every message goes through here.

/// May not stand in a token (RFC 3261 §25.1).
pub(super) const NOT_TOKEN: u8 = 1;
/// May not stand in a host name.
pub(super) const NOT_HOST: u8 = 2;
/// Means something in a SIP URI, or may not stand in any.
pub(super) const URI_STOP: u8 = 4;
/// White space inside a header field's value.
const LWS: u8 = 8;
/// Ends a plain parameter's value, or is nothing that a plain one has.
pub(super) const PARAM_STOP: u8 = 16;
/// Ends a parameter's name.
pub(super) const NOT_PARAM_NAME: u8 = 32;
/// As [`PARAM_STOP`], where a comma ends the list.
pub(super) const LISTED_PARAM_STOP: u8 = 64;
/// Means something in a quoted string.
pub(super) const QUOTED_STOP: u8 = 128;

static CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "the compiler runs it, and has no other way to write an array")]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class_of(byte as u8);
        byte += 1;
    }
    classes
}

const fn class_of(b: u8) -> u8 {
    let mut class = 0;
    let in_token = b.is_ascii_alphanumeric()
        || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
    if !in_token {
        class |= NOT_TOKEN;
    }
    if !in_token && !matches!(b, b'[' | b']') {
        class |= NOT_PARAM_NAME;
    }
    if !b.is_ascii_alphanumeric() && !matches!(b, b'-' | b'.' | b'_') {
        class |= NOT_HOST;
    }
    if is_barred_in_uri(b) || matches!(b, b':' | b'@' | b'?' | b';' | b'%') {
        class |= URI_STOP;
    }
    if matches!(b, b' ' | b'\t' | b'\r' | b'\n') {
        class |= LWS;
    }
    if b <= b' ' || matches!(b, 0x7f | b'"' | b'\\' | b';' | b'=') {
        class |= PARAM_STOP | LISTED_PARAM_STOP;
    }
    // A comma in angle brackets is none between values.
    if matches!(b, b',' | b'<') {
        class |= LISTED_PARAM_STOP;
    }
    if matches!(b, b'"' | b'\\') {
        class |= QUOTED_STOP;
    }
    class
}

#[inline]
fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Where the first byte of these classes stands, at or behind `from`; the end if there is none.
#[inline]
pub(super) fn until(bytes: &[u8], from: usize, stops: u8) -> usize {
    let (fours, last) = bytes.get(from..).unwrap_or_default().as_chunks::<4>();
    let mut at = from;
    // Four at a time: one branch for them all is most of the gain.
    for [a, b, c, d] in fours {
        // As an array the compiler would put the four classes into one word, and take them out again.
        let (a, b, c, d) = (class(*a), class(*b), class(*c), class(*d));
        if (a | b | c | d) & stops != 0 {
            return match () {
                () if a & stops != 0 => at,
                () if b & stops != 0 => at + 1,
                () if c & stops != 0 => at + 2,
                () => at + 3,
            };
        }
        at += 4;
    }
    for byte in last {
        if class(*byte) & stops != 0 {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// A place up to which, from `from` on, nothing but letters and digits stands. They are looked at as many at once as a tag
/// of ours has; those that are left are not looked at, for in what is shorter that would take longer than it saves.
#[inline]
pub(super) fn behind_alphanumeric(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    for many in bytes.get(from..).unwrap_or_default().as_chunks::<32>().0 {
        let is_one = |byte: u8| (byte | 0x20).wrapping_sub(b'a') < 26 || byte.wrapping_sub(b'0') < 10;
        // The compiler makes a few vector instructions of this, since all are looked at.
        if !many.iter().fold(true, |all, byte| all & is_one(*byte)) {
            break;
        }
        at += 32;
    }
    at
}

const ONES: u64 = u64::from_le_bytes([1; 8]);

/// Where the first byte below `LIMIT`, at most 128, stands.
#[inline]
pub(super) fn first_below<const LIMIT: u8>(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    // The compiler makes a few vector instructions of this, since all sixteen are looked at.
    while let Some((sixteen, behind)) = rest.split_first_chunk::<16>()
        && !sixteen.iter().fold(false, |found, byte| found | (*byte < LIMIT))
    {
        rest = behind;
    }
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // Eight differences at once; what a lower byte borrows can only be seen above the first that counts.
        let below = word.wrapping_sub(ONES * LIMIT as u64) & !word & (ONES << 7);
        if below != 0 {
            return Some(bytes.len() - rest.len() + place_of(below));
        }
        rest = behind;
    }
    let place = rest.iter().position(|byte| *byte < LIMIT)?;
    Some(bytes.len() - rest.len() + place)
}

/// The highest bits of the bytes that are this one; above the lowest of them there may be false ones.
#[inline]
pub(super) fn equal(word: u64, byte: u8) -> u64 {
    let differs = word ^ (ONES * u64::from(byte));
    differs.wrapping_sub(ONES) & !differs & (ONES << 7)
}

/// The place of the lowest byte whose highest bit is set.
#[inline]
pub(super) fn place_of(bits: u64) -> usize {
    bits.trailing_zeros() as usize / 8
}

/// The letters of the word in lower case; what else changes is no letter before or after.
#[inline]
pub(super) const fn lowered(word: u64) -> u64 {
    word | (word & (ONES << 6)) >> 1
}

/// Whether a byte may not stand in any URI: white space, control characters, angle brackets and quotes.
pub(super) const fn is_barred_in_uri(byte: u8) -> bool {
    byte <= b' ' || matches!(byte, 0x7f | b'<' | b'>' | b'"')
}

/// Whether a byte may stand in a token (RFC 3261 §25.1).
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    class(byte) & NOT_TOKEN == 0
}

/// Whether the text is a token.
#[inline]
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && until(text.as_bytes(), 0, NOT_TOKEN) == text.len()
}

/// White space inside a header field's value; CR and LF occur there only as part of a fold.
#[inline]
pub(super) fn is_lws(byte: u8) -> bool {
    class(byte) & LWS != 0
}

/// The value without white space around it.
#[inline]
pub(crate) fn trim(value: &str) -> &str {
    let bytes = value.as_bytes();
    let sound = |byte: Option<&u8>| byte.is_none_or(|byte| !is_lws(*byte));
    if sound(bytes.first()) && sound(bytes.last()) {
        return value;
    }
    let start = bytes.iter().position(|byte| !is_lws(*byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_lws(*byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

/// What stands before and behind the first such byte, which must be ASCII.
#[inline]
pub(super) fn cut(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.as_bytes().iter().position(|other| *other == byte)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// What stands before and behind the first white space.
#[inline]
pub(super) fn cut_at_lws(text: &str) -> Option<(&str, &str)> {
    let at = until(text.as_bytes(), 0, LWS);
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The number that these digits, and nothing else, write; `None` beyond a u32.
#[inline]
pub(super) fn number(digits: &str) -> Option<u32> {
    let mut number = 0u64;
    for byte in digits.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || number > u32::MAX.into() {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    if digits.is_empty() { None } else { u32::try_from(number).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_white_space_around_a_value_goes() {
        for (text, trimmed) in
            [("", ""), (" ", ""), ("\r\n\t", ""), ("a", "a"), (" a b\r\n ", "a b"), ("\u{a0}a", "\u{a0}a")]
        {
            assert_eq!(trim(text), trimmed, "{text:?}");
        }
    }

    #[test]
    fn the_first_byte_that_counts_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..length {
                let mut bytes = vec![b'a'; length];
                bytes[at] = b'\t';
                bytes[at + 1..].fill(0);
                assert_eq!(first_below::<0x20>(&bytes), Some(at));
                assert_eq!(first_below::<0x09>(&bytes), (at + 1 < length).then_some(at + 1));
                bytes[at] = b':';
                assert_eq!(until(&bytes, at / 2, NOT_TOKEN), at);
            }
            assert_eq!(first_below::<0x20>(&vec![0xff; length]), None);
            assert_eq!(until(&vec![b'a'; length], length / 2, NOT_TOKEN), length);
        }
    }

    #[test]
    fn of_letters_and_digits_whole_pieces_are_skipped() {
        let text = b"z9hG4bK0123456789abcdefABCDEFxyzZ-0123456789";
        for (from, behind) in [(0, 32), (1, 33), (2, 2), (40, 40), (50, 50)] {
            assert_eq!(behind_alphanumeric(text, from), behind);
        }
        for byte in 0..=u8::MAX {
            let piece = [byte; 32];
            assert_eq!(behind_alphanumeric(&piece, 0) == 32, byte.is_ascii_alphanumeric(), "{byte}");
        }
    }

    #[test]
    fn digits_alone_make_a_number() {
        assert_eq!(number("4294967295"), Some(u32::MAX));
        assert_eq!(number("00000000000000000000000004294967295"), Some(u32::MAX));
        assert_eq!(number("007"), Some(7));
        for bad in ["", "4294967296", "99999999999999999999999", "+1", "-1", "1 ", "\u{661}"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
