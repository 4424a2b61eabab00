//! Hosts and ports, as URIs and Via have them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Fault;
use super::scan::{NOT_HOST, number, until};

/// The host part of a URI or of a Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A domain name, in the case in which it was sent.
    Name(&'a str),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 reference, without its brackets.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads a host, IPv6 in brackets.
    pub fn parse(text: &'a str) -> Result<Self, Fault> {
        if let Some(inside) = text.strip_prefix('[') {
            let address = inside.strip_suffix(']').ok_or(Fault::BadUri)?;
            return address.parse().ok().or_else(|| three_colons(address)).map(Host::V6).ok_or(Fault::BadUri);
        }
        if text.is_empty() || until(text.as_bytes(), 0, NOT_HOST) < text.len() {
            return Err(Fault::BadUri);
        }
        Ok(Self::plain(text))
    }

    /// The host that this text, which has nothing but what may stand in a name, writes.
    #[inline]
    fn plain(text: &'a str) -> Self {
        let starts_with_digit = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let address = if starts_with_digit { v4(text) } else { None };
        address.map_or(Host::Name(text), Host::V4)
    }

    /// The address, if the host is one.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(address) => Some(address.into()),
            Host::V6(address) => Some(address.into()),
        }
    }

    /// Whether both name the same host; names compare without case.
    pub(super) fn equals(self, other: Host<'_>) -> bool {
        match (self, other) {
            (Host::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
            (Host::V4(a), Host::V4(b)) => a == b,
            (Host::V6(a), Host::V6(b)) => a == b,
            _ => false,
        }
    }
}

/// Four numbers up to 255, without leading zeros; quicker than the standard library's.
fn v4(text: &str) -> Option<Ipv4Addr> {
    let (mut bits, mut dots, mut octet) = (0u32, 0, None);
    for byte in text.bytes() {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        octet = match octet {
            Some(number) if byte == b'.' => {
                bits = bits << 8 | number;
                dots += 1;
                None
            }
            None if digit <= 9 => Some(digit),
            Some(number @ 1..=25) if digit <= 9 && number * 10 + digit <= 255 => Some(number * 10 + digit),
            _ => return None,
        };
    }
    if dots == 3 { Some(Ipv4Addr::from_bits(bits << 8 | octet?)) } else { None }
}

/// The address whose grammar in RFC 3261 lets a third colon stand before an IPv4 address at its end (RFC 5118 §4.10).
fn three_colons(text: &str) -> Option<Ipv6Addr> {
    let (front, v4) = text.split_once(":::")?;
    v4.parse::<Ipv4Addr>().ok()?;
    format!("{front}::{v4}").parse().ok()
}

/// Reads `host[:port]` where it starts here and is no IPv6 reference, and says where it ends.
#[inline(always)]
pub(super) fn plain_host_and_port(text: &str, start: usize) -> Option<(Host<'_>, Option<u16>, usize)> {
    let bytes = text.as_bytes();
    let end = until(bytes, start, NOT_HOST);
    let host = Host::plain(text.get(start..end).filter(|host| !host.is_empty())?);
    if bytes.get(end) != Some(&b':') {
        return Some((host, None, end));
    }
    let (mut port, mut at) = (0u32, end + 1);
    while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
        port = port * 10 + u32::from(*digit - b'0');
        if port > u16::MAX.into() {
            return None;
        }
        at += 1;
    }
    if at > end + 1 { Some((host, Some(port as u16), at)) } else { None }
}

/// Splits `host[:port]`, with IPv6 references.
pub(super) fn host_and_port(text: &str) -> Result<(Host<'_>, Option<u16>), Fault> {
    let bytes = text.as_bytes();
    let bracket = if bytes.first() == Some(&b'[') { memchr::memrchr(b']', bytes).unwrap_or(0) } else { 0 };
    let behind = bytes.get(bracket..).unwrap_or_default();
    let Some(colon) = behind.iter().position(|byte| *byte == b':').map(|at| at + bracket) else {
        return Ok((Host::parse(text)?, None));
    };
    let port = text.get(colon + 1..).and_then(number).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(Fault::BadUri)?;
    Ok((Host::parse(text.get(..colon).unwrap_or_default())?, Some(port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
            #[test]
            fn an_ipv4_address_is_read_as_the_standard_library_does(text in "([0-9]{1,4}\\.){2,4}[0-9]{0,3}") {
                prop_assert_eq!(v4(&text), text.parse().ok());
            }
    }
}
