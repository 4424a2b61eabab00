//! Parties that leave: by BYE or CANCEL of ours, by their own BYE, or because they are gone.

use super::{Bridge, Stage};
use crate::call::desk::Desk;
use crate::call::leg::{Leg, LegEvent};
use crate::call::outcome::Outcome;
use crate::call::progress::Parted;
use crate::call::record::Role;
use crate::ident::Key;
use crate::sip::message::{Method, Status};

/// How many dialogs that are over are kept to be shown.
const MAX_PARTED: usize = 16;

/// A leg that was given up and has not confirmed it yet.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) leg: Key<Leg>,
    pub(super) role: Role,
    /// `Reason` and what else the BYE says, each line with CR LF.
    lines: Box<[u8]>,
    /// Whether it is shown when it is over: not under the name that the call has then.
    shown: bool,
}

impl Leaving {
    pub(super) fn is_shown(&self) -> bool {
        self.shown
    }
}

/// `Reason` (RFC 3326) with this status, as a header line.
pub(super) fn reason(status: Status) -> Box<[u8]> {
    format!("Reason: SIP;cause={status};text=\"{}\"\r\n", status.phrase()).into_bytes().into()
}

impl Bridge {
    /// Everybody leaves; `why` is what the record tells of a party that was not connected yet.
    pub(super) fn part(&mut self, lines: &[u8], why: Status, desk: &mut Desk<'_, '_>) {
        if matches!(self.stage, Stage::Leaving | Stage::Over) {
            return;
        }
        if self.stage != Stage::Alerting && self.joining.is_some() {
            self.connecting(Outcome::Failed(why), desk);
        }
        for leg in self.legs() {
            self.answer_what_passes(leg, desk);
        }
        let joining = self.joining.take();
        self.stage = Stage::Leaving;
        if let Some((fresh, role)) = joining.and_then(|joining| Some((joining.fresh?, joining.role()))) {
            self.leave(fresh, role, lines, desk);
        }
        for (leg, role) in [(self.calling.take(), Role::Calling), (self.called.take(), Role::Called)] {
            if let Some(leg) = leg {
                self.leave(leg, role, lines, desk);
            }
        }
        self.end_if_all_have_left();
    }

    /// The party that a transfer has replaced leaves; its dialog, as it will be shown.
    pub(super) fn let_go(&mut self, leg: Key<Leg>, desk: &mut Desk<'_, '_>) -> Option<Parted> {
        let parted = desk.legs.get(leg).map(|leg| Parted::of(&leg.shown()));
        self.leave(leg, Role::Calling, &[], desk);
        if let Some(leaving) = self.leaving.iter_mut().find(|leaving| leaving.leg == leg) {
            leaving.shown = false;
        }
        parted
    }

    /// Gives one leg up: CANCEL or BYE.
    pub(super) fn leave(&mut self, key: Key<Leg>, role: Role, lines: &[u8], desk: &mut Desk<'_, '_>) {
        self.answer_what_passes(key, desk);
        let on_its_way = desk.with(key, |leg, stack| {
            if leg.is_inviting() {
                leg.cancel(reason_of(lines), stack);
            } else if leg.is_up() {
                leg.decline_offer(stack);
                leg.hang_up(lines, stack);
            } else {
                return false;
            }
            true
        });
        if on_its_way == Some(true) {
            self.leaving.push(Leaving { leg: key, role, lines: lines.into(), shown: true });
        } else {
            self.remove(key, role, desk);
        }
    }

    /// Something happened on a leg that was given up.
    pub(super) fn leaving_event(&mut self, key: Key<Leg>, event: &LegEvent, desk: &mut Desk<'_, '_>) {
        let Some(at) = self.leaving.iter().position(|leaving| leaving.leg == key) else { return };
        match event {
            // The 2xx has crossed our CANCEL.
            LegEvent::Answered => {
                let lines = self.leaving.get(at).map(|leaving| leaving.lines.clone()).unwrap_or_default();
                desk.with(key, |leg, stack| {
                    leg.decline_offer(stack);
                    leg.hang_up(&lines, stack);
                });
            }
            LegEvent::Failed(..) | LegEvent::WantsOffer(_) => self.has_left(at, desk),
            // What it says does not matter (§15.1.1).
            LegEvent::Done(request, ..) if request.method == Method::Bye => self.has_left(at, desk),
            LegEvent::Done(request, ..) if request.method == Method::Invite => {
                desk.with(key, Leg::decline_offer);
            }
            _ => {}
        }
    }

