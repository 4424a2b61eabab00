//! Responses (RFC 9112 §4, §6).

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// Header fields, but those that the connection itself decides (Date, Content-Length, Connection).
    pub(crate) headers: &'a [(&'static str, String)],
    /// The body.
    pub(crate) body: &'a [u8],
}

impl Response<'_> {
    /// Appends the response. A value cannot end its line: CR, LF and NUL become spaces.
    pub(super) fn write(&self, date: &str, head_only: bool, close: bool, old: bool, out: &mut Vec<u8>) {
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
            out.extend(value.bytes().map(|byte| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { byte }));
        }
        if close {
            out.extend_from_slice(b"\r\nConnection: close");
        } else if old {
            out.extend_from_slice(b"\r\nConnection: keep-alive");
        }
        // 204 has no body by definition, and no length (RFC 9110 §8.6).
        let has_length = self.status != 204 && self.status != 304;
        if has_length {
            out.extend_from_slice(b"\r\nContent-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(self.body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n\r\n");
        if has_length && !head_only {
            out.extend_from_slice(self.body);
        }
    }
}

/// The phrase of a status code (RFC 9110 §15).
pub(crate) fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
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
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}
