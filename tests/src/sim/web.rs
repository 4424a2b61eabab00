//! The agent, who orders calls by HTTP, watches them and hangs them up.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use cordboard_core::Controller;
use cordboard_core::io::{ConnectionId, Input, ListenerId, WorkerId};
use serde_json::Value;

use super::network::End;
use super::oracles::{Violation, wrong};
use super::{Event, LOOK, PIN, Place, Sim, user};
use crate::login::Login;

impl Sim {
    /// Asks by HTTP, with a login; returns status, head and body.
    pub(super) fn ask(&mut self, method: &str, path: &str) -> Result<(u16, String, String), Violation> {
        let connection = ConnectionId(self.accepted);
        self.accepted += 1;
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        // A nonce may come from one worker and be used at another.
        let (first, worker) = (self.any_worker(), self.any_worker());
        for worker in BTreeSet::from([first, worker]) {
            let accepted = Input::Accepted { listener: ListenerId(0), connection, peer };
            self.hand(Place::Controller(worker), accepted)?;
        }
        let (_, head, _) = self.exchange_http((first, connection), method, path, "")?;
        let login = Login::challenged(&head).line(method, path, PIN);
        let answer = self.exchange_http((worker, connection), method, path, &login)?;
        self.asking = None;
        for worker in BTreeSet::from([first, worker]) {
            self.hand(Place::Controller(worker), Input::Lost { connection })?;
        }
        self.trace.note(self.now, || format!("{method} {path}: {}", answer.0));
        Ok(answer)
    }

    fn any_worker(&mut self) -> WorkerId {
        WorkerId(self.turns.below(u64::from(self.scenario.workers)) as u8)
    }

    /// What the workers have for each other arrives, while other things happen.
    fn deliver(&mut self) -> Result<(), Violation> {
        while let Some((to, parcel)) = self.parcels.pop_front() {
            if self.turns.happens(10) {
                let time = self.turns.time(Duration::from_millis(20));
                self.pass_network(time)?;
            }
            self.hand(Place::Controller(to), Input::Handover(parcel))?;
        }
        Ok(())
    }

    fn exchange_http(
        &mut self,
        (worker, connection): End,
        method: &str,
        path: &str,
        lines: &str,
    ) -> Result<(u16, String, String), Violation> {
        self.http.clear();
        self.asking = Some((worker, connection));
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n{lines}\r\n");
        let input = Input::Received { connection, bytes: request.as_bytes() };
        self.hand(Place::Controller(worker), input)?;
        self.deliver()?;
        let text = String::from_utf8(std::mem::take(&mut self.http)).expect("answers are text");
        self.check_secrets(&text)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return wrong(format!("{method} {path} gets no answer"));
        };
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("it has a status");
        Ok((status, head.to_owned(), body.to_owned()))
    }

    pub(super) fn order(&mut self, calling: usize, called: usize, parameters: &str) -> Result<(), Violation> {
        let path = format!("/callcontroller/{}/{}?agent=agent&{parameters}", user(calling), user(called));
        let before = self.in_progress();
        let (status, head, body) = self.ask("POST", &path)?;
        match status {
            200 => {
                let id = head.lines().find_map(|line| line.strip_prefix("Location: "));
                let id = id.and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
                self.placed += 1;
                self.watch(&id)?;
                if !self.records.knows(&id) {
                    return wrong(format!("a call that was taken has no record: {id}\n{head}"));
                }
                Ok(())
            }
            // To oneself, or one that is in progress already.
            400 | 409 => Ok(()),
            503 if self.scenario.max_calls.is_some_and(|most| before.max(self.in_progress()) == most) => {
                Ok(())
            }
            _ => wrong(format!("POST {path}: {status} {body}")),
        }
    }

    /// The list of calls.
    fn list(&mut self) -> Result<Vec<Value>, Violation> {
        let (status, _, body) = self.ask("GET", "/calls")?;
        let list: Value = serde_json::from_str(&body).expect("it is JSON");
        match list["calls"].as_array() {
            Some(calls) if status == 200 => Ok(calls.clone()),
            _ => wrong(format!("GET /calls: {status} {body}")),
        }
    }

    /// Looks at one call's record.
    pub(super) fn watch(&mut self, id: &str) -> Result<Option<Value>, Violation> {
        let (status, _, body) = self.ask("GET", &format!("/calls/{id}"))?;
        if status == 404 {
            return Ok(None);
        }
        let call: Value = serde_json::from_str(&body).expect("it is JSON");
        self.records.seen(&call)?;
        Ok(Some(call))
    }

    /// The records are looked at, and again after a while.
    pub(super) fn look(&mut self) -> Result<(), Violation> {
        for call in self.list()? {
            self.records.seen(&call)?;
        }
        self.check_census()?;
        if !self.healed {
            self.plan(self.now + LOOK, Event::Look);
        }
        Ok(())
    }

    /// How many calls are in progress.
    fn in_progress(&self) -> usize {
        self.controllers.iter().map(|controller| controller.census().calls_in_progress).sum()
    }

    /// What lives may not be more than the calls explain, nor they more than are allowed.
    fn check_census(&self) -> Result<(), Violation> {
        for census in self.controllers.iter().map(Controller::census) {
            let bound = 24 * (census.calls + 4);
            let most =
                [census.legs, census.client_transactions, census.server_transactions, census.timers / 4];
            if most.iter().any(|count| *count > bound) {
                return wrong(format!("more lives than calls explain: {census:?}"));
            }
        }
        match self.scenario.max_calls {
            Some(most) if self.in_progress() > most => {
                wrong(format!("{} calls are in progress where {most} may be", self.in_progress()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn delete(&mut self, which: u64) -> Result<(), Violation> {
        let calls = self.list()?;
        let Some(call) = calls.get(which as usize % calls.len().max(1)) else { return Ok(()) };
        let id = call["id"].as_str().unwrap_or_default().to_owned();
        match self.ask("DELETE", &format!("/calls/{id}"))? {
            (204 | 404, ..) => Ok(()),
            (status, _, body) => wrong(format!("DELETE of {id}: {status} {body}")),
        }
    }

    pub(super) fn transfer(&mut self, which: u64, target: usize) -> Result<(), Violation> {
        let calls = self.list()?;
        let Some(call) = calls.get(which as usize % calls.len().max(1)) else { return Ok(()) };
        let party = |which: &str| call["parties"][which].as_str().unwrap_or_default().to_owned();
        let (calling, called, target) = (party("calling"), party("called"), user(target));
        let path = format!(
            "/callcontroller/{calling}/{called}?agent=agent&action=transfer&target={target}&timeout=15"
        );
        match self.ask("POST", &path)? {
            (200 | 400 | 404 | 409, ..) => Ok(()),
            (status, _, body) => wrong(format!("POST {path}: {status} {body}")),
        }
    }
}
