//! Parameters: `;name=value;flag` behind a URI, a name-addr or a Via value.

use super::scan::{NOT_PARAM_NAME, PARAM_STOP, behind_alphanumeric, cut, until};
use super::{Fault, is_token_byte, trim};

/// A parameter list as it was sent, without the first semicolon. Names compare without case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    /// The list in this text.
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The list as it was sent.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// Names and values in order; values without their quotes.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let mut rest = Some(self.0);
        std::iter::from_fn(move || {
            let param = Param::next(rest?);
            rest = param.rest;
            Some((param.name, param.value.map(unquoted)))
        })
        .filter(|(name, _)| !name.is_empty())
    }

    /// The parameter of this name: `None` when it is not there, `Some(None)` when it has no value.
    pub fn get(self, name: &str) -> Option<Option<&'a str>> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of the parameter of this name.
    pub fn value(self, name: &str) -> Option<&'a str> {
        self.get(name).flatten()
    }

    /// Refuses empty parameters, names that are no tokens, open quotes, and white space or control characters without
    /// quotes: an answer could not repeat them as they are. `each` is shown every parameter, as [`iter`](Self::iter) does.
    #[inline]
    pub(crate) fn check(self, mut each: impl FnMut(&'a str, Option<&'a str>)) -> Result<Self, Fault> {
        let mut rest = Some(self.0).filter(|text| !text.is_empty());
        while let Some(text) = rest {
            if let Some((param, behind)) = Plain::last_or_before_semicolon(text) {
                each(param.name, param.value);
                rest = behind;
                continue;
            }
            let param = Param::first(text);
            let readable = |b: u8| is_token_byte(b) || b == b'[' || b == b']';
            if param.name.is_empty() || !param.name.bytes().all(readable) || !param.value.is_none_or(is_value)
            {
                return Err(Fault::BadParameter);
            }
            each(param.name, param.value.map(unquoted));
            rest = param.rest;
        }
        Ok(self)
    }
}

/// A parameter without quotes and white space, as nearly all are; its name is sound, and a value is not empty.
pub(super) struct Plain<'a> {
    pub(super) name: &'a str,
    pub(super) value: Option<&'a str>,
    /// Where it ends.
    pub(super) end: usize,
}

impl<'a> Plain<'a> {
    /// Reads the one that starts here and ends with the text or at a byte of the class `stops`, whatever that may mean.
    #[inline]
    pub(super) fn read(text: &'a str, start: usize, stops: u8) -> Option<Self> {
        let bytes = text.as_bytes();
        let name_end = until(bytes, start, NOT_PARAM_NAME);
        let name = text.get(start..name_end).filter(|name| !name.is_empty())?;
        if bytes.get(name_end) != Some(&b'=') {
            return Some(Self { name, value: None, end: name_end });
        }
        // What a tag or a branch is made of.
        let mut end = until(bytes, behind_alphanumeric(bytes, name_end + 1), stops);
        // Only the first equals sign ends the name.
        while bytes.get(end) == Some(&b'=') {
            end = until(bytes, end + 1, stops);
        }
        let value = text.get(name_end + 1..end).filter(|value| !value.is_empty())?;
        Some(Self { name, value: Some(value), end })
    }

    #[inline]
    fn last_or_before_semicolon(text: &'a str) -> Option<(Self, Option<&'a str>)> {
        let param = Self::read(text, 0, PARAM_STOP)?;
        match text.as_bytes().get(param.end) {
            None => Some((param, None)),
            Some(b';') => {
                let behind = text.get(param.end + 1..);
                Some((param, behind))
            }
            Some(_) => None,
        }
    }
}

/// One parameter, its value still in its quotes, and what stands behind it.
struct Param<'a> {
    name: &'a str,
    value: Option<&'a str>,
    rest: Option<&'a str>,
}

impl<'a> Param<'a> {
    #[inline]
    fn next(text: &'a str) -> Self {
        match Plain::last_or_before_semicolon(text) {
            Some((Plain { name, value, .. }, rest)) => Self { name, value, rest },
            None => Self::first(text),
        }
    }

