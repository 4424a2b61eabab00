//! The two ways in which a call connects its parties, behind one face.

use super::bridge::Bridge;
use super::desk::Desk;
use super::leg::{Answering, Leg, LegEvent};
use super::refer::{Refer, Stage};
use crate::Tick;
use crate::ident::{Key, Table};
use crate::sip::message::{Request, Response};
use crate::sip::transaction::Server;

/// How a call's parties are connected, and how far that has got.
#[derive(Debug)]
pub(crate) enum Flow {
    /// The calling party is handed over by REFER.
    Refer(Refer),
    /// We stay in the path.
    Bridge(Bridge),
}

impl Flow {
    /// Whether somebody is or will be in the call.
    pub(crate) fn is_in_progress(&self) -> bool {
        match self {
            Flow::Refer(refer) => refer.is_in_progress(),
            Flow::Bridge(bridge) => bridge.is_in_progress(),
        }
    }

    /// Whether nothing more will happen.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Flow::Refer(refer) => refer.stage == Stage::Over,
            Flow::Bridge(bridge) => !bridge.is_in_progress(),
        }
    }

    /// Whether what may still be notified is waited for, and nothing else.
    pub(crate) fn is_lingering(&self) -> bool {
        !self.is_in_progress() && !self.is_over()
    }

    /// Nothing more will happen: only what is shown is kept.
    pub(crate) fn settle(&mut self) {
        match self {
            Flow::Refer(refer) => refer.settle(),
            Flow::Bridge(bridge) => bridge.settle(),
        }
    }

    /// How far it has got, in one word for people and JSON.
    pub(crate) fn state(&self) -> &'static str {
        match self {
            Flow::Refer(refer) => refer.stage.word(),
            Flow::Bridge(bridge) => bridge.state(),
        }
    }

    /// When something is to be done without anybody asking.
    pub(crate) fn deadline(&self, legs: &Table<Leg>) -> Option<Tick> {
        match self {
            Flow::Refer(refer) => refer.deadline,
            Flow::Bridge(bridge) => bridge.deadline(legs),
        }
    }

    /// The legs that are this call's.
    pub(crate) fn legs(&self) -> Vec<Key<Leg>> {
        match self {
            Flow::Refer(refer) if refer.stage == Stage::Over => Vec::new(),
            Flow::Refer(refer) => vec![refer.leg],
            Flow::Bridge(bridge) => bridge.legs().collect(),
        }
    }

    /// Somebody wants the call to end, whatever its state.
    pub(crate) fn hang_up(&mut self, desk: &mut Desk<'_, '_>) {
        match self {
            Flow::Refer(refer) => refer.hang_up(desk),
            Flow::Bridge(bridge) => bridge.hang_up(desk),
        }
    }

    /// The deadline has come.
    pub(crate) fn timeout(&mut self, desk: &mut Desk<'_, '_>) {
        match self {
            Flow::Refer(refer) => refer.timeout(desk),
            Flow::Bridge(bridge) => bridge.timeout(desk),
        }
    }

    /// Something happened on a leg; `response` is what brought it, unless nothing did.
    pub(crate) fn leg_event(
        &mut self,
        leg: Key<Leg>,
        event: LegEvent,
        response: Option<&Response<'_>>,
        desk: &mut Desk<'_, '_>,
    ) {
        match self {
            Flow::Refer(refer) => refer.leg_event(&event, response, desk),
            Flow::Bridge(bridge) => bridge.leg_event(leg, event, response, desk),
        }
    }

    /// A request came in a leg's dialog. `refer_to` is its Refer-To where that must read otherwise to be passed on.
    pub(crate) fn request(
        &mut self,
        leg: Key<Leg>,
        answering: &Answering<'_>,
        refer_to: Option<&str>,
        desk: &mut Desk<'_, '_>,
    ) {
        match self {
            Flow::Refer(refer) => refer.request(answering, desk),
            Flow::Bridge(bridge) => bridge.request(leg, answering, refer_to, desk),
        }
    }

    /// A party acknowledges our 2xx to its INVITE within the dialog.
    pub(crate) fn acknowledged(&mut self, leg: Key<Leg>, ack: &Request<'_>, desk: &mut Desk<'_, '_>) {
        match self {
            Flow::Refer(_) => drop(desk.with(leg, |leg, stack| leg.acknowledged(ack, stack))),
            Flow::Bridge(bridge) => bridge.acknowledged(leg, ack, desk),
        }
    }

    /// A party gives up an INVITE that we have not answered yet.
    pub(crate) fn canceled(
        &mut self,
        leg: Key<Leg>,
        invite: Key<Server>,
        cancel: &Request<'_>,
        desk: &mut Desk<'_, '_>,
    ) {
        match self {
            // None is ever left unanswered there.
            Flow::Refer(_) => {}
            Flow::Bridge(bridge) => bridge.canceled(leg, invite, cancel, desk),
        }
    }
}
