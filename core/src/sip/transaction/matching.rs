//! Which server transaction a request belongs to (RFC 3261 §17.2.3), and which requests are one that came by two paths.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::ident::{Ident, IdentText, Key};
use crate::sip::message::{Host, Method, Request, Via};

/// A keyed hash of what requests are compared by, so that none of it has to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matching {
    high: u64,
    low: u64,
}

impl Hash for Matching {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.low);
    }
}

/// A hasher for keys that are hashes already.
#[derive(Default)]
pub(super) struct Passthrough(u64);

pub(super) type PassthroughBuilder = BuildHasherDefault<Passthrough>;

impl Hasher for Passthrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// What a hash is for; it goes in first, so that none equals one of another purpose.
#[derive(Clone, Copy)]
enum Purpose {
    Transaction,
    OldTransaction,
    Merging,
    Tag,
    PlainTag,
}

/// The secret that hashes are made with: nobody outside can make two requests collide.
#[derive(Clone, Copy)]
pub(super) struct MatchingKey([u8; 16]);

impl std::fmt::Debug for MatchingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MatchingKey(..)")
    }
}

impl MatchingKey {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    fn hasher(&self, purpose: Purpose) -> SipHasher13 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write_u8(purpose as u8);
        hasher
    }

    /// The transaction that `request` would belong to if its method were `method`: INVITE finds that of an ACK or
    /// the one that a CANCEL means (§9.2).
    pub(super) fn transaction(&self, request: &Request<'_>, method: Method<'_>) -> Matching {
        match request.via.magic() {
            Some(branch) => {
                let mut hasher = self.hasher(Purpose::Transaction);
                method.as_str().hash(&mut hasher);
                branch.hash(&mut hasher);
                hash_host(request.via.host, &mut hasher);
                request.via.port.hash(&mut hasher);
                finish(&hasher)
            }
            None => self.old_transaction(request, method),
        }
    }

    /// A peer of RFC 2543 has no unique branch. The To tag is left out: ACK has one, its INVITE has not.
    fn old_transaction(&self, request: &Request<'_>, method: Method<'_>) -> Matching {
        let mut hasher = self.hasher(Purpose::OldTransaction);
        method.as_str().hash(&mut hasher);
        request.uri.raw.hash(&mut hasher);
        request.from.tag().hash(&mut hasher);
        request.call_id.hash(&mut hasher);
        request.cseq.number.hash(&mut hasher);
        request.via.raw.hash(&mut hasher);
        finish(&hasher)
    }

    /// What a request without To tag has in common with its copies that came by other paths (§8.2.2.2); `None` for
    /// those that are never merged.
    pub(super) fn merging(&self, request: &Request<'_>) -> Option<Matching> {
        if request.to.tag().is_some() || matches!(request.method, Method::Ack | Method::Cancel) {
            return None;
        }
        let mut hasher = self.hasher(Purpose::Merging);
        request.method.as_str().hash(&mut hasher);
        request.from.tag().hash(&mut hasher);
        request.call_id.hash(&mut hasher);
        request.cseq.number.hash(&mut hasher);
        Some(finish(&hasher))
    }

    /// The To tag of our answers to requests that made no dialog: the same for each copy, without being stored
    /// (§8.2.7).
    pub(super) fn tag(&self, matching: Matching) -> IdentText {
        let mut hasher = self.hasher(Purpose::Tag);
        hasher.write_u64(matching.high);
        hasher.write_u64(matching.low);
        tag(&hasher)
    }

    /// The same for an answer without a transaction, by the topmost Via, which no other request has.
    pub(super) fn tag_of(&self, via: &Via<'_>) -> IdentText {
        let mut hasher = self.hasher(Purpose::PlainTag);
        via.raw.hash(&mut hasher);
        tag(&hasher)
    }
}

fn tag(hasher: &SipHasher13) -> IdentText {
    let tag = finish(hasher);
    Ident::new(Key::<()>::from_bits(tag.high), tag.low).text()
}

