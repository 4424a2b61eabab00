//! A range of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::value::Text;

/// A range of addresses, written `10.0.0.0/8` (RFC 4632); a single address is the range of itself.
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

    /// Whether an address lies in it; an IPv4 address in IPv6 form (RFC 4291 §2.5.5.2) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (base.to_bits() ^ address.to_bits()) & mask_v4(self.bits) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                (base.to_bits() ^ address.to_bits()) & mask_v6(self.bits) == 0
            }
            _ => false,
        }
    }

    /// Whether every address of its family lies in it.
    pub(super) fn is_everything(&self) -> bool {
        self.bits == 0
    }

    /// The same range from its first address.
    fn trimmed(self) -> Self {
        let base = match self.base {
            IpAddr::V4(base) => Ipv4Addr::from_bits(base.to_bits() & mask_v4(self.bits)).into(),
            IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits() & mask_v6(self.bits)).into(),
        };
        Self { base, bits: self.bits }
    }
}

fn mask_v4(bits: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0)
}

fn mask_v6(bits: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0)
}

impl Text for Cidr {
    const RIGHT: &'static str = "a range of addresses like \"10.0.0.0/8\", or one address";

    fn read(text: &str) -> Result<Self, String> {
        let wrong = || "is no range of addresses".to_owned();
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| wrong())?
            }
            Some(_) => return Err(wrong()),
            None => most,
        };
        if bits > most {
            return Err(format!("has more than {most} bits"));
        }
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8: `contains` sees only the short form.
        let range = match base.to_canonical() {
            IpAddr::V4(short) if base.is_ipv6() && bits >= 96 => Self { base: short.into(), bits: bits - 96 },
            _ => Self { base, bits },
        };
        match range.trimmed() {
            first if first == range => Ok(range),
            first => Err(format!("is not the first address of its range, which is \"{first}\"")),
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        Cidr::read(range).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_range_contains_what_shares_its_first_bits() {
        assert!(contains("192.0.2.128/25", "192.0.2.200") && !contains("192.0.2.128/25", "192.0.2.100"));
        assert!(contains("2001:db8::/32", "2001:db8:1::7") && !contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.6"));
        assert!(contains("0.0.0.0/0", "10.0.0.1") && !contains("0.0.0.0/0", "::2"));
        assert!(contains("::/0", "2001:db8::1") && !contains("::/0", "10.0.0.1"));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_form_counts_as_ipv4() {
        assert!(contains("127.0.0.0/8", "::ffff:127.0.0.9"));
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!contains("::1/128", "::ffff:127.0.0.1"));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in
            ["", "x", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/", "10.0.0/8", "::1/129", "10.0.0.0/8/8"]
        {
            assert!(Cidr::read(text).is_err(), "{text}");
        }
        let slip = Cidr::read("192.168.1.7/24").unwrap_err();
        assert_eq!(slip, "is not the first address of its range, which is \"192.168.1.0/24\"");
    }
}
