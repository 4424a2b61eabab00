//! What a user agent server looks at before anything else (RFC 3261 §8.2.1 to §8.2.3).

use crate::sip::message::{Method, Name, Request, Status, Writer};

/// The methods that are taken within a dialog, and OPTIONS outside of one.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, UPDATE";

/// The extensions that a peer may require of us.
pub(crate) const SUPPORTED: [&str; 1] = ["100rel"];

/// Why a request is refused, whatever it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// 501: no method of SIP that we know.
    UnknownMethod,
    /// 405: a method that has no use here.
    NotAllowed,
    /// 416: a Request-URI that is no SIP URI.
    Scheme,
    /// 420: these extensions are required and not known.
    Extensions(String),
}

impl Objection {
    /// The status that answers it.
    pub(crate) fn status(&self) -> Status {
        match self {
            Objection::UnknownMethod => Status::NOT_IMPLEMENTED,
            Objection::NotAllowed => Status::METHOD_NOT_ALLOWED,
            Objection::Scheme => Status::UNSUPPORTED_SCHEME,
            Objection::Extensions(_) => Status::BAD_EXTENSION,
        }
    }

    /// Ends the answer with what it has to tell.
    pub(crate) fn finish(&self, mut writer: Writer<'_>) {
        match self {
            Objection::UnknownMethod | Objection::NotAllowed => {
                writer.field(Name::Allow, ALLOW);
            }
            Objection::Extensions(unknown) => {
                writer.field(Name::Unsupported, unknown);
            }
            Objection::Scheme => {}
        }
        writer.end();
    }
}

/// Looks at method, Request-URI and required extensions. ACK and CANCEL are not looked at.
pub(crate) fn screen(request: &Request<'_>) -> Result<(), Objection> {
    match request.method {
        Method::Ack | Method::Cancel => return Ok(()),
        Method::Other(_) => return Err(Objection::UnknownMethod),
        Method::Register | Method::Publish | Method::Subscribe | Method::Refer => {
            return Err(Objection::NotAllowed);
        }
        Method::Info | Method::Message | Method::Prack => return Err(Objection::NotAllowed),
        Method::Invite | Method::Bye | Method::Options | Method::Notify | Method::Update => {}
    }
    if !request.uri.scheme.is_sip() {
        return Err(Objection::Scheme);
    }
    let known = |option: &&str| !SUPPORTED.iter().any(|known| known.eq_ignore_ascii_case(option));
    let unknown: Vec<&str> = request.values(Name::Require).filter(known).collect();
    if unknown.is_empty() { Ok(()) } else { Err(Objection::Extensions(unknown.join(", "))) }
}
