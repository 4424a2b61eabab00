//! Each torture message is sent to the running server, which answers as a user agent server has to, or drops it, and
//! connects a call right after.

use std::collections::BTreeSet;
use std::net::UdpSocket;

use cordboard_core::sip::message::{Message, Method, Name, Request, Response, parse};
use cordboard_tests::PATIENCE;
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::quick_phone::QuickPhone;
use cordboard_tests::torture::{self, Torture};

/// Who sends the messages, from one socket.
struct Torturer {
    socket: UdpSocket,
    server: String,
    sent: usize,
    /// All that ever came back: an answer may be sent again.
    heard: BTreeSet<Vec<u8>>,
}

impl Torturer {
    fn new(server: &Cordboard) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket can wait for so long");
        Self { socket, server: server.sip.clone(), sent: 0, heard: BTreeSet::new() }
    }

    fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, &self.server).expect("a datagram can be sent");
    }

    /// What came back for this message: an OPTIONS is sent behind it, and what comes before the answer to that is its
    /// own.
    fn answers(&mut self, bytes: &[u8], name: &str) -> Vec<Vec<u8>> {
        self.send(bytes);
        let address = self.socket.local_addr().expect("it is bound");
        let call_id = format!("probe{}", self.sent);
        let probe = format!(
            "OPTIONS sip:{} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bK{call_id}\r\nMax-Forwards: 70\r\n\
             From: <sip:probe@{address}>;tag=p\r\nTo: <sip:{0}>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n",
            self.server
        );
        self.send(probe.as_bytes());
        let mut answers = Vec::new();
        let mut bytes = vec![0; 65_535];
        loop {
            let length = self
                .socket
                .recv(&mut bytes)
                .unwrap_or_else(|e| panic!("nothing is answered behind {name}: {e}"));
            let answer = &bytes[..length];
            if let Ok(Message::Response(response)) = parse(answer)
                && response.call_id == call_id
            {
                assert_eq!(response.status.code(), 200, "{name}");
                return answers;
            }
            if self.heard.insert(answer.to_vec()) {
                answers.push(answer.to_vec());
            }
        }
    }

    /// Sends a message and looks at what the server does.
    fn torment(&mut self, message: &Torture) -> Result<(), String> {
        self.sent += 1;
        let bytes = torture::addressed(&message.bytes, self.sent);
        let answers = self.answers(&bytes, &message.name);
        let texts: Vec<_> = answers.iter().map(|answer| String::from_utf8_lossy(answer)).collect();
        let statuses: Vec<Option<u16>> =
            texts.iter().map(|text| text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()).collect();
        let expected: Vec<Option<u16>> = message.answer.map(Some).into_iter().collect();
        if statuses != expected {
            return Err(format!("{}: wanted {expected:?}, got {statuses:?}: {texts:?}", message.name));
        }
        let (Ok(Message::Request(request)), Some(answer)) = (parse(&bytes), answers.first()) else {
            return Ok(());
        };
        let Ok(Message::Response(response)) = parse(answer) else {
            return Err(format!("{}: the answer cannot be read: {texts:?}", message.name));
        };
        if !belongs(&request, &response) {
            return Err(format!("{}: the answer is another request's: {texts:?}", message.name));
        }
        for (status, name) in [(405, Name::Allow), (420, Name::Unsupported)] {
            if response.status.code() == status && response.first(name).is_none() {
                return Err(format!("{}: {status} without {}: {texts:?}", message.name, name.as_str()));
            }
        }
        if request.method == Method::Invite {
            self.send(&acknowledgement(&request, &response));
        }
        Ok(())
    }
}

/// Whether a response has what RFC 3261 §8.2.6 wants it to have of its request, and a To tag.
fn belongs(request: &Request<'_>, response: &Response<'_>) -> bool {
    let unfolded = |text: &str| text.replace(['\r', '\n', '\0'], " ");
    response.call_id == request.call_id
        && response.cseq == request.cseq
        && response.from.raw == unfolded(request.from.raw)
        && response.to.without_params() == unfolded(request.to.without_params())
        && response.to.tag().is_some_and(|tag| request.to.tag().is_none_or(|own| own == tag))
        && response.via.branch() == request.via.branch()
        && response.lines(Name::Via).count() == request.lines(Name::Via).count()
}

/// The ACK of a final response that is no 2xx (§17.1.1.3).
fn acknowledgement(request: &Request<'_>, response: &Response<'_>) -> Vec<u8> {
    format!(
        "ACK {} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} ACK\r\n\
         Content-Length: 0\r\n\r\n",
        request.uri.raw, request.via.raw, request.from.raw, response.to.raw, request.call_id, request.cseq.number
    )
    .into_bytes()
}

/// Sends all of them, and places a call behind each.
fn torment_all(messages: &[Torture]) {
    let server = Cordboard::start("example.com", "", "", &[("user1", "1", &[])]);
    let (mut torturer, mut phone) = (Torturer::new(&server), QuickPhone::new());
    let mut wrong = Vec::new();
    for message in messages {
        wrong.extend(torturer.torment(message).err());
        let path = format!("/callcontroller/{}/user2?agent=user1", phone.user());
        let reply = server.trusted("POST", &path);
        assert_eq!(reply.status, 200, "no call behind {}: {}", message.name, reply.body);
        phone.take_call();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let said = server.process.said();
    assert!(!said.contains("panic"), "{said}");
}

#[test]
fn each_message_of_our_own_is_answered_or_dropped_and_a_call_works_behind_it() {
    let messages = torture::own();
    assert!(messages.len() >= 90);
    torment_all(&messages);
}

#[test]
fn each_message_of_rfc_4475_is_answered_or_dropped_and_a_call_works_behind_it() {
    let messages = torture::corpus();
    assert_eq!(messages.len(), if torture::corpus_folder().is_some() { 49 } else { 0 });
    torment_all(&messages);
}
