//! Session timers (RFC 4028): what is asked for and agreed on in one dialog, and when to refresh or to give up.

use std::time::Duration;

use crate::Tick;
use crate::sip::message::{Head, Name, Params, Request, Response, Status};

/// The option tag.
pub(crate) const TIMER: &str = "timer";
/// The smallest interval that anybody may ask for (§4), in seconds.
pub(crate) const MIN_SE: u32 = 90;
/// How long before the end a peer that was to refresh is given up, at the most (§10).
const GRACE: Duration = Duration::from_secs(32);
/// When a refresh that failed for a passing reason is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// How it is found out that the peer is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Not at all.
    Off,
    /// We refresh the session.
    Refresh {
        /// When the next refresh is sent.
        at: Tick,
        /// When the session ends without one.
        expires: Tick,
    },
    /// The peer does; without its refresh the session is given up then.
    Expect(Tick),
    /// The peer has no session timers: it is asked by OPTIONS.
    Ping {
        /// When next.
        at: Tick,
        /// How often.
        every: Duration,
    },
}

impl Watch {
    /// When something is to be done.
    pub(crate) fn at(self) -> Option<Tick> {
        match self {
            Watch::Off => None,
            Watch::Refresh { at, .. } | Watch::Ping { at, .. } | Watch::Expect(at) => Some(at),
        }
    }

    /// Whether nothing helps any more.
    pub(crate) fn is_expired(self, now: Tick) -> bool {
        match self {
            Watch::Refresh { expires: end, .. } | Watch::Expect(end) => end <= now,
            Watch::Off | Watch::Ping { .. } => false,
        }
    }

    /// After a refresh or OPTIONS was sent, or could not be: when to do it again if nothing else comes of it.
    #[must_use]
    pub(crate) fn again(self, now: Tick) -> Self {
        match self {
            Watch::Refresh { expires, .. } => Watch::Refresh { at: (now + AGAIN).min(expires), expires },
            Watch::Ping { every, .. } => Watch::Ping { at: now + every, every },
            Watch::Off | Watch::Expect(_) => self,
        }
    }

    /// After the 2xx to an INVITE or UPDATE of ours that asked for `asked` seconds (§7.2).
    pub(crate) fn after_2xx(now: Tick, asked: u32, response: &Response<'_>) -> Self {
        match expires(response) {
            Some((seconds, Some("uas"))) => Watch::expecting(now, seconds),
            Some((seconds, _)) => Watch::refreshing(now, seconds),
            None => Watch::pinging(now, asked),
        }
    }

    fn refreshing(now: Tick, seconds: u32) -> Self {
        let interval = seconds_of(seconds);
        Watch::Refresh { at: now + interval / 2, expires: now + interval }
    }

    fn expecting(now: Tick, seconds: u32) -> Self {
        let interval = seconds_of(seconds);
        Watch::Expect(now + (interval - GRACE.min(interval / 3)))
    }

    fn pinging(now: Tick, seconds: u32) -> Self {
        let every = seconds_of(seconds) / 2;
        Watch::Ping { at: now + every, every }
    }
}

fn seconds_of(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds.max(MIN_SE)))
}

/// `Session-Expires`: the seconds and the refresher, if they can be read.
fn expires<'a>(head: &Head<'a>) -> Option<(u32, Option<&'a str>)> {
    let value = head.first(Name::SessionExpires)?;
    let seconds = head.number(Name::SessionExpires)?;
    let params = value.split_once(';').map_or("", |(_, params)| params);
    Some((seconds, Params::new(params).value("refresher")))
}

/// What a 422 asks for (§6): the interval to try next, if it is more than was asked.
pub(crate) fn raised(asked: u32, response: &Response<'_>) -> Option<u32> {
    if response.status != Status::INTERVAL_TOO_SMALL {
        return None;
    }
    // A day is longer than any call that is still a call.
    response.number(Name::MinSe).filter(|least| *least > asked && *least <= 86_400)
}

/// What we agree to as the answering side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// The seconds of `Session-Expires`, and who refreshes; `None` where the peer has no session timers.
    pub(crate) expires: Option<(u32, Refresher)>,
    seconds: u32,
}

/// Who refreshes, in the words of the request that asks (§5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresher {
    /// Who sent the request.
    Uac,
    /// Who answers it.
    Uas,
}

impl Agreement {
    /// Answers an INVITE or UPDATE (§9); an error is to be answered 422 with `Min-SE`. `most` is our own interval in
    /// seconds.
    pub(crate) fn with(request: &Request<'_>, most: u32) -> Result<Self, Status> {
        let supported = request.has_token(Name::Supported, TIMER) || request.has_token(Name::Require, TIMER);
        let asked = expires(request);
        if asked.is_some_and(|(seconds, _)| supported && seconds < MIN_SE) {
            return Err(Status::INTERVAL_TOO_SMALL);
        }
        let least = request.number(Name::MinSe).unwrap_or(MIN_SE).max(MIN_SE);
        let seconds = asked.map_or(most, |(seconds, _)| seconds.min(most)).max(least);
        let refresher = match asked {
            Some((_, Some("uas"))) => Refresher::Uas,
            _ if supported => Refresher::Uac,
            _ => Refresher::Uas,
        };
        let expires = (supported || asked.is_some()).then_some((seconds, refresher));
        Ok(Self { expires, seconds })
    }

