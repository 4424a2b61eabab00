//! Real curl.

use std::process::Command;

/// What curl got.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status of the last response.
    pub status: u16,
    /// The head of the last response, as it was sent.
    pub head: String,
    /// The body of the last response.
    pub body: String,
}

impl Reply {
    /// The value of a header field, by its name in any case.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// The values of all header fields of this name.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// Runs curl with these arguments and returns the last response; certificates are not checked.
pub fn curl(arguments: &[&str]) -> Reply {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--include", "--max-time", "20"])
        .args(arguments)
        .output()
        .expect("curl can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.is_empty(), "curl {arguments:?} got nothing: {}", String::from_utf8_lossy(&output.stderr));
    // Interim responses and answered challenges come before the one that counts.
    let start = text
        .match_indices("HTTP/1.")
        .map(|(at, _)| at)
        .filter(|at| *at == 0 || text[..*at].ends_with('\n'))
        .last();
    let last = &text[start.expect("there is a response")..];
    let (head, body) = last.split_once("\r\n\r\n").expect("the head ends");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("there is a status");
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}
