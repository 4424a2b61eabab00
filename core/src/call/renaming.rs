//! What a transfer changes for whoever asks for the call: it is found under its new parties, and what is left of the
//! old ones stays to be seen for its time.

use super::bridge::Bridge;
use super::flow::Flow;
use super::{Call, Calls};
use crate::Tick;
use crate::ident::{Ident, Key};

impl Calls {
    /// Gives a call its new name, if it was transferred in this turn.
    pub(super) fn rename(&mut self, now: Tick, key: Key<Call>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Flow::Bridge(bridge) = &mut call.flow else { return };
        let Some(renamed) = bridge.take_renamed() else { return };
        let old_name = std::mem::replace(&mut call.name, renamed.placing.name());
        let was_latest = self.names.remove(&old_name, key);
        let cache_time = std::mem::replace(&mut call.cache_time, renamed.placing.cache_time);
        let mut record = call.record.clone();
        record.ended = Some(now);
        let secret = self.endpoint.random.bits();
        let left = self.calls.insert_with(|left| Call {
            ident: Ident::new(left, secret),
            name: old_name,
            flow: Flow::Bridge(Bridge::left_behind(renamed.parted)),
            record,
            cache_time,
            timer: None,
        });
        // A call may have been placed under either name meanwhile: the latest is found.
        if was_latest {
            self.names.insert(left, &self.calls);
        }
        self.names.insert(key, &self.calls);
        self.keep_record(now, left);
    }
}
