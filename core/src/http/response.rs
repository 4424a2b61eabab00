//! Responses (RFC 9112 §4, §6; RFC 9110 §15).

use std::borrow::Cow;

/// Whether a connection goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Further requests may come.
    KeepAlive,
    /// It is to be closed when the answer is written.
    Close,
}

/// The name of a header field, and its value.
pub(crate) type Header = (&'static str, Cow<'static, str>);

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// Header fields, but those that the connection itself decides: Date, Content-Length, Connection.
    pub(crate) headers: &'a [Header],
    /// The body. For HEAD it is the one that GET would have; 204 and 304 are sent without.
    pub(crate) body: &'a [u8],
}

/// How an answer is framed for the client that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Whether the connection goes on, as the client wants it.
    pub(super) persistence: Persistence,
    /// Whether HEAD was asked: the body's length is told, but not the body.
    pub(super) head_only: bool,
    /// Whether the client speaks HTTP/1.0, and has to be told that the connection goes on.
    pub(super) old: bool,
}

impl Response<'_> {
    /// Appends the response. No value can end its line: control characters become spaces.
    pub(super) fn write(&self, date: &str, frame: Frame, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa::Buffer::new().format(self.status).as_bytes());
        out.push(b' ');
        out.extend_from_slice(phrase(self.status).as_bytes());
        out.extend_from_slice(b"\r\nDate: ");
        out.extend_from_slice(date.as_bytes());
        for (name, value) in self.headers {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            write_value(value, out);
        }
        match frame.persistence {
            Persistence::Close => out.extend_from_slice(b"\r\nConnection: close"),
            Persistence::KeepAlive if frame.old => out.extend_from_slice(b"\r\nConnection: keep-alive"),
            Persistence::KeepAlive => {}
        }
        // 204 and 304 have no body by definition (RFC 9110 §8.6).
        let has_body = self.status != 204 && self.status != 304;
        if has_body {
            out.extend_from_slice(b"\r\nContent-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(self.body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
        if has_body && !frame.head_only {
            out.extend_from_slice(self.body);
        }
    }
}

fn write_value(value: &str, out: &mut Vec<u8>) {
    let is_barred = |byte: u8| byte.is_ascii_control() && byte != b'\t';
    // Looked at all together, which is quicker than to stop at the first.
    if value.bytes().fold(false, |found, byte| found | is_barred(byte)) {
        out.extend(value.bytes().map(|byte| if is_barred(byte) { b' ' } else { byte }));
    } else {
        out.extend_from_slice(value.as_bytes());
    }
}

/// The phrase of a status code (RFC 9110 §15); empty for those that we never send.
pub(crate) fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Frame = Frame { persistence: Persistence::KeepAlive, head_only: false, old: false };

    fn written(status: u16, headers: &[Header], body: &str, frame: Frame) -> String {
        let mut out = Vec::new();
        Response { status, headers, body: body.as_bytes() }.write("(date)", frame, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_response_has_date_fields_length_and_body() {
        let headers = [("Location", "/calls/1".into()), ("Allow", "GET".into())];
        assert_eq!(
            written(200, &headers, "abc", PLAIN),
            "HTTP/1.1 200 OK\r\nDate: (date)\r\nLocation: /calls/1\r\nAllow: GET\r\nContent-Length: 3\r\n\r\nabc"
        );
        assert!(written(404, &[], "", PLAIN).ends_with("\r\nContent-Length: 0\r\n\r\n"));
    }

    #[test]
    fn head_is_told_the_length_that_get_would_have() {
        let frame = Frame { head_only: true, ..PLAIN };
        assert!(written(200, &[], "abc", frame).ends_with("\r\nContent-Length: 3\r\n\r\n"));
    }

    #[test]
    fn no_content_has_neither_length_nor_body() {
        for status in [204, 304] {
            let text = written(status, &[], "abc", PLAIN);
            assert!(!text.contains("Content-Length") && text.ends_with("\r\n\r\n"), "{text}");
        }
    }

    #[test]
    fn the_client_is_told_what_becomes_of_the_connection() {
        let old = Frame { old: true, ..PLAIN };
        let close = Frame { persistence: Persistence::Close, ..old };
        assert!(!written(200, &[], "", PLAIN).contains("Connection"));
        assert!(written(200, &[], "", old).contains("\r\nConnection: keep-alive\r\n"));
        assert!(written(200, &[], "", close).contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let headers = [("Cordboard-Ignored", "a\r\nSet-Cookie: b\0\u{7f}\té".into())];
        assert!(
            written(200, &headers, "", PLAIN).contains("\r\nCordboard-Ignored: a  Set-Cookie: b  \té\r\n")
        );
    }
}
