//! What a leg sends and receives with.

use std::net::SocketAddr;

use super::contacts::Contacts;
use crate::Tick;
use crate::config::Config;
use crate::io::Outbox;
use crate::random::Random;
use crate::sip::message::Uri;
use crate::sip::transaction::Transactions;
use crate::sip::transport::{Flow, Locals};

/// The parts of the SIP side that all legs share.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) transactions: Transactions,
    pub(crate) locals: Locals,
    pub(crate) random: Random,
    pub(crate) config: Config,
    pub(crate) proxy: Option<SocketAddr>,
    pub(crate) contacts: Contacts,
}

/// The endpoint at one moment, with the place where what is to be sent goes.
#[derive(Debug)]
pub(crate) struct Stack<'a> {
    pub(crate) now: Tick,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) endpoint: &'a mut Endpoint,
}

impl Endpoint {
    /// The session timer's interval in seconds, if there is one (RFC 4028).
    pub(crate) fn session_interval(&self) -> Option<u32> {
        let interval = self.config.calls.session_expires?;
        Some(u32::try_from(interval.as_secs()).unwrap_or(u32::MAX))
    }

    /// The way of a new request to this URI: to the outbound proxy if there is one, else to the URI's own address.
    pub(crate) fn route(&self, uri: &str) -> Option<Flow> {
        let address = self.proxy.or_else(|| Uri::parse(uri).ok()?.address())?;
        Some(self.locals.flow_to(address))
    }

    /// Whether identities are asserted to whoever this flow leads to: a configured proxy, or the outbound one.
    pub(crate) fn trusts(&self, flow: Flow) -> bool {
        let named = &self.config.calls.trusted_proxy;
        if named.is_empty() {
            return self.proxy == Some(flow.remote());
        }
        named.iter().any(|range| range.contains(flow.remote().ip()))
    }

    /// The way of a request within a dialog to its next hop; a hop that is named and not given by address is
    /// reached by the way that the dialog was made on.
    pub(crate) fn route_within(&self, next_hop: &str, made_on: Flow) -> Flow {
        let address = Uri::parse(next_hop).ok().and_then(|uri| uri.address());
        address.map_or(made_on, |address| self.locals.flow_to(address))
    }
}
