//! As much of a SIP message as a phone by rote has to read.
//!
//! For servers that are the only hop and write header fields by their full names: ours, and the floor.

use memchr::memchr_iter;

/// Which phone of a call a message is for or from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The phone that is rung first, user `uNUMBER`.
    Calling,
    /// The one that it is connected to, user `vNUMBER`.
    Called,
}

/// A phone of the call with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Which of the two.
    pub side: Side,
    /// The call's number.
    pub number: u64,
}

impl Party {
    /// The party whose user name stands behind this mark.
    pub fn behind(mark: &[u8], text: &[u8]) -> Option<Self> {
        let at = memchr::memmem::find(text, mark)? + mark.len();
        let (letter, rest) = text.get(at..)?.split_first()?;
        let side = match letter {
            b'u' => Side::Calling,
            b'v' => Side::Called,
            _ => return None,
        };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits
            .fold(0, |number: u64, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
        Some(Self { side, number })
    }

    /// The letter that its user name begins with.
    pub fn letter(self) -> u8 {
        match self.side {
            Side::Calling => b'u',
            Side::Called => b'v',
        }
    }
}

/// The start line and the values of the fields that phones repeat; of a field that is missing, nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'a> {
    /// The request line or status line.
    pub start: &'a [u8],
    /// The only hop.
    pub via: &'a [u8],
    /// Who sends the request.
    pub from: &'a [u8],
    /// Whom it is for.
    pub to: &'a [u8],
    /// The dialog's name.
    pub call_id: &'a [u8],
    /// Number and method.
    pub cseq: &'a [u8],
    /// Where its sender is reached.
    pub contact: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message up to its empty line; `None` without one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut message = Self::default();
        let mut begin = 0;
        for end in memchr_iter(b'\n', bytes) {
            let line = bytes.get(begin..end)?.strip_suffix(b"\r")?;
            begin = end + 1;
            if line.is_empty() {
                return (!message.start.is_empty()).then_some(message);
            }
            if message.start.is_empty() {
                message.start = line;
            } else {
                message.keep(line);
            }
        }
        None
    }

    fn keep(&mut self, line: &'a [u8]) {
        let fields: [(&[u8], &mut &'a [u8]); 6] = match line.first() {
            Some(b'V' | b'F' | b'T' | b'C') => [
                (b"Via: ", &mut self.via),
                (b"From: ", &mut self.from),
                (b"To: ", &mut self.to),
                (b"Call-ID: ", &mut self.call_id),
                (b"CSeq: ", &mut self.cseq),
                (b"Contact: ", &mut self.contact),
            ],
            _ => return,
        };
        for (name, place) in fields {
            if let Some(value) = line.strip_prefix(name) {
                *place = value;
                return;
            }
        }
    }

    /// The method of a request; of a response, its version.
    pub fn method(&self) -> &'a [u8] {
        let end = memchr::memchr(b' ', self.start).unwrap_or(self.start.len());
        self.start.get(..end).unwrap_or_default()
    }

    /// Whether the request is one of a dialog.
    pub fn is_in_dialog(&self) -> bool {
        memchr::memmem::find(self.to, b";tag=").is_some()
    }

    /// The URI of the contact.
    pub fn target(&self) -> &'a [u8] {
        let begin = memchr::memchr(b'<', self.contact).map_or(0, |at| at + 1);
        let rest = self.contact.get(begin..).unwrap_or_default();
        let end = memchr::memchr(b'>', rest).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] = b"INVITE sip:u12@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5;branch=z9hG4bKx\r\n\
        Max-Forwards: 70\r\nFrom: <sip:agent@example.com>;tag=a\r\nTo: <sip:u12@example.com>\r\nCall-ID: c\r\n\
        CSeq: 1 INVITE\r\nContact: <sip:c@127.0.0.1:5>\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn a_message_is_read_as_far_as_a_phone_needs_it() {
        let message = Message::read(INVITE).expect("it is whole");
        assert_eq!(message.method(), b"INVITE");
        assert_eq!(message.via, b"SIP/2.0/UDP 127.0.0.1:5;branch=z9hG4bKx");
        assert_eq!(message.from, b"<sip:agent@example.com>;tag=a");
        assert_eq!((message.call_id, message.cseq), (&b"c"[..], &b"1 INVITE"[..]));
        assert_eq!(message.target(), b"sip:c@127.0.0.1:5");
        assert!(!message.is_in_dialog());
        let party = Party::behind(b" sip:", message.start);
        assert_eq!(party, Some(Party { side: Side::Calling, number: 12 }));
    }

    #[test]
    fn a_message_without_an_end_is_none() {
        assert!(Message::read(&INVITE[..INVITE.len() - 2]).is_none());
        assert!(Message::read(b"\r\n\r\n").is_none());
    }
}
