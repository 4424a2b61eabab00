//! Parameters: `;name=value;flag` behind a URI, a name-addr or a Via value.

use super::{Fault, trim};

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
        split_outside_quotes(self.0, b';').filter_map(|param| {
            let param = trim(param);
            let (name, value) = match param.split_once('=') {
                Some((name, value)) => (trim(name), Some(unquoted(trim(value)))),
                None => (param, None),
            };
            (!name.is_empty()).then_some((name, value))
        })
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
    /// quotes: an answer could not repeat them as they are.
    pub(crate) fn check(self) -> Result<Self, Fault> {
        if self.0.is_empty() {
            return Ok(self);
        }
        for param in split_outside_quotes(self.0, b';') {
            let (name, value) = param.split_once('=').map_or((param, None), |(n, v)| (n, Some(trim(v))));
            let name = trim(name);
            let readable =
                !name.is_empty() && name.bytes().all(|b| super::is_token_byte(b) || b == b'[' || b == b']');
            let plain = |v: &str| v.starts_with('"') || !v.bytes().any(|b| b <= b' ' || b == 0x7f);
            let sound = value.is_none_or(|v| !v.is_empty() && plain(v) && quotes_are_closed(v));
            if !readable || !sound {
                return Err(Fault::BadParameter);
            }
        }
        Ok(self)
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

/// The parts of `text` between separators that stand outside of quoted strings.
pub(crate) fn split_outside_quotes(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    split(text, separator, false)
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
    let special = text.as_bytes().contains(&b'"') || (brackets && text.as_bytes().contains(&b'<'));
    if !special {
        return memchr::memchr(separator, text.as_bytes());
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
            assert_eq!(Params::new(bad).check(), Err(Fault::BadParameter), "{bad}");
        }
        assert!(Params::new("").check().is_ok());
        assert!(Params::new(" tag = 98asjd8").check().is_ok());
    }
}
