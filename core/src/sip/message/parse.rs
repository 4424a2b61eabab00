//! One pass over the bytes finds the lines; what every message must have is then read and verified.

use super::head::{Field, Fields};
use super::scan::{cut, cut_at_lws, is_lws, is_token, is_token_byte, number};
use super::{CSeq, Fault, Head, Message, Method, Name, NameAddr, Request, Response, Status, Uri, Via, trim};

/// The longest message: what one UDP datagram can carry.
pub const MAX_MESSAGE: usize = 65_535;
/// The most header lines.
pub const MAX_HEADERS: usize = 128;

/// A message that breaks the grammar or lacks what it must have.
#[derive(Debug)]
pub struct Rejected<'a> {
    /// What is wrong.
    pub fault: Fault,
    pub(super) unsound: Option<Unsound<'a>>,
}

/// What could be read of an unsound request, enough to answer it.
#[derive(Debug)]
pub(super) struct Unsound<'a> {
    pub(super) via: Via<'a>,
    pub(super) fields: Fields<'a>,
}

impl<'a> Rejected<'a> {
    fn hopeless(fault: Fault) -> Self {
        Self { fault, unsound: None }
    }

    /// Whether it was a request, other than ACK, that can be answered with [`Writer::refusal`](super::Writer::refusal).
    pub fn is_answerable(&self) -> bool {
        self.unsound.is_some()
    }

    /// The topmost Via of an answerable request.
    pub fn via(&self) -> Option<&Via<'a>> {
        self.unsound.as_ref().map(|unsound| &unsound.via)
    }
}

enum StartLine<'a> {
    Request { method: Method<'a>, uri: &'a str, faults: Option<Fault> },
    Response { status: Status, reason: &'a str },
}

/// Reads one message: a datagram, or what a stream's framing cut out.
///
/// Empty lines before it are skipped (RFC 3261 §7.5). Bytes behind the body are ignored (§18.3).
#[expect(clippy::result_large_err, reason = "messages are large alike, and passed by reference")]
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, Rejected<'_>> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Rejected::hopeless(Fault::TooLong { has: bytes.len(), most: MAX_MESSAGE }));
    }
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let bytes = bytes.get(start..).unwrap_or_default();
    let Lines { first, fields, split, fault } = Lines::sound(bytes).unwrap_or_else(|| Lines::faulty(bytes));
    match start_line(first).map_err(Rejected::hopeless)? {
        StartLine::Request { method, uri, faults } => request(method, uri, fields, &split, fault.or(faults)),
        StartLine::Response { status, reason } => {
            let head = fault.map_or_else(|| head(&fields, &split), Err);
            match head {
                Ok(parts) => Ok(Message::Response(Response { status, reason, head: parts.with(fields) })),
                Err(fault) => Err(Rejected::hopeless(fault)),
            }
        }
    }
}

#[expect(clippy::result_large_err, reason = "as for `parse`")]
fn request<'a>(
    method: Method<'a>,
    uri: &'a str,
    fields: Fields<'a>,
    split: &Split<'a>,
    fault: Option<Fault>,
) -> Result<Message<'a>, Rejected<'a>> {
    let sound = match fault {
        Some(fault) => Err(fault),
        None => request_uri(uri).and_then(|uri| {
            let parts = head(&fields, split)?;
            match method {
                _ if parts.cseq.method == method => Ok((uri, parts)),
                Method::Other(_) => Err(Fault::UnknownMethod),
                _ => Err(Fault::MethodMismatch),
            }
        }),
    };
    match sound {
        Ok((uri, parts)) => Ok(Message::Request(Request { method, uri, head: parts.with(fields) })),
        Err(fault) => {
            let via = fields.first(Name::Via).and_then(|line| Via::of_refused(first_value(line)).ok());
            let unsound = via.filter(|_| method != Method::Ack).map(|via| Unsound { via, fields });
            Err(Rejected { fault, unsound })
        }
    }
}

fn request_uri(text: &str) -> Result<Uri<'_>, Fault> {
    // Headers have no place in a Request-URI (§19.1.1) and must never become real ones.
    Uri::parse(text).ok().filter(|uri| uri.headers.is_none()).ok_or(Fault::BadRequestUri)
}

struct Split<'a> {
    whole: &'a [u8],
    body: &'a [u8],
}

/// The lines of a head: the start line, the header fields up to the first fault, and what follows.
struct Lines<'a> {
    first: &'a str,
    fields: Fields<'a>,
    split: Split<'a>,
    fault: Option<Fault>,
}

