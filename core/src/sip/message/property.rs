//! What is written is read as it was meant, and writing what was read changes nothing any more.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::{Head, MAX_HEADERS, Message, Method, Name, NameAddr, Request, Status, Uri, Via, Writer, parse};
use crate::sip::dialog::{Dialog, Ends, Sending};

/// Names that may stand more than once, or that nothing relies on.
const FREE: [Name; 12] = [
    Name::Subject,
    Name::Contact,
    Name::Route,
    Name::Supported,
    Name::Require,
    Name::Allow,
    Name::Reason,
    Name::Server,
    Name::ReferTo,
    Name::Event,
    Name::RetryAfter,
    Name::Authorization,
];

fn methods() -> impl Strategy<Value = String> {
    let known = prop::sample::select(super::method::tests::KNOWN.to_vec());
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "[A-Za-z0-9.!%*_+`'~-]{1,12}"]
}

fn uris() -> impl Strategy<Value = String> {
    let host = "(example\\.com|192\\.0\\.2\\.1|\\[2001:db8::1\\])(:[1-9][0-9]{0,3})?";
    ("(sips?)", ".{0,8}", host, "(;[a-z]{1,5}(=[a-z0-9]{1,5})?){0,2}").prop_map(
        |(scheme, user, host, params)| {
            let user =
                if user.is_empty() { String::new() } else { format!("{}@", super::escape_user(&user)) };
            format!("{scheme}:{user}{host}{params}")
        },
    )
}

fn addresses() -> impl Strategy<Value = String> {
    (uris(), "[^\r\n\0]{0,12}", prop::option::of("[0-9a-z.-]{1,12}")).prop_map(|(uri, display, tag)| {
        let display = match display.as_str() {
            "" => String::new(),
            display => format!("\"{}\" ", display.replace('\\', "\\\\").replace('"', "\\\"")),
        };
        let tag = tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
        format!("{display}<{uri}>{tag}")
    })
}

fn vias() -> impl Strategy<Value = String> {
    let host = "(host\\.example|192\\.0\\.2\\.7|\\[2001:db8::7\\])(:[1-9][0-9]{0,3})?";
    ("(UDP|TCP|TLS)", host, "[0-9a-zA-Z]{1,12}", "(;rport|;received=192\\.0\\.2\\.8|;x=\"a,;b\"){0,2}")
        .prop_map(|(transport, host, branch, more)| {
            format!("SIP/2.0/{transport} {host};branch=z9hG4bK{branch}{more}")
        })
}

/// A message by its parts.
#[derive(Clone, Debug)]
struct Parts {
    /// Method and Request-URI, or status and reason.
    start: Result<(String, String), (u16, String)>,
    vias: Vec<String>,
    from: String,
    to: String,
    call_id: String,
    cseq: (u32, String),
    others: Vec<(Name, String)>,
    body: Option<(String, Vec<u8>)>,
}

fn parts() -> impl Strategy<Value = Parts> {
    let value = |name: Name| match name {
        Name::Contact => addresses().boxed(),
        _ => "[^\0]{0,30}".boxed(),
    };
    let others = prop::sample::select(FREE.to_vec()).prop_flat_map(move |name| (Just(name), value(name)));
    let body = prop::option::of(("[a-z]{1,8}/[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..60)));
    let start = prop_oneof![(methods(), uris()).prop_map(Ok), (100u16..700, ".{0,20}").prop_map(Err),];
    let head = (prop::collection::vec(vias(), 1..4), addresses(), addresses(), "[!-~]{1,20}");
    ((start, head), (any::<u32>(), methods(), prop::collection::vec(others, 0..8), body)).prop_map(
        |((start, (vias, from, to, call_id)), (number, method, others, body))| {
            let method = start.as_ref().map_or(method, |(method, _)| method.clone());
            Parts { start, vias, from, to, call_id, cseq: (number, method), others, body }
        },
    )
}

/// As the writer makes it.
fn written(parts: &Parts) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = match &parts.start {
        Ok((method, uri)) => Writer::request(&mut out, Method::of(method), uri),
        Err((status, reason)) => Writer::response(&mut out, Status::new(*status).unwrap(), Some(reason)),
    };
    for via in &parts.vias {
        writer.field(Name::Via, via);
    }
    writer.field(Name::From, &parts.from).field(Name::To, &parts.to).field(Name::CallId, &parts.call_id);
    writer.cseq(parts.cseq.0, Method::of(&parts.cseq.1));
    for (name, value) in &parts.others {
        writer.field(*name, value);
    }
    match &parts.body {
        Some((kind, body)) => writer.body(kind, |out| out.extend_from_slice(body)),
        None => writer.end(),
    }
    out
}

/// What a reader makes of a value: no line ends inside, no white space around.
fn as_read(value: &str) -> String {
    super::trim(&value.replace(['\r', '\n', '\0'], " ")).to_owned()
}

fn head<'a, 'm>(message: &'a Message<'m>) -> &'a Head<'m> {
    match message {
        Message::Request(request) => request,
        Message::Response(response) => response,
    }
}

/// A message that was read, written again line by line.
fn rewritten(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = match message {
        Message::Request(request) => Writer::request(&mut out, request.method, request.uri.raw),
        Message::Response(response) => Writer::response(&mut out, response.status, Some(response.reason)),
    };
    for (name, text, value) in head(message).all() {
        if !matches!(name, Name::ContentLength) {
            let name = if name == Name::Other { text } else { name.as_str() };
            writer.other(name, value);
        }
    }
    let body = head(message).body;
    writer.lines(|out| out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes()));
    out.extend_from_slice(body);
    out
}

