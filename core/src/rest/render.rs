//! Answers: status, header fields and body.

use super::{Error, Format, json, xml};
use crate::Epoch;
use crate::call::Call;
use crate::http::{Response, phrase};

/// What is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// How answers are shown to one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Show {
    /// XML or JSON.
    pub(crate) format: Format,
    /// What ties ticks to the wall clock.
    pub(crate) epoch: Epoch,
}

const XML: &str = "text/xml; charset=utf-8";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

impl Answer {
    fn with_body(status: u16, media_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("Content-Type", media_type.to_owned())], body }
    }

    fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// Adds a header field.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The answer as HTTP sends it.
    pub(crate) fn response(&self) -> Response<'_> {
        Response { status: self.status, headers: &self.headers, body: &self.body }
    }
}

impl Show {
    /// A call was placed.
    pub(crate) fn placed(self, call: &Call, ignored: &[String]) -> Answer {
        let answer = match self.format {
            Format::Xml => Answer::empty(200),
            Format::Json => self.json(&json::call(call, self.epoch)),
        };
        let answer = answer.with("Location", format!("/calls/{}", call.id().text()));
        if ignored.is_empty() { answer } else { answer.with("Cordboard-Ignored", ignored.join(", ")) }
    }

    /// The progress of a call by its name, or of none.
    pub(crate) fn progress(self, call: Option<&Call>) -> Answer {
        match (self.format, call) {
            (Format::Json, Some(call)) => self.json(&json::call(call, self.epoch)),
            (Format::Json, None) => self.json(&serde_json::Value::Null),
            (Format::Xml, call) => {
                let mut body = Vec::new();
                xml::status_lines(call, self.epoch, &mut body);
                Answer::with_body(200, XML, body)
            }
        }
    }

    /// One call, always as JSON.
    pub(crate) fn call(self, call: &Call) -> Answer {
        self.json(&json::call(call, self.epoch))
    }

    /// Many calls, always as JSON.
    pub(crate) fn calls<'a>(self, calls: impl Iterator<Item = &'a Call>) -> Answer {
        self.json(&calls.map(|call| json::call(call, self.epoch)).collect())
    }

    /// A call was ended.
    pub(crate) fn hung_up(self) -> Answer {
        Answer::empty(204)
    }

    /// The methods that a path takes.
    pub(crate) fn options(self, allow: &'static str) -> Answer {
        Answer::empty(204).with("Allow", allow.to_owned())
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
                let problem = json::problem(status, phrase(status), &why);
                Answer::with_body(status, PROBLEM, problem.to_string().into_bytes())
            }
        };
        answer.headers.extend(error.headers());
        answer
    }

    fn json(self, value: &serde_json::Value) -> Answer {
        Answer::with_body(200, JSON, value.to_string().into_bytes())
    }
}
