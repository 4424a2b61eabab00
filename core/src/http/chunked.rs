//! The chunked transfer coding (RFC 9112 §7.1), decoded in place as it comes in.

use super::{Limits, Refusal};

/// The most digits of a chunk's size, leading zeros included.
const MAX_DIGITS: u8 = 16;

#[derive(Clone, Copy, Debug)]
enum State {
    /// The digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// White space behind the size: an extension must follow.
    Padding {
        size: u64,
    },
    /// An extension.
    Extension {
        size: u64,
    },
    /// The LF of the line that says the size.
    SizeEnd {
        size: u64,
    },
    /// Data, so many bytes more.
    Data {
        left: usize,
    },
    /// The CR behind the data.
    DataCr,
    /// The LF behind the data.
    DataLf,
    /// The first byte of a line behind the last chunk.
    TrailerStart,
    /// A trailer field.
    Trailer,
    /// The LF of a trailer field.
    TrailerEnd,
    /// The LF of the last line.
    LastLf,
    Done,
}

impl State {
    const SIZE: State = State::Size { size: 0, digits: 0 };
}

/// A body that is being decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunked {
    state: State,
    /// Where the decoded body starts, and where it ends so far.
    start: usize,
    end: usize,
    /// How far the coded body was read.
    at: usize,
    extensions: usize,
    trailers: usize,
    trailer_fields: usize,
}

impl Chunked {
    /// A body that starts at this place.
    pub(super) fn new(start: usize) -> Self {
        Self {
            state: State::SIZE,
            start,
            end: start,
            at: start,
            extensions: 0,
            trailers: 0,
            trailer_fields: 0,
        }
    }

    /// Reads on in `bytes`, in which the decoded body grows over its own framing. Whether all of it is there.
    pub(super) fn advance(&mut self, bytes: &mut [u8], limits: &Limits) -> Result<bool, Refusal> {
        loop {
            if let State::Data { left } = self.state {
                let here = left.min(bytes.len().saturating_sub(self.at));
                bytes.copy_within(self.at..self.at + here, self.end);
                self.at += here;
                self.end += here;
                self.state = if here < left { State::Data { left: left - here } } else { State::DataCr };
            }
            if matches!(self.state, State::Done) {
                return Ok(true);
            }
            let Some(byte) = bytes.get(self.at) else { return Ok(false) };
            self.state = self.step(*byte, limits)?;
            self.at += 1;
        }
    }

    /// The framing that was read: nothing in this range is needed any more, and the owner of the bytes cuts it out now.
    pub(super) fn close_gap(&mut self) -> std::ops::Range<usize> {
        let gap = self.end..self.at;
        self.at = self.end;
        gap
    }

    /// Where the decoded body lies.
    pub(super) fn decoded(&self) -> std::ops::Range<usize> {
        self.start..self.end
    }

    fn step(&mut self, byte: u8, limits: &Limits) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if digits < MAX_DIGITS =>
            {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
            }
            (State::Size { size, digits: 1.. } | State::Padding { size }, b';') => {
                self.count_extension(limits, State::Extension { size })
            }
            (State::Size { size, digits: 1.. } | State::Padding { size }, b' ' | b'\t') => {
                self.count_extension(limits, State::Padding { size })
            }
            (State::Size { size, digits: 1.. } | State::Extension { size }, b'\r') => {
                Ok(State::SizeEnd { size })
            }
            (State::Size { .. } | State::Padding { .. }, _) => {
                Err(Refusal::Malformed("a chunk's size is no hexadecimal number of up to 16 digits"))
            }
            (State::Extension { size }, byte) if is_text(byte) => {
                self.count_extension(limits, State::Extension { size })
            }
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::TrailerStart),
            (State::SizeEnd { size }, b'\n') => match usize::try_from(size) {
                Ok(left) if left <= limits.body.saturating_sub(self.end - self.start) => {
                    Ok(State::Data { left })
                }
                _ => Err(Refusal::BodyTooLarge(limits.body)),
            },
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::SIZE),
            (State::DataCr | State::DataLf, _) => {
                Err(Refusal::Malformed("a chunk is longer than its size says"))
            }
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::TrailerStart, b' ' | b'\t') => {
                Err(Refusal::Malformed("a trailer field is folded over lines"))
            }
            (State::TrailerStart, byte) if is_text(byte) => {
                self.trailer_fields += 1;
                self.count_trailer(limits)
            }
            (State::Trailer, byte) if is_text(byte) => self.count_trailer(limits),
            (State::Trailer, b'\r') => Ok(State::TrailerEnd),
            (State::TrailerEnd, b'\n') => Ok(State::TrailerStart),
            (State::LastLf, b'\n') => Ok(State::Done),
            _ => Err(Refusal::Malformed("a chunk's line has a control character or does not end with CR LF")),
        }
    }

    fn count_extension(&mut self, limits: &Limits, next: State) -> Result<State, Refusal> {
        self.extensions += 1;
        if self.extensions > limits.head {
            return Err(Refusal::Malformed("the chunks have more extensions than a head may have bytes"));
        }
        Ok(next)
    }

    fn count_trailer(&mut self, limits: &Limits) -> Result<State, Refusal> {
        self.trailers += 1;
        if self.trailers > limits.head {
            return Err(Refusal::HeadTooLarge(limits.head));
        }
        if self.trailer_fields > limits.headers {
            return Err(Refusal::TooManyHeaders(limits.headers));
        }
        Ok(State::Trailer)
    }
}