/// The bytes of a message in another form that means the same: compact names, other case, folds, white space.
fn disguised(bytes: &[u8], how: &[u8]) -> Vec<u8> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").unwrap();
    let mut out = Vec::new();
    for (place, line) in bytes[..end].split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let how = how.get(place % how.len().max(1)).copied().unwrap_or(0);
        let Some(colon) = line.iter().position(|byte| *byte == b':').filter(|_| place > 0) else {
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
            continue;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let compact = [
            ("Via", "v"),
            ("From", "F"),
            ("To", "t"),
            ("Call-ID", "I"),
            ("Contact", "m"),
            ("Content-Length", "L"),
        ];
        let short =
            compact.iter().find(|(long, _)| name == long.as_bytes()).map(|(_, short)| short.as_bytes());
        out.extend(match how % 4 {
            0 => name.to_vec(),
            1 => short.unwrap_or(name).to_vec(),
            2 => name.to_ascii_uppercase(),
            _ => name.to_ascii_lowercase(),
        });
        out.extend_from_slice([&b":"[..], b" :", b":\r\n\t", b" \t: \t "][usize::from(how >> 2 & 3)]);
        out.extend_from_slice(value);
        out.extend_from_slice([&b""[..], b" ", b"\r\n ", b"\t"][usize::from(how >> 4 & 3)]);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&bytes[end + 4..]);
    out
}

