//! What the peers say: messages that are right, for somebody else to spoil.

use std::net::SocketAddr;

use hickory_proto::op::{Message as Dns, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NAPTR, SRV};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};

use crate::sip::message::{Message, Method, Name, Request, Status, parse};

const SDP: &str =
    "v=0\r\no=peer 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// All who talk to the controller.
#[derive(Debug, Default)]
pub(super) struct Peers {
    minted: u32,
    cseq: u32,
}

fn request(bytes: &[u8]) -> Option<Request<'_>> {
    match parse(bytes) {
        Ok(Message::Request(request)) => Some(request),
        _ => None,
    }
}

fn has(dress: u16, bit: u32) -> bool {
    dress >> bit & 1 == 1
}

/// Ends a message, with this body if it is not empty.
fn finish(mut text: String, kind: &str, body: &str) -> Vec<u8> {
    if !body.is_empty() {
        text.push_str(&format!("Content-Type: {kind}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

impl Peers {
    fn mint(&mut self) -> u32 {
        self.minted += 1;
        self.minted
    }

    /// Where a message of this kind comes from.
    pub(super) fn address(&self, what: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 100 + what % 4], 5060))
    }

    /// A message of somebody who is in no call.
    pub(super) fn fresh(&mut self, what: u8) -> Vec<u8> {
        let methods = ["OPTIONS", "INVITE", "BYE", "CANCEL", "ACK", "NOTIFY", "REGISTER", "EXTEND"];
        let method = methods[usize::from(what) % methods.len()];
        // Few numbers, so that some are copies, or mean one of before.
        let number = if what > 200 { self.mint() } else { u32::from(what >> 4) };
        let tag = if what & 8 == 0 { "" } else { ";tag=0123456789abcdef0123456789abcdef" };
        let start = match what {
            100..=104 => "SIP/2.0 200 OK".to_owned(),
            _ => format!("{method} sip:cordboard@127.0.0.1 SIP/2.0"),
        };
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bKfresh{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:fresh@example.com>;tag=f\r\nTo: <sip:cordboard@127.0.0.1>{tag}\r\nCall-ID: fresh{number}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:fresh@192.0.2.100>\r\n"
        );
        finish(text, "application/sdp", if method == "INVITE" { SDP } else { "" })
    }

    /// The response to a request of ours.
    pub(super) fn reply(&mut self, bytes: &[u8], status: u16, dress: u16) -> Option<Vec<u8>> {
        let request = request(bytes)?;
        let phrase = Status::new(status)?.phrase();
        let mut text = format!("SIP/2.0 {status} {phrase}\r\n");
        request.lines(Name::Via).for_each(|via| text.push_str(&format!("Via: {via}\r\n")));
        let fork = if has(dress, 0) && has(dress, 1) { "two" } else { "one" };
        let to_tag = if request.to.tag().is_some() || status == 100 || dress & 0xfc00 == 0xfc00 {
            String::new()
        } else {
            format!(";tag={fork}")
        };
        text.push_str(&format!(
            "From: {}\r\nTo: {}{to_tag}\r\nCall-ID: {}\r\nCSeq: {} {}\r\n",
            request.from.raw,
            request.to.raw,
            request.call_id,
            request.cseq.number,
            request.method.as_str()
        ));
        self.dress(&mut text, &request, status, dress);
        let wants_sdp = request.method == Method::Invite && (180..300).contains(&status) && !has(dress, 2);
        let version = format!("o=peer 1 {}", 1 + (dress >> 12));
        let sdp = SDP.replace("o=peer 1 1", &version);
        Some(finish(text, "application/sdp", if wants_sdp { &sdp } else { "" }))
    }

    fn dress(&mut self, text: &mut String, request: &Request<'_>, status: u16, dress: u16) {
        let target = match request.uri.host.address() {
            Some(_) => "192.0.2.7:5062",
            None => "far.example.org",
        };
        match status {
            300..=399 => {
                text.push_str(
                    "Contact: <sip:user2@127.0.0.1:7002>;q=0.5, <sip:six@far.example.org>, <tel:+1>\r\n",
                );
            }
            401 | 407 => {
                let name = if status == 401 { "WWW" } else { "Proxy" };
                let stale = if has(dress, 3) { ", stale=true" } else { "" };
                let number = self.mint();
                text.push_str(&format!(
                    "{name}-Authenticate: Digest realm=\"example.com\", nonce=\"n{number}\", qop=\"auth\", algorithm=SHA-256{stale}\r\n"
                ));
            }
            415 => text.push_str("Accept: application/sdp\r\n"),
            420 => text.push_str("Unsupported: timer\r\n"),
            422 => text.push_str("Min-SE: 200\r\n"),
            500 | 503 => text.push_str("Retry-After: 3\r\n"),
            _ if !has(dress, 4) || status >= 200 => {
                text.push_str(&format!("Contact: <sip:peer@{target}>\r\n"))
            }
            _ => {}
        }
        if has(dress, 5) && has(dress, 6) && (101..300).contains(&status) {
            text.push_str("Record-Route: <sip:192.0.2.8;lr>, <sip:strict.example.org>\r\n");
        }
        if has(dress, 7) && (101..200).contains(&status) {
            text.push_str(&format!("Require: 100rel\r\nRSeq: {}\r\n", 1 + (dress >> 14)));
        }
        if has(dress, 8) && (200..300).contains(&status) {
            let refresher = if has(dress, 9) { "uas" } else { "uac" };
            text.push_str(&format!("Require: timer\r\nSession-Expires: 90;refresher={refresher}\r\n"));
        }
    }

    /// A request in the dialog that this INVITE of ours makes, or would.
    pub(super) fn within(&mut self, invite: &[u8], what: u8, dress: u16) -> Option<Vec<u8>> {
        let invite = request(invite)?;
        let methods = [
            "NOTIFY",
            "NOTIFY",
            "NOTIFY",
            "BYE",
            "INVITE",
            "INVITE",
            "UPDATE",
            "ACK",
            "CANCEL",
            "INFO",
            "MESSAGE",
            "OPTIONS",
            "REFER",
            "PRACK",
            "SUBSCRIBE",
            "EXTEND",
        ];
        let method = methods[usize::from(what) % methods.len()];
        if !matches!(method, "ACK" | "CANCEL") && !dress.is_multiple_of(8) {
            self.cseq += 1;
        }
        let cseq = self.cseq;
        let branch = if method == "CANCEL" { cseq } else { 1000 + self.mint() };
        let fork = if has(dress, 0) && has(dress, 1) { "two" } else { "one" };
        let target = invite.contact()?.uri.raw.to_owned();
        let mut text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bKw{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: {};tag={fork}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:peer@192.0.2.7:5063>\r\n",
            invite.to.without_params(),
            invite.from.raw,
            invite.call_id,
        );
        let sdp = if has(dress, 2) { SDP.replace("\r\nm=", "\r\na=sendonly\r\nm=") } else { SDP.to_owned() };
        let (kind, body) = match method {
            "NOTIFY" => {
                let state = if has(dress, 3) { "terminated;reason=noresource" } else { "active;expires=30" };
                text.push_str(&format!("Event: refer\r\nSubscription-State: {state}\r\n"));
                let status = ["100 Trying", "180 Ringing", "200 OK", "486 Busy", "", "99 x", "603 No", "200"];
                let status = status[usize::from(dress >> 4) % status.len()];
                ("message/sipfrag;version=2.0", format!("SIP/2.0 {status}\r\n"))
            }
            "INVITE" | "UPDATE" | "ACK" if !has(dress, 5) => {
                if has(dress, 6) {
                    text.push_str("Supported: timer\r\nSession-Expires: 95;refresher=uac\r\nMin-SE: 90\r\n");
                }
                ("application/sdp", sdp)
            }
            "REFER" => {
                text.push_str("Refer-To: <sip:user3@example.com?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>\r\n");
                ("", String::new())
            }
            "PRACK" => {
                text.push_str(&format!("RAck: {} {} INVITE\r\n", 1 + (dress >> 14), invite.cseq.number));
                ("", String::new())
            }
            "MESSAGE" | "INFO" => ("text/plain", "hello".to_owned()),
            _ => ("", String::new()),
        };
        Some(finish(text, kind, &body))
    }

    /// Bytes that somebody may say on a connection.
    pub(super) fn stream(&mut self, what: u8) -> Vec<u8> {
        match what % 8 {
            0 => b"\r\n\r\n".to_vec(),
            1 | 2 => self.fresh(what),
            3 => b"GET /callcontroller/user1/user2 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            4 => b"POST /callcontroller/user1/user2 HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nhalf"
                .to_vec(),
            5 => b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 70000\r\n\r\n".to_vec(),
            6 => vec![b'x'; 9000],
            _ => b"\x16\x03\x01\x00\x05hello".to_vec(),
        }
    }

    /// What a name server says to a question.
    pub(super) fn named(&mut self, asked: &[u8], how: u8) -> Vec<u8> {
        let Ok(asked) = Dns::from_vec(asked) else { return asked.to_vec() };
        let Some(query) = asked.queries.first().cloned() else { return Vec::new() };
        let mut answer = Dns::new(asked.metadata.id, MessageType::Response, OpCode::Query);
        answer.add_query(query.clone());
        match how % 8 {
            0 => answer.metadata.response_code = ResponseCode::NXDomain,
            1 => answer.metadata.truncation = true,
            2 => answer.metadata.response_code = ResponseCode::ServFail,
            _ => {}
        }
        let name = |text: &str| DnsName::from_ascii(text).expect("a name");
        let data = match query.query_type {
            _ if how % 8 == 3 => Some(RData::CNAME(CNAME(name("alias.example.com.")))),
            RecordType::A => Some(RData::A(A([192, 0, 2, 20 + how % 3].into()))),
            RecordType::SRV if how % 8 > 4 => {
                Some(RData::SRV(SRV::new(1, 1, 5060 + u16::from(how % 2), name("here.example.com."))))
            }
            RecordType::NAPTR if how % 8 == 7 => {
                let (flags, service) = (b"s".to_vec().into(), b"SIP+D2T".to_vec().into());
                let to = name("_sip._tcp.example.com.");
                Some(RData::NAPTR(NAPTR::new(1, 1, flags, service, Box::default(), to)))
            }
            _ => None,
        };
        if let Some(data) = data.filter(|_| how % 8 > 2) {
            answer.add_answer(Record::from_rdata(query.name.clone(), 60, data));
        }
        answer.to_vec().unwrap_or_default()
    }
}
