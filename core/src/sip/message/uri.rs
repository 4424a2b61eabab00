//! URIs: parsing, escapes, comparison (RFC 3261 §19.1).

use std::borrow::Cow;
use std::net::SocketAddr;

use super::host::{host_and_port, plain_host_and_port};
use super::scan::{URI_STOP, cut, is_barred_in_uri, until};
use super::{Fault, Host, Params};

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966)
    Tel,
    /// Any other; only [`Uri::raw`] is filled then.
    Other,
}

impl Scheme {
    /// `sip:` or `sips:`.
    pub fn is_sip(self) -> bool {
        matches!(self, Scheme::Sip | Scheme::Sips)
    }
}

/// A URI, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The whole, as it was sent.
    pub raw: &'a str,
    /// The scheme.
    pub scheme: Scheme,
    /// The user part, still escaped; for `tel:` the number.
    pub user: Option<&'a str>,
    /// The password, still escaped.
    pub password: Option<&'a str>,
    /// The host; an empty name for `tel:` and other schemes.
    pub host: Host<'a>,
    /// The port, if named.
    pub port: Option<u16>,
    /// The URI's own parameters.
    pub params: Params<'a>,
    /// What stands behind `?`.
    pub headers: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Reads a URI. White space, control characters, angle brackets and quotes are refused.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, Fault> {
        match Self::plain(text, 0) {
            Some((uri, end)) if end == text.len() => Ok(uri),
            _ => Self::any(text),
        }
    }

    fn any(text: &'a str) -> Result<Self, Fault> {
        match Self::before_bracket(text)? {
            (uri, "") => Ok(uri),
            _ => Err(Fault::BadUri),
        }
    }

    /// Reads a URI that ends where the text does, or before a closing angle bracket; what stands from there on.
    pub(super) fn before_bracket(text: &'a str) -> Result<(Self, &'a str), Fault> {
        match text.as_bytes() {
            [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', ..] => Self::sip(text, Scheme::Sip, 4),
            [b's' | b'S', b'i' | b'I', b'p' | b'P', b's' | b'S', b':', ..] => {
                Self::sip(text, Scheme::Sips, 5)
            }
            _ => Self::other_before_bracket(text),
        }
    }

    fn other_before_bracket(text: &'a str) -> Result<(Self, &'a str), Fault> {
        let (scheme, _) = cut(text, b':').ok_or(Fault::BadUri)?;
        let kind = if scheme.eq_ignore_ascii_case("tel") { Scheme::Tel } else { Scheme::Other };
        let end = memchr::memchr(b'>', text.as_bytes()).unwrap_or(text.len());
        let (uri, behind) = text.split_at_checked(end).ok_or(Fault::BadUri)?;
        let rest = uri.get(scheme.len() + 1..).ok_or(Fault::BadUri)?;
        Ok((Self::opaque(uri, kind, scheme, rest)?, behind))
    }

    fn opaque(raw: &'a str, kind: Scheme, scheme: &str, rest: &'a str) -> Result<Self, Fault> {
        let named = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        if !named || rest.is_empty() || rest.bytes().any(is_barred_in_uri) {
            return Err(Fault::BadUri);
        }
        let (number, params) = cut(rest, b';').unwrap_or((rest, ""));
        let user = (kind == Scheme::Tel).then_some(number);
        let params = Params::new(if kind == Scheme::Tel { params } else { "" });
        Ok(Self {
            raw,
            scheme: kind,
            user,
            password: None,
            host: Host::Name(""),
            port: None,
            params,
            headers: None,
        })
    }

    /// Reads the one that starts here and ends with the text or before a closing angle bracket, and says where, if it has
    /// no password, escapes or headers and its user part holds nothing that means something elsewhere, as with nearly all.
    #[inline(always)]
    pub(super) fn plain(text: &'a str, start: usize) -> Option<(Self, usize)> {
        let bytes = text.as_bytes();
        let (scheme, user_start) = match bytes.get(start..)? {
            [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', ..] => (Scheme::Sip, start + 4),
            [b's' | b'S', b'i' | b'I', b'p' | b'P', b's' | b'S', b':', ..] => (Scheme::Sips, start + 5),
            _ => return None,
        };
        let at = until(bytes, user_start, URI_STOP);
        let (user, host_start) = match bytes.get(at) {
            Some(b'@') if at > user_start => (Some(text.get(user_start..at)?), at + 1),
            _ => (None, user_start),
        };
        let (host, port, mut end) = plain_host_and_port(text, host_start)?;
        let mut params = "";
        if bytes.get(end) == Some(&b';') {
            let first = end + 1;
            end = until(bytes, first, URI_STOP);
            while matches!(bytes.get(end), Some(b';' | b':')) {
                end = until(bytes, end + 1, URI_STOP);
            }
            params = text.get(first..end)?;
        }
        if !matches!(bytes.get(end), None | Some(b'>')) {
            return None;
        }
        let (raw, params) = (text.get(start..end)?, Params::new(params));
        Some((Self { raw, scheme, user, password: None, host, port, params, headers: None }, end))
    }

    fn sip(text: &'a str, scheme: Scheme, start: usize) -> Result<(Self, &'a str), Fault> {
        let marks = Marks::of(text.as_bytes(), start)?;
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let (mut user, mut password, mut host_start) = (None, None, start);
        if let Some(at) = marks.at {
            let end = marks.password.unwrap_or(at);
            if end == start {
                return Err(Fault::BadUri);
            }
            user = Some(part(start, end));
            password = marks.password.map(|colon| part(colon + 1, at));
            host_start = at + 1;
        }
        let end = marks.headers.unwrap_or(marks.end);
        let host_end = marks.params.unwrap_or(end);
        if marks.has_escapes {
            let userinfo = marks.at.map_or("", |at| part(start, at));
            if !escapes_are_whole(userinfo) || !escapes_are_whole(part(host_start, end)) {
                return Err(Fault::BadUri);
            }
        }
        let (host, port) = host_and_port(part(host_start, host_end))?;
        let headers = marks.headers.map(|mark| part(mark + 1, marks.end));
        let params = Params::new(marks.params.map_or("", |params| part(params + 1, end)));
        let uri = Self { raw: part(0, marks.end), scheme, user, password, host, port, params, headers };
        Ok((uri, part(marks.end, text.len())))
    }

    /// The user part with its escapes resolved, once.
    pub fn user_unescaped(&self) -> Option<Cow<'a, str>> {
        self.user.map(unescape)
    }

    /// The URI without what stands behind `?`: as a Request-URI may be (RFC 3261 §19.1.1).
    pub fn without_headers(&self) -> &'a str {
        let headers = self.headers.map_or(0, |headers| headers.len() + 1);
        self.raw.get(..self.raw.len().saturating_sub(headers)).unwrap_or(self.raw)
    }

    /// A URI parameter: `None` when it is not there, `Some(None)` when it has no value.
    pub fn param(&self, name: &str) -> Option<Option<&'a str>> {
        self.params.get(name)
    }

    /// Where to send to when the host is a literal address: with port 5060, or 5061 for `sips:`, unless named.
    pub fn address(&self) -> Option<SocketAddr> {
        let default = if self.scheme == Scheme::Sips { 5061 } else { 5060 };
        Some(SocketAddr::new(self.host.address()?, self.port.unwrap_or(default)))
    }

    /// Whether both name the same resource (RFC 3261 §19.1.4).
    pub fn equals(&self, other: &Uri<'_>) -> bool {
        if self.raw == other.raw {
            return true;
        }
        if !self.scheme.is_sip() || !other.scheme.is_sip() {
            return false;
        }
        let text = |a: Option<&str>, b: Option<&str>| match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => comparable(a) == comparable(b),
            _ => false,
        };
        self.scheme == other.scheme
            && text(self.user, other.user)
            && text(self.password, other.password)
            && self.host.equals(other.host)
            && self.port == other.port
            && params_agree(self.params, other.params)
            && params_agree(other.params, self.params)
            && headers_agree(self.headers.unwrap_or_default(), other.headers.unwrap_or_default())
            && headers_agree(other.headers.unwrap_or_default(), self.headers.unwrap_or_default())
    }
}

