//! What a server says, without what differs from run to run.

/// Values that are drawn at random, by what stands before them.
const DRAWN: [&str; 5] = ["tag=", "branch=", "nonce=\"", "o=cordboard ", "rport="];
/// Header fields that are, or that follow from what is: SDP's origin is a number of any length.
const DRAWN_FIELDS: [&str; 3] = ["Date: ", "Call-ID: ", "Content-Length: "];

/// Knows which ports the system chose.
pub(crate) struct Plain(Vec<String>);

impl Plain {
    /// With these addresses, each of which stands for itself.
    pub(crate) fn new<const N: usize>(addresses: [&str; N]) -> Self {
        Self(addresses.map(str::to_owned).to_vec())
    }

    /// A text without all that.
    pub(crate) fn of(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (number, address) in self.0.iter().enumerate() {
            text = text.replace(address.as_str(), &format!("<address {number}>"));
        }
        text.split_inclusive("\r\n").map(of_line).collect()
    }
}

fn of_line(line: &str) -> String {
    for name in DRAWN_FIELDS {
        if line.starts_with(name) {
            return format!("{name}<drawn>\r\n");
        }
    }
    let mut line = line.to_owned();
    for before in DRAWN {
        let mut at = 0;
        while let Some(found) = line[at..].find(before) {
            let start = at + found + before.len();
            let ends =
                |c: char| matches!(c, ';' | '"' | '>' | ',' | '\r') || (c == ' ' && before != "o=cordboard ");
            let end = line[start..].find(ends).map_or(line.len(), |length| start + length);
            line.replace_range(start..end, "<drawn>");
            at = start;
        }
    }
    line
}
