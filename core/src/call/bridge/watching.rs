//! Finding out that a party is gone: session timers (RFC 4028), or OPTIONS.

use super::{Bridge, Stage};
use crate::call::desk::Desk;
use crate::call::leg::Leg;
use crate::ident::Key;
use crate::sip::message::{Method, Status};

impl Bridge {
    /// Refreshes what is due, and gives up who has not refreshed.
    pub(super) fn watches_due(&mut self, desk: &mut Desk<'_, '_>) {
        for leg in [self.calling, self.called].into_iter().flatten() {
            let now = desk.stack.now;
            let Some(watch) = desk.legs.get(leg).map(|leg| leg.watch) else { continue };
            if watch.is_expired(now) {
                self.lost(leg, Status::REQUEST_TIMEOUT, desk);
            } else if watch.at().is_some_and(|at| at <= now) {
                desk.with(leg, Leg::look_after);
            }
        }
    }

    /// A refresh was answered.
    pub(super) fn refreshed(
        &mut self,
        leg: Key<Leg>,
        method: Method<'_>,
        status: Status,
        desk: &mut Desk<'_, '_>,
    ) {
        let unknown = matches!(status, Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED);
        if method == Method::Update && unknown && self.stage != Stage::Leaving {
            desk.with(leg, |leg, stack| {
                leg.takes_no_update();
                leg.look_after(stack);
            });
        }
    }
}
