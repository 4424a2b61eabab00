//! One connection: what of its bytes is a request, what was answered, and when it has to end.

use std::ops::Range;

use super::chunked::Chunked;
use super::framing::{Framing, Outline};
use super::head::{Fields, Head};
use super::response::Frame;
use super::scan::Scan;
use super::{Dates, Limits, MAX_UNSENT, Persistence, Refusal, Response};
use crate::Tick;

/// A request with all its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Request line and header fields.
    pub(crate) head: Head<'a>,
    /// The body, its transfer coding undone.
    pub(crate) body: &'a [u8],
}

/// A request that outlives the bytes it was read from.
#[derive(Debug)]
pub(crate) struct OwnedRequest {
    method: Box<str>,
    target: Box<str>,
    fields: Box<str>,
    body: Box<[u8]>,
}

impl OwnedRequest {
    /// A copy of a request.
    pub(crate) fn of(request: &Request<'_>) -> Self {
        let head = &request.head;
        Self {
            method: head.method.into(),
            target: head.target.into(),
            fields: head.fields.text().into(),
            body: request.body.into(),
        }
    }

    /// The request.
    pub(crate) fn request(&self) -> Request<'_> {
        Request { head: Head::of(&self.method, &self.target, Fields(&self.fields)), body: &self.body }
    }
}

/// What [`Connection::poll`] found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next<'a> {
    /// A request, to be answered with [`Connection::respond`], now or later.
    Request(Request<'a>),
    /// What came in is refused; to be answered with [`Connection::respond`], which then closes.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The header fields, for what the answer depends on (Accept): none if they had not all come in.
        fields: Fields<'a>,
    },
    /// There is nothing to do before more bytes come in, more are sent or a request is answered.
    Nothing,
    /// The connection is to be closed at once: it rested too long, or the client took none of its answers.
    Close,
}

#[derive(Debug)]
enum Phase {
    /// Between requests.
    Idle,
    /// A head is coming in.
    Head { since: Tick, scan: Scan },
    /// A body is coming in.
    Body { since: Tick, outline: Outline, body: Body },
    /// A request or a refusal was handed out.
    Answering(Frame),
    /// It was closed.
    Over,
}

#[derive(Debug)]
enum Body {
    Sized(usize),
    Chunked(Chunked),
}

/// A request that is all there, as places in the bytes that start with it.
#[derive(Debug)]
struct Whole {
    outline: Outline,
    body: Range<usize>,
}

impl Whole {
    fn request<'a>(&self, bytes: &'a [u8]) -> Next<'a> {
        let body = bytes.get(self.body.clone()).unwrap_or_default();
        Next::Request(Request { head: self.outline.head(bytes), body })
    }
}

/// One connection.
///
/// A request that comes in one piece is read where it lies. Only what is incomplete, or came too early, is kept: at most
/// one request of the largest size and 4 KiB; at rest nothing.
#[derive(Debug)]
pub(crate) struct Connection {
    phase: Phase,
    /// What came in and was not taken yet, from `taken` on.
    held: Vec<u8>,
    taken: usize,
    /// Since when nothing was answered or sent.
    quiet: Tick,
    unsent: usize,
    /// Answers given since everything was sent.
    answers: usize,
}

impl Connection {
    /// A connection that was just accepted.
    pub(crate) fn new(now: Tick) -> Self {
        Self { phase: Phase::Idle, held: Vec::new(), taken: 0, quiet: now, unsent: 0, answers: 0 }
    }