fn check_same(read: &Message<'_>, parts: &Parts) -> Result<(), TestCaseError> {
    match (read, &parts.start) {
        (Message::Request(request), Ok((method, uri))) => {
            prop_assert_eq!((request.method.as_str(), request.uri.raw), (method.as_str(), uri.as_str()));
        }
        (Message::Response(response), Err((status, reason))) => {
            prop_assert_eq!(response.status.code(), *status);
            prop_assert_eq!(response.reason, reason.replace(['\r', '\n', '\0'], " "));
        }
        _ => prop_assert!(false, "a request became a response"),
    }
    let head = head(read);
    prop_assert_eq!(head.values(Name::Via).collect::<Vec<_>>(), parts.vias.iter().collect::<Vec<_>>());
    prop_assert_eq!((head.from.raw, head.to.raw), (parts.from.as_str(), parts.to.as_str()));
    prop_assert_eq!((head.call_id, head.cseq.number), (parts.call_id.as_str(), parts.cseq.0));
    prop_assert_eq!(head.cseq.method.as_str(), parts.cseq.1.as_str());
    for name in FREE {
        let ours: Vec<String> = parts
            .others
            .iter()
            .filter(|(other, _)| *other == name)
            .map(|(_, value)| as_read(value))
            .collect();
        prop_assert_eq!(head.lines(name).collect::<Vec<_>>(), ours);
    }
    prop_assert_eq!(head.body, parts.body.as_ref().map_or(&[][..], |(_, body)| body));
    prop_assert_eq!(head.content_type(), parts.body.as_ref().map(|(kind, _)| kind.as_str()));
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was_meant(parts in parts()) {
        let bytes = written(&parts);
        let read = parse(&bytes).map_err(|rejected| TestCaseError::fail(rejected.fault.to_string()))?;
        check_same(&read, &parts)?;
        // The parts of parts.
        let top = Via::parse(&parts.vias[0]).unwrap();
        prop_assert_eq!(head(&read).via, top);
        prop_assert_eq!(head(&read).from, NameAddr::parse(&parts.from).unwrap());
    }

    #[test]
    fn another_form_that_means_the_same_is_read_the_same_and_written_in_one_form(
        parts in parts(), how in prop::collection::vec(any::<u8>(), 1..12),
    ) {
        let bytes = disguised(&written(&parts), &how);
        let read = parse(&bytes).map_err(|rejected| TestCaseError::fail(format!("{}", rejected.fault)))?;
        check_same(&read, &parts)?;
        let once = rewritten(&read);
        let again = parse(&once).map_err(|rejected| TestCaseError::fail(format!("{}", rejected.fault)))?;
        check_same(&again, &parts)?;
        prop_assert!(rewritten(&again) == once, "{}", String::from_utf8_lossy(&once));
    }

    #[test]
    fn whatever_else_is_taken_is_written_in_one_form_too(
        parts in parts(), at in any::<prop::sample::Index>(), more in "[ -~\r\n\t]{0,6}", cut in 0usize..4,
    ) {
        let mut bytes = written(&parts);
        let at = at.index(bytes.len());
        bytes.splice(at..(at + cut).min(bytes.len()), more.into_bytes());
        let Ok(read) = parse(&bytes) else { return Ok(()) };
        let once = rewritten(&read);
        let Ok(again) = parse(&once) else { return Err(TestCaseError::fail(String::from_utf8_lossy(&once).into_owned())) };
        prop_assert!(rewritten(&again) == once, "{}", String::from_utf8_lossy(&once));
        prop_assert_eq!(head(&again).via.branch(), head(&read).via.branch());
        prop_assert_eq!(head(&again).from.tag(), head(&read).from.tag());
        prop_assert_eq!((head(&again).call_id, head(&again).cseq), (head(&read).call_id, head(&read).cseq));
        prop_assert_eq!(head(&again).body, head(&read).body);
        prop_assert!(head(&again).header_count() <= MAX_HEADERS);
    }

    #[test]
    fn an_answer_has_of_its_request_what_it_must_have(
        parts in parts(), how in prop::collection::vec(any::<u8>(), 1..12), status in 100u16..700, tag in "[0-9a-f]{32}",
    ) {
        let bytes = disguised(&written(&parts), &how);
        let Ok(Message::Request(request)) = parse(&bytes) else { return Ok(()) };
        let (mut out, source) = (Vec::new(), SocketAddr::from(([192, 0, 2, 9], 4711)));
        let status = Status::new(status).unwrap();
        Writer::answer(&mut out, &request, source, status, Some(&tag)).end();
        let Ok(Message::Response(response)) = parse(&out) else {
            return Err(TestCaseError::fail(String::from_utf8_lossy(&out).into_owned()));
        };
        check_answer(&request, &response, &tag)?;
        prop_assert_eq!(response.status, status);
        prop_assert_eq!(response.via.params.value("received").is_some(), request.via.rport().is_some() || request.via.differs_from(source));
        prop_assert_eq!(response.via.rport(), request.via.rport().map(|_| Some(4711)));
    }

    #[test]
    fn a_request_within_a_dialog_is_read_as_what_the_dialog_says(
        parts in parts(), method in methods(), routes in prop::collection::vec((uris(), any::<bool>()), 0..4),
        cseq: u32, contact in uris(), headers in "(\\?a=b)?",
    ) {
        let mut parts = parts;
        parts.start = Err((200, "OK".to_owned()));
        parts.others.retain(|(name, _)| *name != Name::Contact);
        parts.others.push((Name::Contact, format!("<{contact}{headers}>")));
        let routes: Vec<String> =
            routes.iter().map(|(uri, loose)| format!("<{uri}{}>", if *loose { ";lr" } else { "" })).collect();
        parts.others.extend(routes.iter().map(|route| (Name::RecordRoute, route.clone())));
        let bytes = written(&parts);
        let Ok(Message::Response(response)) = parse(&bytes) else { panic!("it is a response") };
        let ends = Ends { call_id: "c", local: "<sip:a@b>", local_tag: "ours", remote: "<sip:c@d>" };
        let dialog = Dialog::from_response(ends, 1, &response, "sip:never@x");
        let sending = Sending { transport: "UDP", sent_by: "192.0.2.1:5060", branch: "z9hG4bKx", cseq };
        let mut out = Vec::new();
        dialog.request(&mut out, Method::of(&method), sending).end();
        let Ok(Message::Request(request)) = parse(&out) else {
            return Err(TestCaseError::fail(String::from_utf8_lossy(&out).into_owned()));
        };
        prop_assert_eq!((request.method.as_str(), request.cseq.number), (method.as_str(), cseq));
        prop_assert_eq!((request.call_id, request.from.tag()), ("c", Some("ours")));
        prop_assert_eq!(request.to.tag(), response.to.tag());
        // The route set is what was recorded, the other way round; the target stands in it only for a strict router.
        let mut left: Vec<&str> = request.values(Name::Route).collect();
        let mut way: Vec<String> = routes.iter().rev().cloned().collect();
        let target = format!("<{contact}>");
        let strict = way.first().is_some_and(|first| Uri::parse(first.trim_matches(['<', '>'])).unwrap().param("lr").is_none());
        if strict {
            prop_assert_eq!(format!("<{}>", request.uri.raw), way.remove(0));
            prop_assert_eq!(left.pop(), Some(target.as_str()));
        } else {
            prop_assert_eq!(request.uri.raw, &contact);
        }
        prop_assert_eq!(left, way);
    }
}

fn check_answer(
    request: &Request<'_>,
    response: &super::Response<'_>,
    tag: &str,
) -> Result<(), TestCaseError> {
    prop_assert_eq!((response.call_id, response.cseq), (request.call_id, request.cseq));
    prop_assert_eq!(response.from, request.from);
    prop_assert_eq!(response.to.without_params(), request.to.without_params());
    prop_assert_eq!(response.to.tag(), Some(request.to.tag().unwrap_or(tag)));
    let (theirs, ours): (Vec<&str>, Vec<&str>) =
        (request.values(Name::Via).collect(), response.values(Name::Via).collect());
    prop_assert_eq!(&theirs[1..], &ours[1..]);
    prop_assert_eq!((response.via.host, response.via.port), (request.via.host, request.via.port));
    prop_assert_eq!(response.via.branch(), request.via.branch());
    Ok(())
}
