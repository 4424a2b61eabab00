//! What header fields say about body and connection (RFC 9112 §6, §9). Every shape that two readers could read
//! differently is refused.

use std::ops::Range;

use httparse::{EMPTY_HEADER, Error, Header, Status};

use super::response::Frame;
use super::scan::{Bounds, RequestLine};
use super::target::is_host;
use super::{Head, Limits, MAX_HEADERS, Persistence, Refusal};

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Sized(usize),
    /// As long as its chunks.
    Chunked,
}

/// A head that was read and found to be in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline {
    line: RequestLine,
    /// Bytes of the head.
    pub(super) length: usize,
    /// How long the body is.
    pub(super) framing: Framing,
    /// What the client wants of the connection.
    persistence: Persistence,
    /// Whether the client waits for 100 Continue before it sends the body (RFC 9110 §10.1.1).
    pub(super) waits: bool,
}

impl Outline {
    /// Reads a head, given from its first byte to the end of its empty line.
    pub(super) fn read(head: &[u8], bounds: &Bounds, limits: &Limits) -> Result<Self, Refusal> {
        let Bounds { line, fields, length } = *bounds;
        if std::str::from_utf8(head).is_err() {
            return Err(Refusal::Malformed("the header fields are not UTF-8"));
        }
        let text = head.get(line.end..).unwrap_or_default();
        // Most heads are short: their table need not be cleared as far as the longest one's.
        let said = if fields <= FEW {
            Said::read(text, &mut [EMPTY_HEADER; FEW])?
        } else {
            Said::read(text, &mut [EMPTY_HEADER; MAX_HEADERS])?
        };
        said.check_host(line.old)?;
        let framing = said.framing(line.old, limits)?;
        let waits = said.expects_continue && !line.old && framing != Framing::Sized(0);
        if said.expects_else {
            return Err(Refusal::UnknownExpectation);
        }
        Ok(Self { line, length, framing, persistence: said.persistence(line.old), waits })
    }

    /// The head, out of bytes that start with it.
    pub(super) fn head<'a>(&self, bytes: &'a [u8]) -> Head<'a> {
        let text = bytes.get(..self.length).and_then(|head| std::str::from_utf8(head).ok());
        Head::new(text.unwrap_or_default(), &self.line)
    }

    /// Where the header fields lie, with the empty line.
    pub(super) fn fields(&self) -> Range<usize> {
        self.line.end..self.length
    }

    /// How the answer is to be framed; `bytes` start with the head.
    pub(super) fn frame(&self, bytes: &[u8]) -> Frame {
        let head_only = bytes.starts_with(b"HEAD ");
        Frame { persistence: self.persistence, head_only, old: self.line.old }
    }
}

const FEW: usize = 32;

/// What the header fields say that the connection itself has to know.
#[derive(Default)]
struct Said<'a> {
    hosts: usize,
    bad_host: bool,
    lengths: usize,
    length: &'a [u8],
    chunked: bool,
    unknown_coding: bool,
    coded: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    expects_else: bool,
}

impl<'a> Said<'a> {
    fn read(text: &'a [u8], table: &mut [Header<'a>]) -> Result<Self, Refusal> {
        let headers = match httparse::parse_headers(text, table) {
            Ok(Status::Complete((length, headers))) if length == text.len() => headers,
            Ok(_) => return Err(Refusal::Malformed("the header fields do not end where they seem to")),
            Err(Error::HeaderName) => {
                return Err(Refusal::Malformed(
                    "a header field has no name, white space before its colon, or is folded over lines",
                ));
            }
            Err(_) => return Err(Refusal::Malformed("a header field has a control character")),
        };
        let mut said = Self::default();
        for header in headers {
            said.add(header)?;
        }
        Ok(said)
    }

    fn add(&mut self, header: &Header<'a>) -> Result<(), Refusal> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        // Told apart by their lengths first: nearly all others are passed over by that.
        match header.name.len() {
            4 if is("Host") => {
                self.hosts += 1;
                self.bad_host |= !std::str::from_utf8(header.value).is_ok_and(is_host);
            }
            6 if is("Expect") => tokens(header.value).for_each(|token| match token {
                token if token.eq_ignore_ascii_case(b"100-continue") => self.expects_continue = true,
                _ => self.expects_else = true,
            }),
            10 if is("Connection") => tokens(header.value).for_each(|token| {
                self.close |= token.eq_ignore_ascii_case(b"close");
                self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
            }),
            14 if is("Content-Length") => {
                self.lengths += 1;
                self.length = header.value;
            }
            17 if is("Transfer-Encoding") => return self.add_codings(header.value),
            _ => {}
        }
        Ok(())
    }

    fn add_codings(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.coded = true;
        for coding in tokens(value) {
            if self.chunked {
                return Err(Refusal::Malformed("chunked is not the last transfer coding"));
            }
            if coding.is_empty() {
                return Err(Refusal::Malformed("Transfer-Encoding names no coding"));
            }
            self.chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.unknown_coding |= !self.chunked;
        }
        Ok(())
    }

    /// RFC 9112 §3.2.
    fn check_host(&self, old: bool) -> Result<(), Refusal> {
        match self.hosts {
            0 if !old => Err(Refusal::Malformed("Host is missing")),
            0 => Ok(()),
            1 if self.bad_host => Err(Refusal::Malformed("Host is no host")),
            1 => Ok(()),
            _ => Err(Refusal::Malformed("Host is given twice")),
        }
    }

    /// RFC 9112 §6.3.
    fn framing(&self, old: bool, limits: &Limits) -> Result<Framing, Refusal> {
        match (self.coded, self.lengths) {
            (true, 1..) => {
                Err(Refusal::Malformed("the length is given by Content-Length and by Transfer-Encoding"))
            }
            (true, 0) if old => Err(Refusal::Malformed("Transfer-Encoding in HTTP/1.0")),
            (true, 0) if self.unknown_coding => Err(Refusal::UnknownCoding),
            (true, 0) => Ok(Framing::Chunked),
            (false, 0) => Ok(Framing::Sized(0)),
            (false, 1) => self.content_length(limits),
            (false, _) => Err(Refusal::Malformed("Content-Length is given twice")),
        }
    }

    fn content_length(&self, limits: &Limits) -> Result<Framing, Refusal> {
        let digits = std::str::from_utf8(self.length).unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::Malformed("Content-Length is no number"));
        }
        match digits.parse() {
            Ok(length) if length <= limits.body => Ok(Framing::Sized(length)),
            // Too many digits for a number are too many bytes as well.
            _ => Err(Refusal::BodyTooLarge(limits.body)),
        }
    }

    /// RFC 9112 §9.3.
    fn persistence(&self, old: bool) -> Persistence {
        if self.close || (old && !self.keep_alive) { Persistence::Close } else { Persistence::KeepAlive }
    }
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}