    /// The next request, out of what is kept and then `fresh`: bytes that just came in, of which those looked at are
    /// cut off. `interim` receives what has to be written at once (100 Continue).
    ///
    /// Call it when bytes came in, again after every answer with the same `fresh`, and with none after
    /// [`unsent`](Self::unsent), until it gives neither a request nor a refusal: then `fresh` is empty, and calling again
    /// does nothing. While a request is not answered it only keeps what comes in.
    pub(crate) fn poll<'a, 'f: 'a>(
        &'a mut self,
        now: Tick,
        fresh: &mut &'f [u8],
        limits: &Limits,
        interim: &mut Vec<u8>,
    ) -> Next<'a> {
        if self.waits(limits) {
            return self.keep(fresh, limits);
        }
        if self.kept().is_empty() {
            let source = behind_empty_lines(fresh);
            match self.phase.advance(now, source, limits, interim) {
                Ok(Some(whole)) => {
                    *fresh = source.get(whole.body.end..).unwrap_or_default();
                    self.phase = Phase::Answering(whole.outline.frame(source));
                    return whole.request(source);
                }
                Ok(None) => *fresh = source,
                Err(refusal) => {
                    *fresh = &[];
                    let fields = self.phase.refuse(source);
                    return Next::Refused { refusal, fields };
                }
            }
        }
        let found = self.advance_kept(now, fresh, limits, interim);
        let start = self.taken;
        let source = self.held.get(start..).unwrap_or_default();
        match found {
            Ok(Some(whole)) => {
                self.taken += whole.body.end;
                self.phase = Phase::Answering(whole.outline.frame(source));
                whole.request(source)
            }
            Ok(None) => Next::Nothing,
            Err(refusal) => {
                *fresh = &[];
                Next::Refused { refusal, fields: self.phase.refuse(source) }
            }
        }
    }

    /// Reads on in what is kept, taking from `fresh` piece by piece what there is room for.
    fn advance_kept(
        &mut self,
        now: Tick,
        fresh: &mut &[u8],
        limits: &Limits,
        interim: &mut Vec<u8>,
    ) -> Result<Option<Whole>, Refusal> {
        loop {
            let room = limits.held().saturating_sub(self.kept().len());
            let (piece, rest) = fresh.split_at_checked(room).unwrap_or((fresh, &[]));
            self.take_in(piece);
            *fresh = rest;
            if matches!(self.phase, Phase::Idle) {
                self.taken = self.held.len() - behind_empty_lines(self.kept()).len();
            }
            let source = self.held.get(self.taken..).unwrap_or_default();
            if let Some(whole) = self.phase.advance(now, source, limits, interim)? {
                return Ok(Some(whole));
            }
            if let Some(whole) = self.decode(limits)? {
                return Ok(Some(whole));
            }
            if fresh.is_empty() {
                self.release();
                return Ok(None);
            }
        }
    }

    /// Undoes a body's chunks in place, as far as they came in. What was framing makes room for more.
    fn decode(&mut self, limits: &Limits) -> Result<Option<Whole>, Refusal> {
        let Phase::Body { outline, body: Body::Chunked(chunked), .. } = &mut self.phase else {
            return Ok(None);
        };
        let done = chunked.advance(self.held.get_mut(self.taken..).unwrap_or_default(), limits)?;
        let gap = chunked.close_gap();
        self.held.drain(self.taken + gap.start..self.taken + gap.end);
        Ok(done.then(|| Whole { outline: *outline, body: chunked.decoded() }))
    }

    /// Answers the request that was handed out last, or the refusal, and says whether the connection goes on.
    /// `wanted` closes it even if the client does not. With nothing to answer it writes nothing.
    pub(crate) fn respond(
        &mut self,
        now: Tick,
        response: &Response<'_>,
        dates: &mut Dates,
        wanted: Persistence,
        out: &mut Vec<u8>,
    ) -> Persistence {
        let mut frame = match self.phase {
            Phase::Answering(frame) => frame,
            Phase::Over => return Persistence::Close,
            Phase::Idle | Phase::Head { .. } | Phase::Body { .. } => return Persistence::KeepAlive,
        };
        if wanted == Persistence::Close {
            frame.persistence = Persistence::Close;
        }
        let before = out.len();
        response.write(dates.at(now), frame, out);
        self.unsent += out.len() - before;
        self.answers += 1;
        self.quiet = now;
        match frame.persistence {
            Persistence::Close => self.end(),
            Persistence::KeepAlive => {
                self.phase = Phase::Idle;
                self.release();
            }
        }
        frame.persistence
    }

    /// Answers a connection on which nothing was asked yet, as its only answer; it closes.
    pub(crate) fn refuse(
        &mut self,
        now: Tick,
        response: &Response<'_>,
        dates: &mut Dates,
        out: &mut Vec<u8>,
    ) {
        self.phase.refuse(&[]);
        self.respond(now, response, dates, Persistence::Close, out);
    }

    /// Says how many bytes of all that was written for this connection have not been sent yet, whenever that changes.
    /// [`poll`](Self::poll) then, without new bytes: requests may have waited for it.
    pub(crate) fn unsent(&mut self, now: Tick, bytes: usize) {
        if bytes < self.unsent {
            self.quiet = now;
        }
        self.unsent = bytes;
        if bytes == 0 {
            self.answers = 0;
        }
    }

    /// When [`timeout`](Self::timeout) has something to do; `None` while a request is being answered. It moves with
    /// every answer: whoever keeps a timer for it may leave it where it is, and look again when it fires.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Tick> {
        match &self.phase {
            Phase::Idle => Some(self.quiet + limits.idle_time),
            Phase::Head { since, .. } | Phase::Body { since, .. } => Some(*since + limits.request_time),
            Phase::Answering(_) | Phase::Over => None,
        }
    }

    /// Ends a connection whose [`deadline`](Self::deadline) has come: with a refusal (408) in the middle of a request,
    /// without a word between requests. Before it, it does nothing.
    pub(crate) fn timeout(&mut self, now: Tick, limits: &Limits) -> Next<'_> {
        if self.deadline(limits).is_none_or(|deadline| deadline > now) {
            return Next::Nothing;
        }
        if matches!(self.phase, Phase::Idle) {
            self.end();
            return Next::Close;
        }
        let source = self.held.get(self.taken..).unwrap_or_default();
        Next::Refused { refusal: Refusal::TooSlow, fields: self.phase.refuse(source) }
    }

    /// Whether nothing has come in of a request, and none is being answered: it may be closed and nobody loses anything.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle) && self.kept().is_empty()
    }

    /// Bytes of memory that it holds besides its own.
    pub(crate) fn held(&self) -> usize {
        self.held.capacity()
    }

    /// Whether nothing is read for now.
    fn waits(&self, limits: &Limits) -> bool {
        match self.phase {
            Phase::Idle => self.answers >= limits.pipelined || self.unsent > MAX_UNSENT,
            Phase::Head { .. } | Phase::Body { .. } => false,
            Phase::Answering(_) | Phase::Over => true,
        }
    }

    /// Keeps what came too early; a client that sends more of that than there is room for is lost.
    fn keep(&mut self, fresh: &mut &[u8], limits: &Limits) -> Next<'static> {
        let bytes = std::mem::take(fresh);
        if matches!(self.phase, Phase::Over) || self.kept().len() + bytes.len() > limits.held() {
            self.end();
            return Next::Close;
        }
        self.take_in(bytes);
        Next::Nothing
    }

    fn kept(&self) -> &[u8] {
        self.held.get(self.taken..).unwrap_or_default()
    }

    fn take_in(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.held.drain(..self.taken);
            self.taken = 0;
            self.held.extend_from_slice(bytes);
        }
    }

    /// At rest a connection holds no memory for requests.
    fn release(&mut self) {
        if self.kept().is_empty() {
            self.held = Vec::new();
            self.taken = 0;
        }
    }

    fn end(&mut self) {
        self.phase = Phase::Over;
        self.held = Vec::new();
        self.taken = 0;
    }
}

