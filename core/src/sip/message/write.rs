//! Writing messages straight into the buffer that is sent.

use crate::mistakes::{self, Mistake};
use std::net::{IpAddr, SocketAddr};

use super::scan::{cut, first_below};
use super::{Method, Name, NameAddr, Rejected, Request, Status, Via, trim};

/// Appends one message to a buffer. No value that it is given can end its line: CR, LF and NUL become spaces.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Writer<'o> {
    /// Begins a request.
    pub fn request(out: &'o mut Vec<u8>, method: Method<'_>, uri: &str) -> Self {
        out.extend_from_slice(method.as_str().as_bytes());
        out.push(b' ');
        push_value(out, uri);
        out.extend_from_slice(b" SIP/2.0\r\n");
        Self { out }
    }

    /// Header lines alone, to be put into a message later with [`lines`](Self::lines).
    pub(crate) fn lines_only(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Begins a response; without a reason its phrase is that of the status.
    pub fn response(out: &'o mut Vec<u8>, status: Status, reason: Option<&str>) -> Self {
        out.extend_from_slice(b"SIP/2.0 ");
        push_number(out, status.code().into());
        out.push(b' ');
        match reason {
            Some(reason) => push_value(out, reason),
            None => out.extend_from_slice(status.phrase().as_bytes()),
        }
        out.extend_from_slice(b"\r\n");
        Self { out }
    }

    /// Begins the answer to a request (RFC 3261 §8.2.6): all Via lines, the topmost with `received` and `rport`
    /// (§18.2.1, RFC 3581 §4), From, To with our tag if it had none, Call-ID, CSeq, and Record-Route where a
    /// dialog can come of it.
    pub fn answer(
        out: &'o mut Vec<u8>,
        request: &Request<'_>,
        source: SocketAddr,
        status: Status,
        to_tag: Option<&str>,
    ) -> Self {
        let mut writer = Self::response(out, status, None);
        let is_plain = request.fields.are_plain;
        writer.vias(&request.via, request.lines(Name::Via), source, is_plain);
        let makes_dialog = matches!(request.method, Method::Invite | Method::Subscribe | Method::Refer);
        if makes_dialog && status.code() > 100 && status.code() < 300 {
            for line in request.lines(Name::RecordRoute) {
                writer.repeat(Name::RecordRoute, line, is_plain);
            }
        }
        writer.repeat(Name::From, request.from.raw, is_plain);
        match (request.to.tag(), to_tag) {
            (None, Some(tag)) => {
                writer.field_parts(Name::To, &[request.to.raw, ";tag=", tag]);
            }
            _ => writer.repeat(Name::To, request.to.raw, is_plain),
        }
        writer.repeat(Name::CallId, request.call_id, is_plain);
        writer.cseq(request.cseq.number, request.cseq.method);
        if status == Status::TRYING
            && let Some(timestamp) = request.first(Name::Timestamp)
        {
            writer.field(Name::Timestamp, timestamp);
        }
        writer
    }

    /// Writes the whole answer to a request that could not be read; nothing when it is not answerable. A To that can be
    /// read and has no tag gets ours (RFC 3261 §8.2.6.2).
    pub fn refusal(out: &'o mut Vec<u8>, rejected: &Rejected<'_>, source: SocketAddr, to_tag: &str) {
        let Some(unsound) = rejected.unsound.as_ref() else { return };
        let mut writer = Self::response(out, rejected.fault.status(), None);
        writer.vias(&unsound.via, unsound.fields.lines(Name::Via), source, false);
        for name in [Name::From, Name::To, Name::CallId, Name::CSeq] {
            let Some(value) = unsound.fields.first(name) else { continue };
            let untagged = name == Name::To && NameAddr::parse(value).is_ok_and(|to| to.tag().is_none());
            match untagged {
                true => writer.field_parts(name, &[value, ";tag=", to_tag]),
                false => writer.field(name, value),
            };
        }
        let why = rejected.fault.to_string().replace('"', "'");
        writer.field_parts(Name::Warning, &["399 cordboard \"", &why, "\""]);
        writer.end();
    }

    fn vias<'a>(
        &mut self,
        top: &Via<'_>,
        lines: impl Iterator<Item = &'a str>,
        source: SocketAddr,
        is_plain: bool,
    ) {
        for (place, line) in lines.enumerate() {
            self.start(Name::Via);
            if place == 0 {
                self.top_via(top, source, is_plain);
                // Further values may stand in the same line.
                let behind = line.get(top.raw.len()..).unwrap_or_default();
                push_read(self.out, trim_start(behind), is_plain);
            } else {
                push_read(self.out, line, is_plain);
            }
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn top_via(&mut self, via: &Via<'_>, source: SocketAddr, is_plain: bool) {
        let asks_port = via.rport().is_some();
        if !asks_port && !via.differs_from(source) {
            push_read(self.out, via.raw, is_plain);
            return;
        }
        let front = match via.params.raw() {
            "" => cut(via.raw, b';').map_or(via.raw, |(front, _)| front),
            params => via.raw.get(..via.raw.len().saturating_sub(params.len() + 1)).unwrap_or_default(),
        };
        push_read(self.out, trim(front), is_plain);
        for (name, whole) in super::params::as_sent(via.params.raw()) {
            let is_ours = match name.len() {
                0 => true,
                5 => name.eq_ignore_ascii_case("rport"),
                8 => name.eq_ignore_ascii_case("received"),
                _ => false,
            };
            if !is_ours {
                self.out.push(b';');
                push_read(self.out, whole, is_plain);
            }
        }
        self.out.extend_from_slice(b";received=");
        push_address(self.out, source);
        if asks_port {
            self.out.extend_from_slice(b";rport=");
            push_number(self.out, source.port().into());
        }
    }

    /// Appends a header field with what was read from a message, which is plain where that was.
    fn repeat(&mut self, name: Name, value: &str, is_plain: bool) {
        self.start(name);
        push_read(self.out, value, is_plain);
        self.out.extend_from_slice(b"\r\n");
    }

    fn start(&mut self, name: Name) {
        self.out.extend_from_slice(name.start_of_line().as_bytes());
    }

    /// Appends a header field.
    pub fn field(&mut self, name: Name, value: &str) -> &mut Self {
        self.start(name);
        push_value(self.out, value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Appends a header field whose value is these pieces, one behind the other.
    pub fn field_parts(&mut self, name: Name, pieces: &[&str]) -> &mut Self {
        self.start(name);
        for piece in pieces {
            push_value(self.out, piece);
        }
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Appends a header field that [`Name`] does not have.
    pub fn other(&mut self, name: &str, value: &str) -> &mut Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        push_value(self.out, value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Appends a header field with a number.
    pub fn number(&mut self, name: Name, value: u32) -> &mut Self {
        self.start(name);
        push_number(self.out, value.into());
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Appends `CSeq`.
    pub fn cseq(&mut self, number: u32, method: Method<'_>) -> &mut Self {
        self.start(Name::CSeq);
        push_number(self.out, number.into());
        self.out.push(b' ');
        push_value(self.out, method.as_str());
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Appends whole header lines, each with its CR LF, that another writer made.
    pub(crate) fn lines(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        write(self.out);
        self
    }

    /// Ends the message without a body.
    pub fn end(self) {
        self.out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    }

    /// Ends the message with a body that `write` appends.
    pub fn body(self, content_type: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let Self { out } = self;
        out.extend_from_slice(b"Content-Type: ");
        push_value(out, content_type);
        out.extend_from_slice(b"\r\nContent-Length: ");
        // The length is known behind the body: its place is kept free with white space, which may stand there.
        let place = out.len();
        out.extend_from_slice(b"     \r\n\r\n");
        let start = out.len();
        write(out);
        let length = out.len() - start + usize::from(mistakes::on(Mistake::MiscountBody));
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(length).as_bytes();
        for (slot, digit) in out.iter_mut().skip(place).take(5).rev().zip(digits.iter().rev()) {
            *slot = *digit;
        }
    }
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n'])
}

pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn push_address(out: &mut Vec<u8>, source: SocketAddr) {
    match source.ip().to_canonical() {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                push_octet(out, octet);
            }
        }
        // `received` carries IPv6 without brackets (§25.1, via-received).
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

fn push_octet(out: &mut Vec<u8>, octet: u8) {
    if octet >= 100 {
        out.push(b'0' + octet / 100);
    }
    if octet >= 10 {
        out.push(b'0' + octet / 10 % 10);
    }
    out.push(b'0' + octet % 10);
}

/// Appends what was read from a message. Where no line of that holds a control character it cannot end its line here.
fn push_read(out: &mut Vec<u8>, value: &str, is_plain: bool) {
    if is_plain {
        out.extend_from_slice(value.as_bytes());
    } else {
        push_value(out, value);
    }
}

fn push_value(out: &mut Vec<u8>, value: &str) {
    // CR, LF and NUL lie below, and little else that a value may hold.
    if first_below::<0x0e>(value.as_bytes()).is_none() {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    out.extend(value.bytes().map(|byte| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte }));
}

#[cfg(test)]
mod tests {
    use super::super::{Message, parse};
    use super::*;

    fn source() -> SocketAddr {
        "192.0.2.9:4711".parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_the_same() {
        let mut out = Vec::new();
        let mut writer = Writer::request(&mut out, Method::Refer, "sip:bob@example.com;transport=udp");
        writer
            .field_parts(Name::Via, &["SIP/2.0/UDP 127.0.0.1:5060;branch=", "z9hG4bKabc", ";rport"])
            .field(Name::From, "\"A\" <sip:a@example.com>;tag=1")
            .field(Name::To, "<sip:b@example.com>;tag=2")
            .field(Name::CallId, "x")
            .cseq(2, Method::Refer)
            .field(Name::Subject, "evil\r\nX-Injected: yes\0");
        writer.body("text/plain", |out| out.extend_from_slice(b"hello"));
        let Ok(Message::Request(request)) = parse(&out) else { panic!("{}", String::from_utf8_lossy(&out)) };
        assert_eq!(request.method, Method::Refer);
        assert_eq!(request.body, b"hello");
        assert_eq!(request.first(Name::Subject), Some("evil  X-Injected: yes"));
        assert_eq!(request.other("X-Injected"), None);
    }

    fn answer(via: &str) -> String {
        let text = format!(
            "OPTIONS sip:a@b SIP/2.0\r\n{via}\r\nVia: SIP/2.0/TCP second\r\nTo: <sip:a@b>\r\nFrom: <sip:c@d>;tag=9\r\nCall-ID: 1\r\nCSeq: 7 OPTIONS\r\n\r\n"
        );
        let Ok(Message::Request(request)) = parse(text.as_bytes()) else { panic!("{text}") };
        let mut out = Vec::new();
        Writer::answer(&mut out, &request, source(), Status::OK, Some("ours")).end();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_an_answer_repeats_cannot_end_its_line() {
        let text = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;rport;x=\"a\r\n b\"\r\nv: SIP/2.0/UDP d\r\n ;y\r\n\
            To: A\r\n\tB <sip:a@b>\r\nFrom: \"C\0\" <sip:c@d>;tag=9\r\nCall-ID: 1\r\nCSeq: 7 OPTIONS\r\n\r\n";
        let Ok(Message::Request(request)) = parse(text.as_bytes()) else { panic!("{text}") };
        let mut out = Vec::new();
        Writer::answer(&mut out, &request, source(), Status::OK, Some("ours")).end();
        let lines: Vec<_> = std::str::from_utf8(&out).unwrap().split("\r\n").collect();
        let expected = [
            "SIP/2.0 200 OK",
            "Via: SIP/2.0/UDP c;x=\"a   b\";received=192.0.2.9;rport=4711",
            "Via: SIP/2.0/UDP d   ;y",
            "From: \"C \" <sip:c@d>;tag=9",
            "To: A  \tB <sip:a@b>;tag=ours",
            "Call-ID: 1",
            "CSeq: 7 OPTIONS",
            "Content-Length: 0",
            "",
            "",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_top_via_tells_where_the_request_came_from() {
        let a = answer("Via: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKx");
        assert!(a.contains("Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKx;received=192.0.2.9;rport=4711\r\nVia: SIP/2.0/TCP second\r\n"), "{a}");
        let a = answer("Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx , SIP/2.0/UDP other");
        assert!(a.contains("Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx, SIP/2.0/UDP other\r\n"), "{a}");
        let a = answer("Via: SIP/2.0/UDP host.example;branch=z9hG4bKx;received=1.2.3.4, SIP/2.0/UDP other");
        assert!(
            a.contains(
                "Via: SIP/2.0/UDP host.example;branch=z9hG4bKx;received=192.0.2.9, SIP/2.0/UDP other\r\n"
            ),
            "{a}"
        );
        assert!(a.contains("To: <sip:a@b>;tag=ours\r\n"), "{a}");
    }

    #[test]
    fn an_unreadable_request_is_answered_with_what_could_be_read() {
        let text = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx\r\nTo: <sip:a@b>\r\nFrom: <sip:c@d>;tag=9\r\nCall-ID: 1\r\nCSeq: 7 INVITE\r\n\r\n";
        let Err(rejected) = parse(text.as_bytes()) else { panic!("it was taken") };
        let mut out = Vec::new();
        Writer::refusal(&mut out, &rejected, source(), "ours");
        let answer = String::from_utf8(out).unwrap();
        assert!(
            answer.starts_with("SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx\r\n"),
            "{answer}"
        );
        assert!(answer.contains("To: <sip:a@b>;tag=ours\r\n"), "{answer}");
        assert!(answer.contains("CSeq: 7 INVITE\r\n"), "{answer}");
    }
}
