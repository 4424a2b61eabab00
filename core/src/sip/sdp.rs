//! SDP (RFC 8866) as far as a controller that carries no media needs it: offers that carry nothing, and answers to a
//! phone that puts us on hold (RFC 3264).

use crate::config::HoldSdp;

/// The media type of SDP.
pub(crate) const MEDIA_TYPE: &str = "application/sdp";

/// The origin of the descriptions that one leg sends: the version rises with each that differs (RFC 3264 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `sess-id`.
    pub(crate) session: u32,
    /// `sess-version` of the latest description.
    pub(crate) version: u32,
}

/// Appends the description of nothing: PCMU, PCMA and telephone-event at port 9 of `host`, an IP address.
pub(crate) fn write_hold(out: &mut Vec<u8>, kind: HoldSdp, host: &str, origin: Origin) {
    let family = family(host);
    let connection = match (kind, family) {
        (HoldSdp::Blackhole, "IP4") => "0.0.0.0",
        (HoldSdp::Blackhole, _) => "::",
        _ => host,
    };
    head(out, host, connection, origin);
    let direction = match kind {
        HoldSdp::Nomedia => return,
        HoldSdp::Sendonly => "a=sendonly\r\n",
        HoldSdp::Inactive => "a=inactive\r\n",
        HoldSdp::Blackhole => "",
    };
    out.extend_from_slice(
        b"m=audio 9 RTP/AVP 0 8 101\r\n\
          a=rtpmap:0 PCMU/8000\r\n\
          a=rtpmap:8 PCMA/8000\r\n\
          a=rtpmap:101 telephone-event/8000\r\n\
          a=fmtp:101 0-15\r\n",
    );
    out.extend_from_slice(direction.as_bytes());
}

fn family(host: &str) -> &'static str {
    if host.contains(':') { "IP6" } else { "IP4" }
}

fn head(out: &mut Vec<u8>, host: &str, connection: &str, origin: Origin) {
    let family = family(host);
    let mut number = itoa::Buffer::new();
    out.extend_from_slice(b"v=0\r\no=cordboard ");
    out.extend_from_slice(number.format(origin.session).as_bytes());
    out.push(b' ');
    out.extend_from_slice(number.format(origin.version).as_bytes());
    for piece in [" IN ", family, " ", host, "\r\ns=-\r\nc=IN ", family, " ", connection, "\r\nt=0 0\r\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// A description under our own origin: its `o=` line becomes that of `origin` at `host`, every other byte stays. Where
/// there is but one line, it is ended.
pub(crate) fn with_origin(sdp: &[u8], host: &str, origin: Origin) -> Vec<u8> {
    let mut out = Vec::with_capacity(sdp.len() + 64);
    let (before, line, after) = split_origin(sdp);
    out.extend_from_slice(before);
    if before.last().is_some_and(|last| *last != b'\n') {
        out.extend_from_slice(b"\r\n");
    }
    let mut number = itoa::Buffer::new();
    out.extend_from_slice(b"o=cordboard ");
    out.extend_from_slice(number.format(origin.session).as_bytes());
    out.push(b' ');
    out.extend_from_slice(number.format(origin.version).as_bytes());
    for piece in [" IN ", family(host), " ", host] {
        out.extend_from_slice(piece.as_bytes());
    }
    out.extend_from_slice(if line.ends_with(b"\r\n") || line.is_empty() { b"\r\n" } else { b"\n" });
    out.extend_from_slice(after);
    out
}

/// Whether two descriptions differ in their `o=` lines at the most.
pub(crate) fn is_same_but_origin(one: &[u8], other: &[u8]) -> bool {
    let ((before, _, after), (other_before, _, other_after)) = (split_origin(one), split_origin(other));
    before == other_before && after == other_after
}

/// What comes before the `o=` line, it, and what comes behind. A description without one is split behind `v=`.
fn split_origin(sdp: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let line_end = |from: usize| {
        let rest = sdp.get(from..).unwrap_or_default();
        memchr::memchr(b'\n', rest).map_or(sdp.len(), |at| from + at + 1)
    };
    let starts = |from: usize| sdp.get(from..).is_some_and(|rest| rest.starts_with(b"o="));
    let first = line_end(0);
    let start = if starts(0) { 0 } else { first };
    let end = if starts(start) { line_end(start) } else { start };
    let part = |range: std::ops::Range<usize>| sdp.get(range).unwrap_or_default();
    (part(0..start), part(start..end), part(end..sdp.len()))
}

/// Which way media flows, seen by whoever sends the description (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// `sendrecv`, also when nothing is said.
    SendRecv,
    /// `sendonly`
    SendOnly,
    /// `recvonly`
    RecvOnly,
    /// `inactive`
    Inactive,
}

impl Direction {
    fn of(attribute: &str) -> Option<Self> {
        match attribute {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        }
    }

    /// What one who has nothing to hear and nothing to say answers to it (RFC 3264 §6.1).
    fn answer(self) -> &'static str {
        match self {
            // sendonly keeps a phone from sending audio to nobody.
            Direction::SendRecv | Direction::RecvOnly => "a=sendonly\r\n",
            Direction::SendOnly => "a=recvonly\r\n",
            Direction::Inactive => "a=inactive\r\n",
        }
    }
}