impl<'a> Lines<'a> {
    /// Reads a message that is text as a whole and without fault, as nearly all are, in one pass.
    fn sound(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut fields = Fields::new(text);
        let (first, end) = read_lines(text, &mut fields);
        let body = bytes.get(end.ok()??..)?;
        Some(Self { first, fields, split: Split { whole: bytes, body }, fault: None })
    }

    /// Reads any other: the body may be anything, and of a faulty head the first fault counts.
    fn faulty(bytes: &'a [u8]) -> Self {
        let end = memchr::memmem::find(bytes, b"\r\n\r\n").map(|end| end + 2);
        let (head, rest) = end.and_then(|end| bytes.split_at_checked(end)).unwrap_or((bytes, &[]));
        let (text, unreadable) = readable(head);
        let mut fields = Fields::new(text);
        let (first, lines) = read_lines(text, &mut fields);
        let unended = if end.is_none() { Some(Fault::NoEnd) } else { None };
        let split = Split { whole: bytes, body: rest.get(2..).unwrap_or_default() };
        Self { first, fields, split, fault: unreadable.or(unended).or(lines.err()) }
    }
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

/// Returns the start line and fills the table with the header lines, up to the first fault or the empty line; where what
/// follows that starts, if there is one.
fn read_lines<'a>(text: &'a str, fields: &mut Fields<'a>) -> (&'a str, Result<Option<usize>, Fault>) {
    let (first, mut at) = match line_at(text, 0) {
        Ok(Some(end)) => (text.get(..end).unwrap_or_default(), end + 2),
        Ok(None) => (text, text.len()),
        Err(fault) => return (text.split(['\r', '\n']).next().unwrap_or_default(), Err(fault)),
    };
    let bytes = text.as_bytes();
    while at < text.len() {
        if bytes.get(at..at + 2) == Some(b"\r\n") {
            return (first, Ok(Some(at + 2)));
        }
        let start = at;
        let mut end;
        loop {
            end = match line_at(text, at) {
                Ok(Some(end)) => end,
                Ok(None) => text.len(),
                Err(fault) => return (first, Err(fault)),
            };
            at = end + 2;
            // A line that starts with white space goes on with the one before (§7.3.1).
            if !matches!(bytes.get(at), Some(b' ' | b'\t')) {
                break;
            }
        }
        if let Err(fault) = read_field(text, start, end, fields) {
            return (first, Err(fault));
        }
    }
    (first, Ok(None))
}

/// Where the line that starts at `at` ends; `None` when nothing ends it.
fn line_at(text: &str, at: usize) -> Result<Option<usize>, Fault> {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let Some(length) = memchr::memchr2(b'\r', b'\n', rest) else { return Ok(None) };
    if rest.get(length..length + 2) != Some(b"\r\n") {
        return Err(Fault::BadLine);
    }
    Ok(Some(at + length))
}

fn read_field<'a>(text: &'a str, start: usize, end: usize, fields: &mut Fields<'a>) -> Result<(), Fault> {
    let line = text.get(start..end).unwrap_or_default().as_bytes();
    let length = line.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(length).unwrap_or_default();
    let space = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(rest.len());
    if name.is_empty() || rest.get(space) != Some(&b':') {
        return Err(Fault::BadHeader);
    }
    let value = rest.get(space + 1..).unwrap_or_default();
    let value_start = start + length + space + 1 + value.iter().take_while(|byte| is_lws(**byte)).count();
    let value_end = (end - value.iter().rev().take_while(|byte| is_lws(**byte)).count()).max(value_start);
    let known = Name::of(name);
    if let Some(text) = known.singleton()
        && fields.first(known).is_some()
    {
        return Err(Fault::Twice(text));
    }
    // Lossless: a message has at most 65535 bytes.
    fields.push(Field {
        name: known,
        name_start: start as u16,
        name_end: (start + length) as u16,
        value_start: value_start as u16,
        value_end: value_end as u16,
    })
}

fn start_line(line: &str) -> Result<StartLine<'_>, Fault> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (code, reason) = cut(rest, b' ').unwrap_or((rest, ""));
        let code = if code.len() == 3 { number(code) } else { None };
        let status = code.and_then(|code| u16::try_from(code).ok()).and_then(Status::new);
        return Ok(StartLine::Response { status: status.ok_or(Fault::BadStatus)?, reason });
    }
    let (method, rest) = cut(line, b' ').ok_or(Fault::BadStartLine)?;
    if !is_token(method) {
        return Err(Fault::BadStartLine);
    }
    let space = memchr::memrchr(b' ', rest.as_bytes()).ok_or(Fault::BadStartLine)?;
    let (uri, version) = rest.split_at_checked(space).ok_or(Fault::BadStartLine)?;
    let faults = match version {
        " SIP/2.0" => None,
        v if v.eq_ignore_ascii_case(" SIP/2.0") => None,
        v if v.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(" SIP/")) => Some(Fault::BadVersion),
        _ => Some(Fault::BadStartLine),
    };
    Ok(StartLine::Request { method: Method::of(method), uri, faults })
}

