//! Where the lines of a head lie: every byte of it is looked at here once, most of them eight at a time.

use super::head::{Field, Fields};
use super::scan::{NOT_TOKEN, first_below, until};
use super::{Fault, Name};

/// A message cut at its lines; the header lines are in the [`Fields`] that it was read into.
pub(super) struct Lines<'a> {
    /// The start line.
    pub(super) first: &'a str,
    /// The message, from its start line on.
    pub(super) whole: &'a [u8],
    /// What follows the empty line.
    pub(super) rest: &'a [u8],
    /// The first fault; the header lines are those before it.
    pub(super) fault: Option<Fault>,
}

/// Reads the lines of a head that is text and without fault, as nearly all are.
#[inline]
pub(super) fn sound<'a>(bytes: &'a [u8], fields: &mut Fields<'a>) -> Option<Lines<'a>> {
    let (first, _) = line_end(bytes)?;
    let mut at = first + 2;
    let mut are_plain = true;
    let rest = loop {
        let line = bytes.get(at..)?;
        if let [b'\r', b'\n', rest @ ..] = line {
            break rest;
        }
        let (name, colon) = name_of(line).ok()?;
        let value = line.get(colon + 1..)?;
        let (mut end, is_plain) = line_end(value)?;
        are_plain &= is_plain;
        while is_continued(value, end + 2) {
            end += 2 + line_end(value.get(end + 2..)?)?.0;
            are_plain = false;
        }
        let colon = at + colon;
        let end = colon + 1 + end;
        fields.push(field(name, at, colon, end)).ok()?;
        at = end + 2;
    };
    let text = std::str::from_utf8(bytes.get(..at)?).ok()?;
    (fields.text, fields.are_plain) = (text, are_plain);
    Some(Lines { first: text.get(..first)?, whole: bytes, rest, fault: None })
}

/// Reads any other: it may end anywhere and hold anything, and the first fault counts.
#[cold]
pub(super) fn faulty<'a>(bytes: &'a [u8], fields: &mut Fields<'a>) -> Lines<'a> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").map(|end| end + 2);
    let (head, rest) = end.and_then(|end| bytes.split_at_checked(end)).unwrap_or((bytes, &[]));
    let (text, unreadable) = readable(head);
    fields.text = text;
    let (first, lines) = read_lines(text, fields);
    let unended = if end.is_none() { Some(Fault::NoEnd) } else { None };
    let fault = unreadable.or(unended).or(lines.err());
    Lines { first, whole: bytes, rest: rest.get(2..).unwrap_or_default(), fault }
}

/// The head as text; of one that is not UTF-8, the lines before the first that is not.
fn readable(head: &[u8]) -> (&str, Option<Fault>) {
    let fault = match std::str::from_utf8(head) {
        Ok(text) => return (text, None),
        Err(fault) => fault,
    };
    let valid = head.get(..fault.valid_up_to()).unwrap_or_default();
    let end = memchr::memrchr(b'\n', valid).map_or(0, |at| at + 1);
    let text = valid.get(..end).and_then(|lines| std::str::from_utf8(lines).ok());
    (text.unwrap_or_default(), Some(Fault::NotUtf8))
}

/// Returns the start line and fills the table with the header lines, up to the first fault.
fn read_lines<'a>(text: &'a str, fields: &mut Fields<'a>) -> (&'a str, Result<(), Fault>) {
    let bytes = text.as_bytes();
    let (first, mut at) = match any_line_end(bytes, 0) {
        Ok(Some(end)) => (text.get(..end).unwrap_or_default(), end + 2),
        Ok(None) => (text, text.len()),
        Err(fault) => return (text.split(['\r', '\n']).next().unwrap_or_default(), Err(fault)),
    };
    while at < text.len() {
        match read_field(bytes, at, fields) {
            Ok(next) => at = next,
            Err(fault) => return (first, Err(fault)),
        }
    }
    (first, Ok(()))
}

