//! Which server transaction a request belongs to (RFC 3261 §17.2.3).

use std::hash::{BuildHasherDefault, Hash, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::sip::message::{Host, Method, Request};

/// The identity of a server transaction: a keyed hash of what it is matched by, so that nothing has to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Matching(u128);

/// A hasher for keys that are hashes already.
#[derive(Default)]
pub(super) struct Passthrough(u64);

pub(super) type PassthroughBuilder = BuildHasherDefault<Passthrough>;

impl Hasher for Passthrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

/// The key that hashes are made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct MatchingKey(pub(super) u64, pub(super) u64);

impl MatchingKey {
    /// The transaction that `request` creates or belongs to, as if its method were `method`.
    pub(super) fn of(self, request: &Request<'_>, method: Method<'_>) -> Matching {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        method.as_str().hash(&mut hasher);
        match request.via.magic() {
            Some(branch) => {
                branch.hash(&mut hasher);
                hash_host(request.via.host, &mut hasher);
                request.via.port.hash(&mut hasher);
            }
            // RFC 2543: no unique branch. The To tag is left out, since an ACK has one and its INVITE has not.
            None => {
                request.uri.raw.hash(&mut hasher);
                request.from.tag().hash(&mut hasher);
                request.call_id.hash(&mut hasher);
                request.cseq.number.hash(&mut hasher);
                request.via.raw.hash(&mut hasher);
            }
        }
        Matching(hasher.finish128().as_u128())
    }
}

fn hash_host(host: Host<'_>, hasher: &mut SipHasher13) {
    match host {
        Host::Name(name) => name.bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase())),
        Host::V4(address) => address.hash(hasher),
        Host::V6(address) => address.hash(hasher),
    }
}