impl Phase {
    /// Reads on; `bytes` starts where the request does. What it decides depends on them and their order only, not on
    /// how they were cut on their way. Chunks it leaves alone.
    fn advance(
        &mut self,
        now: Tick,
        bytes: &[u8],
        limits: &Limits,
        interim: &mut Vec<u8>,
    ) -> Result<Option<Whole>, Refusal> {
        // The CR may belong to an empty line before the request (RFC 9112 §2.2).
        if matches!(self, Phase::Idle) && bytes != b"" && bytes != b"\r" {
            *self = Phase::Head { since: now, scan: Scan::default() };
        }
        if let Phase::Head { since, scan } = self {
            let Some(bounds) = scan.advance(bytes, limits)? else { return Ok(None) };
            let outline = Outline::read(bytes.get(..bounds.length).unwrap_or_default(), &bounds, limits)?;
            if outline.waits {
                interim.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            let body = match outline.framing {
                Framing::Sized(length) => Body::Sized(length),
                Framing::Chunked => Body::Chunked(Chunked::new(outline.length)),
            };
            *self = Phase::Body { since: *since, outline, body };
        }
        match self {
            Phase::Body { outline, body: Body::Sized(length), .. } => {
                let end = outline.length + *length;
                let whole = Whole { outline: *outline, body: outline.length..end };
                Ok((bytes.len() >= end).then_some(whole))
            }
            _ => Ok(None),
        }
    }

    /// Goes over to answering a refusal, after which the connection closes. What is known of the header fields.
    fn refuse<'a>(&mut self, bytes: &'a [u8]) -> Fields<'a> {
        let fields = match self {
            Phase::Head { scan, .. } => scan.fields(),
            Phase::Body { outline, .. } => Some(outline.fields()),
            Phase::Idle | Phase::Answering(_) | Phase::Over => None,
        };
        let text = fields.and_then(|range| bytes.get(range)).and_then(|text| std::str::from_utf8(text).ok());
        let head_only = bytes.starts_with(b"HEAD ");
        *self = Phase::Answering(Frame { persistence: Persistence::Close, head_only, old: false });
        Fields(text.unwrap_or_default())
    }
}

/// Empty lines before a request are skipped (RFC 9112 §2.2).
fn behind_empty_lines(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests;
