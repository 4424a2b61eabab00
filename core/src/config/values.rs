//! The kinds of values that a configuration has, as they are written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::sip::message::{Host, Uri};

/// A transport of SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipTransport {
    /// Datagrams.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl SipTransport {
    fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "udp" => Some(SipTransport::Udp),
            "tcp" => Some(SipTransport::Tcp),
            "tls" => Some(SipTransport::Tls),
            _ => None,
        }
    }
}

impl fmt::Display for SipTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SipTransport::Udp => "udp",
            SipTransport::Tcp => "tcp",
            SipTransport::Tls => "tls",
        })
    }
}

/// An address that SIP is listened for on: `udp:127.0.0.1:6050`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The transport.
    pub transport: SipTransport,
    /// The address; port 0 takes any that is free.
    pub address: SocketAddr,
}

impl FromStr for Listen {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no address to listen on: write it like \"udp:127.0.0.1:6050\" or \"udp:[::1]:6050\"");
        let (transport, address) = text.split_once(':').ok_or_else(wrong)?;
        let transport = SipTransport::of(transport).ok_or_else(wrong)?;
        Ok(Self { transport, address: address.parse().map_err(|_| wrong())? })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport, self.address)
    }
}

/// A range of addresses: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

impl Cidr {
    /// 127.0.0.0/8
    pub const LOOPBACK_V4: Cidr = Cidr { base: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), bits: 8 };
    /// ::1/128
    pub const LOOPBACK_V6: Cidr = Cidr { base: IpAddr::V6(Ipv6Addr::LOCALHOST), bits: 128 };

    /// Whether an address lies in it; an IPv4 address in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                base.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no range of addresses: write it like \"10.0.0.0/8\" or \"192.0.2.7\"");
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > most { Err(wrong()) } else { Ok(Self { base, bits }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// The outbound proxy: `sip:127.0.0.1:5060;transport=udp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    text: String,
    /// How it is spoken to.
    pub transport: SipTransport,
    address: Option<SocketAddr>,
}

impl Proxy {
    /// Its address, if it was given by address and not by name.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl FromStr for Proxy {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no SIP URI: write it like \"sip:127.0.0.1:5060;transport=udp\"");
        let uri = Uri::parse(text).ok().filter(|uri| uri.scheme.is_sip()).ok_or_else(wrong)?;
        let transport = match uri.params.value("transport") {
            Some(name) => SipTransport::of(name).ok_or_else(wrong)?,
            None => SipTransport::Udp,
        };
        Ok(Self { text: text.to_owned(), transport, address: uri.address() })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

macro_rules! from_text {
    ($($kind:ty),*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}
from_text!(Listen, Cidr, Proxy);

/// `500ms`, `10s`, `5m`, `1h`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    read_duration(&text)
        .ok_or_else(|| D::Error::custom(format!("\"{text}\" is no duration: write it like \"500ms\", \"10s\", \"5m\" or \"1h\"")))
}

/// A duration, or `off`.
pub(super) fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "off" {
        return Ok(None);
    }
    read_duration(&text)
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("\"{text}\" is neither a duration like \"30m\" nor \"off\"")))
}

fn read_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// A duration in the largest unit that it is a whole number of.
pub(super) fn write_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis > 0 && millis % size == 0 {
            return format!("{}{unit}", millis / size);
        }
    }
    if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") }
}

/// Whether a text can be the host of a URI.
pub(super) fn is_host(text: &str) -> bool {
    Host::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for text in ["500ms", "1s", "90s", "5m", "24h", "0s"] {
            assert_eq!(read_duration(text).map(write_duration).as_deref(), Some(text));
        }
        for text in ["", "5", "m", "-1s", "1 s", "99999999999999999999s"] {
            assert_eq!(read_duration(text), None, "{text}");
        }
    }

    #[test]
    fn ranges_contain_what_they_say() {
        let range: Cidr = "192.0.2.128/25".parse().unwrap();
        assert!(range.contains("192.0.2.200".parse().unwrap()) && !range.contains("192.0.2.100".parse().unwrap()));
        assert!("::/0".parse::<Cidr>().unwrap().contains("2001:db8::1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains("10.0.0.1".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<Cidr>().is_err() && "x".parse::<Cidr>().is_err());
    }
}