/// Reads the header line that starts here, with those that go on with it; where the next starts.
fn read_field(bytes: &[u8], start: usize, fields: &mut Fields<'_>) -> Result<usize, Fault> {
    let mut next = start;
    let mut end;
    loop {
        end = any_line_end(bytes, next)?.unwrap_or(bytes.len());
        next = end + 2;
        if !is_continued(bytes, next) {
            break;
        }
    }
    let (name, colon) = name_of(bytes.get(start..end).unwrap_or_default())?;
    fields.push(field(name, start, start + colon, end))?;
    Ok(next)
}

/// Where the line ends that starts here, and whether no control character stands before that; `None` when nothing ends it,
/// or not both of CR and LF.
#[inline(always)]
fn line_end(line: &[u8]) -> Option<(usize, bool)> {
    let at = first_below::<0x20>(line)?;
    match line.get(at..)? {
        [b'\r', b'\n', ..] => Some((at, true)),
        [b'\r' | b'\n', ..] => None,
        _ => any_line_end(line, at).ok()?.map(|end| (end, false)),
    }
}

/// Where the line ends in which this byte stands; `None` when nothing ends it.
#[inline(never)]
fn any_line_end(bytes: &[u8], from: usize) -> Result<Option<usize>, Fault> {
    let rest = bytes.get(from..).unwrap_or_default();
    let Some(length) = memchr::memchr2(b'\r', b'\n', rest) else { return Ok(None) };
    if rest.get(length..length + 2) != Some(b"\r\n") {
        return Err(Fault::BadLine);
    }
    Ok(Some(from + length))
}

/// A line that starts with white space goes on with the one before (§7.3.1).
#[inline]
fn is_continued(bytes: &[u8], next: usize) -> bool {
    matches!(bytes.get(next), Some(b' ' | b'\t'))
}

/// The name that this line starts with, and where its colon stands.
#[inline]
fn name_of(line: &[u8]) -> Result<(Name, usize), Fault> {
    Name::before_colon(line).ok_or(()).or_else(|()| any_name_of(line))
}

#[inline(never)]
fn any_name_of(line: &[u8]) -> Result<(Name, usize), Fault> {
    let length = until(line, 0, NOT_TOKEN);
    let (name, rest) = line.split_at_checked(length).unwrap_or_default();
    let space = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
    if name.is_empty() || rest.get(space) != Some(&b':') {
        return Err(Fault::BadHeader);
    }
    Ok((Name::of(name), length + space))
}

/// The header line between these places.
#[inline]
fn field(name: Name, start: usize, colon: usize, end: usize) -> Field {
    // Lossless: a message has at most 65535 bytes.
    Field { name, start: start as u16, colon: colon as u16, end: end as u16 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_line() -> impl Strategy<Value = String> {
        let name = "(via|To|l|X-a|Call-ID|max-forwards|subscription-state|a-name-that-nobody-has-heard-of)";
        (
            name,
            "[ \t]{0,2}:[ \t]{0,2}",
            "[a\t: ,\u{e9}\u{0}]{0,40}",
            "(\r\n[ \t]a?){0,2}",
            "(\r\n){1,8}|\r|\n",
        )
            .prop_map(|(name, colon, value, fold, end)| {
                // An empty line and a bare CR or LF are rare.
                let end = if end.len() == 14 || end.len() == 1 { end } else { "\r\n".to_owned() };
                format!("{name}{colon}{value}{fold}{end}")
            })
    }

    proptest! {
        #[test]
        fn sound_lines_are_read_as_any_others(lines in prop::collection::vec(any_line(), 0..6), rest in "[\r\na]{0,3}") {
            let text = format!("a b c\r\n{}\r\n{rest}", lines.concat());
            let (mut fields, mut others) = (Fields::new(), Fields::new());
            let any = faulty(text.as_bytes(), &mut others);
            match sound(text.as_bytes(), &mut fields) {
                None => prop_assert!(any.fault.is_some(), "{:?}", text),
                Some(sound) => {
                    prop_assert_eq!((sound.first, sound.rest, sound.fault), (any.first, any.rest, any.fault));
                    let has_control = |line: &str| line.bytes().any(|byte| byte < b' ');
                    prop_assert!(!fields.are_plain || !Name::ALL.into_iter().flat_map(|name| fields.lines(name)).any(has_control));
                    fields.are_plain = false;
                    prop_assert_eq!(format!("{fields:?}"), format!("{others:?}"));
                }
            }
        }
    }
}
