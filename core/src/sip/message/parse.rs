//! Reads a message: of what its lines hold, what every message must have is read and verified.

use super::head::Fields;
use super::lines::{self, Lines};
use super::params::split_values;
use super::scan::{cut, first_below, is_lws, is_token, number};
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
    // The table of lines is large, so it stays here until the message is made around it.
    let mut fields = Fields::new();
    let lines = lines::sound(bytes, &mut fields).unwrap_or_else(|| {
        fields = Fields::new();
        lines::faulty(bytes, &mut fields)
    });
    match start_line(lines.first).map_err(Rejected::hopeless)? {
        StartLine::Request { method, uri, faults } => {
            match sound_request(method, uri, faults, &fields, &lines) {
                Ok((uri, parts)) => Ok(Message::Request(Request { method, uri, head: parts.with(fields) })),
                Err(fault) => Err(refused(method, fields, fault)),
            }
        }
        StartLine::Response { status, reason } => match sound_head(&fields, &lines) {
            Ok(parts) => Ok(Message::Response(Response { status, reason, head: parts.with(fields) })),
            Err(fault) => Err(Rejected::hopeless(fault)),
        },
    }
}

#[inline(always)]
fn sound_request<'a>(
    method: Method<'a>,
    uri: &'a str,
    faults: Option<Fault>,
    fields: &Fields<'a>,
    lines: &Lines<'a>,
) -> Result<(Uri<'a>, Parts<'a>), Fault> {
    if let Some(fault) = lines.fault.or(faults) {
        return Err(fault);
    }
    let uri = request_uri(uri)?;
    let parts = sound_head(fields, lines)?;
    match method {
        _ if parts.cseq.method == method => Ok((uri, parts)),
        Method::Other(_) => Err(Fault::UnknownMethod),
        _ => Err(Fault::MethodMismatch),
    }
}

#[cold]
fn refused<'a>(method: Method<'a>, fields: Fields<'a>, fault: Fault) -> Rejected<'a> {
    let via = fields.first(Name::Via).and_then(|line| Via::of_refused(line).ok());
    let unsound = via.filter(|_| method != Method::Ack).map(|via| Unsound { via, fields });
    Rejected { fault, unsound }
}

fn request_uri(text: &str) -> Result<Uri<'_>, Fault> {
    // Headers have no place in a Request-URI (§19.1.1) and must never become real ones.
    Uri::parse(text).ok().filter(|uri| uri.headers.is_none()).ok_or(Fault::BadRequestUri)
}

fn start_line(line: &str) -> Result<StartLine<'_>, Fault> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (code, reason) = cut(rest, b' ').unwrap_or((rest, ""));
        let code = if code.len() == 3 { number(code) } else { None };
        let status = code.and_then(|code| u16::try_from(code).ok()).and_then(Status::new);
        return Ok(StartLine::Response { status: status.ok_or(Fault::BadStatus)?, reason });
    }
    let (method, rest) = cut(line, b' ').ok_or(Fault::BadStartLine)?;
    let method = match Method::of(method) {
        Method::Other(method) if !is_token(method) => return Err(Fault::BadStartLine),
        method => method,
    };
    if let Some(uri) = rest.strip_suffix(" SIP/2.0") {
        return Ok(StartLine::Request { method, uri, faults: None });
    }
    let space = memchr::memrchr(b' ', rest.as_bytes()).ok_or(Fault::BadStartLine)?;
    let (uri, version) = rest.split_at_checked(space).ok_or(Fault::BadStartLine)?;
    let faults = match version {
        v if v.eq_ignore_ascii_case(" SIP/2.0") => None,
        v if v.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(" SIP/")) => Some(Fault::BadVersion),
        _ => Some(Fault::BadStartLine),
    };
    Ok(StartLine::Request { method, uri, faults })
}

/// The verified parts of a head, before the table of fields is moved to its place.
struct Parts<'a> {
    via: Via<'a>,
    from: NameAddr<'a>,
    to: NameAddr<'a>,
    call_id: &'a str,
    cseq: CSeq<'a>,
    contact: Option<NameAddr<'a>>,
    body: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Parts<'a> {
    #[inline]
    fn with(self, fields: Fields<'a>) -> Head<'a> {
        let Self { via, from, to, call_id, cseq, contact, body, raw } = self;
        Head { via, from, to, call_id, cseq, body, raw, contact, fields }
    }
}

#[inline(always)]
fn sound_head<'a>(fields: &Fields<'a>, lines: &Lines<'a>) -> Result<Parts<'a>, Fault> {
    if let Some(fault) = lines.fault {
        return Err(fault);
    }
    let need = |name: Name| fields.first(name).ok_or(Fault::Missing(name.as_str()));
    let via = Via::first(need(Name::Via)?)?;
    let from = NameAddr::parse(need(Name::From)?).map_err(|_| Fault::Malformed("From"))?;
    let to = NameAddr::parse(need(Name::To)?).map_err(|_| Fault::Malformed("To"))?;
    let call_id = need(Name::CallId)?;
    if call_id.is_empty() || first_below::<0x21>(call_id.as_bytes()).is_some() {
        return Err(Fault::Malformed("Call-ID"));
    }
    let cseq = cseq(need(Name::CSeq)?).ok_or(Fault::Malformed("CSeq"))?;
    let contact = match fields.first(Name::Contact) {
        Some(line) => contact(line)?,
        None => None,
    };
    for line in fields.lines(Name::Contact).skip(1) {
        self::contact(line)?;
    }
    let body = body(fields, lines.rest)?;
    Ok(Parts { via, from, to, call_id, cseq, contact, body, raw: lines.whole })
}

/// Verifies what one Contact line names; the first of them, unless it is `*`.
#[inline]
fn contact(line: &str) -> Result<Option<NameAddr<'_>>, Fault> {
    if let Some(only) = NameAddr::plain(line) {
        return Ok(Some(only));
    }
    if line == "*" {
        return Ok(None);
    }
    let mut values = split_values(line);
    let bad = |_| Fault::Malformed("Contact");
    let first = NameAddr::parse(values.next().unwrap_or_default()).map_err(bad)?;
    for value in values {
        NameAddr::parse(value).map_err(bad)?;
    }
    Ok(Some(first))
}

#[inline]
fn cseq(value: &str) -> Option<CSeq<'_>> {
    let bytes = value.as_bytes();
    let (mut number, mut end) = (0u64, 0);
    while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
        if number > u32::MAX.into() {
            return None;
        }
        number = number * 10 + u64::from(*digit - b'0');
        end += 1;
    }
    if end == 0 || !bytes.get(end).is_some_and(|byte| is_lws(*byte)) {
        return None;
    }
    let (number, method) = (u32::try_from(number).ok()?, value.get(end..)?);
    match Method::of(trim(method)) {
        Method::Other(method) if !is_token(method) => None,
        method => Some(CSeq { number, method }),
    }
}

fn body<'a>(fields: &Fields<'a>, rest: &'a [u8]) -> Result<&'a [u8], Fault> {
    let mut lengths = fields.lines(Name::ContentLength);
    let Some(first) = lengths.next() else { return Ok(rest) };
    if lengths.any(|other| other != first) {
        return Err(Fault::Twice("Content-Length"));
    }
    let says = match number(first) {
        Some(says) => Some(says as usize),
        None if first.bytes().all(|byte| byte.is_ascii_digit()) => first.parse().ok(),
        None => None,
    };
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
