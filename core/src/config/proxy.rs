//! The outbound proxy.

use std::fmt;
use std::net::SocketAddr;

use super::SipTransport;
use super::value::Text;
use crate::sip::message::{Scheme, Uri};

/// The outbound proxy, written as a SIP URI: `sip:127.0.0.1:5060;transport=udp` (RFC 3261 §8.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    text: String,
    /// How it is spoken to: by its `transport` parameter, else TLS for `sips:` and UDP for `sip:`.
    pub transport: SipTransport,
    address: Option<SocketAddr>,
}

impl Proxy {
    /// Its address, if it was given by address and not by name.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl Text for Proxy {
    const RIGHT: &'static str = "a SIP URI like \"sip:127.0.0.1:5060;transport=udp\"";

    fn read(text: &str) -> Result<Self, String> {
        let uri = Uri::parse(text).map_err(|_| "is no URI".to_owned())?;
        if !uri.scheme.is_sip() {
            return Err("is no SIP URI".to_owned());
        }
        if uri.user.is_some() || uri.headers.is_some() {
            return Err("names more than a server".to_owned());
        }
        let transport = match uri.params.value("transport").map(str::to_ascii_lowercase) {
            Some(name) => SipTransport::read(&name).map_err(|_| "names an unknown transport".to_owned())?,
            None if uri.scheme == Scheme::Sips => SipTransport::Tls,
            None => SipTransport::Udp,
        };
        if uri.scheme == Scheme::Sips && transport == SipTransport::Udp {
            return Err("wants TLS over datagrams".to_owned());
        }
        Ok(Self { text: text.to_owned(), transport, address: uri.address() })
    }

    fn text(&self) -> String {
        self.text.clone()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_says_where_it_is_and_how_it_is_spoken_to() {
        let proxy = Proxy::read("sip:127.0.0.1:5070;transport=UDP;lr").unwrap();
        assert_eq!((proxy.transport, proxy.address()), (SipTransport::Udp, "127.0.0.1:5070".parse().ok()));
        let proxy = Proxy::read("sip:[2001:db8::1]").unwrap();
        assert_eq!(
            (proxy.transport, proxy.address()),
            (SipTransport::Udp, "[2001:db8::1]:5060".parse().ok())
        );
        let proxy = Proxy::read("sips:pbx.example.com").unwrap();
        assert_eq!((proxy.transport, proxy.address()), (SipTransport::Tls, None));
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for text in [
            "",
            "127.0.0.1:5060",
            "tel:+491",
            "sip:user@pbx",
            "sip:pbx?Subject=x",
            "sip:pbx;transport=sctp",
            "sips:pbx;transport=udp",
            "sip:pbx:99999",
        ] {
            assert!(Proxy::read(text).is_err(), "{text}");
        }
    }
}
