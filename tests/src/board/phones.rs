//! What phones say that answer at once.

/// What a phone describes.
const SDP: &str = "v=0\r\no=phone 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n\
                   a=rtpmap:0 PCMU/8000\r\n";

/// Says what a phone answers to a message, and what it says then by itself.
pub(super) fn reply(message: &str, mut say: impl FnMut(String)) {
    let method = message.split(' ').next().unwrap_or_default();
    match method {
        "INVITE" => say(response(message, "200 OK", SDP)),
        "BYE" => say(response(message, "200 OK", "")),
        "REFER" => {
            say(response(message, "202 Accepted", ""));
            say(notify(message));
        }
        _ => {}
    }
}

/// The value of a header field.
pub(super) fn field<'a>(message: &'a str, name: &str) -> &'a str {
    let found = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_default()
}

/// What a phone answers to a request.
fn response(request: &str, status: &str, body: &str) -> String {
    let to = field(request, "To");
    let tag = if to.contains(";tag=") { "" } else { ";tag=phone" };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:phone@127.0.0.1:5060>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        field(request, "Via"),
        field(request, "From"),
        field(request, "Call-ID"),
        field(request, "CSeq"),
        body.len()
    )
}

/// The NOTIFY that tells that the referred call stands.
fn notify(refer: &str) -> String {
    let call_id = field(refer, "Call-ID");
    format!(
        "NOTIFY sip:cordboard@127.0.0.1:6050 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKn{call_id}\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {call_id}\r\nCSeq: 1 NOTIFY\r\nEvent: refer\r\n\
         Subscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag\r\n\
         Content-Length: 16\r\n\r\nSIP/2.0 200 OK\r\n",
        field(refer, "To"),
        field(refer, "From"),
    )
}
