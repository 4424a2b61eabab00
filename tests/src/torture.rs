//! The torture messages: our own in `tests/torture`, and those of RFC 4475 where `../shared/corpus` is there.

use std::path::{Path, PathBuf};

/// A torture message and what the server has to do with it.
#[derive(Clone, Debug)]
pub struct Torture {
    /// Its file's name.
    pub name: String,
    /// As it is sent.
    pub bytes: Vec<u8>,
    /// The status that it is to be answered with; `None` if it is to be dropped.
    pub answer: Option<u16>,
}

/// The folder of our own messages, with their index.
pub fn own_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("torture")
}

/// The folder of the messages of RFC 4475, where it is there.
pub fn corpus_folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/rfc4475");
    folder.is_dir().then_some(folder)
}

/// The lines of a table, without its head, in columns.
pub fn table(file: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(file).expect("the table can be read");
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Our own messages.
pub fn own() -> Vec<Torture> {
    let rows = table(&own_folder().join("index.tsv"));
    rows.iter().map(|row| read(&own_folder(), &row[0], &row[4])).collect()
}

/// Those of RFC 4475; none where they are not there. What is to be answered stands in a table of our own.
pub fn corpus() -> Vec<Torture> {
    let Some(folder) = corpus_folder() else { return Vec::new() };
    let rows = table(&own_folder().join("rfc4475.tsv"));
    rows.iter().map(|row| read(&folder, &row[0], &row[2])).collect()
}

fn read(folder: &Path, name: &str, answer: &str) -> Torture {
    let answer = match answer {
        "drop" => None,
        status => Some(status.parse().unwrap_or_else(|_| panic!("{name}: {answer} is no status"))),
    };
    let bytes = std::fs::read(folder.join(name)).expect("a torture message can be read");
    Torture { name: name.to_owned(), bytes, answer }
}

/// The message as it has to be sent so that its answer comes back to the socket that sends it (`rport` in the topmost
/// Via), and so that it is no copy of another one (branch and Call-ID). Nothing else is touched, whatever is wrong.
pub fn addressed(bytes: &[u8], number: usize) -> Vec<u8> {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    let head = find(bytes, b"\r\n\r\n", start).unwrap_or(bytes.len());
    let mut insertions: Vec<(usize, String)> = Vec::new();
    let mut via_seen = false;
    for (start, end) in fields(&bytes[..head]) {
        let line = &bytes[start..end];
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = String::from_utf8_lossy(&line[..colon]).trim().to_ascii_lowercase();
        let value = start + colon + 1;
        match name.as_str() {
            "via" | "v" if !via_seen => {
                via_seen = true;
                let value_end = position(bytes, value, end, b",").unwrap_or(end);
                let params = position(bytes, value, value_end, b";").unwrap_or(value_end);
                insertions.push((params, ";rport".to_owned()));
                if let Some(at) = end_of_branch(bytes, params, value_end) {
                    insertions.push((at, format!("x{number}")));
                }
            }
            "call-id" | "i" => {
                let first = (value..end).find(|at| !bytes[*at].is_ascii_whitespace());
                insertions.extend(first.map(|at| (at, format!("t{number}-"))));
            }
            _ => {}
        }
    }
    let mut out = bytes.to_vec();
    for (at, text) in insertions.into_iter().rev() {
        out.splice(at..at, text.into_bytes());
    }
    out
}

/// Where each header field begins and ends, folds included, without the CR LF at its end.
fn fields(head: &[u8]) -> Vec<(usize, usize)> {
    let mut all: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let end =
            start + line.len() - line.iter().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        match all.last_mut() {
            Some(last) if matches!(line.first(), Some(b' ' | b'\t')) => last.1 = end,
            _ => all.push((start, end)),
        }
        start += line.len();
    }
    all
}

fn position(bytes: &[u8], from: usize, to: usize, any: &[u8]) -> Option<usize> {
    (from..to).find(|at| any.contains(&bytes[*at]))
}

/// Where the value of the branch ends, if there is more of it than the magic cookie, which some messages have alone.
fn end_of_branch(bytes: &[u8], from: usize, to: usize) -> Option<usize> {
    let name = find(&bytes[..to], b"branch", from)?;
    let equals = position(bytes, name, to, b"=")?;
    let value = (equals + 1..to).find(|at| !bytes[*at].is_ascii_whitespace())?;
    let end = (value..to).find(|at| bytes[*at].is_ascii_whitespace() || bytes[*at] == b';').unwrap_or(to);
    (&bytes[value..end] != b"z9hG4bK").then_some(end)
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(what.len()).position(|window| window == what).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_way_back_and_what_makes_it_a_copy_is_changed() {
        let text = "INVITE sip:a@b SIP/2.0\r\ni : one\r\nv:  SIP / 2.0 / UDP c ;\r\n branch = z9hG4bKx ,\r\n SIP/2.0/UDP d;branch=e\r\n\r\nVia: f";
        let expected = "INVITE sip:a@b SIP/2.0\r\ni : t7-one\r\nv:  SIP / 2.0 / UDP c ;rport;\r\n branch = z9hG4bKxx7 ,\r\n SIP/2.0/UDP d;branch=e\r\n\r\nVia: f";
        assert_eq!(String::from_utf8_lossy(&addressed(text.as_bytes(), 7)), expected);
        let bare = "X\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK\r\nVia: d";
        let expected = "X\r\nVia: SIP/2.0/UDP c;rport;branch=z9hG4bK\r\nVia: d";
        assert_eq!(String::from_utf8_lossy(&addressed(bare.as_bytes(), 7)), expected);
        let none = "X\nVia: SIP/2.0/UDP c\nCall-ID:\n";
        assert_eq!(
            String::from_utf8_lossy(&addressed(none.as_bytes(), 7)),
            "X\nVia: SIP/2.0/UDP c;rport\nCall-ID:\n"
        );
    }
}
