//! The subscription that a REFER makes (RFC 3515 §2.4.4, RFC 6665): reading its NOTIFYs, and how long to wait for the next.

use std::time::Duration;

use crate::Tick;
use crate::sip::message::{Name, Params, Request, Status};

/// How long the first NOTIFY may take after the 2xx to REFER: Timer N, 64*T1 (RFC 6665 §4.1.2.4).
pub(crate) const TIMER_N: Duration = Duration::from_secs(32);
/// How long an active subscription whose NOTIFY names no `expires` is waited for.
pub(crate) const UNNAMED_EXPIRY: Duration = Duration::from_secs(300);
/// The longest `expires` that is believed; a longer one counts as this.
pub(crate) const LONGEST_EXPIRY: Duration = Duration::from_secs(3600);
/// What a NOTIFY that was sent at the very end of the subscription may take to arrive.
pub(crate) const EXPIRY_GRACE: Duration = Duration::from_secs(4);

/// `Subscription-State` (RFC 6665 §8.2.3), as far as a subscriber that never refreshes needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscriptionState {
    /// `active`, `pending`, an unknown word, or no header field at all; with `expires` if it was named.
    Active {
        /// The time left, from now.
        expires: Option<Duration>,
    },
    /// `terminated`: this NOTIFY is the last.
    Terminated,
}

/// What a NOTIFY of a REFER tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notification<'a> {
    /// Whether more will come.
    pub(crate) state: SubscriptionState,
    /// The status in the sipfrag's first line; `None` without a body or when it is broken.
    pub(crate) status: Option<Status>,
    /// The body as it was sent.
    pub(crate) body: &'a [u8],
}

impl<'a> Notification<'a> {
    /// Reads a NOTIFY; `None` when it is of another event package (answer 489, RFC 6665 §4.1.3).
    pub(crate) fn read(request: &Request<'a>) -> Option<Self> {
        let event = request.first(Name::Event)?;
        if !event.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("refer") {
            return None;
        }
        let state = request
            .first(Name::SubscriptionState)
            .map_or(SubscriptionState::Active { expires: None }, read_state);
        Some(Self { state, status: read_sipfrag(request.body), body: request.body })
    }

    /// When the waiting for the next NOTIFY ends; `None` when none will come.
    pub(crate) fn deadline(&self, now: Tick) -> Option<Tick> {
        match self.state {
            SubscriptionState::Active { expires } => {
                Some(now + expires.unwrap_or(UNNAMED_EXPIRY) + EXPIRY_GRACE)
            }
            SubscriptionState::Terminated => None,
        }
    }
}

fn read_state(value: &str) -> SubscriptionState {
    let (word, params) = value.split_once(';').unwrap_or((value, ""));
    if word.trim().eq_ignore_ascii_case("terminated") {
        return SubscriptionState::Terminated;
    }
    let expires = Params::new(params)
        .value("expires")
        .and_then(|seconds| seconds.parse::<u32>().ok())
        .map(|seconds| Duration::from_secs(u64::from(seconds)).min(LONGEST_EXPIRY));
    SubscriptionState::Active { expires }
}

/// The status of a `message/sipfrag` body (RFC 3420) that starts with a status line.
///
/// Phones append header fields, leave the reason phrase or the final CRLF away; all that counts is the code.
fn read_sipfrag(body: &[u8]) -> Option<Status> {
    let line = body.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty())?;
    let line = std::str::from_utf8(line.get(..line.len().min(64))?).or_else(|e| {
        // A reason phrase cut in the middle of a character, or in another charset, does not hide the code.
        std::str::from_utf8(line.get(..e.valid_up_to()).unwrap_or_default())
    });
    let mut words = line.ok()?.split_ascii_whitespace();
    if !words.next()?.eq_ignore_ascii_case("SIP/2.0") {
        return None;
    }
    let code = words.next()?;
    if code.len() != 3 || !code.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Status::new(code.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &[u8]) -> Option<u16> {
        read_sipfrag(body).map(Status::code)
    }

    #[test]
    fn a_sipfrag_is_read_in_all_the_shapes_that_phones_send() {
        assert_eq!(code(b"SIP/2.0 180 Ringing\r\n"), Some(180));
        assert_eq!(code(b"SIP/2.0 200 OK"), Some(200));
        assert_eq!(code(b"SIP/2.0 486\r\n"), Some(486));
        assert_eq!(code(b"\r\nSIP/2.0 100 Trying\r\nTo: <sip:a@b>\r\n\r\n"), Some(100));
        assert_eq!(
            code("SIP/2.0 404 Nicht gefunden, würde ich sagen, und zwar ganz und gar nicht hier".as_bytes()),
            Some(404)
        );
        assert_eq!(code(b"SIP/2.0 603 Dec\xffline"), Some(603));
    }

    #[test]
    fn a_broken_sipfrag_tells_nothing() {
        for body in [
            &b""[..],
            b"\r\n",
            b"SIP/2.0",
            b"SIP/2.0 20 OK",
            b"SIP/2.0 2000 OK",
            b"HTTP/1.1 200 OK",
            b"SIP/2.0 -00 x",
            b"\xff\xfe",
        ] {
            assert_eq!(code(body), None, "{body:?}");
        }
    }

    #[test]
    fn the_subscription_state_is_read_with_its_expiry() {
        let active = |seconds| SubscriptionState::Active { expires: Some(Duration::from_secs(seconds)) };
        assert_eq!(read_state("active;expires=60"), active(60));
        assert_eq!(read_state("Active ; Expires=60"), active(60));
        assert_eq!(read_state("pending"), SubscriptionState::Active { expires: None });
        assert_eq!(read_state("active;expires=99999999"), active(3600));
        assert_eq!(read_state("terminated;reason=reason=noresource"), SubscriptionState::Terminated);
        assert_eq!(read_state("TERMINATED"), SubscriptionState::Terminated);
    }
}
