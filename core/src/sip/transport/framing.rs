//! Messages on a connection: where one ends and the next begins (RFC 3261 §18.3), and keep-alives between them (RFC 5626 §3.5.1).

use std::fmt;

use memchr::memmem;

/// What lies next on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A whole message.
    Message(&'a [u8]),
    /// A double CRLF between messages, to be answered with a single one.
    Ping,
    /// A message whose end cannot be known. Nothing that follows can be read.
    Endless {
        /// What could be read: its head, if that is whole.
        head: &'a [u8],
        /// Why.
        why: Endless,
    },
}

/// Why the end of a message cannot be known, or is too far away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endless {
    /// It has no Content-Length, which it must have here (RFC 3261 §20.14).
    NoLength,
    /// Its Content-Length is no number, or there are several that differ.
    BadLength,
    /// It is longer than is wanted.
    TooLong {
        /// The most bytes that are.
        most: usize,
    },
}

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endless::NoLength => f.write_str("a message on a connection has no Content-Length"),
            Endless::BadLength => f.write_str("Content-Length cannot be read"),
            Endless::TooLong { most } => write!(f, "a message is longer than {most} bytes"),
        }
    }
}

/// The bytes of a connection that are no whole message yet.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    held: Vec<u8>,
    /// So far there is no end of the head in what is held.
    searched: usize,
    /// How long the message at the front is, once its head is whole.
    length: Option<usize>,
    /// Nothing more can be read.
    ended: bool,
}

/// What one look at the front of the bytes found.
enum Front {
    /// So many bytes are a message.
    Message(usize),
    /// So many bytes are line ends between messages; a ping, if there are two.
    LineEnds(usize),
    Endless(usize, Endless),
    /// More is to come.
    Part,
}

