//! `name-addr` and `addr-spec` with header parameters: From, To, Contact, Route and their like (RFC 3261 §20.10).

use super::params::{Params, Plain};
use super::scan::{LISTED_PARAM_STOP, NOT_TOKEN, QUOTED_STOP, until};
use super::{Fault, Uri, is_token_byte, trim};

/// A display name, a URI and the header field's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The whole, as it was sent, but for a semicolon with nothing behind it.
    pub raw: &'a str,
    /// The display name as it was sent, quotes included.
    pub display: Option<&'a str>,
    /// The URI.
    pub uri: Uri<'a>,
    /// The header parameters (not those of the URI).
    pub params: Params<'a>,
    tag: Option<&'a str>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value. Without angle brackets, what follows a semicolon is the header's, and a comma or
    /// question mark is refused (§20).
    pub fn parse(value: &'a str) -> Result<Self, Fault> {
        match Self::plain(value) {
            Some(read) => Ok(read),
            None => Self::any(value),
        }
    }

    /// Reads one value in one pass, if it has angle brackets and neither needless white space nor quotes but those of the
    /// display name, as nearly all. No comma in it ends a value in a list.
    #[inline(always)]
    pub(super) fn plain(raw: &'a str) -> Option<Self> {
        let bytes = raw.as_bytes();
        let (display, bracket) = match bytes.first()? {
            b'<' => (None, 0),
            first => {
                let end = if *first == b'"' { closing_quote(bytes)? + 1 } else { until(bytes, 0, NOT_TOKEN) };
                let bracket = if bytes.get(end) == Some(&b' ') { end + 1 } else { end };
                (Some(raw.get(..end).filter(|display| !display.is_empty())?), bracket)
            }
        };
        if bytes.get(bracket) != Some(&b'<') {
            return None;
        }
        let (uri, end) = Uri::plain(raw, bracket + 1)?;
        if bytes.get(end) != Some(&b'>') {
            return None;
        }
        let (mut at, mut tag) = (end + 1, None);
        while at < bytes.len() {
            if bytes.get(at) != Some(&b';') {
                return None;
            }
            let param = Plain::read(raw, at + 1, LISTED_PARAM_STOP)?;
            if tag.is_none() && param.name.eq_ignore_ascii_case("tag") {
                tag = Some(param.value);
            }
            at = param.end;
        }
        let params = Params::new(raw.get(end + 2..).unwrap_or_default());
        Some(Self { raw, display, uri, params, tag: tag.flatten() })
    }

    #[cold]
    fn any(value: &'a str) -> Result<Self, Fault> {
        let raw = trim(value);
        let (display, rest) = display_name(raw)?;
        let (uri, rest) = match rest.strip_prefix('<') {
            Some(inside) => {
                let (uri, behind) = Uri::before_bracket(inside)?;
                (uri, behind.strip_prefix('>').ok_or(Fault::BadNameAddr)?)
            }
            None => {
                let end = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
                let (uri, rest) = rest.split_at_checked(end).ok_or(Fault::BadNameAddr)?;
                if memchr::memchr2(b',', b'?', uri.as_bytes()).is_some() {
                    return Err(Fault::BadNameAddr);
                }
                (Uri::parse(trim(uri))?, rest)
            }
        };
        let rest = trim(rest);
        // A semicolon with nothing behind it means nothing; whoever repeats the value may add a parameter to it.
        let raw = if rest == ";" { trim(raw.strip_suffix(';').unwrap_or(raw)) } else { raw };
        let mut tag = None;
        let params = match rest.strip_prefix(';') {
            Some(params) => Params::new(params).check(|name, value| {
                if tag.is_none() && name.eq_ignore_ascii_case("tag") {
                    tag = Some(value);
                }
            })?,
            None if rest.is_empty() => Params::default(),
            None => return Err(Fault::BadNameAddr),
        };
        let tag = tag.flatten().filter(|tag| !tag.is_empty());
        Ok(Self { raw, display, uri, params, tag })
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&'a str> {
        self.tag
    }

    /// The value up to its parameters.
    pub fn without_params(&self) -> &'a str {
        let params = self.params.raw();
        if params.is_empty() {
            return self.raw;
        }
        let length = self.raw.len().saturating_sub(params.len() + 1);
        trim(self.raw.get(..length).unwrap_or(self.raw))
    }
}