/// Where what means something stands in a SIP URI.
#[derive(Default)]
struct Marks {
    /// The first `@`.
    at: Option<usize>,
    /// The first `:` before it.
    password: Option<usize>,
    /// The first `;` behind it, before any `?`.
    params: Option<usize>,
    /// The first `?` behind it.
    headers: Option<usize>,
    /// Whether there is any `%`.
    has_escapes: bool,
    /// Where the URI ends: before `>`, or with the text.
    end: usize,
}

impl Marks {
    fn of(text: &[u8], start: usize) -> Result<Self, Fault> {
        let mut marks = Marks { end: text.len(), ..Marks::default() };
        let mut colon = None;
        let mut at = start;
        loop {
            at = until(text, at, URI_STOP);
            match text.get(at) {
                None => break,
                Some(b'%') => marks.has_escapes = true,
                Some(b':') => colon = colon.or(Some(at)),
                Some(b';') if marks.headers.is_none() => marks.params = marks.params.or(Some(at)),
                Some(b'?') => marks.headers = marks.headers.or(Some(at)),
                Some(b'@') if marks.at.is_none() => {
                    marks.at = Some(at);
                    marks.password = colon;
                    (marks.params, marks.headers) = (None, None);
                }
                Some(b';' | b'@') => {}
                Some(b'>') => {
                    marks.end = at;
                    break;
                }
                _ => return Err(Fault::BadUri),
            }
            at += 1;
        }
        Ok(marks)
    }
}