    fn first(text: &'a str) -> Self {
        let (mut quoted, mut escaped) = (false, false);
        let (mut equals, mut end) = (None, text.len());
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'=' if equals.is_none() => {
                    equals = Some(at);
                    escaped = false;
                }
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b';' if !quoted => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let part = |from: usize, to: usize| trim(text.get(from..to).unwrap_or_default());
        Self {
            name: part(0, equals.unwrap_or(end)),
            value: equals.map(|equals| part(equals + 1, end)),
            rest: text.get(end + 1..),
        }
    }
}

fn is_value(value: &str) -> bool {
    match value.as_bytes() {
        [] => false,
        [b'"', ..] => quotes_are_closed(value),
        bytes => {
            let has_quotes = bytes.contains(&b'"');
            !bytes.iter().any(|b| *b <= b' ' || *b == 0x7f) && (!has_quotes || quotes_are_closed(value))
        }
    }
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

fn quotes_are_closed(value: &str) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    for byte in value.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

/// The parameters of a list with their names, each as it was sent but for the white space around it.
pub(super) fn as_sent(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let here = rest?;
        if let Some((param, behind)) = Plain::last_or_before_semicolon(here) {
            rest = behind;
            return Some((param.name, here.get(..param.end)?));
        }
        let whole = split(here, b';', false).next()?;
        rest = here.get(whole.len() + 1..);
        Some((trim(cut(whole, b'=').map_or(whole, |(name, _)| name)), trim(whole)))
    })
}

/// The parts of `text` between commas that stand outside of quoted strings and angle brackets.
pub(crate) fn split_values(text: &str) -> impl Iterator<Item = &str> {
    split(text, b',', true)
}

fn split(text: &str, separator: u8, brackets: bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let here = rest?;
        match separator_in(here, separator, brackets) {
            Some(at) => {
                let (part, behind) = here.split_at_checked(at)?;
                rest = behind.get(1..);
                Some(part)
            }
            None => rest.take(),
        }
    })
}

fn separator_in(text: &str, separator: u8, brackets: bool) -> Option<usize> {
    let first = memchr::memchr(separator, text.as_bytes())?;
    let before = text.as_bytes().get(..first).unwrap_or_default();
    if !before.iter().any(|byte| *byte == b'"' || (brackets && *byte == b'<')) {
        return Some(first);
    }
    let (mut quoted, mut escaped, mut inside) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !inside => quoted = !quoted,
            _ if quoted => {}
            b'<' if brackets => inside = true,
            b'>' if brackets => inside = false,
            byte if byte == separator && !inside => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_inside_quotes_and_brackets_do_not_count() {
        let all: Vec<_> = split_values(r#""a, \"b" <sip:c,d@e>;q=1, <sip:f>"#).map(str::trim).collect();
        assert_eq!(all, [r#""a, \"b" <sip:c,d@e>;q=1"#, "<sip:f>"]);
        let params = Params::new(r#"a=1 ; b = "x;y";c"#);
        assert_eq!(params.iter().collect::<Vec<_>>(), [("a", Some("1")), ("b", Some("x;y")), ("c", None)]);
        assert_eq!(params.get("C"), Some(None));
        assert_eq!(params.value("B"), Some("x;y"));
    }

    #[test]
    fn an_empty_parameter_an_open_quote_or_a_value_of_several_words_is_refused() {
        for bad in [";", "a;;b", "a=\"x", "=1", "a=", "a b=1", "a=b c", "a=\0\0", "a=b\r\n c", "a=\x7f"] {
            assert_eq!(Params::new(bad).check(|_, _| {}), Err(Fault::BadParameter), "{bad}");
        }
        assert!(Params::new("").check(|_, _| {}).is_ok());
        assert!(Params::new(" tag = 98asjd8").check(|_, _| {}).is_ok());
    }
}
