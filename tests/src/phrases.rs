//! The messages of phones that speak by rote: what came is repeated where it has to be, and nothing is understood.

use std::net::SocketAddr;

/// What a phone describes.
pub const SDP: &str = "v=0\r\no=phone 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                       m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

/// The value of a header field; the name is as its sender writes it.
pub fn field<'a>(message: &'a str, name: &str) -> &'a str {
    let lines = message.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let mut head = lines.take_while(|line| !line.is_empty());
    head.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

/// The method of a request; of a response, its version.
pub fn method(message: &str) -> &str {
    message.split(' ').next().unwrap_or_default()
}

/// The URI of a name-addr in angle brackets.
pub fn uri(name_addr: &str) -> &str {
    let inner = name_addr.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or(name_addr, |(uri, _)| uri)
}

/// A phone: where it is, and the tag of its dialogs, which is the user part of its Contact too.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    /// Where it is reached.
    pub address: SocketAddr,
    /// The tag that it adds where there is none.
    pub tag: &'a str,
}

impl Speaker<'_> {
    /// The answer to a request, with a description if `sdp` is not empty.
    pub fn response(self, request: &str, status: &str, sdp: &str) -> String {
        self.answer(request, status, "", sdp)
    }

    /// The same, with further header lines, each with CR LF.
    pub fn answer(self, request: &str, status: &str, lines: &str, sdp: &str) -> String {
        let to = field(request, "To");
        let (mark, tag) = if to.contains(";tag=") { ("", "") } else { (";tag=", self.tag) };
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{mark}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:{}@{}>\r\n{lines}{kind}Content-Length: {}\r\n\r\n{sdp}",
            field(request, "Via"),
            field(request, "From"),
            field(request, "Call-ID"),
            field(request, "CSeq"),
            self.tag,
            self.address,
            sdp.len()
        )
    }

    /// A request in the dialog of an INVITE or another request that came: method, CSeq number, further header lines,
    /// and body.
    pub fn request(self, of: &str, (method, number): (&str, u32), lines: &str, body: &str) -> String {
        let to = field(of, "To");
        let (mark, tag) = if to.contains(";tag=") { ("", "") } else { (";tag=", self.tag) };
        let call_id = field(of, "Call-ID");
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{method}{number}{call_id};rport\r\n\
             Max-Forwards: 70\r\nFrom: {to}{mark}{tag}\r\nTo: {}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\n\
             {lines}Content-Length: {}\r\n\r\n{body}",
            uri(field(of, "Contact")),
            self.address,
            field(of, "From"),
            body.len()
        )
    }

    /// A NOTIFY of what has become of a referred call; the last one ends the subscription.
    pub fn notify(self, of: &str, number: u32, status: &str, last: bool) -> String {
        let state = if last { "terminated;reason=noresource" } else { "active;expires=60" };
        let lines = format!(
            "Contact: <sip:{}@{}>\r\nEvent: refer\r\nSubscription-State: {state}\r\n\
             Content-Type: message/sipfrag\r\n",
            self.tag, self.address
        );
        self.request(of, ("NOTIFY", number), &lines, &format!("SIP/2.0 {status}\r\n"))
    }
}
