//! What a user agent server looks at before anything else (RFC 3261 §8.2.1 to §8.2.3).

use crate::sip::message::{Method, Name, Request, Status, Writer};

/// What a dialog is for, which decides what may be asked in it; or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// No dialog.
    Outside,
    /// A party is rung and handed over by REFER.
    Refer,
    /// A party is connected to another one through us.
    Bridge,
}

impl Usage {
    /// The methods that are taken, as `Allow` lists them.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Usage::Outside | Usage::Refer => "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, UPDATE",
            Usage::Bridge => "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, UPDATE, PRACK, INFO, MESSAGE, REFER",
        }
    }

    /// The extensions that a peer may require.
    fn known(self) -> &'static [&'static str] {
        match self {
            Usage::Outside | Usage::Refer => &["100rel"],
            Usage::Bridge => &["100rel", "timer", "replaces", "norefersub"],
        }
    }

    fn takes(self, method: Method<'_>) -> bool {
        match method {
            Method::Invite | Method::Bye | Method::Options | Method::Notify | Method::Update => true,
            Method::Info | Method::Message | Method::Prack | Method::Refer => self == Usage::Bridge,
            _ => false,
        }
    }
}

/// Why a request is refused, whatever it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// 501: no method of SIP that we know.
    UnknownMethod(Usage),
    /// 405: a method that has no use here.
    NotAllowed(Usage),
    /// 416: a Request-URI that is no SIP URI.
    Scheme,
    /// 420: these extensions are required and not known.
    Extensions(String),
}

impl Objection {
    /// The status that answers it.
    pub(crate) fn status(&self) -> Status {
        match self {
            Objection::UnknownMethod(_) => Status::NOT_IMPLEMENTED,
            Objection::NotAllowed(_) => Status::METHOD_NOT_ALLOWED,
            Objection::Scheme => Status::UNSUPPORTED_SCHEME,
            Objection::Extensions(_) => Status::BAD_EXTENSION,
        }
    }

    /// Ends the answer with what it has to tell.
    pub(crate) fn finish(&self, mut writer: Writer<'_>) {
        match self {
            Objection::UnknownMethod(usage) | Objection::NotAllowed(usage) => {
                writer.field(Name::Allow, usage.allow());
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
pub(crate) fn screen(request: &Request<'_>, usage: Usage) -> Result<(), Objection> {
    match request.method {
        Method::Ack | Method::Cancel => return Ok(()),
        Method::Other(_) => return Err(Objection::UnknownMethod(usage)),
        method if !usage.takes(method) => return Err(Objection::NotAllowed(usage)),
        _ => {}
    }
    if !request.uri.scheme.is_sip() {
        return Err(Objection::Scheme);
    }
    let known = |option: &&str| !usage.known().iter().any(|known| known.eq_ignore_ascii_case(option));
    let unknown: Vec<&str> = request.values(Name::Require).filter(known).collect();
    if unknown.is_empty() { Ok(()) } else { Err(Objection::Extensions(unknown.join(", "))) }
}
