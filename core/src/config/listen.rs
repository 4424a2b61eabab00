//! An address that SIP is listened for on.

use std::fmt;
use std::net::SocketAddr;

use super::SipTransport;
use super::value::Text;

/// An address that SIP is listened for on, written `udp:127.0.0.1:6050`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The transport.
    pub transport: SipTransport,
    /// The address; port 0 takes any that is free.
    pub address: SocketAddr,
}

impl Text for Listen {
    const RIGHT: &'static str =
        "a transport and an address, like \"udp:127.0.0.1:6050\" or \"udp:[::1]:6050\"";

    fn read(text: &str) -> Result<Self, String> {
        let (transport, address) = text.split_once(':').ok_or_else(|| "names no transport".to_owned())?;
        let transport = SipTransport::read(transport).map_err(|_| "names no transport".to_owned())?;
        let address = address.parse().map_err(|_| "names no address with a port".to_owned())?;
        Ok(Self { transport, address })
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.word(), self.address)
    }
}
