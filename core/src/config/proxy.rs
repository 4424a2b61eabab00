//! The outbound proxy.

use std::fmt;

use super::value::Text;
use crate::sip::message::Uri;
use crate::sip::resolve::Hop;

/// The outbound proxy, written as a SIP URI: `sip:127.0.0.1:5060;transport=udp` (RFC 3261 §8.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    text: String,
    hop: Hop,
}

impl Proxy {
    /// Where that is.
    pub(crate) fn hop(&self) -> &Hop {
        &self.hop
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
        let hop =
            Hop::of(&uri).ok_or_else(|| "names an unknown transport, or TLS over datagrams".to_owned())?;
        Ok(Self { text: text.to_owned(), hop })
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
    use super::super::SipTransport;
    use super::*;
    use crate::sip::resolve::HopHost;

    #[test]
    fn a_proxy_says_where_it_is_and_how_it_is_spoken_to() {
        let hop = |text| Proxy::read(text).unwrap().hop().clone();
        let proxy = hop("sip:127.0.0.1:5070;transport=UDP;lr");
        assert_eq!((proxy.transport, proxy.port), (Some(SipTransport::Udp), Some(5070)));
        assert_eq!(hop("sip:[2001:db8::1]").host, HopHost::Address("2001:db8::1".parse().unwrap()));
        let proxy = hop("sips:PBX.example.com");
        assert_eq!((proxy.secure, proxy.host), (true, HopHost::Name("pbx.example.com".into())));
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