fn params_agree(mine: Params<'_>, theirs: Params<'_>) -> bool {
    // Of a parameter that is named twice, which it must not be (§19.1.1), the first counts.
    let mut counting = mine.iter().filter(|(name, value)| mine.get(name) == Some(*value));
    counting.all(|(name, value)| match theirs.get(name) {
        Some(other) => match (value, other) {
            (Some(a), Some(b)) => comparable(a).eq_ignore_ascii_case(&comparable(b)),
            (None, None) => true,
            _ => false,
        },
        // These say where or how a request goes, so their absence on one side matters.
        None => !["user", "ttl", "method", "maddr", "transport"].iter().any(|n| name.eq_ignore_ascii_case(n)),
    })
}

fn headers_agree(mine: &str, theirs: &str) -> bool {
    let pair = |header: &str| {
        let (name, value) = header.split_once('=').unwrap_or((header, ""));
        (comparable(name).to_ascii_lowercase(), comparable(value).into_owned())
    };
    let headers = |text: &str| text.split('&').filter(|h| !h.is_empty()).map(pair).collect::<Vec<_>>();
    let theirs = headers(theirs);
    headers(mine).iter().all(|header| theirs.contains(header))
}

fn escapes_are_whole(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('%') {
        if !behind.bytes().take(2).filter(u8::is_ascii_hexdigit).count().eq(&2) {
            return false;
        }
        rest = behind;
    }
    true
}

/// The text with each %HH resolved once; what would not be UTF-8 stays escaped.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    pieces(text, |_, byte| bytes.push(byte));
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// What texts are compared by: a character and its escape are the same, unless it is a reserved one, which means
/// something else when it stands for itself (RFC 3261 §19.1.4).
fn comparable(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    pieces(text, |is_escaped, byte| {
        if is_escaped && b";/?:@&=+$,%".contains(&byte) {
            bytes.push(b'%');
        }
        bytes.push(byte);
    });
    Cow::Owned(bytes)
}

/// Each byte of the text, those that are escaped resolved once, with whether they were.
fn pieces(text: &str, mut each: impl FnMut(bool, u8)) {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        let escaped = match (byte, behind) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        if escaped.is_some() {
            rest = behind.get(2..).unwrap_or_default();
        }
        each(escaped.is_some(), escaped.unwrap_or(*byte));
    }
}

