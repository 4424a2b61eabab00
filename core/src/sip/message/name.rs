//! Header field names and their compact forms (RFC 3261 §7.3.3, §20 and the IANA registry).

macro_rules! names {
    ($($name:ident $text:literal)*) => {
        /// The name of a header field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "their names say it")]
        pub enum Name {
            $($name,)*
            /// One that we have no use for.
            Other,
        }

        impl Name {
            /// How many there are.
            pub(super) const COUNT: usize = Name::Other as usize + 1;

            /// The name as it is written; empty for [`Name::Other`].
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Name::$name => $text,)*
                    Name::Other => "",
                }
            }
        }
    };
}

names! {
    Accept "Accept"
    AlertInfo "Alert-Info"
    Allow "Allow"
    AllowEvents "Allow-Events"
    AnswerMode "Answer-Mode"
    AuthenticationInfo "Authentication-Info"
    Authorization "Authorization"
    CSeq "CSeq"
    CallId "Call-ID"
    CallInfo "Call-Info"
    Contact "Contact"
    ContentDisposition "Content-Disposition"
    ContentEncoding "Content-Encoding"
    ContentLanguage "Content-Language"
    ContentLength "Content-Length"
    ContentType "Content-Type"
    Date "Date"
    Event "Event"
    Expires "Expires"
    From "From"
    MaxForwards "Max-Forwards"
    MinExpires "Min-Expires"
    MinSe "Min-SE"
    PAssertedIdentity "P-Asserted-Identity"
    ProxyAuthenticate "Proxy-Authenticate"
    ProxyAuthorization "Proxy-Authorization"
    ProxyRequire "Proxy-Require"
    RAck "RAck"
    RSeq "RSeq"
    Reason "Reason"
    RecordRoute "Record-Route"
    ReferSub "Refer-Sub"
    ReferTo "Refer-To"
    ReferredBy "Referred-By"
    Replaces "Replaces"
    RequestDisposition "Request-Disposition"
    Require "Require"
    RetryAfter "Retry-After"
    Route "Route"
    Server "Server"
    SessionExpires "Session-Expires"
    Subject "Subject"
    SubscriptionState "Subscription-State"
    Supported "Supported"
    Timestamp "Timestamp"
    To "To"
    Unsupported "Unsupported"
    UserAgent "User-Agent"
    Via "Via"
    Warning "Warning"
    WwwAuthenticate "WWW-Authenticate"
}

impl Name {
    /// The name that these bytes spell, in any case, long or compact.
    pub(crate) fn of(name: &[u8]) -> Self {
        if let [letter] = name {
            return Self::compact(letter.to_ascii_lowercase());
        }
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        let candidates = Self::candidates(name.len(), first);
        // Nearly all write them as the RFCs do.
        let found = candidates.iter().find(|candidate| candidate.as_str().as_bytes() == name).or_else(|| {
            candidates.iter().find(|candidate| candidate.as_str().as_bytes().eq_ignore_ascii_case(name))
        });
        found.copied().unwrap_or(Name::Other)
    }

    fn compact(letter: u8) -> Self {
        match letter {
            b'v' => Name::Via,
            b'f' => Name::From,
            b't' => Name::To,
            b'i' => Name::CallId,
            b'm' => Name::Contact,
            b'l' => Name::ContentLength,
            b'c' => Name::ContentType,
            b'e' => Name::ContentEncoding,
            b's' => Name::Subject,
            b'k' => Name::Supported,
            b'r' => Name::ReferTo,
            b'b' => Name::ReferredBy,
            b'o' => Name::Event,
            b'u' => Name::AllowEvents,
            b'd' => Name::RequestDisposition,
            b'x' => Name::SessionExpires,
            _ => Name::Other,
        }
    }

