//! REFER with Replaces (RFC 3891, RFC 5589 §7) that names a dialog of ours.
//!
//! A phone that consults a third party through us and then transfers the second one to it names the dialog that it has
//! with us. The second party is to replace the dialog that the third one has with us, which only we know.

use super::Calls;
use super::flow::Flow;
use crate::ident::{Ident, Key};
use crate::sip::message::{Method, Name, NameAddr, Request, unescape};

use super::leg::Leg;

impl Calls {
    /// The Refer-To that a REFER is to be passed on with, if it names one of our dialogs.
    pub(super) fn refer_to(&self, request: &Request<'_>) -> Option<String> {
        if request.method != Method::Refer {
            return None;
        }
        let target = NameAddr::parse(request.first(Name::ReferTo)?).ok()?;
        let headers = target.uri.headers?;
        let is_replaces = |header: &&str| {
            header.split_once('=').is_some_and(|(name, _)| name.eq_ignore_ascii_case("Replaces"))
        };
        let replaces = headers.split('&').find(is_replaces)?;
        let named = unescape(replaces.split_once('=')?.1);
        let (call_id, tags) = named.split_once(';')?;
        // What is our tag to us is the to-tag, since the Replaces is read by the one who is to be replaced.
        let tags = crate::sip::message::Params::new(tags);
        let ours = [tags.value("to-tag"), tags.value("from-tag")].into_iter().flatten();
        let leg = ours.filter_map(|tag| self.leg_with(call_id, tag)).next()?;
        let call = self.calls.get(self.legs.get(leg)?.call)?;
        let Flow::Bridge(bridge) = &call.flow else { return None };
        let (call_id, remote, local, uri) = self.legs.get(bridge.other_side(leg)?)?.seen_by_peer()?;
        let named = format!("{call_id}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", escaped(remote), escaped(local));
        let rest: String = headers
            .split('&')
            .filter(|header| *header != replaces)
            .map(|header| format!("&{header}"))
            .collect();
        Some(format!("<{uri}?Replaces={named}{rest}>"))
    }

    fn leg_with(&self, call_id: &str, tag: &str) -> Option<Key<Leg>> {
        let ident = Ident::parse(tag)?;
        let key = ident.key();
        let leg = self.legs.get(key).filter(|leg| leg.ident() == ident)?;
        (leg.call_id().text().as_str() == call_id).then_some(key)
    }
}

/// A tag as it may stand in a URI's header.
fn escaped(tag: &str) -> String {
    tag.bytes()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() || b"-._~!*'()".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}