/// The verified parts of a head, before the table of fields is moved to its place.
struct Parts<'a> {
    via: Via<'a>,
    from: NameAddr<'a>,
    to: NameAddr<'a>,
    call_id: &'a str,
    cseq: CSeq<'a>,
    body: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Parts<'a> {
    fn with(self, fields: Fields<'a>) -> Head<'a> {
        let Self { via, from, to, call_id, cseq, body, raw } = self;
        Head { via, from, to, call_id, cseq, body, raw, fields }
    }
}

fn head<'a>(fields: &Fields<'a>, split: &Split<'a>) -> Result<Parts<'a>, Fault> {
    let need = |name: Name| fields.first(name).ok_or(Fault::Missing(name.as_str()));
    let via = first_via(need(Name::Via)?)?;
    let from = NameAddr::parse(need(Name::From)?).map_err(|_| Fault::Malformed("From"))?;
    let to = NameAddr::parse(need(Name::To)?).map_err(|_| Fault::Malformed("To"))?;
    let call_id = need(Name::CallId)?;
    if call_id.is_empty() || call_id.bytes().any(|byte| byte <= b' ') {
        return Err(Fault::Malformed("Call-ID"));
    }
    let cseq = cseq(need(Name::CSeq)?).ok_or(Fault::Malformed("CSeq"))?;
    for line in fields.lines(Name::Contact) {
        contact(line)?;
    }
    let body = body(fields, split.body)?;
    Ok(Parts { via, from, to, call_id, cseq, body, raw: split.whole })
}

fn first_via(line: &str) -> Result<Via<'_>, Fault> {
    Via::parse(first_value(line))
}

fn first_value(line: &str) -> &str {
    super::params::split_values(line).next().unwrap_or_default()
}

fn contact(line: &str) -> Result<(), Fault> {
    if line == "*" {
        return Ok(());
    }
    for value in super::params::split_values(line) {
        NameAddr::parse(value).map_err(|_| Fault::Malformed("Contact"))?;
    }
    Ok(())
}

fn cseq(value: &str) -> Option<CSeq<'_>> {
    let (digits, method) = cut_at_lws(value)?;
    let (number, method) = (number(digits)?, trim(method));
    if is_token(method) { Some(CSeq { number, method: Method::of(method) }) } else { None }
}

