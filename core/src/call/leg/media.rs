//! What a leg's peer was told of media: every description under one origin, its version counted (RFC 3264 §8).

use std::borrow::Cow;
use std::sync::Arc;

use super::{Body, Leg};
use crate::call::stack::Stack;
use crate::sip::sdp::{self, Origin};

/// A description of media. What was told and is in force is one piece of memory, whoever has to know it.
pub(crate) type Description = Arc<[u8]>;

/// The descriptions that one leg's peer gets.
#[derive(Debug)]
pub(super) struct Media {
    origin: Origin,
    /// The description that is in force.
    agreed: Description,
}

impl Media {
    pub(super) fn new(session: u32) -> Self {
        Self { origin: Origin { session, version: 0 }, agreed: Description::default() }
    }

    /// The origin of a description that differs from all before.
    pub(super) fn next(&mut self) -> Origin {
        self.origin.version = self.origin.version.wrapping_add(1);
        self.origin
    }
}

impl Body {
    /// A body of this content, if it is SDP.
    pub(crate) fn sdp(bytes: impl Into<Description>) -> Self {
        Self { kind: Cow::Borrowed(sdp::MEDIA_TYPE), bytes: bytes.into() }
    }

    /// Whether it is a description of media.
    pub(crate) fn is_sdp(&self) -> bool {
        let kind = self.kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case(sdp::MEDIA_TYPE)
    }
}

impl Leg {
    /// A description of somebody's media as this leg's peer is told it: as it is in force already, or under the
    /// next version.
    pub(crate) fn describe(&mut self, description: &[u8], stack: &Stack<'_>) -> Description {
        if sdp::is_same_but_origin(description, &self.media.agreed) {
            return self.media.agreed.clone();
        }
        let host = stack.endpoint.locals.media_host(self.flow);
        sdp::with_origin(description, host, self.media.next()).into()
    }

    /// A description that this leg's peer was sent is in force.
    pub(crate) fn agree(&mut self, description: Description) {
        self.media.agreed = description;
    }

    /// The description that is in force; empty before there is one.
    pub(crate) fn agreed(&self) -> &Description {
        &self.media.agreed
    }

    /// The answer of one who has nothing to say and nothing to hear; none, if it is no offer.
    pub(crate) fn hold_answer(&mut self, offer: &[u8], stack: &Stack<'_>) -> Option<Description> {
        let mut out = Vec::with_capacity(256);
        let host = stack.endpoint.locals.media_host(self.flow);
        sdp::write_answer(&mut out, offer, host, self.media.next())?;
        Some(self.described(out))
    }

    /// A description of our own making, or the one that is in force if it says the same.
    pub(super) fn described(&self, description: Vec<u8>) -> Description {
        if sdp::is_same_but_origin(&description, &self.media.agreed) {
            return self.media.agreed.clone();
        }
        description.into()
    }
}
