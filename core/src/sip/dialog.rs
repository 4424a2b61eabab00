//! Dialogs (RFC 3261 §12): their identity, route set, remote target and sequence numbers, and requests within them.

use crate::sip::message::{Head, Method, Name, NameAddr, Request, Response, Writer};

/// What every request of one side carries before and within a dialog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<'a> {
    /// `Call-ID`.
    pub(crate) call_id: &'a str,
    /// Our name-addr without its tag.
    pub(crate) local: &'a str,
    /// Our tag.
    pub(crate) local_tag: &'a str,
    /// The peer's name-addr without its tag.
    pub(crate) remote: &'a str,
}

/// By which way a request leaves, as its `Via` says it, and its transaction's branch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending<'a> {
    /// `UDP`, `TCP` or `TLS`.
    pub(crate) transport: &'a str,
    /// Our host and port.
    pub(crate) sent_by: &'a str,
    /// The branch of the request's client transaction.
    pub(crate) branch: &'a str,
    /// The sequence number.
    pub(crate) cseq: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    CallId,
    Local,
    LocalTag,
    Remote,
    RemoteTag,
    Target,
    Routes,
}

const PIECES: usize = 7;

/// Why a request within a dialog cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder;

/// One dialog, seen from our side.
///
/// All its text lies in one allocation, since tens of thousands of them may rest at once.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    text: Box<str>,
    ends: [u32; PIECES],
    local_cseq: u32,
    remote_cseq: Option<u32>,
}

impl Dialog {
    /// The dialog that a response to our request makes (§12.1.2).
    ///
    /// A peer that sends no To tag is one of RFC 2543; one that sends no Contact is reached at `fallback`, where the
    /// request went: both can then at least be acknowledged and hung up.
    pub(crate) fn from_response(ends: Ends<'_>, cseq: u32, response: &Response<'_>, fallback: &str) -> Self {
        let contact = response.contact();
        let target = contact.as_ref().map_or(fallback, |contact| contact.uri.without_headers());
        let mut routes: Vec<&str> = response.values(Name::RecordRoute).collect();
        routes.reverse();
        Self::new(ends, response.to.tag().unwrap_or_default(), target, &routes, cseq, None)
    }

    /// The dialog that our answer to a request makes (§12.1.1); `None` when the request has no Contact.
    #[cfg(feature = "softphone")]
    pub(crate) fn from_request(request: &Request<'_>, local_tag: &str) -> Option<Self> {
        let ends = Ends {
            call_id: request.call_id,
            local: without_tag(&request.to),
            local_tag,
            remote: without_tag(&request.from),
        };
        let target = request.contact()?.uri.without_headers();
        let routes: Vec<&str> = request.values(Name::RecordRoute).collect();
        let remote_tag = request.from.tag().unwrap_or_default();
        Some(Self::new(ends, remote_tag, target, &routes, 0, Some(request.cseq.number)))
    }

    fn new(
        ends: Ends<'_>,
        remote_tag: &str,
        target: &str,
        routes: &[&str],
        local_cseq: u32,
        remote_cseq: Option<u32>,
    ) -> Self {
        let routes = routes.join(", ");
        let pieces = [ends.call_id, ends.local, ends.local_tag, ends.remote, remote_tag, target, &routes];
        let (text, ends) = pack(pieces);
        Self { text, ends, local_cseq, remote_cseq }
    }

    fn piece(&self, piece: Piece) -> &str {
        let at = piece as usize;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(at).copied().unwrap_or(start);
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// `Call-ID`.
    pub(crate) fn call_id(&self) -> &str {
        self.piece(Piece::CallId)
    }

    /// Our tag.
    pub(crate) fn local_tag(&self) -> &str {
        self.piece(Piece::LocalTag)
    }

    /// The peer's tag; empty for a peer of RFC 2543.
    pub(crate) fn remote_tag(&self) -> &str {
        self.piece(Piece::RemoteTag)
    }

    /// The remote target: where requests within the dialog are meant for.
    pub(crate) fn target(&self) -> &str {
        self.piece(Piece::Target)
    }

    /// The peer's name-addr without its tag.
    pub(crate) fn remote(&self) -> &str {
        self.piece(Piece::Remote)
    }

    /// Our name-addr without its tag.
    pub(crate) fn local(&self) -> &str {
        self.piece(Piece::Local)
    }

    /// Whether a message from the peer with these is of this dialog.
    pub(crate) fn is_of(&self, head: &Head<'_>, remote_tag: Option<&str>) -> bool {
        self.call_id() == head.call_id && self.remote_tag() == remote_tag.unwrap_or_default()
    }

    /// The URI that the next request goes to: the first of the route set, or the remote target (§12.2.1.1).
    pub(crate) fn next_hop(&self) -> &str {
        self.first_route().map_or(self.target(), |route| route.uri.raw)
    }

    fn first_route(&self) -> Option<NameAddr<'_>> {
        let routes = self.piece(Piece::Routes);
        if routes.is_empty() {
            return None;
        }
        let first = routes.split_once(", ").map_or(routes, |(first, _)| first);
        NameAddr::parse(first).ok()
    }