/// Whether this may stand in a header field or an extension.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits {
        head: 32,
        body: 20,
        headers: 2,
        request_time: Duration::ZERO,
        idle_time: Duration::ZERO,
        pipelined: 1,
    };

    /// Body and what is behind it, decoded at once; `None` while more is needed.
    fn decode(coded: &str) -> Result<Option<(String, String)>, Refusal> {
        let mut bytes = coded.as_bytes().to_vec();
        let mut chunked = Chunked::new(0);
        let done = chunked.advance(&mut bytes, &LIMITS)?;
        bytes.drain(chunked.close_gap());
        let text = String::from_utf8(bytes).unwrap();
        let (body, behind) = text.split_at(chunked.decoded().end);
        Ok(done.then(|| (body.to_owned(), behind.to_owned())))
    }

    /// The same, a byte at a time.
    fn decode_slowly(coded: &str) -> Result<Option<(String, String)>, Refusal> {
        let mut bytes = Vec::new();
        let mut chunked = Chunked::new(0);
        for (at, byte) in coded.bytes().enumerate() {
            bytes.push(byte);
            let done = chunked.advance(&mut bytes, &LIMITS)?;
            bytes.drain(chunked.close_gap());
            if done {
                let behind = coded[at + 1..].to_owned();
                return Ok(Some((String::from_utf8(bytes).unwrap(), behind)));
            }
        }
        Ok(None)
    }

    fn both(coded: &str) -> Result<Option<(String, String)>, Refusal> {
        let at_once = decode(coded);
        assert_eq!(at_once, decode_slowly(coded), "{coded:?}");
        at_once
    }

    fn malformed(coded: &str) -> bool {
        matches!(both(coded), Err(Refusal::Malformed(_)))
    }

    #[test]
    fn chunks_are_put_together_and_what_is_behind_them_is_left() {
        let body = both("3\r\nabc\r\n0A\r\n0123456789\r\n000\r\n\r\nGET").unwrap().unwrap();
        assert_eq!(body, ("abc0123456789".to_owned(), "GET".to_owned()));
        assert_eq!(both("0\r\n\r\n"), Ok(Some((String::new(), String::new()))));
        assert_eq!(both("3\r\nabc\r\n0\r\n\r"), Ok(None));
    }

    #[test]
    fn extensions_and_trailers_are_skipped_within_limits() {
        let body = both("1;a=\"b\" ;c\r\nx\r\n0 \t;d\r\nA: b\r\nC:\r\n\r\n").unwrap().unwrap();
        assert_eq!(body.0, "x");
        assert!(malformed(&format!("1;{}\r\n", "x".repeat(32))));
        assert!(malformed(&"1;xxxxxxxx\r\na\r\n".repeat(4)), "over all chunks together");
        assert_eq!(both(&format!("0\r\nA:{}\r\n", "x".repeat(31))), Err(Refusal::HeadTooLarge(32)));
        assert_eq!(both("0\r\na:\r\nb:\r\nc:\r\n\r\n"), Err(Refusal::TooManyHeaders(2)));
    }

    #[test]
    fn sizes_that_two_readers_could_read_differently_are_refused() {
        for bad in [
            "\r\n", "g\r\n", "+1\r\n", "-1\r\n", " 1\r\n", "0x1\r\n", "1 \r\n", "1 2\r\n", ";a\r\n",
            "1_0\r\n",
        ] {
            assert!(malformed(bad), "{bad:?}");
        }
        assert!(malformed("00000000000000001\r\n"), "17 digits");
        assert!(both("0000000000000001\r\nx\r\n0\r\n\r\n").unwrap().is_some(), "16 digits");
    }

    #[test]
    fn line_ends_that_two_readers_could_read_differently_are_refused() {
        for bad in [
            "1\nx\r\n",
            "1\rx",
            "1;a\nb\r\n",
            "1;a\rb\r\n",
            "1;a\0\r\n",
            "1\r\nx\n",
            "1\r\nx\rx",
            "1\r\nxy\r\n",
            "0\r\n\n",
            "0\r\nA\n\r\n",
            "0\r\nA\rb\r\n",
            "0\r\n A: b\r\n",
            "0\r\nA:\0\r\n",
        ] {
            assert!(malformed(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_body_over_its_limit_is_refused_before_its_data() {
        assert_eq!(both("15\r\n"), Err(Refusal::BodyTooLarge(20)));
        assert_eq!(both("a\r\n0123456789\r\nb\r\n"), Err(Refusal::BodyTooLarge(20)));
        assert_eq!(both("ffffffffffffffff\r\n"), Err(Refusal::BodyTooLarge(20)), "no overflow");
        assert!(both("14\r\n01234567890123456789\r\n0\r\n\r\n").unwrap().is_some());
    }
}
