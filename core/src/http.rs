//! HTTP/1.1 on the server's side (RFC 9112, RFC 9110): plain bytes in, requests out; responses in, plain bytes out.
//!
//! Knows neither TLS nor what the requests mean. A [`Connection`] hands out one request at a time; the next one
//! is read only when that was answered, so that pipelined requests are answered in order.

mod chunked;
mod date;
pub(crate) mod form;
mod head;
mod response;

use std::time::Duration;

use crate::Tick;
use chunked::Chunked;
pub(crate) use date::{Civil, Dates};
pub(crate) use head::{Head, Refusal};
pub(crate) use response::{Response, phrase};

/// What one connection may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a request's head.
    pub(crate) head: usize,
    /// Bytes of a request's body.
    pub(crate) body: usize,
    /// Header fields.
    pub(crate) headers: usize,
    /// From the first byte of a request to its last.
    pub(crate) request_time: Duration,
    /// Between requests.
    pub(crate) idle_time: Duration,
}

/// The header fields that any request may have, whatever is configured: the size of the parser's table.
pub(crate) const MAX_HEADERS: usize = 256;

#[derive(Debug)]
enum Phase {
    /// Between requests.
    Idle { since: Tick },
    /// A head is coming in.
    Head { since: Tick },
    /// A body of known length is coming in.
    Sized { since: Tick, head: usize, length: usize },
    /// A chunked body is coming in.
    Chunked { since: Tick, head: usize, body: Chunked },
    /// A request was handed out.
    Answering(Pending),
    /// The last answer was given.
    Over,
}

#[derive(Debug)]
struct Pending {
    /// What the request takes of the buffer.
    taken: usize,
    /// Its decoded body, if it was chunked.
    body: Option<Vec<u8>>,
    head: usize,
    length: usize,
    close: bool,
    head_only: bool,
    old: bool,
}

/// A request with all its bytes.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Request line and header fields.
    pub(crate) head: Head<'a>,
    /// The body, its transfer coding undone.
    pub(crate) body: &'a [u8],
}

/// What [`Connection::poll`] found.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// A request, to be answered with [`Connection::respond`].
    Request(Box<Request<'a>>),
    /// What came in is refused; to be answered with [`Connection::respond`], which then closes.
    Refused(Refusal),
    /// More bytes are needed, or the last request is not answered yet.
    Nothing,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    buffer: Vec<u8>,
    phase: Phase,
}

/// Whether a connection goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Further requests may come.
    KeepAlive,
    /// It is to be closed when the answer is written.
    Close,
}

impl Connection {
    /// A connection that was just accepted.
    pub(crate) fn new(now: Tick) -> Self {
        Self { buffer: Vec::new(), phase: Phase::Idle { since: now } }
    }

    /// Takes bytes that came in. Ask [`poll`](Self::poll) then.
    pub(crate) fn received(&mut self, now: Tick, bytes: &[u8]) {
        if matches!(self.phase, Phase::Over) || bytes.is_empty() {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        if matches!(self.phase, Phase::Idle { .. }) {
            self.phase = Phase::Head { since: now };
        }
    }

    /// Bytes held for requests that are not complete or not answered yet.
    pub(crate) fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Bytes that wait to be read as requests.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next request, if it is complete and the one before was answered. `interim` receives what has to be
    /// written at once (100 Continue).
    pub(crate) fn poll(&mut self, limits: &Limits, interim: &mut Vec<u8>) -> Next<'_> {
        match self.advance(limits, interim) {
            Ok(true) => self.request(limits),
            Ok(false) => Next::Nothing,
            Err(refusal) => {
                self.refused();
                Next::Refused(refusal)
            }
        }
    }

    /// Answers a connection that nothing was asked on yet, as its only answer.
    pub(crate) fn refuse(&mut self, now: Tick, response: &Response<'_>, dates: &mut Dates, out: &mut Vec<u8>) {
        self.refused();
        self.respond(now, response, dates, true, out);
    }

    fn refused(&mut self) {
        let head_only = self.buffer.starts_with(b"HEAD ");
        let taken = self.buffer.len();
        let old = false;
        self.phase =
            Phase::Answering(Pending { taken, body: None, head: 0, length: 0, close: true, head_only, old });
    }

