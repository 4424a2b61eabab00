//! The course of a run: faults, then time to heal, then the end of all calls; what has to be true after each.

use std::time::Duration;

use cordboard_core::Census;
use cordboard_core::softphone::PhoneCensus;
use serde_json::Value;

use super::oracles::{Violation, wrong};
use super::{Sim, user};

/// After so long without faults each call has found what it was looking for: the longest is the wait for NOTIFYs (300 s).
const HEALING: Duration = Duration::from_secs(900);
/// After so long a hang-up has come through.
const HANGING_UP: Duration = Duration::from_secs(150);
/// After so long nothing is remembered of anything.
const FORGETTING: Duration = Duration::from_secs(26 * 3600);

impl Sim {
    pub(super) fn play(&mut self) -> Result<(), Violation> {
        self.pass(self.scenario.healed)?;
        self.healed = true;
        self.network.heal();
        self.trace.note(self.now, || "all is well".to_owned());
        self.pass(HEALING)?;
        self.look()?;
        let standing = self.after_healing()?;
        for id in standing {
            let (status, _, body) = self.ask("DELETE", &format!("/calls/{id}"))?;
            if status != 204 {
                return wrong(format!("DELETE of a standing call: {status} {body}"));
            }
        }
        self.pass(HANGING_UP)?;
        self.after_hanging_up()?;
        self.at_the_end()
    }

    /// Every call is over or stands between two phones that have each other's media. Returns those that stand.
    fn after_healing(&mut self) -> Result<Vec<String>, Violation> {
        let unfinished: Vec<String> = self.records.unfinished().map(|(id, _)| id.to_owned()).collect();
        let mut standing = Vec::new();
        let mut known = Vec::new();
        for id in unfinished {
            let Some(call) = self.watch(&id)? else { continue };
            match call["state"].as_str().unwrap_or_default() {
                "ended" => {}
                "connected" if call["method"] == "INVITE" || call["method"] == "REFER" => {
                    self.check_media(&call)?;
                    known.extend(call_ids(&call));
                    standing.push(id);
                }
                state => return wrong(format!("a call is {state} long after all faults: {call}")),
            }
        }
        for (number, call_id) in self.phones_in_our_calls() {
            if !known.contains(&call_id) {
                return wrong(format!("{} is in the call {call_id} that nobody knows", user(number)));
            }
        }
        self.connected = standing.len() as u64;
        Ok(standing)
    }

    /// Which phones are in calls that the controller made, and their Call-IDs.
    fn phones_in_our_calls(&self) -> Vec<(usize, String)> {
        let phones = self.phones.iter().enumerate();
        let calls = phones.filter_map(|(number, phone)| Some((number, phone.as_ref()?)));
        let calls = calls
            .flat_map(|(number, phone)| phone.calls().map(move |call| (number, call.call_id.to_owned())));
        let ours = |call_id: &str| self.wire.made(call_id) && !self.wire.hung_up_in_vain(call_id);
        calls.filter(|(_, call_id)| ours(call_id)).collect()
    }

    /// The two phones of a connected call have each other's media.
    fn check_media(&self, call: &Value) -> Result<(), Violation> {
        let ids = call_ids(call);
        let ends: Vec<(usize, String, bool)> = ids
            .iter()
            .filter_map(|id| {
                let phones = self.phones.iter().enumerate();
                let mut calls = phones
                    .filter_map(|(number, phone)| Some((number, phone.as_ref()?)))
                    .flat_map(|(number, phone)| phone.calls().map(move |call| (number, call)));
                let (number, found) = calls.find(|(_, call)| call.call_id == id)?;
                Some((number, found.remote_sdp.to_owned(), found.unsettled))
            })
            .collect();
        let [(one, to_one, _), (other, to_other, _)] = ends.as_slice() else {
            return wrong(format!("a connected call has {} phones of 2: {call}", ends.len()));
        };
        for (phone, has, of) in [(one, to_one, other), (other, to_other, one)] {
            // As a phone describes itself.
            let port = 4000 + (7001 + of) % 1000 * 2;
            if !has.contains(&format!("m=audio {port} ")) {
                return wrong(format!(
                    "{} has not the media of {} but\n{has}\n{call}",
                    user(*phone),
                    user(*of)
                ));
            }
        }
        Ok(())
    }

    fn after_hanging_up(&mut self) -> Result<(), Violation> {
        let unfinished: Vec<String> = self.records.unfinished().map(|(id, _)| id.to_owned()).collect();
        for id in unfinished {
            if let Some(call) = self.watch(&id)?
                && call["state"] != "ended"
            {
                return wrong(format!("a call did not end when it was hung up: {call}"));
            }
        }
        match self.phones_in_our_calls().first() {
            Some((number, call_id)) => wrong(format!("{} was left in the call {call_id}", user(*number))),
            None => Ok(()),
        }
    }

    fn at_the_end(&mut self) -> Result<(), Violation> {
        for number in 0..self.phones.len() {
            self.with_phone(number, |phone, now, outbox| phone.hang_up_all(now, outbox))?;
        }
        self.pass(FORGETTING)?;
        for (number, controller) in self.controllers.iter().enumerate() {
            let census = controller.census();
            if census != Census::default() {
                return wrong(format!("something is left at worker {number}: {census:?}"));
            }
        }
        for (number, phone) in self.phones.iter().enumerate() {
            let census = phone.as_ref().map(cordboard_core::softphone::Phone::census).unwrap_or_default();
            if census != PhoneCensus::default() {
                return wrong(format!("something is left in the phone of {}: {census:?}", user(number)));
            }
        }
        self.wire.at_quiet()
    }
}

/// The Call-IDs of a call's dialogs that stand.
fn call_ids(call: &Value) -> Vec<String> {
    let legs = call["legs"].as_array().cloned().unwrap_or_default();
    let standing = legs.iter().filter(|leg| leg["state"] == "confirmed");
    standing.filter_map(|leg| leg["callId"].as_str().map(str::to_owned)).collect()
}