/// Appends the answer to an offer: audio is accepted at port 9 of `host` with the formats offered, everything else
/// refused, each line of the offer answered by one (RFC 3264 §6). `None`, and nothing written, if it is no offer.
pub(crate) fn write_answer(out: &mut Vec<u8>, offer: &[u8], host: &str, origin: Origin) -> Option<()> {
    let offer = std::str::from_utf8(offer).ok()?;
    let mut lines = offer.lines().map(|line| line.trim_end_matches('\r'));
    if lines.next()? != "v=0" {
        return None;
    }
    let lines: Vec<&str> = lines.collect();
    // RFC 8866 §9 has neither in a line, and some of these lines are repeated in the answer.
    if lines.iter().any(|line| line.contains(['\r', '\0'])) {
        return None;
    }
    let first_media = lines.iter().position(|line| line.starts_with("m=")).unwrap_or(lines.len());
    let (session, media) = lines.split_at_checked(first_media)?;
    let default = direction(session).unwrap_or(Direction::SendRecv);
    head(out, host, host, origin);
    for (place, line) in media.iter().enumerate() {
        let Some(description) = line.strip_prefix("m=") else { continue };
        let own = media.iter().skip(place + 1).take_while(|line| !line.starts_with("m="));
        let own: Vec<&str> = own.copied().collect();
        answer_media(out, description, &own, default);
    }
    Some(())
}

fn direction(lines: &[&str]) -> Option<Direction> {
    lines.iter().filter_map(|line| line.strip_prefix("a=")).find_map(Direction::of)
}

