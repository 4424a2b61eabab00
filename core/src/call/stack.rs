//! What a leg sends and receives with.

use std::sync::Arc;

use super::contacts::Contacts;
use crate::Tick;
use crate::config::Config;
use crate::ident::Key;
use crate::io::Outbox;
use crate::random::Random;
use crate::sip::message::{Method, Uri};
use crate::sip::resolve::{Hop, HopHost};
use crate::sip::transaction::{Client, Owner, Transactions};
use crate::sip::transport::{Flow, Locals};

/// The parts of the SIP side that all legs share.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) transactions: Transactions,
    pub(crate) locals: Arc<Locals>,
    pub(crate) random: Random,
    pub(crate) config: Config,
    pub(crate) proxy: Option<Hop>,
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

    /// Where a new request to this URI goes: to the outbound proxy if there is one, else to the URI's own host. `None`
    /// for a URI that leads nowhere by SIP, or to an address of a family that we do not have.
    pub(crate) fn hop(&self, uri: &str) -> Option<Hop> {
        let hop = match &self.proxy {
            Some(proxy) => proxy.clone(),
            None => Hop::of(&Uri::parse(uri).ok()?)?,
        };
        let (v4, v6) = self.locals.families();
        let reached = match hop.host {
            HopHost::Name(_) => true,
            HopHost::Address(address) => {
                if address.is_ipv4() {
                    v4
                } else {
                    v6
                }
            }
        };
        reached.then_some(hop)
    }

    /// Where a request within a dialog goes whose next hop is this URI. The outbound proxy serves our own domain, whose
    /// name need not lead anywhere.
    fn hop_within(&self, uri: &str) -> Option<Hop> {
        let hop = Hop::of(&Uri::parse(uri).ok()?)?;
        let ours =
            matches!(&hop.host, HopHost::Name(name) if name.eq_ignore_ascii_case(&self.config.sip.domain));
        Some(self.proxy.clone().filter(|_| ours).unwrap_or(hop))
    }

    /// Whether identities are asserted to whoever this flow leads to: a configured proxy, or the outbound one.
    pub(crate) fn trusts(&self, flow: Flow) -> bool {
        let named = &self.config.calls.trusted_proxy;
        if named.is_empty() {
            return self.proxy.is_some();
        }
        named.iter().any(|range| range.contains(flow.remote().ip()))
    }
}

impl Stack<'_> {
    /// Begins a request within a dialog to its next hop; one that cannot be found is reached by the way that the dialog
    /// was made on.
    pub(crate) fn begin_within(
        &mut self,
        what: (Method<'static>, Owner),
        next_hop: &str,
        made_on: Option<Flow>,
    ) -> Key<Client> {
        let nowhere =
            || Hop { secure: false, host: HopHost::Name(Box::default()), port: None, transport: None };
        let hop = self.endpoint.hop_within(next_hop).unwrap_or_else(nowhere);
        self.endpoint.transactions.begin(self.now, what, (&hop, made_on), self.outbox)
    }
}