fn finish(hasher: &SipHasher13) -> Matching {
    let hash = hasher.finish128();
    Matching { high: hash.h1, low: hash.h2 }
}

fn hash_host(host: Host<'_>, hasher: &mut SipHasher13) {
    match host {
        Host::Name(name) => {
            name.bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
            hasher.write_u8(0xff);
        }
        Host::V4(address) => address.hash(hasher),
        Host::V6(address) => address.hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::{Message, parse};

    const KEY: MatchingKey = MatchingKey([7; 16]);

    fn with<T>(method: &str, via: &str, rest: &str, look: impl FnOnce(&Request<'_>) -> T) -> T {
        let text = format!(
            "{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nFrom: <sip:c@d>;tag=9\r\n{rest}Call-ID: 1\r\nCSeq: 7 {method}\r\n\r\n"
        );
        match parse(text.as_bytes()) {
            Ok(Message::Request(request)) => look(&request),
            other => panic!("{other:?}"),
        }
    }

    fn transaction(method: &str, via: &str) -> Matching {
        with(method, via, "To: <sip:a@b>\r\n", |request| {
            let of = if method == "ACK" { Method::Invite } else { request.method };
            KEY.transaction(request, of)
        })
    }

    #[test]
    fn branch_sender_and_method_make_the_transaction() {
        let invite = transaction("INVITE", "host.example:5060;branch=z9hG4bKx");
        assert_eq!(invite, transaction("INVITE", "HOST.example:5060;rport;branch=z9hG4bKx"));
        assert_eq!(invite, transaction("ACK", "host.example:5060;branch=z9hG4bKx"));
        for other in [
            "host.example:5061;branch=z9hG4bKx",
            "host.example:5060;branch=z9hG4bKy",
            "host:5060;branch=z9hG4bKx",
        ] {
            assert_ne!(invite, transaction("INVITE", other), "{other}");
        }
        assert_ne!(invite, transaction("CANCEL", "host.example:5060;branch=z9hG4bKx"));
        assert_ne!(invite, transaction("BYE", "host.example:5060;branch=z9hG4bKx"));
    }

    #[test]
    fn without_the_magic_cookie_the_request_itself_is_compared() {
        let old = transaction("INVITE", "192.0.2.1;branch=1");
        assert_eq!(old, transaction("ACK", "192.0.2.1;branch=1"));
        assert_ne!(old, transaction("INVITE", "192.0.2.1;branch=2"));
        assert_ne!(old, transaction("INVITE", "192.0.2.1"));
        let acked = |to: &str| with("ACK", "192.0.2.1", to, |ack| KEY.transaction(ack, Method::Invite));
        assert_eq!(acked("To: <sip:a@b>\r\n"), acked("To: <sip:a@b>;tag=ours\r\n"));
    }

    #[test]
    fn only_requests_outside_of_dialogs_are_merged() {
        let merging = |method, via, to| with(method, via, to, |request| KEY.merging(request));
        let one = merging("INVITE", "a;branch=z9hG4bK1", "To: <sip:a@b>\r\n");
        assert!(one.is_some());
        assert_eq!(one, merging("INVITE", "b;branch=z9hG4bK2", "To: <sip:a@b>\r\n"));
        assert_ne!(one, merging("OPTIONS", "a;branch=z9hG4bK1", "To: <sip:a@b>\r\n"));
        assert_eq!(merging("INVITE", "a;branch=z9hG4bK1", "To: <sip:a@b>;tag=x\r\n"), None);
        assert_eq!(merging("CANCEL", "a;branch=z9hG4bK1", "To: <sip:a@b>\r\n"), None);
    }

    #[test]
    fn a_tag_tells_nothing_of_the_hash_and_is_the_same_each_time() {
        let matching = transaction("OPTIONS", "a;branch=z9hG4bK1");
        assert_eq!(KEY.tag(matching).as_str(), KEY.tag(matching).as_str());
        assert_ne!(KEY.tag(matching).as_str(), MatchingKey([8; 16]).tag(matching).as_str());
    }
}
