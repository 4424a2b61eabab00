//! Request line and header fields: read by httparse, then held against the rules that keep requests from being smuggled.

use thiserror::Error;

use super::{Limits, MAX_HEADERS};

/// Why a request is refused before anybody looks at what it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("the request cannot be read: {0}")]
    Malformed(&'static str),
    #[error("the request did not arrive in time")]
    TooSlow,
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    #[error("the request target is too long")]
    TargetTooLong,
    #[error("the header part is larger than {0} bytes")]
    HeadTooLarge(usize),
    #[error("the request has more than {0} header fields")]
    TooManyHeaders(usize),
    #[error("only 100-continue can be expected")]
    UnknownExpectation,
    #[error("the transfer coding is not known")]
    UnknownCoding,
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    UnknownVersion,
}

impl Refusal {
    /// The status that answers it.
    pub(crate) fn status(self) -> u16 {
        match self {
            Refusal::Malformed(_) => 400,
            Refusal::TooSlow => 408,
            Refusal::BodyTooLarge(_) => 413,
            Refusal::TargetTooLong => 414,
            Refusal::HeadTooLarge(_) | Refusal::TooManyHeaders(_) => 431,
            Refusal::UnknownExpectation => 417,
            Refusal::UnknownCoding => 501,
            Refusal::UnknownVersion => 505,
        }
    }
}

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Sized(usize),
    Chunked,
}

/// A request's head.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    /// The method, in the case in which it was sent.
    pub(crate) method: &'a str,
    /// The request target as it was sent.
    pub(crate) target: &'a str,
    minor: u8,
    fields: [httparse::Header<'a>; MAX_HEADERS],
    count: usize,
}

/// Where the head ends, if all of it is there. Line ends and characters that others might read differently are refused
/// as soon as they are seen.
pub(super) fn find_end(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
    match bytes {
        [0x16, 0x03, ..] => return Err(Refusal::Malformed("this port speaks plain HTTP, not TLS")),
        [b'P', b'R', b'I', b' ', b'*', ..] => return Err(Refusal::UnknownVersion),
        _ => {}
    }
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4);
    let head = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    let mut previous = b'\n';
    for (at, byte) in head.iter().enumerate() {
        match byte {
            b'\n' if previous != b'\r' => return Err(Refusal::Malformed("a line ends without CR")),
            _ if previous == b'\r' && *byte != b'\n' => return Err(Refusal::Malformed("CR without LF")),
            b' ' | b'\t' if previous == b'\n' && at > 0 => return Err(Refusal::Malformed("a folded header line")),
            0..=8 | 11 | 12 | 14..=31 | 127 => return Err(Refusal::Malformed("a control character in the head")),
            _ => {}
        }
        previous = *byte;
    }
    if head.len() > limits.head {
        let line_ended = memchr::memchr(b'\n', head).is_some_and(|at| at <= limits.head);
        return Err(if line_ended { Refusal::HeadTooLarge(limits.head) } else { Refusal::TargetTooLong });
    }
    Ok(end)
}

impl<'a> Head<'a> {
    /// Reads a whole head.
    pub(super) fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, Refusal> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(Refusal::Malformed("the head does not end")),
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyHeaders(limits.headers)),
            Err(httparse::Error::Version) => return Err(version_refusal(bytes)),
            Err(httparse::Error::HeaderName) => return Err(Refusal::Malformed("a header name")),
            Err(httparse::Error::HeaderValue) => return Err(Refusal::Malformed("a header value")),
            Err(_) => return Err(Refusal::Malformed("the request line")),
        }
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
            return Err(Refusal::Malformed("the request line"));
        };
        let count = request.headers.len();
        if count > limits.headers {
            return Err(Refusal::TooManyHeaders(limits.headers));
        }
        let head = Self { method, target, minor, fields, count };
        head.check()?;
        Ok(head)
    }

    fn check(&self) -> Result<(), Refusal> {
        let hosts = self.all("Host").count();
        if hosts > 1 || (hosts == 0 && self.minor == 1) {
            return Err(Refusal::Malformed("Host must be there once"));
        }
        let form_fits = match self.target {
            "*" => self.method == "OPTIONS",
            target => target.starts_with('/') || is_absolute(target),
        };
        if form_fits { Ok(()) } else { Err(Refusal::Malformed("the request target")) }
    }

    /// The value of the first header field of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// The values of all header fields of this name; those that are not UTF-8 read as empty.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .take(self.count)
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| std::str::from_utf8(field.value).unwrap_or_default().trim_matches([' ', '\t']))
    }

    /// Whether it is HTTP/1.0.
    pub(super) fn is_old(&self) -> bool {
        self.minor == 0
    }

    /// Whether the connection is not to go on after the answer (RFC 9112 §9.3).
    pub(super) fn wants_close(&self) -> bool {
        let has = |token: &str| {
            self.all("Connection").flat_map(|v| v.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
        };
        has("close") || (self.is_old() && !has("keep-alive"))
    }

    /// The length of the body (RFC 9112 §6.3). Every shape that two readers could read differently is refused.
    pub(super) fn framing(&self, limits: &Limits) -> Result<Framing, Refusal> {
        let mut codings = self.all("Transfer-Encoding");
        let mut lengths = self.all("Content-Length");
        let (coding, length) = (codings.next(), lengths.next());
        if codings.next().is_some() || lengths.next().is_some() {
            return Err(Refusal::Malformed("a length is given twice"));
        }
        match (coding, length) {
            (Some(_), Some(_)) => Err(Refusal::Malformed("both Content-Length and Transfer-Encoding")),
            (Some(_), None) if self.is_old() => Err(Refusal::Malformed("Transfer-Encoding in HTTP/1.0")),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            (Some(_), None) => Err(Refusal::UnknownCoding),
            (None, None) => Ok(Framing::Sized(0)),
            (None, Some(length)) => {
                if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(Refusal::Malformed("Content-Length"));
                }
                match length.parse::<usize>() {
                    Ok(length) if length <= limits.body => Ok(Framing::Sized(length)),
                    // Too many digits for a number are too many bytes as well.
                    _ => Err(Refusal::BodyTooLarge(limits.body)),
                }
            }
        }
    }

    /// Whether the client waits for 100 Continue before it sends the body (RFC 9110 §10.1.1).
    pub(super) fn expects_continue(&self) -> Result<bool, Refusal> {
        match self.get("Expect") {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("100-continue") => Ok(!self.is_old()),
            Some(_) => Err(Refusal::UnknownExpectation),
        }
    }
}

fn is_absolute(target: &str) -> bool {
    target.split_once("://").is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    })
}

fn version_refusal(bytes: &[u8]) -> Refusal {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    if version.starts_with(b"HTTP/") { Refusal::UnknownVersion } else { Refusal::Malformed("the request line") }
}