    /// A fresh sequence number for a request of ours.
    pub(crate) fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.wrapping_add(1);
        self.local_cseq
    }

    /// Raises our sequence number to one that was used outside, if it is lower.
    pub(crate) fn used_cseq(&mut self, cseq: u32) {
        self.local_cseq = self.local_cseq.max(cseq);
    }

    /// Checks and takes the sequence number of a request from the peer (§12.2.2).
    pub(crate) fn take_cseq(&mut self, request: &Request<'_>) -> Result<(), OutOfOrder> {
        let number = request.cseq.number;
        if self
            .remote_cseq
            .is_some_and(|last| number < last || (number == last && request.method != Method::Ack))
        {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(number);
        Ok(())
    }

    /// Takes the Contact of a target refresh request or its 2xx as the new remote target (§12.2.1.2, §12.2.2); the dialog
    /// as it was, if that changes it.
    pub(crate) fn refresh_target(&mut self, head: &Head<'_>) -> Option<Self> {
        let contact = head.contact()?;
        let target = contact.uri.without_headers();
        if target == self.target() {
            return None;
        }
        let pieces = [
            self.call_id(),
            self.local(),
            self.local_tag(),
            self.remote(),
            self.remote_tag(),
            target,
            self.piece(Piece::Routes),
        ];
        let (text, ends) = pack(pieces);
        let (local_cseq, remote_cseq) = (self.local_cseq, self.remote_cseq);
        Some(std::mem::replace(self, Self { text, ends, local_cseq, remote_cseq }))
    }

    /// Begins a request within the dialog: everything up to CSeq is written.
    pub(crate) fn request<'o>(
        &self,
        out: &'o mut Vec<u8>,
        method: Method<'_>,
        sending: Sending<'_>,
    ) -> Writer<'o> {
        let routes = self.piece(Piece::Routes);
        let strict = self.first_route().filter(|route| route.uri.param("lr").is_none());
        let strict = strict.map(|route| route.uri.without_headers());
        let mut writer = Writer::request(out, method, strict.unwrap_or(self.target()));
        via(&mut writer, sending);
        match strict {
            // A strict router (§16.12.1.2) takes the Request-URI's place; the remote target goes last.
            Some(_) => {
                if let Some((_, rest)) = routes.split_once(", ") {
                    writer.field(Name::Route, rest);
                }
                writer.field_parts(Name::Route, &["<", self.target(), ">"]);
            }
            None if !routes.is_empty() => {
                writer.field(Name::Route, routes);
            }
            None => {}
        }
        writer.field(Name::MaxForwards, "70");
        writer.field_parts(Name::From, &[self.local(), ";tag=", self.local_tag()]);
        match self.remote_tag() {
            "" => writer.field(Name::To, self.remote()),
            tag => writer.field_parts(Name::To, &[self.remote(), ";tag=", tag]),
        };
        writer.field(Name::CallId, self.call_id());
        writer.cseq(sending.cseq, method);
        writer
    }
}

/// Begins a request outside of any dialog (§8.1.1): everything up to CSeq is written.
pub(crate) fn request<'o>(
    out: &'o mut Vec<u8>,
    method: Method<'_>,
    target: &str,
    ends: Ends<'_>,
    sending: Sending<'_>,
) -> Writer<'o> {
    let mut writer = Writer::request(out, method, target);
    via(&mut writer, sending);
    writer.field(Name::MaxForwards, "70");
    writer.field_parts(Name::From, &[ends.local, ";tag=", ends.local_tag]);
    writer.field(Name::To, ends.remote);
    writer.field(Name::CallId, ends.call_id);
    writer.cseq(sending.cseq, method);
    writer
}

fn via(writer: &mut Writer<'_>, sending: Sending<'_>) {
    // By a stream the port would be that of a connection, where nobody listens once it is lost; the response then goes to
    // the port of sent-by (RFC 3261 §18.2.2), which a proxy that is asked for rport may not try.
    let rport = if sending.transport == "UDP" { ";rport" } else { "" };
    writer.field_parts(
        Name::Via,
        &["SIP/2.0/", sending.transport, " ", sending.sent_by, ";branch=", sending.branch, rport],
    );
}

