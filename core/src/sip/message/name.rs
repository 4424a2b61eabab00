//! Header field names and their compact forms (RFC 3261 §7.3.3, §20 and the IANA registry).

use super::scan::{equal, lowered, place_of};

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

            /// All of them but [`Name::Other`].
            pub(super) const ALL: [Name; Name::COUNT - 1] = [$(Name::$name),*];

            /// The name as it is written; empty for [`Name::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Name::$name => $text,)*
                    Name::Other => "",
                }
            }

            /// The name, a colon and a space, as a line starts with them.
            pub(super) fn start_of_line(self) -> &'static str {
                match self {
                    $(Name::$name => concat!($text, ": "),)*
                    Name::Other => ": ",
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
        words(name).map_or(Name::Other, Self::spelled)
    }

    /// The name that the line starts with, and its length, where it is one of at most 15 letters with a colon right behind.
    #[inline]
    pub(super) fn before_colon(line: &[u8]) -> Option<(Self, usize)> {
        let (start, _) = line.split_first_chunk::<16>()?;
        let start = u128::from_le_bytes(*start);
        let (front, behind) = (start as u64, (start >> 64) as u64);
        let colons = equal(front, b':');
        let (spelling, length) = if colons != 0 {
            ([lowered(front & up_to_lowest(colons)), 0, 0], place_of(colons))
        } else {
            let colons = equal(behind, b':');
            ([lowered(front), lowered(behind & up_to_lowest(colons)), 0], place_of(colons) + 8)
        };
        // Without any colon no spelling is found, since each of them has one.
        let name = Self::spelled(spelling);
        (name != Name::Other).then_some((name, length))
    }

    #[inline]
    fn spelled(words: [u64; 3]) -> Self {
        let spelling = SLOTS.get(slot(words)).and_then(|place| SPELLINGS.get(usize::from(*place)));
        let ([a, b, c], Some(Spelling { words: [d, e, f], name })) = (words, spelling) else {
            return Name::Other;
        };
        if a == *d && b == *e && c == *f { *name } else { Name::Other }
    }

    /// The name, if it may stand only once in a message and every message's reading relies on it.
    pub(crate) fn singleton(self) -> Option<&'static str> {
        match self {
            Name::From | Name::To | Name::CallId | Name::CSeq | Name::MaxForwards => Some(self.as_str()),
            _ => None,
        }
    }
}

/// The compact forms.
const COMPACT: [(&str, Name); 16] = [
    ("v", Name::Via),
    ("f", Name::From),
    ("t", Name::To),
    ("i", Name::CallId),
    ("m", Name::Contact),
    ("l", Name::ContentLength),
    ("c", Name::ContentType),
    ("e", Name::ContentEncoding),
    ("s", Name::Subject),
    ("k", Name::Supported),
    ("r", Name::ReferTo),
    ("b", Name::ReferredBy),
    ("o", Name::Event),
    ("u", Name::AllowEvents),
    ("d", Name::RequestDisposition),
    ("x", Name::SessionExpires),
];

/// One way to write a name, in lower case and with its colon, in words: they compare at once where letters do so in turn.
#[derive(Clone, Copy)]
struct Spelling {
    words: [u64; 3],
    name: Name,
}

static SPELLINGS: [Spelling; Name::ALL.len() + COMPACT.len()] = spellings();

/// For each [`slot`] the place of its spelling.
static SLOTS: [u8; 256] = slots();

/// Its place in [`SLOTS`], which no other spelling shares: the factor was found by trial, and [`slots`] verifies it.
#[inline]
const fn slot(words: [u64; 3]) -> usize {
    let [front, middle, back] = words;
    let mixed = front ^ middle.rotate_left(23) ^ back.rotate_left(41);
    (mixed.wrapping_mul(0xfa0b_8518_8296_f5eb) >> 56) as usize
}

/// The bits up to the lowest that is set.
#[inline]
fn up_to_lowest(bits: u64) -> u64 {
    bits ^ bits.wrapping_sub(1)
}

/// The name, which has no colon, as a [`Spelling`] has it; `None` if it is longer than any of ours.
const fn words(name: &[u8]) -> Option<[u64; 3]> {
    let mut padded = [0; 24];
    let Some((start, _)) = padded.split_at_mut_checked(name.len()) else { return None };
    start.copy_from_slice(name);
    let Some((_, [colon, ..])) = padded.split_at_mut_checked(name.len()) else { return None };
    *colon = b':';
    let ([a, b, c], []) = padded.as_chunks::<8>() else { return None };
    Some([lowered(u64::from_le_bytes(*a)), lowered(u64::from_le_bytes(*b)), lowered(u64::from_le_bytes(*c))])
}

#[expect(clippy::indexing_slicing, reason = "the compiler runs it, and has no other way to write an array")]
const fn spellings() -> [Spelling; Name::ALL.len() + COMPACT.len()] {
    let mut spellings = [Spelling { words: [0; 3], name: Name::Other }; Name::ALL.len() + COMPACT.len()];
    let mut place = 0;
    while place < spellings.len() {
        let (text, name) = if place < Name::ALL.len() {
            (Name::ALL[place].as_str(), Name::ALL[place])
        } else {
            COMPACT[place - Name::ALL.len()]
        };
        if let Some(words) = words(text.as_bytes()) {
            spellings[place] = Spelling { words, name };
        }
        place += 1;
    }
    spellings
}

#[expect(clippy::indexing_slicing, reason = "the compiler runs it, and has no other way to write an array")]
const fn slots() -> [u8; 256] {
    let spellings = spellings();
    let mut slots = [u8::MAX; 256];
    let mut place = 0;
    while place < spellings.len() {
        let slot = slot(spellings[place].words);
        assert!(slots[slot] == u8::MAX, "two spellings share a slot: another factor is needed");
        slots[slot] = place as u8;
        place += 1;
    }
    slots
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
        for none in
            ["", "-", "to\0", "\r", "call\rid", "subscription-states", "a-name-of-more-letters-than-any"]
        {
            assert_eq!(Name::of(none.as_bytes()), Name::Other, "{none:?}");
        }
    }

    #[test]
    fn a_name_is_found_before_its_colon_alone() {
        for name in Name::ALL {
            let length = name.as_str().len();
            let line = format!("{}: a value: long enough", name.as_str().to_ascii_lowercase());
            let found = Name::before_colon(line.as_bytes());
            assert_eq!(found, (length < 16).then_some((name, length)), "{line}");
        }
        for line in
            ["X-ConfPin: 1234567", "To : <sip:a@example.com>", "To\0: <sip:a@example.com>", "To: <s:a@b>"]
        {
            let found = Name::before_colon(line.as_bytes());
            assert_eq!(found, None, "{line}");
        }
    }
}
