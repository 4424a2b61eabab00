//! What bytes may stand where, and cutting text at single bytes: every header field of every message goes through here.

/// May stand in a token (RFC 3261 §25.1).
const TOKEN: u8 = 1;
/// May stand in a host name.
const HOST: u8 = 2;
/// Means something in a SIP URI, or may not stand in any.
const URI_STOP: u8 = 4;
/// White space inside a header field's value.
const LWS: u8 = 8;
/// Ends a plain parameter's name or value, or is nothing that a plain one has.
const PARAM_STOP: u8 = 16;

const CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "the compiler runs it, and has no other way to write an array")]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let mut class = 0;
        if b.is_ascii_alphanumeric()
            || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
        {
            class |= TOKEN;
        }
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_') {
            class |= HOST;
        }
        if is_barred_in_uri(b) || matches!(b, b':' | b'@' | b'?' | b';' | b'%') {
            class |= URI_STOP;
        }
        if matches!(b, b' ' | b'\t' | b'\r' | b'\n') {
            class |= LWS;
        }
        if b <= b' ' || matches!(b, 0x7f | b'"' | b'\\' | b';' | b'=') {
            class |= PARAM_STOP;
        }
        classes[byte] = class;
        byte += 1;
    }
    classes
}

#[inline]
fn is(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

/// Whether a byte may not stand in any URI: white space, control characters, angle brackets and quotes.
pub(super) const fn is_barred_in_uri(byte: u8) -> bool {
    byte <= b' ' || matches!(byte, 0x7f | b'<' | b'>' | b'"')
}

/// Whether a byte means something in a SIP URI, or is barred.
#[inline]
pub(super) fn is_uri_stop(byte: u8) -> bool {
    is(byte, URI_STOP)
}

/// Whether a byte ends a plain parameter's name or value, or is nothing that a plain one has.
#[inline]
pub(super) fn is_param_stop(byte: u8) -> bool {
    is(byte, PARAM_STOP)
}

/// Whether a byte may stand in a host name.
#[inline]
pub(super) fn is_host_byte(byte: u8) -> bool {
    is(byte, HOST)
}

/// Whether a byte may stand in a token (RFC 3261 §25.1).
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// Whether the text is a token.
#[inline]
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// White space inside a header field's value; CR and LF occur there only as part of a fold.
#[inline]
pub(super) fn is_lws(byte: u8) -> bool {
    is(byte, LWS)
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
    let at = text.as_bytes().iter().position(|byte| is_lws(*byte))?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The number that these digits, and nothing else, write; `None` beyond a u32.
#[inline]
pub(super) fn number(digits: &str) -> Option<u32> {
    let mut number = 0u32;
    for byte in digits.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    (!digits.is_empty()).then_some(number)
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
    fn digits_alone_make_a_number() {
        assert_eq!(number("4294967295"), Some(u32::MAX));
        assert_eq!(number("007"), Some(7));
        for bad in ["", "4294967296", "+1", "-1", "1 ", "\u{661}"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
