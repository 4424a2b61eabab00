//! The calls that were ordered: what is ordered next, and whether each has ended as it should.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::connection::Response;
use super::leg::Name;
use super::plan::{Flow, Kind, Moment, Outcome, Plan, Role};
use super::web::Request;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Placing this call.
    Place(u32),
    /// Deleting it.
    Delete(u32),
    /// Transferring it.
    Transfer(u32),
    /// Looking at its progress.
    Watch(u32),
    /// Looking whether it has ended as it should.
    Check(u32),
    /// It has to be answered with this status.
    Probe(u16),
    /// The list of the latest calls, of which no more than so many are not over.
    List(usize),
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// How it is to go.
    pub plan: Plan,
    /// When it was ordered.
    pub ordered: Duration,
    /// Its path by its parties, and by its target and the called party.
    path: String,
    transferred_path: String,
    target: String,
    /// Its path by its identifier, once that is known.
    by_id: Option<String>,
    /// Requests that wait for their answers.
    waiting: u32,
    /// Whose phones are done.
    over: Vec<Role>,
    /// How often it was looked whether it is over.
    looks: u32,
}

/// What an answer means for its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    GoesOn,
    /// It was refused for want of time.
    Refused,
    /// It is over, as it should be.
    Right,
    /// It is not over yet.
    NotYet,
    /// It is wrong.
    Wrong(String),
}

/// How often it is looked whether a call is over.
const MOST_LOOKS: u32 = 50;

impl Call {
    /// A call between these users, and perhaps a target.
    pub fn new(plan: Plan, ordered: Duration, [calling, called, target]: [String; 3]) -> Self {
        Self {
            plan,
            ordered,
            path: format!("/callcontroller/{calling}/{called}?agent=agent"),
            transferred_path: format!("/callcontroller/{target}/{called}?agent=agent"),
            target,
            by_id: None,
            waiting: 0,
            over: Vec::new(),
            looks: 0,
        }
    }

    /// The request for this purpose.
    pub fn request(&mut self, purpose: Purpose) -> Request<Purpose> {
        self.waiting += 1;
        let transferred = self.plan.deleted == Some(Moment::Transferred);
        let (method, uri) = match purpose {
            Purpose::Place(_) => ("POST", self.order()),
            Purpose::Transfer(_) => ("POST", format!("{}&action=transfer&target={}", self.path, self.target)),
            Purpose::Delete(_) if transferred => ("DELETE", self.transferred_path.clone()),
            Purpose::Delete(_) => ("DELETE", self.path.clone()),
            Purpose::Check(_) => ("GET", self.by_id.clone().unwrap_or_else(|| self.path.clone())),
            Purpose::Watch(_) | Purpose::Probe(_) | Purpose::List(_) => ("GET", self.path.clone()),
        };
        Request { purpose, method, uri, json: self.plan.json || matches!(purpose, Purpose::Check(_)) }
    }

    fn order(&self) -> String {
        let method = if self.plan.flow == Flow::Invite { "&sipMethod=INVITE" } else { "" };
        let timeout = self.plan.timeout.map_or(String::new(), |seconds| format!("&timeout={seconds}"));
        format!("{}{method}{timeout}", self.path)
    }

    /// A phone is done; what the BYE to it gave as reason has to be right.
    pub fn over(&mut self, role: Role, reason: Option<u16>) -> Verdict {
        self.over.push(role);
        let expected = self.plan.expected.reason.filter(|_| role == Role::Calling);
        if expected.is_some() && reason != expected {
            return Verdict::Wrong(format!(
                "the calling party is let go for {reason:?}, not for {expected:?}"
            ));
        }
        Verdict::GoesOn
    }

    /// Whether all its phones are done and all its requests are answered.
    pub fn is_done(&self) -> bool {
        self.waiting == 0 && self.plan.expected.legs.iter().all(|role| self.over.contains(role))
    }