fn body<'a>(fields: &Fields<'a>, rest: &'a [u8]) -> Result<&'a [u8], Fault> {
    let mut lengths = fields.lines(Name::ContentLength);
    let Some(first) = lengths.next() else { return Ok(rest) };
    if lengths.any(|other| other != first) {
        return Err(Fault::Twice("Content-Length"));
    }
    let digits = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    let says = if digits { first.parse::<usize>().ok() } else { None };
    let says = says.ok_or(Fault::Malformed("Content-Length"))?;
    rest.get(..says).ok_or(Fault::BodyTooShort { says, has: rest.len() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INVITE: &str = "INVITE sip:bob@biloxi.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP pc33.atlanta.com:5070;branch=z9hG4bK776asdhds;rport\r\n\
        v: SIP/2.0/TCP [2001:db8::9]:5062;branch=z9hG4bKx, SIP/2.0/UDP c\r\n\
        Max-Forwards: 70\r\n\
        To: Bob <sip:bob@biloxi.com>\r\n\
        f: \"Alice\" <sip:alice@atlanta.com>;tag=1928301774\r\n\
        Call-ID: a84b4c76e66710@pc33.atlanta.com\r\n\
        CSeq: 314159 INVITE\r\n\
        Subject: a\r\n  folded one\r\n\
        m: <sip:alice@pc33.atlanta.com>\r\n\
        Supported: 100rel, timer\r\n\
        Content-Length: 4\r\n\r\nv=0\n trailing";

    fn request(bytes: &[u8]) -> Request<'_> {
        match parse(bytes) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_with_its_fields_and_body() {
        let r = request(INVITE.as_bytes());
        assert_eq!((r.method, r.uri.raw), (Method::Invite, "sip:bob@biloxi.com"));
        assert_eq!(
            (r.via.transport, r.via.port, r.via.branch()),
            ("UDP", Some(5070), Some("z9hG4bK776asdhds"))
        );
        assert_eq!(r.via.rport(), Some(None));
        assert_eq!(r.values(Name::Via).count(), 3);
        assert_eq!((r.from.tag(), r.to.tag()), (Some("1928301774"), None));
        assert_eq!((r.cseq.number, r.cseq.method), (314_159, Method::Invite));
        assert_eq!(r.first(Name::Subject), Some("a\r\n  folded one"));
        assert_eq!(r.contact().map(|c| c.uri.raw), Some("sip:alice@pc33.atlanta.com"));
        assert!(r.has_token(Name::Supported, "TIMER") && !r.has_token(Name::Supported, "replaces"));
        assert_eq!(r.body, b"v=0\n");
        assert_eq!(r.number(Name::MaxForwards), Some(70));
        assert_eq!(r.other("max-forwards"), Some("70"));
    }

    #[test]
    fn a_fault_says_what_the_sender_did() {
        let with = |from: &str, to: &str| match parse(INVITE.replace(from, to).into_bytes().leak()) {
            Err(rejected) => (rejected.fault, rejected.is_answerable()),
            Ok(message) => panic!("{message:?}"),
        };
        assert_eq!(
            with("Content-Length: 4", "Content-Length: 9000"),
            (Fault::BodyTooShort { says: 9000, has: 13 }, true)
        );
        assert_eq!(
            with("Content-Length: 4", "Content-Length: -4"),
            (Fault::Malformed("Content-Length"), true)
        );
        assert_eq!(with("314159 INVITE", "1 BYE"), (Fault::MethodMismatch, true));
        assert_eq!(with("INVITE sip", "EXTEND sip"), (Fault::UnknownMethod, true));
        assert_eq!(with("776asdhds", "776asdhds;;"), (Fault::BadParameter, true));
        assert_eq!(with("314159 INVITE", "99999999999 INVITE"), (Fault::Malformed("CSeq"), true));
        assert_eq!(with("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), (Fault::BadVersion, true));
        assert_eq!(with("sip:bob@biloxi.com SIP", "sip:bob@biloxi.com  SIP"), (Fault::BadRequestUri, true));
        assert_eq!(with("Max-Forwards", "To"), (Fault::Twice("To"), true));
        assert_eq!(with("Max-Forwards: 70\r\n", "Max-Forwards: 70\n"), (Fault::BadLine, true));
        assert_eq!(with("Supported:", "Supported"), (Fault::BadHeader, true));
        assert_eq!(with("SIP/2.0/UDP pc33", "SIP/3.0/UDP pc33"), (Fault::Malformed("Via"), true));
        assert!(!with("INVITE sip", "ACK sip").1);
        assert_eq!(with("INVITE sip:bob@biloxi.com SIP/2.0", "hello"), (Fault::BadStartLine, false));
    }

    #[test]
    fn what_stands_before_the_first_line_that_is_not_utf8_is_read_to_answer_it() {
        let with = |from: &str| {
            let (front, back) = INVITE.split_once(from).unwrap();
            let bytes = [front.as_bytes(), from.as_bytes(), b"\xe9", back.as_bytes()].concat();
            parse(bytes.leak()).err().map(|rejected| (rejected.fault, rejected.is_answerable()))
        };
        assert_eq!(with("Subject: a"), Some((Fault::NotUtf8, true)));
        assert_eq!(with("UDP pc33"), Some((Fault::NotUtf8, false)));
        // Without a whole line there is not even a request.
        assert_eq!(with("INVITE sip"), Some((Fault::BadStartLine, false)));
    }

    #[test]
    fn more_header_lines_than_the_limit_are_refused() {
        let many = INVITE.replace("Subject", &"X: y\r\n".repeat(MAX_HEADERS)).into_bytes();
        assert_eq!(parse(&many).err().map(|r| r.fault), Some(Fault::TooManyHeaders(MAX_HEADERS)));
    }

    proptest! {
        #[test]
        fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn no_change_to_a_message_makes_it_panic(at in 0usize..INVITE.len(), byte: u8, cut in 0usize..INVITE.len()) {
            let mut bytes = INVITE.as_bytes().to_vec();
            bytes[at] = byte;
            bytes.truncate(cut);
            // What is still taken has all that every message must have.
            if let Ok(Message::Request(request)) = parse(&bytes) {
                prop_assert!(!request.call_id.is_empty());
                prop_assert_eq!(request.cseq.method, request.method);
            }
        }
    }
}
