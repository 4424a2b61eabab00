//! The chunked transfer coding (RFC 9112 §7.1), decoded as it comes in.

use super::Refusal;

/// The longest chunk header, extensions included.
const MAX_LINE: usize = 256;
/// How many bytes of trailer fields are skipped.
const MAX_TRAILERS: usize = 4096;

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Data(usize),
    DataEnd,
    Trailers,
}

/// A body that is being decoded.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// How much of the coded body was read.
    at: usize,
    trailers: usize,
    body: Vec<u8>,
}

impl Chunked {
    /// Reads on; `coded` is the coded body from its start, as far as it has come in. When all of it is there, its length.
    pub(super) fn read(&mut self, coded: &[u8], limit: usize) -> Result<Option<usize>, Refusal> {
        loop {
            let rest = coded.get(self.at..).unwrap_or_default();
            match self.state {
                State::Size => {
                    let Some(line) = line(rest)? else { return Ok(None) };
                    let size = size(line)?;
                    if size > limit.saturating_sub(self.body.len()) {
                        return Err(Refusal::BodyTooLarge(limit));
                    }
                    self.at += line.len() + 2;
                    self.state = if size == 0 { State::Trailers } else { State::Data(size) };
                }
                State::Data(left) => {
                    let here = rest.get(..left.min(rest.len())).unwrap_or_default();
                    self.body.extend_from_slice(here);
                    self.at += here.len();
                    if here.len() < left {
                        self.state = State::Data(left - here.len());
                        return Ok(None);
                    }
                    self.state = State::DataEnd;
                }
                State::DataEnd => match rest.get(..2) {
                    Some(b"\r\n") => {
                        self.at += 2;
                        self.state = State::Size;
                    }
                    Some(_) => return Err(Refusal::Malformed("a chunk is longer than its size says")),
                    None => return Ok(None),
                },
                State::Trailers => {
                    let Some(line) = line(rest)? else { return Ok(None) };
                    self.at += line.len() + 2;
                    if line.is_empty() {
                        return Ok(Some(self.at));
                    }
                    self.trailers += line.len();
                    if self.trailers > MAX_TRAILERS {
                        return Err(Refusal::HeadTooLarge(MAX_TRAILERS));
                    }
                }
            }
        }
    }

    /// The decoded body.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }
}

/// The line that starts here, without its CR LF.
fn line(rest: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    match memchr::memchr(b'\n', rest) {
        Some(end) if end <= MAX_LINE => match rest.get(..end).and_then(|line| line.strip_suffix(b"\r")) {
            Some(line) if !line.contains(&b'\r') => Ok(Some(line)),
            _ => Err(Refusal::Malformed("a chunk's line end")),
        },
        Some(_) => Err(Refusal::Malformed("a chunk's line is too long")),
        None if rest.len() > MAX_LINE => Err(Refusal::Malformed("a chunk's line is too long")),
        None => Ok(None),
    }
}

fn size(line: &[u8]) -> Result<usize, Refusal> {
    let bad = Refusal::Malformed("a chunk size");
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at_checked(digits).ok_or(bad)?;
    // Only an extension may follow, and only it may have white space before it.
    let extension = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    if digits == 0 || digits > 8 || extension.is_some_and(|byte| *byte != b';') || (extension.is_none() && !rest.is_empty()) {
        return Err(bad);
    }
    usize::from_str_radix(std::str::from_utf8(size).unwrap_or_default(), 16).map_err(|_| bad)
}