    fn has_left(&mut self, at: usize, desk: &mut Desk<'_, '_>) {
        let leaving = self.leaving.remove(at);
        if leaving.shown {
            self.remove(leaving.leg, leaving.role, desk);
        } else {
            desk.dismiss(leaving.leg);
        }
        self.end_if_all_have_left();
    }

    /// A dialog is over, and is shown as that from now on.
    pub(super) fn remove(&mut self, key: Key<Leg>, role: Role, desk: &mut Desk<'_, '_>) {
        let Some(parted) = desk.with(key, |leg, _| Parted::of(&leg.shown())) else { return };
        desk.dismiss(key);
        if self.parted.len() >= MAX_PARTED {
            self.parted.remove(0);
        }
        self.parted.push((role, parted));
    }

    fn end_if_all_have_left(&mut self) {
        if self.stage == Stage::Leaving && self.leaving.is_empty() {
            self.stage = Stage::Over;
        }
    }

    /// A party has hung up, and was answered; `lines` is what its BYE tells the other one.
    pub(super) fn peer_hung_up(&mut self, leg: Key<Leg>, lines: &[u8], desk: &mut Desk<'_, '_>) {
        if self.leaving.iter().any(|leaving| leaving.leg == leg) {
            // Both BYEs have crossed; ours will be answered, by 200 or by 481.
            return;
        }
        if desk.legs.get(leg).is_some_and(Leg::is_inviting) {
            // A called party ends an early dialog by its answer, not by BYE (§15); it is taken for one all the same.
            if self.fresh() == Some(leg) {
                self.fail(Status::REQUEST_TERMINATED, desk);
            } else {
                self.part(lines, Status::REQUEST_TERMINATED, desk);
            }
            return;
        }
        self.answer_what_passes(leg, desk);
        self.gone(leg, lines, Status::REQUEST_TERMINATED, desk);
    }

    /// A party is not there any more.
    pub(super) fn lost(&mut self, leg: Key<Leg>, status: Status, desk: &mut Desk<'_, '_>) {
        if self.leaving.iter().any(|leaving| leaving.leg == leg) || desk.legs.get(leg).is_none() {
            return;
        }
        let lines = reason(status);
        if status == Status::NO_SUCH_DIALOG {
            self.answer_what_passes(leg, desk);
        } else {
            // It may only have been out of reach (RFC 3261 §12.2.1.2).
            let role = self.role(leg);
            self.leave(leg, role, &lines, desk);
        }
        self.gone(leg, &lines, status, desk);
    }

    /// What follows from a party's end for the others.
    fn gone(&mut self, leg: Key<Leg>, lines: &[u8], status: Status, desk: &mut Desk<'_, '_>) {
        let role = self.role(leg);
        let transferring = self.stage == Stage::Connected && self.joining.is_some();
        let standing = self.joining.as_ref().is_some_and(|joining| joining.is_standing(leg));
        let still_leaving = self.leaving.iter().any(|leaving| leaving.leg == leg);
        let fresh = self.fresh() == Some(leg);
        for slot in [&mut self.calling, &mut self.called] {
            *slot = slot.filter(|known| *known != leg);
        }
        if let Some(joining) = self.joining.as_mut().filter(|_| fresh) {
            joining.fresh = None;
        }
        if !still_leaving {
            self.remove(leg, role, desk);
        }
        if fresh {
            self.fail(status, desk);
        } else if !transferring || standing {
            self.part(lines, status, desk);
        } else if self.joining.as_ref().is_some_and(|joining| joining.fresh.is_none()) {
            // Nobody is left who could be connected.
            self.part(lines, status, desk);
        }
    }
}

/// The value of the first `Reason` among header lines.
pub(super) fn reason_of(lines: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(lines).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Reason: ")).map(str::trim)
}
