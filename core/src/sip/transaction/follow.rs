//! What is made of a stored INVITE: the ACK of its failure (RFC 3261 §17.1.1.3) and its CANCEL (§9.1).

use crate::sip::message::{Message, Method, Name, Request, Response, Writer, parse};

/// Appends the ACK for a failure.
pub(super) fn write_ack(out: &mut Vec<u8>, invite: &[u8], response: &Response<'_>) {
    let Some(invite) = read(invite) else { return };
    let mut writer = begin(out, &invite, Method::Ack);
    writer.field(Name::To, response.to.raw);
    writer.end();
}

/// Appends the CANCEL, with the `Reason` (RFC 3326) if there is one.
pub(super) fn write_cancel(out: &mut Vec<u8>, invite: &[u8], reason: Option<&str>) {
    let Some(invite) = read(invite) else { return };
    let mut writer = begin(out, &invite, Method::Cancel);
    writer.field(Name::To, invite.to.raw);
    if let Some(reason) = reason {
        writer.field(Name::Reason, reason);
    }
    writer.end();
}

fn read(bytes: &[u8]) -> Option<Request<'_>> {
    match parse(bytes) {
        Ok(Message::Request(request)) => Some(request),
        _ => None,
    }
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