    /// Reads on as far as the bytes reach; whether a request is complete.
    fn advance(&mut self, limits: &Limits, interim: &mut Vec<u8>) -> Result<bool, Refusal> {
        loop {
            match &mut self.phase {
                Phase::Idle { .. } | Phase::Over | Phase::Answering(_) => return Ok(false),
                Phase::Head { since } => {
                    let since = *since;
                    let Some(next) = self.head_phase(since, limits, interim)? else { return Ok(false) };
                    self.phase = next;
                }
                Phase::Sized { head, length, .. } => {
                    let (head, length) = (*head, *length);
                    if self.buffer.len() < head + length {
                        return Ok(false);
                    }
                    self.complete(head, length, None, limits)?;
                    return Ok(true);
                }
                Phase::Chunked { head, body, .. } => {
                    let head = *head;
                    let Some(used) = body.read(self.buffer.get(head..).unwrap_or_default(), limits.body)? else {
                        return Ok(false);
                    };
                    let decoded = body.take();
                    self.complete(head, used, Some(decoded), limits)?;
                    return Ok(true);
                }
            }
        }
    }

    fn head_phase(
        &mut self,
        since: Tick,
        limits: &Limits,
        interim: &mut Vec<u8>,
    ) -> Result<Option<Phase>, Refusal> {
        // Empty lines before a request are skipped (RFC 9112 §2.2).
        while self.buffer.starts_with(b"\r\n") {
            self.buffer.drain(..2);
        }
        let Some(length) = head::find_end(&self.buffer, limits)? else { return Ok(None) };
        let bytes = self.buffer.get(..length).unwrap_or_default();
        let head = Head::parse(bytes, limits)?;
        let framing = head.framing(limits)?;
        let waits = head.expects_continue()?;
        let more = self.buffer.len() == length;
        let phase = match framing {
            head::Framing::Sized(size) => Phase::Sized { since, head: length, length: size },
            head::Framing::Chunked => Phase::Chunked { since, head: length, body: Chunked::default() },
        };
        if waits && more && !matches!(phase, Phase::Sized { length: 0, .. }) {
            interim.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        Ok(Some(phase))
    }

    fn complete(
        &mut self,
        head: usize,
        length: usize,
        body: Option<Vec<u8>>,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let parsed = Head::parse(self.buffer.get(..head).unwrap_or_default(), limits)?;
        let pending = Pending {
            taken: head + length,
            body,
            head,
            length,
            close: parsed.wants_close(),
            head_only: parsed.method == "HEAD",
            old: parsed.is_old(),
        };
        self.phase = Phase::Answering(pending);
        Ok(())
    }

    fn request(&self, limits: &Limits) -> Next<'_> {
        let Phase::Answering(pending) = &self.phase else { return Next::Nothing };
        let Ok(head) = Head::parse(self.buffer.get(..pending.head).unwrap_or_default(), limits) else {
            return Next::Nothing;
        };
        let plain = self.buffer.get(pending.head..pending.head + pending.length).unwrap_or_default();
        let body = pending.body.as_deref().unwrap_or(plain);
        Next::Request(Box::new(Request { head, body }))
    }

    /// Answers the request that was handed out last, or the refusal.
    pub(crate) fn respond(
        &mut self,
        now: Tick,
        response: &Response<'_>,
        dates: &mut Dates,
        closing: bool,
        out: &mut Vec<u8>,
    ) -> Persistence {
        let Phase::Answering(pending) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return Persistence::Close;
        };
        let close = pending.close || closing;
        response.write(dates.at(now), pending.head_only, close, pending.old, out);
        if close {
            self.buffer = Vec::new();
            return Persistence::Close;
        }
        self.buffer.drain(..pending.taken.min(self.buffer.len()));
        if self.buffer.is_empty() {
            // At rest a connection holds no memory for requests; one that works on keeps a small buffer.
            if self.buffer.capacity() > KEPT_BUFFER {
                self.buffer = Vec::new();
            }
            self.phase = Phase::Idle { since: now };
        } else {
            self.phase = Phase::Head { since: now };
        }
        Persistence::KeepAlive
    }

    /// When [`timeout`](Self::timeout) has something to do; `None` while a request is being answered.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Tick> {
        match &self.phase {
            Phase::Idle { since } => Some(*since + limits.idle_time),
            Phase::Head { since } | Phase::Sized { since, .. } | Phase::Chunked { since, .. } => {
                Some(*since + limits.request_time)
            }
            Phase::Answering(_) | Phase::Over => None,
        }
    }

    /// Ends a connection whose time is over: `Some` refusal to answer with, or `None` to close without a word.
    pub(crate) fn timeout(&mut self) -> Option<Refusal> {
        if matches!(self.phase, Phase::Idle { .. }) {
            self.phase = Phase::Over;
            return None;
        }
        self.refused();
        Some(Refusal::TooSlow)
    }
}

/// What a connection keeps of its buffer between requests.
const KEPT_BUFFER: usize = 4096;

#[cfg(test)]
mod tests;