impl Framer {
    /// Takes bytes, and hands out what is whole, in order. Messages of more than `most` bytes are not waited for.
    pub(crate) fn take(&mut self, bytes: &[u8], most: usize, mut each: impl FnMut(Piece<'_>)) {
        if self.ended || bytes.is_empty() {
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        // What comes whole is never copied.
        let all: &[u8] = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            &held
        };
        let mut at = 0;
        loop {
            let rest = all.get(at..).unwrap_or_default();
            match self.front(rest, most) {
                Front::Part => break,
                Front::LineEnds(length) => {
                    if length == 4 {
                        each(Piece::Ping);
                    }
                    at += length;
                }
                Front::Message(length) => {
                    each(Piece::Message(rest.get(..length).unwrap_or_default()));
                    at += length;
                }
                Front::Endless(head, why) => {
                    each(Piece::Endless { head: rest.get(..head).unwrap_or_default(), why });
                    self.ended = true;
                    at = all.len();
                    break;
                }
            }
            (self.searched, self.length) = (0, None);
        }
        // A connection at rest holds nothing.
        self.held = match all.get(at..) {
            None | Some([]) => Vec::new(),
            Some(rest) if at == 0 && !held.is_empty() => {
                debug_assert_eq!(rest.len(), held.len());
                held
            }
            Some(rest) => rest.to_vec(),
        };
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether a message has begun and is not whole.
    pub(crate) fn is_amid(&self) -> bool {
        self.held.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    fn front(&mut self, bytes: &[u8], most: usize) -> Front {
        match bytes {
            [] | [b'\r'] => return Front::Part,
            [b'\r', b'\n', b'\r', b'\n', ..] => return Front::LineEnds(4),
            [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Front::Part,
            [b'\r', b'\n', ..] => return Front::LineEnds(2),
            [b'\r' | b'\n', ..] => return Front::LineEnds(1),
            _ => {}
        }
        let length = match self.length {
            Some(length) => length,
            None => {
                let from = self.searched.saturating_sub(3);
                let Some(end) = memmem::find(bytes.get(from..).unwrap_or_default(), b"\r\n\r\n") else {
                    self.searched = bytes.len();
                    return if bytes.len() > most {
                        Front::Endless(0, Endless::TooLong { most })
                    } else {
                        Front::Part
                    };
                };
                let head = from + end + 4;
                // Had it come in pieces, its end would not have been waited for.
                if head > most {
                    return Front::Endless(0, Endless::TooLong { most });
                }
                let body = match content_length(bytes.get(..head).unwrap_or_default()) {
                    Ok(body) => body,
                    Err(why) => return Front::Endless(head, why),
                };
                match head.checked_add(body).filter(|length| *length <= most) {
                    Some(length) => *self.length.insert(length),
                    None => return Front::Endless(head, Endless::TooLong { most }),
                }
            }
        };
        if bytes.len() < length { Front::Part } else { Front::Message(length) }
    }
}

/// The value of Content-Length in a head, in either form of its name; the parser reads the rest.
fn content_length(head: &[u8]) -> Result<usize, Endless> {
    let mut found = None;
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        let name = name.trim_ascii();
        if !name.eq_ignore_ascii_case(b"Content-Length") && !name.eq_ignore_ascii_case(b"l") {
            continue;
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let digits = !value.is_empty() && value.len() <= 9 && value.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|value| value.parse().ok());
        let number = number.ok_or(Endless::BadLength)?;
        if found.is_some_and(|other| other != number) {
            return Err(Endless::BadLength);
        }
        found = Some(number);
    }
    found.ok_or(Endless::NoLength)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 4096;
    const OPTIONS: &str = "OPTIONS sip:a@b SIP/2.0\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    const MESSAGE: &str = "MESSAGE sip:a@b SIP/2.0\r\nl:  9 \r\n\r\nhello\r\n\r\n";

    /// What comes out, each piece as text, when the bytes come in pieces of these sizes, over and over.
    fn cut(text: &str, sizes: &[usize]) -> (Vec<String>, Framer) {
        let (mut framer, mut out) = (Framer::default(), Vec::new());
        let (mut rest, mut sizes) = (text.as_bytes(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
            framer.take(now, MOST, |piece| {
                out.push(match piece {
                    Piece::Message(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    Piece::Ping => "ping".to_owned(),
                    Piece::Endless { head, why } => format!("{why} behind {}", head.len()),
                });
            });
            rest = later;
        }
        (out, framer)
    }

    fn whole(text: &str) -> Vec<String> {
        cut(text, &[usize::MAX]).0
    }

    #[test]
    fn messages_are_told_apart_and_pings_between_them_seen() {
        let all = format!("{OPTIONS}{MESSAGE}\r\n\r\n{OPTIONS}\r\n{OPTIONS}");
        assert_eq!(whole(&all), [OPTIONS, MESSAGE, "ping", OPTIONS, OPTIONS]);
        let (_, framer) = cut(&all, &[3]);
        assert_eq!((framer.held(), framer.is_amid()), (0, false));
    }

    #[test]
    fn half_a_message_is_waited_for_and_a_lone_line_end_is_none() {
        let (out, framer) = cut(&OPTIONS[..30], &[7]);
        assert!(out.is_empty() && framer.is_amid());
        let (out, framer) = cut("\r\n", &[1]);
        assert!(out.is_empty() && !framer.is_amid());
    }

    #[test]
    fn a_message_without_an_end_is_told_and_nothing_behind_it() {
        let with = |line: &str| format!("OPTIONS sip:a@b SIP/2.0\r\n{line}\r\n\r\n{OPTIONS}");
        for (line, why) in [
            ("X: 1", "a message on a connection has no Content-Length"),
            ("Content-Length: -1", "Content-Length cannot be read"),
            ("Content-Length: 1x", "Content-Length cannot be read"),
            ("Content-Length:", "Content-Length cannot be read"),
            ("Content-Length: 4294967297", "Content-Length cannot be read"),
            ("Content-Length: 1\r\nl: 2", "Content-Length cannot be read"),
            ("Content-Length: 4096", "a message is longer than 4096 bytes"),
        ] {
            let out = whole(&with(line));
            assert_eq!(out.len(), 1, "{line}: {out:?}");
            assert!(out[0].starts_with(why) && !out[0].ends_with(" 0"), "{line}: {out:?}");
        }
    }

    #[test]
    fn a_head_that_never_ends_is_given_up() {
        let (out, framer) = cut(&"x".repeat(3 * MOST), &[100]);
        assert_eq!(out, [format!("a message is longer than {MOST} bytes behind 0")]);
        assert_eq!(framer.held(), 0, "nothing of it is kept");
    }

    #[test]
    fn a_head_that_is_too_long_is_given_up_whether_it_comes_whole_or_not() {
        let long = format!("OPTIONS sip:a@b SIP/2.0\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(MOST));
        for size in [usize::MAX, 1000, 1] {
            let (out, _) = cut(&long, &[size]);
            assert_eq!(out, [format!("a message is longer than {MOST} bytes behind 0")], "cut by {size}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(
            parts in proptest::collection::vec(
                prop_oneof![Just(OPTIONS), Just(MESSAGE), Just("\r\n\r\n"), Just("\r\n"), Just("X: y\r\n\r\n")], 0..8),
            sizes in proptest::collection::vec(1usize..60, 1..6),
        ) {
            let text = parts.concat();
            let (pieces, framer) = cut(&text, &sizes);
            prop_assert_eq!(pieces, whole(&text));
            prop_assert!(framer.held() <= MOST);
        }

        #[test]
        fn whatever_comes_no_more_is_held_than_a_message(
            bytes in proptest::collection::vec(any::<u8>(), 0..20_000), size in 1usize..5000,
        ) {
            let mut framer = Framer::default();
            for piece in bytes.chunks(size) {
                framer.take(piece, MOST, |_| {});
                prop_assert!(framer.held() <= MOST);
            }
        }
    }
}
