//! SIP messages that came to a peer which a test plays, and what it says to them.

/// A message, and how it came (`W`), which is how its answer goes.
#[derive(Clone, Debug)]
pub struct Mail<W> {
    /// How it came.
    pub way: W,
    /// The message.
    pub text: String,
}

impl<W> Mail<W> {
    /// The start line.
    pub fn start(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// The value of the first header line of this name; empty if there is none.
    pub fn field(&self, name: &str) -> &str {
        self.fields(name).next().unwrap_or_default()
    }

    fn fields<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let begin = format!("{name}: ");
        head.lines().filter_map(move |line| line.strip_prefix(&begin))
    }

    /// The body.
    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// The branch of the topmost Via.
    pub fn branch(&self) -> &str {
        let via = self.field("Via");
        via.split("branch=").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default()
    }

    /// The `o=` line of its SDP: session and version.
    pub fn origin(&self) -> (u64, u64) {
        let line = self.body().lines().find_map(|line| line.strip_prefix("o=")).expect("it has SDP");
        let mut words = line.split(' ').skip(1).map(|word| word.parse().expect("it is a number"));
        (words.next().expect("a session"), words.next().expect("a version"))
    }

    /// An answer to it: with this tag, where none is there yet, this Contact (none if empty), these header lines (each
    /// with CR LF) and this body.
    pub fn answer(&self, status: &str, (tag, contact): (&str, &str), lines: &str, body: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "Record-Route"] {
            for value in self.fields(name) {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let tagged = self.field("To").contains(";tag=");
        let tag = if tagged { String::new() } else { format!(";tag={tag}") };
        text.push_str(&format!(
            "From: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n",
            self.field("From"),
            self.field("To"),
            self.field("Call-ID"),
            self.field("CSeq"),
        ));
        if !contact.is_empty() {
            text.push_str(&format!("Contact: <{contact}>\r\n"));
        }
        text + lines + &tail(body)
    }
}

/// The end of a message with this body: SDP, or plain text.
pub(crate) fn tail(body: &str) -> String {
    match body {
        "" => "Content-Length: 0\r\n\r\n".to_owned(),
        body if body.starts_with("v=0") => {
            format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
        body => format!("Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    }
}

/// The length of the message that the bytes of a connection begin with, if it is whole.
pub(crate) fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).expect("a head is text");
    let mut lengths = text.lines().filter_map(|line| line.strip_prefix("Content-Length: "));
    let body: usize = lengths.next_back().expect("it says how long it is").trim().parse().expect("a length");
    (bytes.len() >= head + body).then_some(head + body)
}
