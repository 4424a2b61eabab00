//! What goes back to the client: status, header fields and body.

use std::borrow::Cow;

use serde::Serialize;
use smallvec::{SmallVec, smallvec};

use super::accept::Format;
use super::error::Error;
use super::parameters::Ignored;
use super::{json, xml};
use crate::Epoch;
use crate::call::progress::Progress;
use crate::http::{Header, Response, phrase};

/// An answer, before the connection adds what is its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    status: u16,
    headers: SmallVec<[Header; 2]>,
    body: Vec<u8>,
}

/// Many calls, as far as they were asked for.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Listed {
    calls: Vec<serde_json::Value>,
    /// Whether there are more than are listed.
    more: bool,
}

const XML: &str = "text/xml; charset=utf-8";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// How many calls a list shows: so that one request cannot ask for all the work there is.
const MAX_LISTED: usize = 1000;

impl Answer {
    fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn with_body(status: u16, media_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, headers: smallvec![("Content-Type", media_type.into())], body }
    }

    fn with_json(status: u16, media_type: &'static str, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::with_body(status, media_type, body),
            Err(fault) => Self::with_body(500, "text/plain", fault.to_string().into_bytes()),
        }
    }

    /// Adds a header field.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The answer as the connection takes it.
    pub(crate) fn response(&self) -> Response<'_> {
        Response { status: self.status, headers: &self.headers, body: &self.body }
    }
}

/// How answers to one request are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    /// What the client wants.
    pub(crate) format: Format,
    /// What the wall clock says.
    pub(crate) epoch: Epoch,
}

impl Show {
    /// A call was placed. sipXecs' clients expect nothing in the body.
    pub(crate) fn placed(self, call: &Progress<'_>, ignored: &Ignored) -> Answer {
        let answer = match self.format {
            Format::Xml => Answer::empty(200),
            Format::Json => self.json(call),
        };
        let answer = answer.with("Location", ["/calls/", call.id.text().as_str()].concat());
        if ignored.is_empty() { answer } else { answer.with("Cordboard-Ignored", ignored.to_string()) }
    }

    /// How far a call has got, or that there is none of that name: an empty document, or `null`.
    pub(crate) fn progress(self, call: Option<&Progress<'_>>) -> Answer {
        let answer = match (self.format, call) {
            (Format::Xml, call) => {
                let mut body = Vec::new();
                xml::progress(call, self.epoch, &mut body);
                Answer::with_body(200, XML, body)
            }
            (Format::Json, Some(call)) => self.json(call),
            (Format::Json, None) => Answer::with_json(200, JSON, &()),
        };
        fresh(answer)
    }

    /// Adds calls to a list of many, without their events, up to the first thousand.
    pub(crate) fn list<'a>(self, calls: impl Iterator<Item = Progress<'a>>, listed: &mut Listed) {
        for call in calls {
            if listed.calls.len() >= MAX_LISTED {
                listed.more = true;
                return;
            }
            let summary = serde_json::to_value(json::Summary::of(&call, self.epoch));
            listed.calls.extend(summary);
        }
    }

    /// Many calls: always as JSON.
    pub(crate) fn listed(self, listed: &Listed) -> Answer {
        fresh(Answer::with_json(200, JSON, listed))
    }

    /// A call was ended.
    pub(crate) fn hung_up(self) -> Answer {
        Answer::empty(204)
    }

    /// The methods that a path takes.
    pub(crate) fn options(self, allow: &'static str) -> Answer {
        Answer::empty(204).with("Allow", allow)
    }

    /// An error.
    pub(crate) fn error(self, error: &Error) -> Answer {
        let (status, why) = (error.status(), error.to_string());
        let mut answer = match self.format {
            Format::Xml => {
                let mut body = Vec::new();
                xml::processing_status(status, &why, &mut body);
                Answer::with_body(status, XML, body)
            }
            Format::Json => {
                Answer::with_json(status, PROBLEM, &json::Problem::new(status, phrase(status), &why))
            }
        };
        error.headers(&mut answer.headers);
        answer
    }

    fn json(self, call: &Progress<'_>) -> Answer {
        Answer::with_json(200, JSON, &json::Call::of(call, self.epoch))
    }
}

/// The next one to ask may get another answer (RFC 9111 §5.2.2.5).
fn fresh(answer: Answer) -> Answer {
    answer.with("Cache-Control", "no-store")
}

#[cfg(test)]
mod tests;
