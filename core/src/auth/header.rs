//! `Authorization` and `WWW-Authenticate` values: a scheme and its parameters (RFC 9110 §11, RFC 7616 §3.3, §3.4).

use std::borrow::Cow;

use smallvec::SmallVec;
use thiserror::Error;

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the authentication parameters cannot be read")]
pub(crate) struct Unreadable;

/// One scheme with its parameters; a header line may hold several challenges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameters<'a> {
    /// `Digest`, `Basic` …
    pub(crate) scheme: &'a str,
    pairs: Vec<(&'a str, Cow<'a, str>)>,
}

/// The challenges or credentials of one value: nearly always one.
pub(crate) type All<'a> = SmallVec<[Parameters<'a>; 1]>;

/// No scheme has more.
const MAX_PARAMETERS: usize = 32;
/// With so many nothing is moved: what Digest has with `qop` and all that is optional.
const USUAL_PARAMETERS: usize = 12;

impl<'a> Parameters<'a> {
    /// The value of a parameter, its quotes and escapes resolved.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_ref())
    }

    /// Reads all challenges or credentials in a value. A parameter that is there twice is refused.
    pub(crate) fn read_all(value: &'a str) -> Result<All<'a>, Unreadable> {
        let mut all = All::new();
        let mut rest = value;
        loop {
            rest = behind_any(rest, |byte| is_lws(byte) || byte == b',');
            if rest.is_empty() {
                return if all.is_empty() { Err(Unreadable) } else { Ok(all) };
            }
            let (word, behind) = token(rest)?;
            match behind_any(behind, is_lws).strip_prefix('=') {
                Some(value) if !all.is_empty() => {
                    let (value, behind) = parameter_value(behind_any(value, is_lws))?;
                    all.last_mut().ok_or(Unreadable)?.add(word, value)?;
                    rest = behind;
                }
                _ => {
                    all.push(Self { scheme: word, pairs: Vec::with_capacity(USUAL_PARAMETERS) });
                    rest = behind;
                }
            }
        }
    }

    fn add(&mut self, name: &'a str, value: Cow<'a, str>) -> Result<(), Unreadable> {
        if self.pairs.len() >= MAX_PARAMETERS || self.get(name).is_some() {
            return Err(Unreadable);
        }
        self.pairs.push((name, value));
        Ok(())
    }
}

fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What follows the bytes at the beginning that are such.
fn behind_any(text: &str, is_it: impl Fn(u8) -> bool) -> &str {
    let start = text.bytes().position(|byte| !is_it(byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

fn token(text: &str) -> Result<(&str, &str), Unreadable> {
    let is_token = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
    };
    let rest = behind_any(text, is_token);
    let length = text.len() - rest.len();
    if length == 0 {
        return Err(Unreadable);
    }
    text.split_at_checked(length).ok_or(Unreadable)
}

fn parameter_value(text: &str) -> Result<(Cow<'_, str>, &str), Unreadable> {
    let Some(inside) = text.strip_prefix('"') else {
        let rest = behind_any(text, |byte| !is_lws(byte) && byte != b',');
        let value = text.get(..text.len() - rest.len()).ok_or(Unreadable)?;
        return Ok((Cow::Borrowed(value), rest));
    };
    let mut value = String::new();
    let mut from = 0;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', inside.as_bytes().get(at..).unwrap_or_default())
            .ok_or(Unreadable)?;
        let piece = inside.get(from..at).ok_or(Unreadable)?;
        if inside.as_bytes().get(at) == Some(&b'"') {
            let rest = inside.get(at + 1..).ok_or(Unreadable)?;
            if value.is_empty() {
                return Ok((Cow::Borrowed(piece), rest));
            }
            value.push_str(piece);
            return Ok((Cow::Owned(value), rest));
        }
        // Whatever is escaped stands for itself.
        value.push_str(piece);
        from = at + 1;
        at += 2;
    }
}

/// Appends a value in quotes, with what must be escaped escaped.
pub(crate) fn push_quoted(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let is_plain = |byte: u8| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0);
    // Looked at all together, which is quicker than to stop at the first.
    if value.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.extend_from_slice(value.as_bytes());
    } else {
        for byte in value.bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\r' | b'\n' | 0 => out.push(b' '),
                byte => out.push(byte),
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn several_challenges_in_one_line_are_told_apart() {
        let line = r#"Digest realm="a, \"b\"", nonce=abc,qop="auth,auth-int" , algorithm=MD5, NewScheme, Digest realm=x, stale=TRUE"#;
        let all = Parameters::read_all(line).unwrap();
        assert_eq!(all.iter().map(|p| p.scheme).collect::<Vec<_>>(), ["Digest", "NewScheme", "Digest"]);
        assert_eq!(all[0].get("REALM"), Some("a, \"b\""));
        assert_eq!(all[0].get("qop"), Some("auth,auth-int"));
        assert_eq!(all[2].get("stale"), Some("TRUE"));
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for bad in ["", "Digest realm=a, realm=b", "Digest realm=\"open", ",,,", "=x"] {
            assert_eq!(Parameters::read_all(bad), Err(Unreadable), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_loop(text in ".{0,200}") {
            drop(Parameters::read_all(&text));
        }

        #[test]
        fn a_quoted_value_is_read_as_it_was_written(value in "[^\\r\\n\\x00]{0,40}") {
            let mut out = b"Digest x=".to_vec();
            push_quoted(&mut out, &value);
            let text = String::from_utf8(out).unwrap();
            let all = Parameters::read_all(&text).unwrap();
            prop_assert_eq!(all[0].get("x"), Some(value.as_str()));
        }
    }
}
