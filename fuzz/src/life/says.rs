//! What SIP peers say: answers to what the controller has sent, requests in its dialogs, and both with faults.

use arbitrary::Arbitrary;
use cordboard_core::sip::message::{Head, Message, Name, NameAddr, Request, parse};

use super::world::{Said, Way, World};

/// A fault put into a message: from a place on, bytes are taken out and others put in.
#[derive(Arbitrary, Debug)]
struct Edit<'a> {
    at: u16,
    out: u8,
    put: &'a [u8],
}

fn edited(mut bytes: Vec<u8>, edits: &[Edit<'_>]) -> Vec<u8> {
    for edit in edits {
        let start = usize::from(edit.at) % (bytes.len() + 1);
        let end = (start + usize::from(edit.out)).min(bytes.len());
        bytes.splice(start..end, edit.put.iter().copied());
    }
    bytes
}

/// Parts of a message that may be there, one bit each.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Parts(u32);

impl Parts {
    fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// Header lines.
    fn lines(self) -> String {
        let lines = [
            "Require: 100rel\r\nRSeq: 1\r\n",
            "Session-Expires: 90;refresher=uac\r\n",
            "Session-Expires: 100;refresher=uas\r\n",
            "Record-Route: <sip:127.0.0.1:5060;lr>\r\n",
            "Proxy-Authenticate: Digest realm=\"example.com\", nonce=\"n2\", algorithm=SHA-256, qop=\"auth\"\r\n",
            "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"n3\", stale=true\r\n",
            "Min-SE: 200\r\n",
            "Retry-After: 5\r\n",
            "Supported: timer, replaces, 100rel\r\n",
            "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, REFER, NOTIFY\r\n",
            "Require: timer\r\n",
            "Refer-Sub: false\r\n",
            "Unsupported: timer\r\nRequire: strange\r\n",
            "Refer-To: <sip:user3@example.com>\r\n",
            "Replaces: 1;to-tag=2;from-tag=3\r\n",
            "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n",
        ];
        lines.iter().zip(0..).filter(|(_, bit)| self.has(*bit)).map(|(line, _)| *line).collect()
    }
}

fn contact(choice: u8) -> &'static str {
    match choice % 8 {
        0 => "Contact: <sip:phone@127.0.0.1:7001>\r\n",
        1 => "Contact: <sip:phone@127.0.0.1:7002;transport=tcp>\r\n",
        2 => "Contact: <sip:phone@phone.example.com>\r\n",
        3 => "",
        4 => "Contact: <sips:phone@127.0.0.1>\r\n",
        5 => "Contact: <tel:+4930>, <sip:a@127.0.0.1:7002>;q=0.5\r\n",
        6 => "Contact: *\r\n",
        _ => "Contact: <sip:[2001:db8::1]>\r\n",
    }
}

/// A body with its type; the first is what most messages want.
fn body(choice: u8) -> (&'static str, &'static str) {
    let sdp = "application/sdp";
    match choice % 6 {
        0 => (
            sdp,
            "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
        ),
        1 => ("", ""),
        2 => (
            sdp,
            "v=0\r\no=a 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\nm=video 0 RTP/AVP 96\r\n",
        ),
        3 => (sdp, "hello"),
        4 => ("text/plain", "hello"),
        _ => ("message/sipfrag", "SIP/2.0 200 OK\r\n"),
    }
}

fn push_body(text: &mut String, (kind, body): (&str, &str)) {
    if !kind.is_empty() {
        text.push_str(&format!("Content-Type: {kind}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
}

/// Statuses that something depends on.
const STATUSES: [u16; 32] = [
    200, 180, 183, 100, 202, 302, 401, 407, 408, 422, 420, 421, 403, 404, 405, 415, 481, 482, 483, 486, 487,
    488, 489, 491, 494, 500, 501, 503, 600, 603, 699, 400,
];

/// The answer of a peer to a request of the controller's.
#[derive(Arbitrary, Debug)]
pub(super) struct Reply<'a> {
    /// Among those that wait, oldest first.
    which: u8,
    status: u8,
    /// Which fork it is of.
    tag: u8,
    contact: u8,
    body: u8,
    parts: Parts,
    edits: Vec<Edit<'a>>,
}

impl Reply<'_> {
    pub(super) fn send(&self, world: &mut World) {
        let waiting: Vec<usize> =
            world.said.iter().enumerate().filter(|(_, said)| said.open).map(|(at, _)| at).collect();
        let Some(at) = waiting.get(usize::from(self.which) % waiting.len().max(1)) else { return };
        let status = STATUSES[usize::from(self.status) % STATUSES.len()];
        let Some(said) = world.said.get_mut(*at) else { return };
        said.open = status < 200;
        let Ok(Message::Request(request)) = parse(&said.bytes) else { return };
        let (way, text) = (said.way, self.text(&request, status));
        let bytes = edited(text.into_bytes(), &self.edits);
        world.tell(way, &bytes);
    }

    fn text(&self, request: &Request<'_>, status: u16) -> String {
        let mut text = format!("SIP/2.0 {status} X\r\n");
        for via in request.lines(Name::Via) {
            text.push_str(&format!("Via: {via}\r\n"));
        }
        let tag = if request.to.tag().is_none() && status > 100 {
            format!(";tag=f{}", self.tag)
        } else {
            String::new()
        };
        text.push_str(&format!(
            "From: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {} {}\r\n{}",
            request.from.raw,
            request.to.raw,
            request.call_id,
            request.cseq.number,
            request.cseq.method.as_str(),
            contact(self.contact),
        ));
        text.push_str(&self.parts.lines());
        let challenge = "Digest realm=\"example.com\", nonce=\"n1\", qop=\"auth\"";
        match status {
            401 => text.push_str(&format!("WWW-Authenticate: {challenge}\r\n")),
            407 => text.push_str(&format!("Proxy-Authenticate: {challenge}\r\n")),
            422 => text.push_str("Min-SE: 1800\r\n"),
            _ => {}
        }
        push_body(&mut text, body(self.body));
        text
    }
}

/// A request of a peer's, in a dialog that a message of the controller's belongs to.
#[derive(Arbitrary, Debug)]
pub(super) struct Within<'a> {
    /// So many messages back.
    back: u8,
    method: u8,
    /// Its branch, or a new one.
    branch: Option<u8>,
    cseq: u8,
    status: u8,
    contact: u8,
    body: u8,
    parts: Parts,
    edits: Vec<Edit<'a>>,
}