/// A user part for a SIP URI: whatever it may not hold unescaped is escaped (RFC 3261 §25.1, `user`).
pub fn escape_user(user: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
    if user.bytes().all(plain) {
        return Cow::Borrowed(user);
    }
    let mut escaped = String::with_capacity(user.len() + 8);
    for byte in user.bytes() {
        if plain(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 15] {
                escaped.push(char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    #[test]
    fn a_uri_is_taken_apart() {
        let u = uri("sips:al%20ice:pw@[2001:db8::1]:5071;transport=tcp;lr?Subject=x");
        assert_eq!(u.scheme, Scheme::Sips);
        assert_eq!(u.user_unescaped().as_deref(), Some("al ice"));
        assert_eq!(u.password, Some("pw"));
        assert_eq!(u.address(), "[2001:db8::1]:5071".parse().ok());
        assert_eq!(u.param("transport"), Some(Some("tcp")));
        assert_eq!(u.param("lr"), Some(None));
        assert_eq!(u.headers, Some("Subject=x"));
        assert_eq!(u.without_headers(), "sips:al%20ice:pw@[2001:db8::1]:5071;transport=tcp;lr");
        assert_eq!(uri("sip:a?b@c").without_headers(), "sip:a?b@c");
        assert_eq!(
            uri("sip:user;par=u%40example.net@example.com").user_unescaped().as_deref(),
            Some("user;par=u@example.net")
        );
        assert_eq!(uri("tel:+1-201-555-0123;phone-context=x").user, Some("+1-201-555-0123"));
        assert_eq!(uri("sip:127.0.0.1").address(), "127.0.0.1:5060".parse().ok());
        assert_eq!(uri("sip:%00@x").user_unescaped().as_deref(), Some("\0"));
        assert_eq!(uri("sip:a@[2001:db8:::192.0.2.1]").host, uri("sip:[2001:db8::192.0.2.1]").host);
        assert_eq!(unescape("%+1%4g%%41%4"), "%+1%4g%A%4");
    }

    #[test]
    fn what_is_no_uri_is_refused() {
        for bad in [
            "",
            "sip:",
            "alice",
            "sip:a b@c",
            "sip:@host",
            "sip:a@host:",
            "sip:a@host:99999",
            "sip:a@[::1",
            "sip:a@[1:::2]",
            "sip:a@[1::2:::192.0.2.1]",
            "sip:a%2@x",
            "sip:a@ho st",
            "<sip:a@b>",
            "1x:y",
            "sip:a@b\r\nX: y",
        ] {
            assert!(Uri::parse(bad).is_err(), "{bad}");
        }
    }

    /// The equivalent and the different pairs that RFC 3261 §19.1.4 lists.
    #[test]
    fn comparison_follows_the_rfc() {
        for (a, b) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            ("sip:a%fF@b", "sip:a%Ff@b"),
            ("sip:a@b;x;x=1", "sip:a@b;x;x=1"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            ("sip:a@h;transport=tcp;transport=udp", "sip:%61@h;transport=tcp;transport=udp"),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ] {
            assert!(uri(a).equals(&uri(b)) && uri(b).equals(&uri(a)), "{a} {b}");
        }
        for (a, b) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a;b@c", "sip:a%3Bb@c"),
            ("sip:a%253Bb@c", "sip:a%3Bb@c"),
        ] {
            assert!(!uri(a).equals(&uri(b)) && !uri(b).equals(&uri(a)), "{a} {b}");
        }
    }

    fn any_uri() -> impl Strategy<Value = String> {
        let user = "(([a-c;%]|%4[1-3]|%3[Bb]|%ff){0,4}(:[a-b]{0,2})?@)?";
        let host = "(Host|hOST|h|127.0.0.1|\\[::1\\]|\\[0::1\\])";
        let params = "(;(transport=(tcp|TCP|udp)|lr|ttl=1|x=[12]|method=%42?YE)){0,3}";
        (("(sip|SIP|sips|tel)", user), (host, "(:506[01])?", params, "(\\?(a=b|b=%41|b=A|a=B)(&a=b)?)?"))
            .prop_map(|((scheme, user), (host, port, params, headers))| {
                format!("{scheme}:{user}{host}{port}{params}{headers}")
            })
    }

    proptest! {
            #[test]
            fn what_is_read_in_one_pass_is_read_the_same_in_many(text in any_uri(), behind in "[;:?@%>,a]{0,3}") {
                let text = text + &behind;
                let read = Uri::any(&text);
                if let Some((plain, end)) = Uri::plain(&text, 0) {
                    prop_assert_eq!(Uri::before_bracket(&text), Ok((plain, &text[end..])));
                }
                prop_assert_eq!(Uri::parse(&text), read);
            }

            #[test]
            fn comparison_is_reflexive_and_symmetric(a in any_uri(), b in any_uri()) {
                let (a, b) = (Uri::parse(&a), Uri::parse(&b));
                if let Ok(a) = a {
                    prop_assert!(a.equals(&a), "{}", a.raw);
                    if let Ok(b) = b {
                        prop_assert_eq!(a.equals(&b), b.equals(&a), "{} {}", a.raw, b.raw);
                    }
                }
            }

            #[test]
            fn what_does_not_matter_does_not_matter(text in any_uri(), at in any::<prop::sample::Index>()) {
                let Ok(one) = Uri::parse(&text) else { return Ok(()) };
                prop_assume!(one.scheme.is_sip());
                // A letter of the user part, escaped.
                let user = one.user.unwrap_or_default();
                let letters: Vec<usize> = user.match_indices(['a', 'b', 'c']).map(|(at, _)| at).collect();
                if let Some(at) = letters.get(at.index(letters.len().max(1))).copied()
                    && !user[..at].ends_with('%') && !user[..at].trim_end_matches(|c: char| c.is_ascii_hexdigit()).ends_with('%')
                {
                    let escaped = format!("{}%{:02x}{}", &user[..at], user.as_bytes()[at], &user[at + 1..]);
                    let other = text.replacen(user, &escaped, 1);
                    prop_assert!(one.equals(&uri(&other)), "{text} {other}");
                    let raised = user[..at].to_owned() + &user[at..=at].to_uppercase() + &user[at + 1..];
                    let other = text.replacen(user, &raised, 1);
                    prop_assert!(!one.equals(&uri(&other)), "{text} {other}");
                }
                // A parameter that means nothing here.
                let (front, headers) = text.split_once('?').map_or((text.as_str(), String::new()), |(f, h)| (f, format!("?{h}")));
                let other = format!("{front};y=9{headers}");
                let mut names: Vec<_> = one.params.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
                names.sort_unstable();
                let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
                prop_assert!(twice || one.equals(&uri(&other))
    , "{text} {other}");
                // A port and a transport say where it goes.
                if one.port.is_none() && one.param("transport").is_none() {
                    let other = format!("{front};transport=tls{headers}");
                    prop_assert!(!one.equals(&uri(&other)), "{text} {other}");
                }
            }

            #[test]
            fn any_user_part_comes_back_from_its_escapes(user in ".{1,30}") {
                let escaped = escape_user(&user);
                let text = format!("sip:{escaped}@example.com;lr");
                let read = uri(&text);
                prop_assert!(read.user_unescaped().is_some_and(|read| read == user), "{text}");
                let rest = (read.host, read.password, read.param("lr"));
                prop_assert_eq!(rest, (Host::Name("example.com"), None, Some(None)));
            }

            #[test]
            fn text_without_escapes_is_its_own_unescaped_form(text in "[^%]{0,30}(%[^0-9a-fA-F]?[^%]{0,3})?") {
                let unescaped = unescape(&text);
                let has_escape = text.as_bytes().windows(3).any(|w| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit());
                prop_assert!(has_escape || unescaped == text, "{text:?} {unescaped:?}");
            }
        }

    #[test]
    fn a_user_part_cannot_leave_its_uri() {
        let escaped = escape_user("a@b:c>d\r\nX: y ü");
        assert_eq!(escaped, "a%40b%3Ac%3Ed%0D%0AX%3A%20y%20%C3%BC");
        let text = format!("sip:{escaped}@example.com");
        assert_eq!(uri(&text).user_unescaped().as_deref(), Some("a@b:c>d\r\nX: y ü"));
    }
}