    /// What is to be watched once it is in force.
    pub(crate) fn watch(&self, now: Tick) -> Watch {
        match self.expires {
            Some((seconds, Refresher::Uac)) => Watch::expecting(now, seconds),
            Some((seconds, Refresher::Uas)) => Watch::refreshing(now, seconds),
            None => Watch::pinging(now, self.seconds),
        }
    }

    /// The header lines that tell it in the 2xx.
    pub(crate) fn lines(&self) -> String {
        match self.expires {
            // The asking side has to know that it refreshes (§9).
            Some((seconds, Refresher::Uac)) => {
                format!("Require: {TIMER}\r\nSession-Expires: {seconds};refresher=uac\r\n")
            }
            Some((seconds, Refresher::Uas)) => format!("Session-Expires: {seconds};refresher=uas\r\n"),
            None => String::new(),
        }
    }
}

/// Whether a peer takes UPDATE, as far as its message tells (RFC 3311 §4).
pub(crate) fn allows_update(head: &Head<'_>) -> Option<bool> {
    head.first(Name::Allow)?;
    Some(head.has_token(Name::Allow, "UPDATE"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::{Message, parse};

    const NOW: Tick = Tick::from_micros(1_000_000);

    fn after(lines: &str) -> Watch {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: <sip:c@d>;tag=9\r\nTo: <sip:a@b>;tag=1\r\n{lines}Call-ID: 1\r\nCSeq: 7 INVITE\r\n\r\n"
        );
        match parse(text.as_bytes()) {
            Ok(Message::Response(response)) => Watch::after_2xx(NOW, 1800, &response),
            other => panic!("{other:?}"),
        }
    }

    fn agreed(lines: &str) -> Result<Agreement, Status> {
        let text = format!(
            "UPDATE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: <sip:c@d>;tag=9\r\nTo: <sip:a@b>;tag=1\r\n{lines}Call-ID: 1\r\nCSeq: 7 UPDATE\r\n\r\n"
        );
        match parse(text.as_bytes()) {
            Ok(Message::Request(request)) => Agreement::with(&request, 1800),
            other => panic!("{other:?}"),
        }
    }

    fn seconds(seconds: u64) -> Tick {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn the_2xx_says_who_refreshes_and_when() {
        let refresh = Watch::Refresh { at: seconds(300), expires: seconds(600) };
        assert_eq!(after("Session-Expires: 600;refresher=uac\r\n"), refresh);
        assert_eq!(after("x: 600\r\n"), refresh);
        assert_eq!(after("Session-Expires: 600;refresher=uas\r\n"), Watch::Expect(seconds(568)));
        assert_eq!(after("Session-Expires: 90 ; refresher=uas\r\n"), Watch::Expect(seconds(60)));
        assert_eq!(after(""), Watch::Ping { at: seconds(900), every: Duration::from_secs(900) });
    }

    #[test]
    fn a_request_is_agreed_to_within_our_limits_and_its_own() {
        let expires = |lines: &str| agreed(lines).map(|agreement| agreement.expires);
        let timer = "Supported: timer\r\n";
        assert_eq!(expires(timer), Ok(Some((1800, Refresher::Uac))));
        let asked = |rest: &str| expires(&format!("{timer}Session-Expires: {rest}\r\n"));
        assert_eq!(asked("600"), Ok(Some((600, Refresher::Uac))));
        assert_eq!(asked("600;refresher=uas"), Ok(Some((600, Refresher::Uas))));
        assert_eq!(asked("7200;refresher=uac\r\nMin-SE: 3600"), Ok(Some((3600, Refresher::Uac))));
        assert_eq!(asked("60"), Err(Status::INTERVAL_TOO_SMALL));
        // A proxy asks for it, the phone knows nothing of it.
        assert_eq!(expires("Session-Expires: 60\r\n"), Ok(Some((90, Refresher::Uas))));
        assert_eq!(expires(""), Ok(None));
    }

    #[test]
    fn a_failed_refresh_is_tried_again_until_the_session_ends() {
        let watch = Watch::Refresh { at: NOW, expires: seconds(15) };
        let again = watch.again(NOW);
        assert_eq!(again.at(), Some(seconds(10)));
        let last = again.again(seconds(10));
        assert_eq!(last.at(), Some(seconds(15)));
        assert!(last.is_expired(seconds(15)) && !last.is_expired(seconds(14)));
    }
}
