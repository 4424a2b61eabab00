//! The request target and its forms (RFC 9112 §3.2).

use super::Refusal;

/// A request target taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The path with its escapes, never empty; `*` for the server as a whole.
    pub(super) path: &'a str,
    /// What is behind the `?`.
    pub(super) query: Option<&'a str>,
    /// Host and port of the absolute form; they win over `Host`.
    pub(super) authority: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Reads a target. Besides a path only absolute http and https URIs are taken, and `*` with OPTIONS.
    pub(super) fn read(method: &str, target: &'a str) -> Result<Self, Refusal> {
        if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(Refusal::Malformed("the request target has a character that belongs escaped"));
        }
        if method == "CONNECT" {
            return Err(Refusal::Tunnel);
        }
        if target.starts_with('/') {
            let (path, query) = split_query(target);
            return Ok(Self { path, query, authority: None });
        }
        if target == "*" && method == "OPTIONS" {
            return Ok(Self { path: "*", query: None, authority: None });
        }
        let Some(rest) = behind_scheme(target) else {
            return Err(Refusal::Malformed("the request target is neither a path nor an http URI"));
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.is_empty() || !is_host(authority) {
            return Err(Refusal::Malformed("the request target names no proper host"));
        }
        let (path, query) = split_query(rest);
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { path, query, authority: Some(authority) })
    }
}

/// Whether this can be a host with or without a port. User names before an `@` are refused too (RFC 9110 §4.2.4).
pub(super) fn is_host(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(&byte))
}

fn behind_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(method: &str, target: &'a str) -> Option<(&'a str, Option<&'a str>, Option<&'a str>)> {
        Target::read(method, target).ok().map(|target| (target.path, target.query, target.authority))
    }

    #[test]
    fn a_target_is_a_path_with_or_without_a_query() {
        assert_eq!(parts("GET", "/a/b%20c"), Some(("/a/b%20c", None, None)));
        assert_eq!(parts("GET", "/a?b=c?d"), Some(("/a", Some("b=c?d"), None)));
        assert_eq!(parts("GET", "//a?"), Some(("//a", Some(""), None)));
    }

    #[test]
    fn an_absolute_target_names_its_host() {
        assert_eq!(parts("GET", "http://h:80/a?b"), Some(("/a", Some("b"), Some("h:80"))));
        assert_eq!(parts("GET", "HTTPS://[::1]:6666"), Some(("/", None, Some("[::1]:6666"))));
        assert_eq!(parts("GET", "http://h?b=/"), Some(("/", Some("b=/"), Some("h"))));
        for bad in ["http:///a", "http://user@h/", "http://h,i/", "ftp://h/", "http:/h", "h:80", "a"] {
            assert!(matches!(Target::read("GET", bad), Err(Refusal::Malformed(_))), "{bad}");
        }
    }

    #[test]
    fn the_asterisk_is_for_options_only() {
        assert_eq!(parts("OPTIONS", "*"), Some(("*", None, None)));
        assert_eq!(parts("GET", "*"), None);
        assert_eq!(parts("OPTIONS", "*a"), None);
    }

    #[test]
    fn a_tunnel_is_refused() {
        assert_eq!(Target::read("CONNECT", "h:443"), Err(Refusal::Tunnel));
    }

    #[test]
    fn characters_that_belong_escaped_are_refused() {
        for bad in ["/a#b", "/é", "/a\u{7f}", "/a\rb", "/a\0b", ""] {
            assert!(Target::read("GET", bad).is_err(), "{bad:?}");
        }
    }
}
