//! Where a head ends: line by line as the bytes come in, each byte looked at once.

use std::ops::Range;

use super::target::Target;
use super::{Limits, MAX_HEADERS, Refusal};

/// A request line, as places in the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    /// Where the method ends; it starts the head.
    method: usize,
    /// Where the target ends; it starts one behind the method.
    target: usize,
    /// Where the header fields start.
    pub(super) end: usize,
    /// Whether it is HTTP/1.0.
    pub(super) old: bool,
}

impl RequestLine {
    /// Reads a request line, given without its CR LF (RFC 9112 §3).
    fn read(line: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(line)
            .map_err(|_| Refusal::Malformed("the request line has a character that belongs escaped"))?;
        let mut parts = text.splitn(3, ' ');
        let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Refusal::Malformed("the request line is not method, target and version"));
        };
        if method.is_empty() || !method.bytes().all(is_token) {
            return Err(Refusal::Malformed("the request line does not start with a method"));
        }
        let old = is_old(version)?;
        Target::read(method, target)?;
        let target = method.len() + 1 + target.len();
        Ok(Self { method: method.len(), target, end: line.len() + 2, old })
    }

    /// The method of the head that this line was read from.
    pub(super) fn method<'a>(&self, head: &'a str) -> &'a str {
        head.get(..self.method).unwrap_or_default()
    }

    /// The target of the head that this line was read from.
    pub(super) fn target<'a>(&self, head: &'a str) -> &'a str {
        head.get(self.method + 1..self.target).unwrap_or_default()
    }
}

/// Whether a version is HTTP/1.0; later ones of HTTP/1 are read as HTTP/1.1 (RFC 9110 §2.5).
fn is_old(version: &str) -> Result<bool, Refusal> {
    match version.as_bytes() {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => Ok(false),
        [b'H', b'T', b'T', b'P', b'/', b'1', ..] => {
            Err(Refusal::Malformed("the version of HTTP/1 is no number"))
        }
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] => Err(Refusal::UnknownVersion),
        _ => Err(Refusal::Malformed("the request line does not end with an HTTP version")),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A head that is being looked through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// How far it was looked through.
    at: usize,
    /// Where the line that is looked through starts.
    start: usize,
    line: Option<RequestLine>,
    fields: usize,
    /// Where the head ends, once that is seen.
    end: Option<usize>,
}

/// A head that is there as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The request line.
    pub(super) line: RequestLine,
    /// How many header fields follow it.
    pub(super) fields: usize,
    /// Bytes from the method to the end of the empty line.
    pub(super) length: usize,
}

impl Scan {
    /// Looks on; `bytes` starts where the request does, as always before. What decides lies in the bytes and their
    /// order only, not in how they were cut on their way.
    pub(super) fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Bounds>, Refusal> {
        if bytes.starts_with(&[0x16, 0x03]) {
            return Err(Refusal::Tls);
        }
        let within = bytes.get(..limits.head).unwrap_or(bytes);
        while let Some(found) = memchr::memchr(b'\n', within.get(self.at..).unwrap_or_default()) {
            let next = self.at + found + 1;
            let Some(line) = within.get(self.start..next).and_then(|line| line.strip_suffix(b"\r\n")) else {
                return Err(Refusal::Malformed("a line ends with LF alone"));
            };
            (self.at, self.start) = (next, next);
            match self.line {
                None => self.line = Some(RequestLine::read(line)?),
                Some(request) if line.is_empty() => {
                    self.end = Some(next);
                    return Ok(Some(Bounds { line: request, fields: self.fields, length: next }));
                }
                Some(_) => self.count(limits)?,
            }
        }
        self.at = within.len();
        if bytes.len() < limits.head {
            return Ok(None);
        }
        match self.line {
            None if within.contains(&b' ') => Err(Refusal::TargetTooLong),
            None => Err(Refusal::Malformed("the first line is no request line")),
            Some(_) => Err(Refusal::HeadTooLarge(limits.head)),
        }
    }

    /// Where the header fields lie, with the empty line, if they are all there.
    pub(super) fn fields(&self) -> Option<Range<usize>> {
        Some(self.line?.end..self.end?)
    }

