//! Request line and header fields of a request, as whoever answers it sees them.

use super::scan::RequestLine;
use super::target::Target;

/// A request's head, read and found to be in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// The method, in the case in which it was sent.
    pub(crate) method: &'a str,
    /// The request target as it was sent.
    pub(crate) target: &'a str,
    /// The target's path with its escapes, never empty; `*` for the server as a whole.
    pub(crate) path: &'a str,
    /// The target's query with its escapes: what is behind the `?`.
    pub(crate) query: Option<&'a str>,
    /// The header fields.
    pub(crate) fields: Fields<'a>,
    #[cfg(test)]
    authority: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// The head that `line` was read from.
    pub(super) fn new(text: &'a str, line: &RequestLine) -> Self {
        let fields = Fields(text.get(line.end..).unwrap_or_default());
        Self::of(line.method(text), line.target(text), fields)
    }

    /// The head of these parts, which were read before.
    pub(super) fn of(method: &'a str, target: &'a str, fields: Fields<'a>) -> Self {
        let parts =
            Target::read(method, target).unwrap_or(Target { path: target, query: None, authority: None });
        Self {
            method,
            target,
            path: parts.path,
            query: parts.query,
            fields,
            #[cfg(test)]
            authority: parts.authority,
        }
    }

    /// The value of the first header field of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.get(name)
    }

    /// The values of all header fields of this name, in order.
    pub(crate) fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.fields.all(name)
    }

    /// Host and port that the client asked, from the target or else from `Host` (RFC 9112 §3.2.2).
    #[cfg(test)]
    pub(crate) fn host(&self) -> Option<&'a str> {
        self.authority.or_else(|| self.get("Host"))
    }
}

/// Header fields, looked up in place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields<'a>(pub(super) &'a str);

impl<'a> Fields<'a> {
    /// The fields as they were sent.
    pub(super) fn text(&self) -> &'a str {
        self.0
    }

    /// The value of the first field of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// The values of all fields of this name, in order.
    pub(crate) fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let named = self.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim_matches([' ', '\t', '\r']))
    }

    /// Names of all fields, in order, and values with the white space around them.
    fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let end = memchr::memchr(b'\n', rest.as_bytes())?;
            let line = rest.get(..end)?;
            rest = rest.get(end + 1..)?;
            let colon = memchr::memchr(b':', line.as_bytes())?;
            Some((line.get(..colon)?, line.get(colon + 1..)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields<'_> = Fields("Host: a:1\r\nX-Y:\r\nx-y: \t b c \t\r\nAccept:*/*\r\n\r\n");

    #[test]
    fn fields_are_found_in_any_case_and_without_white_space() {
        assert_eq!(FIELDS.get("host"), Some("a:1"));
        assert_eq!(FIELDS.get("ACCEPT"), Some("*/*"));
        assert_eq!(FIELDS.get("X"), None);
        assert_eq!(FIELDS.all("X-Y").collect::<Vec<_>>(), ["", "b c"]);
    }

    #[test]
    fn all_fields_are_there_in_their_order() {
        let names: Vec<_> = FIELDS.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Host", "X-Y", "x-y", "Accept"]);
    }
}