    /// The names of this length that start with this letter: almost always none or one.
    fn candidates(length: usize, first: u8) -> &'static [Name] {
        match (length, first) {
            (2, b't') => &[Name::To],
            (3, b'v') => &[Name::Via],
            (4, b'f') => &[Name::From],
            (4, b'c') => &[Name::CSeq],
            (4, b'd') => &[Name::Date],
            (4, b'r') => &[Name::RSeq, Name::RAck],
            (5, b'a') => &[Name::Allow],
            (5, b'e') => &[Name::Event],
            (5, b'r') => &[Name::Route],
            (6, b'a') => &[Name::Accept],
            (6, b'm') => &[Name::MinSe],
            (6, b'r') => &[Name::Reason],
            (6, b's') => &[Name::Server],
            (7, b'c') => &[Name::CallId, Name::Contact],
            (7, b'e') => &[Name::Expires],
            (7, b'r') => &[Name::Require],
            (7, b's') => &[Name::Subject],
            (7, b'w') => &[Name::Warning],
            (8, b'r') => &[Name::ReferTo, Name::Replaces],
            (9, b'c') => &[Name::CallInfo],
            (9, b'r') => &[Name::ReferSub],
            (9, b's') => &[Name::Supported],
            (9, b't') => &[Name::Timestamp],
            (10, b'a') => &[Name::AlertInfo],
            (10, b'u') => &[Name::UserAgent],
            (11, b'a') => &[Name::AnswerMode],
            (11, b'm') => &[Name::MinExpires],
            (11, b'r') => &[Name::ReferredBy, Name::RetryAfter],
            (11, b'u') => &[Name::Unsupported],
            (12, b'a') => &[Name::AllowEvents],
            (12, b'c') => &[Name::ContentType],
            (12, b'm') => &[Name::MaxForwards],
            (12, b'r') => &[Name::RecordRoute],
            (13, b'a') => &[Name::Authorization],
            (13, b'p') => &[Name::ProxyRequire],
            (14, b'c') => &[Name::ContentLength],
            (15, b's') => &[Name::SessionExpires],
            (16, b'c') => &[Name::ContentEncoding, Name::ContentLanguage],
            (16, b'w') => &[Name::WwwAuthenticate],
            (18, b'p') => &[Name::ProxyAuthenticate],
            (18, b's') => &[Name::SubscriptionState],
            (19, b'a') => &[Name::AuthenticationInfo],
            (19, b'c') => &[Name::ContentDisposition],
            (19, b'p') => &[Name::ProxyAuthorization, Name::PAssertedIdentity],
            (19, b'r') => &[Name::RequestDisposition],
            _ => &[],
        }
    }

    /// The name, if it may stand only once in a message and every message's reading relies on it.
    pub(crate) fn singleton(self) -> Option<&'static str> {
        match self {
            Name::From | Name::To | Name::CallId | Name::CSeq | Name::MaxForwards => Some(self.as_str()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        let all = [
            Name::Accept,
            Name::AlertInfo,
            Name::Allow,
            Name::AllowEvents,
            Name::AnswerMode,
            Name::AuthenticationInfo,
            Name::Authorization,
            Name::CSeq,
            Name::CallId,
            Name::CallInfo,
            Name::Contact,
            Name::ContentDisposition,
            Name::ContentEncoding,
            Name::ContentLanguage,
            Name::ContentLength,
            Name::ContentType,
            Name::Date,
            Name::Event,
            Name::Expires,
            Name::From,
            Name::MaxForwards,
            Name::MinExpires,
            Name::MinSe,
            Name::PAssertedIdentity,
            Name::ProxyAuthenticate,
            Name::ProxyAuthorization,
            Name::ProxyRequire,
            Name::RAck,
            Name::RSeq,
            Name::Reason,
            Name::RecordRoute,
            Name::ReferSub,
            Name::ReferTo,
            Name::ReferredBy,
            Name::Replaces,
            Name::RequestDisposition,
            Name::Require,
            Name::RetryAfter,
            Name::Route,
            Name::Server,
            Name::SessionExpires,
            Name::Subject,
            Name::SubscriptionState,
            Name::Supported,
            Name::Timestamp,
            Name::To,
            Name::Unsupported,
            Name::UserAgent,
            Name::Via,
            Name::Warning,
            Name::WwwAuthenticate,
        ];
        for name in all {
            assert_eq!(Name::of(name.as_str().to_ascii_uppercase().as_bytes()), name);
            assert_eq!(Name::of(name.as_str().to_ascii_lowercase().as_bytes()), name);
        }
        assert_eq!(Name::of(b"X-ConfPin"), Name::Other);
        assert_eq!(Name::of(b"L"), Name::ContentLength);
    }
}