    fn count(&mut self, limits: &Limits) -> Result<(), Refusal> {
        let most = limits.headers.min(MAX_HEADERS);
        self.fields += 1;
        if self.fields > most { Err(Refusal::TooManyHeaders(most)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits {
        head: 64,
        body: 0,
        headers: 3,
        request_time: Duration::ZERO,
        idle_time: Duration::ZERO,
        pipelined: 1,
    };

    /// The outcome of a whole scan, byte by byte.
    fn scan(bytes: &[u8]) -> Result<Option<Bounds>, Refusal> {
        let mut scan = Scan::default();
        for end in 1..bytes.len() {
            match scan.advance(&bytes[..end], &LIMITS) {
                Ok(None) => {}
                early => return early,
            }
        }
        scan.advance(bytes, &LIMITS)
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        let head = b"GET /a HTTP/1.0\r\nA: b\r\n\r\n";
        let bounds = scan(head).unwrap().unwrap();
        assert_eq!((bounds.fields, bounds.length, bounds.line.old), (1, head.len(), true));
        let text = std::str::from_utf8(head).unwrap();
        assert_eq!((bounds.line.method(text), bounds.line.target(text)), ("GET", "/a"));
        assert_eq!(&text[bounds.line.end..], "A: b\r\n\r\n");
        assert_eq!(scan(&head[..head.len() - 1]), Ok(None));
    }

    #[test]
    fn a_request_line_that_is_none_is_refused_at_its_end() {
        for bad in [
            "hello",
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "G@T / HTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1.",
            "GET / HTTP/1.10",
            "GET / HTTP/x",
            "GET /\rx HTTP/1.1",
            "GET /é HTTP/1.1",
            "",
        ] {
            let refused = scan(format!("{bad}\r\n").as_bytes());
            assert!(matches!(refused, Err(Refusal::Malformed(_))), "{bad:?}: {refused:?}");
        }
    }

    #[test]
    fn another_major_version_is_refused_as_such_and_another_minor_one_is_not() {
        for line in ["PRI * HTTP/2.0\r\n", "GET / HTTP/2\r\n", "GET / HTTP/3.0\r\n", "GET / HTTP/0.9\r\n"] {
            assert_eq!(scan(line.as_bytes()), Err(Refusal::UnknownVersion), "{line:?}");
        }
        assert!(matches!(
            scan(b"GET / HTTP/1.2\r\n\r\n"),
            Ok(Some(Bounds { line: RequestLine { old: false, .. }, .. }))
        ));
    }

    #[test]
    fn a_line_that_ends_with_lf_alone_is_refused() {
        for bad in [&b"GET / HTTP/1.1\n"[..], b"GET / HTTP/1.1\r\nA: b\n", b"GET / HTTP/1.1\r\n\n", b"\n"] {
            assert_eq!(scan(bad), Err(Refusal::Malformed("a line ends with LF alone")), "{bad:?}");
        }
    }

    #[test]
    fn a_head_over_its_limit_is_refused_and_one_at_it_is_not() {
        let head = |filler: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(filler));
        assert!(matches!(scan(head(41).as_bytes()), Ok(Some(Bounds { length: 64, .. }))));
        assert_eq!(scan(head(42).as_bytes()), Err(Refusal::HeadTooLarge(64)));
        assert_eq!(scan(format!("GET /{}", "x".repeat(60)).as_bytes()), Err(Refusal::TargetTooLong));
        assert!(matches!(scan("x".repeat(65).as_bytes()), Err(Refusal::Malformed(_))));
        assert_eq!(scan(b"GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\nd:\r\n"), Err(Refusal::TooManyHeaders(3)));
        assert!(matches!(
            scan(b"GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\n\r\n"),
            Ok(Some(Bounds { fields: 3, .. }))
        ));
    }

    #[test]
    fn a_tls_handshake_is_called_by_its_name() {
        assert_eq!(scan(&[0x16, 0x03, 0x01, 0x02]), Err(Refusal::Tls));
        assert_eq!(scan(&[0x16]), Ok(None));
    }
}