#[cfg(feature = "softphone")]
/// A From or To value without its tag and other header parameters, as a name-addr.
fn without_tag<'a>(value: &NameAddr<'a>) -> &'a str {
    value.without_params()
}

fn pack(pieces: [&str; PIECES]) -> (Box<str>, [u32; PIECES]) {
    let mut text = String::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    let mut ends = [0u32; PIECES];
    for (piece, end) in pieces.iter().zip(ends.iter_mut()) {
        text.push_str(piece);
        *end = text.len() as u32;
    }
    (text.into_boxed_str(), ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::{Message, parse};

    const ENDS: Ends<'_> = Ends { call_id: "c", local: "<sip:a@x>", local_tag: "ours", remote: "<sip:b@x>" };

    /// The 2xx of a peer, with these further header lines.
    fn with_answer<T>(lines: &str, act: impl FnOnce(&Response<'_>) -> T) -> T {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=ours\r\n\
             To: <sip:b@x>;tag=theirs\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        match parse(text.as_bytes()) {
            Ok(Message::Response(response)) => act(&response),
            _ => panic!("{text}"),
        }
    }

    fn dialog(lines: &str) -> Dialog {
        with_answer(lines, |response| Dialog::from_response(ENDS, 1, response, "sip:fallback@x"))
    }

    fn bye(dialog: &Dialog, transport: &str) -> String {
        let mut out = Vec::new();
        let sending = Sending { transport, sent_by: "127.0.0.1:6050", branch: "z9hG4bK2", cseq: 2 };
        dialog.request(&mut out, Method::Bye, sending).end();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_datagrams_are_to_be_answered_at_the_port_that_they_came_from() {
        let dialog = dialog("Contact: <sip:b@127.0.0.1:7000>\r\n");
        let via = |transport| bye(&dialog, transport).lines().nth(1).map(str::to_owned);
        assert_eq!(via("UDP").as_deref(), Some("Via: SIP/2.0/UDP 127.0.0.1:6050;branch=z9hG4bK2;rport"));
        for transport in ["TCP", "TLS"] {
            let expected = format!("Via: SIP/2.0/{transport} 127.0.0.1:6050;branch=z9hG4bK2");
            assert_eq!(via(transport), Some(expected));
        }
    }

    #[test]
    fn a_2xx_within_the_dialog_moves_its_target_and_nothing_else() {
        let mut dialog = dialog("Contact: <sip:b@127.0.0.1:7000>\r\nRecord-Route: <sip:p@x;lr>\r\n");
        let before = bye(&dialog, "UDP");
        assert!(before.starts_with("BYE sip:b@127.0.0.1:7000 SIP/2.0\r\n"), "{before}");
        assert!(with_answer("", |response| dialog.refresh_target(response)).is_none());
        assert_eq!(bye(&dialog, "UDP"), before, "without Contact it stays");
        let moved = "Contact: <sip:b@127.0.0.1:7001>\r\nRecord-Route: <sip:q@x;lr>\r\n";
        let former = with_answer(moved, |response| dialog.refresh_target(response)).expect("it moves");
        assert_eq!(bye(&former, "UDP"), before);
        assert_eq!(bye(&dialog, "UDP"), before.replace(":7000", ":7001"), "the route set stays");
    }

    #[test]
    fn a_strict_router_takes_the_place_of_the_target_which_goes_last() {
        let routes = "Record-Route: <sip:last@x;lr>\r\nRecord-Route: <sip:strict@x>\r\n";
        let text = bye(&dialog(&format!("Contact: <sip:b@127.0.0.1:7000>\r\n{routes}")), "UDP");
        assert!(text.starts_with("BYE sip:strict@x SIP/2.0\r\n"), "{text}");
        let routes: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("Route: ")).collect();
        assert_eq!(routes, ["<sip:last@x;lr>", "<sip:b@127.0.0.1:7000>"]);
    }

    #[test]
    fn a_peer_that_names_no_contact_is_hung_up_where_it_was_called() {
        let text = bye(&dialog(""), "UDP");
        assert!(text.starts_with("BYE sip:fallback@x SIP/2.0\r\n"), "{text}");
        assert!(text.contains("To: <sip:b@x>;tag=theirs\r\n") && text.contains("CSeq: 2 BYE\r\n"), "{text}");
    }
}