fn answer_media(out: &mut Vec<u8>, description: &str, lines: &[&str], default: Direction) {
    let mut words = description.split(' ');
    let (kind, port) = (words.next().unwrap_or("audio"), words.next().unwrap_or("0"));
    let rest: Vec<&str> = words.collect();
    let accepted = kind == "audio" && port != "0" && rest.len() >= 2;
    let port = if accepted { "9" } else { "0" };
    for piece in ["m=", kind, " ", port, " ", &rest.join(" "), "\r\n"] {
        out.extend_from_slice(piece.as_bytes());
    }
    if !accepted {
        return;
    }
    for line in lines.iter().filter(|line| line.starts_with("a=rtpmap:") || line.starts_with("a=fmtp:")) {
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(direction(lines).unwrap_or(default).answer().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { session: 7, version: 2 };

    fn hold(kind: HoldSdp, host: &str) -> String {
        let mut out = Vec::new();
        write_hold(&mut out, kind, host, ORIGIN);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_offer_is_what_its_name_says() {
        let sendonly = hold(HoldSdp::Sendonly, "192.0.2.1");
        assert!(sendonly.starts_with("v=0\r\no=cordboard 7 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0 8 101\r\n"));
        assert!(sendonly.ends_with("a=sendonly\r\n"));
        let blackhole = hold(HoldSdp::Blackhole, "192.0.2.1");
        assert!(blackhole.contains("c=IN IP4 0.0.0.0\r\n") && blackhole.ends_with("a=fmtp:101 0-15\r\n"));
        assert!(hold(HoldSdp::Blackhole, "2001:db8::1").contains("c=IN IP6 ::\r\n"));
        assert!(hold(HoldSdp::Inactive, "192.0.2.1").ends_with("a=inactive\r\n"));
        assert!(!hold(HoldSdp::Nomedia, "192.0.2.1").contains("m="));
    }

    #[test]
    fn an_offer_is_answered_line_by_line() {
        let offer = b"v=0\r\no=a 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\na=sendonly\r\nm=audio 4000 RTP/AVP 96 0\r\na=rtpmap:96 opus/48000/2\r\na=ptime:20\r\nm=video 4002 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\nm=audio 4004 RTP/AVP 0\r\na=inactive\r\n";
        let mut out = Vec::new();
        write_answer(&mut out, offer, "127.0.0.1", ORIGIN).unwrap();
        let answer = String::from_utf8(out).unwrap();
        let media = answer.split_once("t=0 0\r\n").unwrap().1;
        assert_eq!(
            media,
            "m=audio 9 RTP/AVP 96 0\r\na=rtpmap:96 opus/48000/2\r\na=recvonly\r\nm=video 0 RTP/AVP 97\r\nm=audio 9 RTP/AVP 0\r\na=inactive\r\n"
        );
    }

    #[test]
    fn what_is_no_offer_is_not_answered() {
        for bad in [
            &b""[..],
            b"hello",
            b"\xff\xfe",
            b"v=0\r\nm=audio 1 RTP/AVP 96\r\na=rtpmap:96 x\ra=inactive\r\n",
            b"v=0\r\nm=audio 1 RTP/AVP 0\0\r\n",
        ] {
            let mut out = Vec::new();
            assert_eq!(write_answer(&mut out, bad, "127.0.0.1", ORIGIN), None);
            assert!(out.is_empty());
        }
    }

    #[test]
    fn a_description_gets_our_origin_and_keeps_every_other_byte() {
        let theirs = b"v=0\r\no=alice 2890 2 IN IP4 host.example\r\ns= \r\nt=0 0\r\na=x:o=1\r\n";
        let ours = with_origin(theirs, "192.0.2.1", ORIGIN);
        let expected = b"v=0\r\no=cordboard 7 2 IN IP4 192.0.2.1\r\ns= \r\nt=0 0\r\na=x:o=1\r\n";
        assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(expected));
        assert!(is_same_but_origin(theirs, &ours));
        assert!(!is_same_but_origin(
            theirs,
            b"v=0\r\no=alice 2890 2 IN IP4 host.example\r\ns=x\r\nt=0 0\r\n"
        ));
        // Lines that end in a line feed alone stay so, and a description without an origin gets one.
        assert_eq!(
            with_origin(b"v=0\no=a 1 1 IN IP4 b\ns=-\n", "::1", ORIGIN),
            b"v=0\no=cordboard 7 2 IN IP6 ::1\ns=-\n"
        );
        assert_eq!(
            with_origin(b"v=0\r\ns=-\r\n", "::1", ORIGIN),
            b"v=0\r\no=cordboard 7 2 IN IP6 ::1\r\ns=-\r\n"
        );
        // So does one whose only line does not end.
        assert_eq!(with_origin(b"v=0", "::1", ORIGIN), b"v=0\r\no=cordboard 7 2 IN IP6 ::1\r\n");
    }

    fn lines(sdp: &[u8]) -> Vec<&[u8]> {
        sdp.split_inclusive(|byte| *byte == b'\n').collect()
    }

    /// A session description: our own kind of each line that matters, in the order of RFC 8866 §5.
    fn description() -> impl proptest::strategy::Strategy<Value = String> {
        use proptest::prelude::*;
        let media = (
            "(audio|video|image)",
            0u16..5,
            "RTP/AVP( [0-9]{1,2}){1,4}",
            "(a=[ -~]{0,12}\r\n){0,3}",
            prop::sample::select(vec![
                "",
                "a=sendonly\r\n",
                "a=recvonly\r\n",
                "a=inactive\r\n",
                "a=sendrecv\r\n",
            ]),
        );
        let media = media.prop_map(|(kind, port, rest, more, direction)| {
            format!("m={kind} {port} {rest}\r\n{more}{direction}a=rtpmap:0 PCMU/8000\r\n")
        });
        let direction = "(a=(sendonly|recvonly|inactive)\r\n)?";
        let session = "o=[!-~]{1,9} [0-9]{1,9} [0-9]{1,9} IN IP[46] [!-~]{1,9}\r\ns=[ -~]{1,9}\r\n(a=[ -~]{0,12}\r\n){0,2}";
        (session, direction, prop::collection::vec(media, 0..5)).prop_map(|(session, direction, media)| {
            format!("v=0\r\n{session}t=0 0\r\n{direction}{}", media.concat())
        })
    }

    proptest::proptest! {
        #[test]
        fn a_changed_origin_changes_no_other_line(sdp in description()) {
            let ours = with_origin(sdp.as_bytes(), "192.0.2.1", ORIGIN);
            let (before, after) = (lines(sdp.as_bytes()), lines(&ours));
            proptest::prop_assert_eq!(before.len(), after.len());
            for (old, new) in before.iter().zip(&after) {
                if old.starts_with(b"o=") {
                    proptest::prop_assert_eq!(*new, &b"o=cordboard 7 2 IN IP4 192.0.2.1\r\n"[..]);
                } else {
                    proptest::prop_assert_eq!(old, new);
                }
            }
        }

        #[test]
        fn whatever_bytes_a_description_has_all_but_its_origin_stay(
            sdp in proptest::collection::vec(proptest::sample::select(b"vo=\r\n\n 1\xff".to_vec()), 0..60),
        ) {
            let sdp = [sdp, b"\n".to_vec()].concat();
            let ours = with_origin(&sdp, "::1", ORIGIN);
            let own: Vec<&[u8]> = lines(&ours).into_iter().filter(|line| !line.starts_with(b"o=cordboard 7 2 IN IP6 ::1")).collect();
            let mut theirs = lines(&sdp);
            let is_origin = |line: &&[u8]| line.starts_with(b"o=");
            if let Some(at) = theirs.iter().take(2).position(is_origin) {
                theirs.remove(at);
            }
            proptest::prop_assert_eq!(own.concat(), theirs.concat());
            proptest::prop_assert!(is_same_but_origin(&sdp, &ours));
        }

        #[test]
        fn an_answer_has_a_line_for_each_of_the_offer_and_never_a_direction_that_was_not_offered(offer in description()) {
            let mut out = Vec::new();
            proptest::prop_assert!(write_answer(&mut out, offer.as_bytes(), "192.0.2.1", ORIGIN).is_some());
            let answer = String::from_utf8(out).unwrap();
            let session = |text: &str| direction(&text.split("\r\nm=").next().unwrap().split("\r\n").collect::<Vec<_>>());
            let default = session(&offer).unwrap_or(Direction::SendRecv);
            let sections = |text: &str| text.split("\r\nm=").skip(1).map(str::to_owned).collect::<Vec<_>>();
            let (offered, answered) = (sections(&offer), sections(&answer));
            proptest::prop_assert_eq!(offered.len(), answered.len());
            for (theirs, ours) in offered.iter().zip(&answered) {
                let words = |section: &str| section.split("\r\n").next().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>();
                let (their, our) = (words(theirs), words(ours));
                proptest::prop_assert_eq!((&their[0], &their[2..]), (&our[0], &our[2..]));
                let taken = their[0] == "audio" && their[1] != "0";
                proptest::prop_assert_eq!(&our[1], if taken { "9" } else { "0" });
                if taken {
                    let way = |section: &str| direction(&section.split("\r\n").collect::<Vec<_>>());
                    let fits = match way(theirs).unwrap_or(default) {
                        Direction::SendRecv | Direction::RecvOnly => Direction::SendOnly,
                        Direction::SendOnly => Direction::RecvOnly,
                        Direction::Inactive => Direction::Inactive,
                    };
                    proptest::prop_assert_eq!(way(ours), Some(fits));
                }
            }
        }

        #[test]
        fn changing_the_origin_twice_is_changing_it_once(sdp in "(v=0\r?\n)?(o=[ -~]{0,20}\r?\n)?([a-z]=[ -~]{0,20}\r?\n){0,6}") {
            let once = with_origin(sdp.as_bytes(), "192.0.2.1", ORIGIN);
            let other = with_origin(&once, "192.0.2.9", Origin { session: 1, version: 9 });
            proptest::prop_assert!(is_same_but_origin(&once, &other));
            proptest::prop_assert_eq!(&with_origin(&once, "192.0.2.1", ORIGIN), &once);
        }
    }
}
