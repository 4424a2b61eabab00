//! The arrow diagram that SIP people read: a column a party, an arrow a message, drawn line by line as text.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::sip::message::{Message, Method, Name, NameAddr, Request, Response, parse};

/// The width of a column.
const WIDTH: usize = 13;

/// Draws messages between parties that are known by their addresses.
#[derive(Clone, Debug)]
pub struct Ladder {
    parties: Vec<(SocketAddr, String)>,
}

impl Ladder {
    /// A ladder with these columns, from left to right.
    pub fn new(parties: Vec<(SocketAddr, String)>) -> Self {
        Self { parties }
    }

    /// The line that names the columns.
    pub fn head(&self) -> String {
        let mut line = " ".repeat(9);
        for (_, name) in &self.parties {
            let name: String = name.chars().take(WIDTH - 1).collect();
            line.push_str(&format!("{name:^WIDTH$}"));
        }
        line.trim_end().to_owned()
    }

    /// The line of one message, `at` after the ladder's begin; `None` when it is no SIP message or a party is not known.
    ///
    /// Of the message only its start line and what it is about are shown: no credentials.
    pub fn line(&self, at: Duration, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Option<String> {
        let place = |address| self.parties.iter().position(|(known, _)| *known == address);
        let (from, to) = (place(from)?, place(to)?);
        let label = match parse(bytes) {
            Ok(Message::Request(request)) => request_label(&request),
            Ok(Message::Response(response)) => response_label(&response),
            Err(_) => return None,
        };
        let mut line = format!("{:8.3} ", at.as_secs_f64());
        let (left, right) = (from.min(to), from.max(to));
        for column in 0..self.parties.len() {
            let (before, here, behind) = cell(column, left, right, from < to);
            let half = WIDTH / 2;
            // Writing to a String cannot fail.
            if write!(line, "{}{here}{}", before.repeat(half), behind.repeat(WIDTH - half - 1)).is_err() {
                return None;
            }
        }
        line.push_str("  ");
        line.push_str(&label);
        Some(line)
    }
}

/// What stands left of a column's middle, in it, and right of it.
fn cell(
    column: usize,
    left: usize,
    right: usize,
    rightwards: bool,
) -> (&'static str, &'static str, &'static str) {
    match column {
        _ if left == right => (" ", "|", " "),
        c if c == left => (" ", if rightwards { "|" } else { "<" }, "-"),
        c if c == right => ("-", if rightwards { ">" } else { "|" }, " "),
        c if c > left && c < right => ("-", "-", "-"),
        _ => (" ", "|", " "),
    }
}

fn request_label(request: &Request<'_>) -> String {
    let mut label = request.method.as_str().to_owned();
    let user = |value: Option<&str>| {
        let address = NameAddr::parse(value?).ok()?;
        address.uri.user_unescaped().map(|user| user.into_owned())
    };
    let more = match request.method {
        Method::Invite if request.to.tag().is_none() => user(Some(request.to.raw)),
        Method::Refer => user(request.first(Name::ReferTo)).map(|user| format!("to {user}")),
        Method::Notify => first_line(request.body),
        _ => None,
    };
    if let Some(more) = more {
        label.push(' ');
        label.push_str(&more);
    }
    let authorized = request.first(Name::Authorization).or(request.first(Name::ProxyAuthorization));
    if authorized.is_some() {
        label.push_str(" +credentials");
    }
    label + &sdp_label(request.body)
}

fn response_label(response: &Response<'_>) -> String {
    format!(
        "{} {} ({}){}",
        response.status,
        response.reason,
        response.cseq.method.as_str(),
        sdp_label(response.body)
    )
}

fn first_line(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let line: String =
        text.lines().find(|line| !line.is_empty())?.chars().filter(|c| !c.is_control()).take(60).collect();
    Some(format!("\"{line}\""))
}

/// The direction of a session description.
fn sdp_label(body: &[u8]) -> String {
    if !body.starts_with(b"v=0") {
        return String::new();
    }
    let text = String::from_utf8_lossy(body);
    let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let named =
        text.lines().filter_map(|line| line.strip_prefix("a=")).find(|name| directions.contains(name));
    format!(" [SDP {}]", named.unwrap_or("sendrecv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn arrows_point_from_the_sender_to_the_receiver() {
        let ladder = Ladder::new(vec![
            (address(1), "left".into()),
            (address(2), "middle".into()),
            (address(3), "right".into()),
        ]);
        assert_eq!(ladder.head(), "             left        middle        right");
        let message = b"BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\nAuthorization: Digest response=\"secret\"\r\n\r\n";
        let line =
            |from, to| ladder.line(Duration::from_millis(1500), address(from), address(to), message).unwrap();
        assert_eq!(line(1, 2), "   1.500       |------------>            |        BYE +credentials");
        assert_eq!(line(3, 1), "   1.500       <-------------------------|        BYE +credentials");
        assert_eq!(ladder.line(Duration::ZERO, address(1), address(9), message), None);
        assert_eq!(ladder.line(Duration::ZERO, address(1), address(2), b"\r\n"), None);
    }
}