const METHODS: [&str; 14] = [
    "BYE",
    "NOTIFY",
    "INVITE",
    "ACK",
    "CANCEL",
    "UPDATE",
    "REFER",
    "OPTIONS",
    "INFO",
    "PRACK",
    "MESSAGE",
    "SUBSCRIBE",
    "REGISTER",
    "PUBLISH",
];

impl Within<'_> {
    pub(super) fn send(&self, world: &mut World) {
        world.minted += 1;
        let fresh = world.minted;
        let at = world.said.len().checked_sub(usize::from(self.back) + 1);
        let outside =
            Said { way: Way::Datagram(super::world::peer(self.back)), bytes: Vec::new(), open: false };
        let said = at.and_then(|at| world.said.get(at)).unwrap_or(&outside);
        let text = match parse(&said.bytes) {
            Ok(Message::Request(request)) => {
                let tag = if request.to.tag().is_some() { "" } else { ";tag=f0" };
                let from = format!("{}{tag}", request.to.raw);
                self.text(fresh, &request, (&from, request.from.raw))
            }
            Ok(Message::Response(response)) => {
                self.text(fresh, &response, (response.from.raw, response.to.raw))
            }
            Err(_) => self.outside(fresh),
        };
        let (way, bytes) = (said.way, edited(text.into_bytes(), &self.edits));
        world.tell(way, &bytes);
    }

    fn method(&self) -> &'static str {
        METHODS[usize::from(self.method) % METHODS.len()]
    }

    fn text(&self, fresh: u32, head: &Head<'_>, (from, to): (&str, &str)) -> String {
        let uri = head.contact().map_or("sip:127.0.0.1:6050", |contact: NameAddr<'_>| contact.uri.raw);
        // An ACK belongs to the INVITE that it confirms.
        let number = if self.method() == "ACK" { head.cseq.number } else { u32::from(self.cseq) + fresh };
        self.request(
            fresh,
            (uri, number),
            &format!("From: {from}\r\nTo: {to}\r\nCall-ID: {}\r\n", head.call_id),
        )
    }

    /// One that begins something.
    fn outside(&self, fresh: u32) -> String {
        let party = "From: <sip:user9@example.com>;tag=o1\r\nTo: <sip:user1@example.com>\r\n";
        let number = u32::from(self.cseq) + 1;
        self.request(fresh, ("sip:127.0.0.1:6050", number), &format!("{party}Call-ID: outside{fresh}\r\n"))
    }

    fn request(&self, fresh: u32, (uri, number): (&str, u32), dialog: &str) -> String {
        let method = self.method();
        let branch = self.branch.map_or(fresh, u32::from);
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:7001;branch=z9hG4bKf{branch};rport\r\n\
             Max-Forwards: 70\r\n{dialog}CSeq: {number} {method}\r\n{}{}",
            contact(self.contact),
            self.parts.lines(),
        );
        if method != "NOTIFY" {
            push_body(&mut text, body(self.body));
            return text;
        }
        let state = match self.body % 4 {
            0 => "active;expires=60",
            1 => "terminated;reason=noresource",
            2 => "pending",
            _ => "terminated;reason=timeout",
        };
        text.push_str(&format!("Event: refer\r\nSubscription-State: {state}\r\n"));
        let status = STATUSES[usize::from(self.status) % STATUSES.len()];
        push_body(&mut text, ("message/sipfrag;version=2.0", &format!("SIP/2.0 {status} X\r\n")));
        text
    }
}