fn display_name(raw: &str) -> Result<(Option<&str>, &str), Fault> {
    if raw.starts_with('"') {
        let end = closing_quote(raw.as_bytes()).ok_or(Fault::BadNameAddr)?;
        // Both quotes belong to the display name.
        let (display, rest) = raw.split_at_checked(end + 1).ok_or(Fault::BadNameAddr)?;
        let rest = trim(rest);
        return if rest.starts_with('<') { Ok((Some(display), rest)) } else { Err(Fault::BadNameAddr) };
    }
    let Some(bracket) = memchr::memchr(b'<', raw.as_bytes()) else { return Ok((None, raw)) };
    let (display, rest) = raw.split_at_checked(bracket).ok_or(Fault::BadNameAddr)?;
    let display = trim(display);
    // UTF-8 in an unquoted display name is against the grammar but common, and harmless.
    let readable =
        |byte: u8| is_token_byte(byte) || matches!(byte, b' ' | b'\t' | b'\r' | b'\n') || byte >= 0x80;
    if !display.bytes().all(readable) {
        return Err(Fault::BadNameAddr);
    }
    Ok(((!display.is_empty()).then_some(display), rest))
}

/// Where the quote stands that closes the first byte.
#[inline]
fn closing_quote(quoted: &[u8]) -> Option<usize> {
    let mut at = until(quoted, 1, QUOTED_STOP);
    while *quoted.get(at)? == b'\\' {
        at = until(quoted, at + 2, QUOTED_STOP);
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let a = NameAddr::parse(r#""J \"R\" <x>"<sip:j@example.com;lr>;tag=1 ;x"#).unwrap();
        assert_eq!(a.display, Some(r#""J \"R\" <x>""#));
        assert_eq!(a.uri.raw, "sip:j@example.com;lr");
        assert_eq!(a.tag(), Some("1"));
        assert_eq!(a.without_params(), r#""J \"R\" <x>"<sip:j@example.com;lr>"#);
        let b = NameAddr::parse("sip:j@example.com;tag=2").unwrap();
        assert_eq!(
            (b.uri.raw, b.tag(), b.without_params()),
            ("sip:j@example.com", Some("2"), "sip:j@example.com")
        );
        let c = NameAddr::parse("caller<sip:c@example.com>").unwrap();
        assert_eq!((c.display, c.tag()), (Some("caller"), None));
        assert_eq!(c.without_params(), "caller<sip:c@example.com>");
    }

    #[test]
    fn a_semicolon_with_nothing_behind_it_is_left_out() {
        for (text, raw) in [("<sip:a@b>; ", "<sip:a@b>"), ("sip:a@b ;", "sip:a@b")] {
            let value = NameAddr::parse(text).unwrap();
            assert_eq!((value.raw, value.tag(), value.without_params()), (raw, None, raw));
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        for bad in [
            "\"open <sip:a@b>",
            "Bell, Alexander <sip:a@b>",
            "sip:a@b?Route=x",
            "<sip:a@b",
            "<sip:a@b>;;",
            "<sip:a@b> x",
            "< sip:a@b >",
            "\"q\" sip:a@b",
            "",
        ] {
            assert!(NameAddr::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_in_one_pass_is_read_the_same_in_many(
            display in "(\"[a<,\\\\\"]{0,3}\"|Bob|Bob C)? ?",
            user in "([a:;%,?]{1,3}@)?",
            behind in "(h|10.0.0.1|\\[::1\\])(:[0-9]{1,6})?(;[lx=,:\"?]{0,3}){0,2}",
            params in "(>|> | >)?( ?;(tag|TAG|x)(=[a\\\\\";,<>= ]{0,3})?){0,2}",
        ) {
            let text = format!("{display}<sip:{user}{behind}{params}");
            let read = NameAddr::any(&text);
            if let Some(plain) = NameAddr::plain(&text) {
                prop_assert_eq!(read, Ok(plain), "{}", text);
                let mut values = super::super::params::split_values(&text);
                prop_assert_eq!(values.next(), Some(text.as_str()));
            }
            prop_assert_eq!(NameAddr::parse(&text), read);
        }
    }
}
