//! What is made of a stored INVITE: the ACK of its failure (RFC 3261 §17.1.1.3) and its CANCEL (§9.1).

use crate::sip::message::{Message, Method, Name, Request, Response, Writer, parse};

/// Reads a stored INVITE; `None` if its user wrote something else.
pub(super) fn read(bytes: &[u8]) -> Option<Request<'_>> {
    match parse(bytes) {
        Ok(Message::Request(request)) => Some(request),
        _ => None,
    }
}

/// Appends the ACK for a failure. Its To is that of the response, which has a tag.
pub(super) fn write_ack(out: &mut Vec<u8>, invite: &Request<'_>, response: &Response<'_>) {
    let mut writer = begin(out, invite, Method::Ack);
    writer.field(Name::To, response.to.raw);
    writer.end();
}

/// Appends the CANCEL, with the `Reason` (RFC 3326) if there is one.
pub(super) fn write_cancel(out: &mut Vec<u8>, invite: &Request<'_>, reason: Option<&str>) {
    let mut writer = begin(out, invite, Method::Cancel);
    writer.field(Name::To, invite.to.raw);
    if let Some(reason) = reason {
        writer.field(Name::Reason, reason);
    }
    writer.end();
}

/// Request-URI, topmost Via, Route, From, Call-ID and sequence number are those of the INVITE.
fn begin<'o>(out: &'o mut Vec<u8>, invite: &Request<'_>, method: Method<'_>) -> Writer<'o> {
    let mut writer = Writer::request(out, method, invite.uri.raw);
    writer.field(Name::Via, invite.via.raw);
    for route in invite.lines(Name::Route) {
        writer.field(Name::Route, route);
    }
    writer.field(Name::MaxForwards, "70");
    writer.field(Name::From, invite.from.raw);
    writer.field(Name::CallId, invite.call_id);
    writer.cseq(invite.cseq.number, method);
    writer
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:bob@192.0.2.4;transport=udp SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport\r\n\
        Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\nRoute: <sip:p3.example;lr>\r\n\
        Max-Forwards: 11\r\nFrom: \"A\" <sip:a@b>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: x@y\r\nCSeq: 7 INVITE\r\n\
        Require: 100rel\r\nContact: <sip:a@192.0.2.1>\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";

    #[test]
    fn a_cancel_copies_what_makes_it_find_its_invite_and_nothing_else() {
        let mut out = Vec::new();
        write_cancel(&mut out, &read(INVITE.as_bytes()).unwrap(), Some("SIP;cause=200"));
        let cancel = String::from_utf8(out).unwrap();
        assert_eq!(
            cancel,
            "CANCEL sip:bob@192.0.2.4;transport=udp SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport\r\n\
             Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\nRoute: <sip:p3.example;lr>\r\nMax-Forwards: 70\r\n\
             From: \"A\" <sip:a@b>;tag=1\r\nCall-ID: x@y\r\nCSeq: 7 CANCEL\r\nTo: <sip:bob@example.com>\r\n\
             Reason: SIP;cause=200\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn an_ack_has_the_to_of_the_response() {
        let answer = "SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
            To: <sip:bob@example.com>;tag=theirs\r\nCall-ID: x@y\r\nCSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n";
        let Ok(Message::Response(response)) = parse(answer.as_bytes()) else { panic!("{answer}") };
        let mut out = Vec::new();
        write_ack(&mut out, &read(INVITE.as_bytes()).unwrap(), &response);
        let Some(ack) = read(&out) else { panic!("{}", String::from_utf8_lossy(&out)) };
        assert_eq!(
            (ack.method, ack.cseq.number, ack.uri.raw),
            (Method::Ack, 7, "sip:bob@192.0.2.4;transport=udp")
        );
        assert_eq!((ack.to.tag(), ack.from.tag(), ack.call_id), (Some("theirs"), Some("1"), "x@y"));
        assert_eq!((ack.via.branch(), ack.values(Name::Route).count()), (Some("z9hG4bK1"), 3));
        assert_eq!((ack.first(Name::Require), ack.body), (None, &b""[..]));
    }
}