    /// Takes the answer to a request of its.
    pub fn answered(&mut self, purpose: Purpose, response: Option<&Response>) -> Verdict {
        self.waiting -= 1;
        let Some(response) = response else {
            return Verdict::Wrong(format!("{purpose:?} is not answered, the connection was closed"));
        };
        let status = response.status;
        match purpose {
            Purpose::Place(_) if status == 503 && response.field("Retry-After").is_some() => Verdict::Refused,
            Purpose::Place(_) if status == 200 => match response.field("Location") {
                Some(place) => {
                    self.by_id = Some(place.to_owned());
                    self.agrees(response)
                }
                None => Verdict::Wrong(format!("no Location in {}", response.head)),
            },
            Purpose::Transfer(_) if status == 200 => self.agrees(response),
            Purpose::Watch(_) if status == 200 => self.shows_progress(&response.body),
            Purpose::Delete(_) if status == 204 => Verdict::GoesOn,
            Purpose::Check(_) if status == 200 => self.check(&response.body),
            _ => Verdict::Wrong(format!("{purpose:?} is answered {status}: {}", response.body)),
        }
    }

    /// Who wants JSON gets it, all others nothing.
    fn agrees(&self, response: &Response) -> Verdict {
        let body = response.body.as_str();
        let right = if self.plan.json { body.starts_with('{') } else { body.is_empty() };
        if right { Verdict::GoesOn } else { Verdict::Wrong(format!("json {}: {body}", self.plan.json)) }
    }

    /// The call as JSON, or the document for calls of its kind.
    fn shows_progress(&self, body: &str) -> Verdict {
        let right = match (self.plan.json, self.plan.flow) {
            (true, _) => body.starts_with('{'),
            (false, Flow::Refer) => body.starts_with("<?xml") && body.contains("<status-lines"),
            (false, Flow::Invite) => body.starts_with("<?xml") && body.contains("<dialogs"),
        };
        if right { Verdict::GoesOn } else { Verdict::Wrong(format!("its progress is shown as {body:?}")) }
    }

    fn check(&mut self, body: &str) -> Verdict {
        self.looks += 1;
        let shown: Value = match serde_json::from_str(body) {
            Ok(shown) => shown,
            Err(e) => return Verdict::Wrong(format!("{e}: {body}")),
        };
        let over = shown["state"] == "ended" && !shown["times"]["ended"].is_null();
        if !over && self.looks < MOST_LOOKS {
            return Verdict::NotYet;
        }
        let expected = self.plan.expected;
        let outcome = |outcome: Option<Outcome>| {
            outcome.map_or(Value::Null, |(state, status)| json!({"state": state, "status": status}))
        };
        let transfer = shown["transfers"].as_array().and_then(|all| all.first());
        let transfer =
            transfer.map_or(Value::Null, |one| json!({"state": one["state"], "status": one["status"]}));
        let right =
            over && shown["outcome"] == outcome(expected.outcome) && transfer == outcome(expected.transfer);
        if right { Verdict::Right } else { Verdict::Wrong(format!("expected {expected:?}, shown {body}")) }
    }
}

/// The calls that are not over.
#[derive(Debug, Default)]
pub struct Calls {
    calls: HashMap<u32, Call>,
    at_rest: usize,
    /// The number of the next one.
    pub next: u32,
}

impl Calls {
    /// Takes one in; its number is [`next`](Self::next), of which there is one more now.
    pub fn insert(&mut self, call: Call) {
        self.at_rest += usize::from(call.plan.kind == Kind::Resting);
        self.calls.insert(self.next, call);
        self.next += 1;
    }

    /// A call.
    pub fn get(&mut self, number: u32) -> Option<&mut Call> {
        self.calls.get_mut(&number)
    }

    /// A call whose phone this is.
    pub fn of(&mut self, (number, _): Name) -> Option<&mut Call> {
        self.get(number)
    }

    /// It is over.
    pub fn remove(&mut self, number: u32) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        self.at_rest -= usize::from(call.plan.kind == Kind::Resting);
        Some(call)
    }

    /// How many there are but for those at rest.
    pub fn busy(&self) -> usize {
        self.calls.len() - self.at_rest
    }

    /// Those at rest, in order.
    pub fn resting(&self) -> Vec<u32> {
        let resting = self.calls.iter().filter(|(_, call)| call.plan.kind == Kind::Resting);
        let mut numbers: Vec<u32> = resting.map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Those that were ordered before this and are no calls at rest, in order.
    pub fn older_than(&self, since: Duration) -> Vec<u32> {
        let older = |call: &Call| call.ordered < since && call.plan.kind != Kind::Resting;
        let mut numbers: Vec<u32> =
            self.calls.iter().filter(|(_, call)| older(call)).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }
}
