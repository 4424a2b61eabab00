//! What the REST interface shows of calls: it never goes backwards, and comes to an end.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Violation, wrong};

/// The records, as they were seen last.
#[derive(Debug, Default)]
pub(crate) struct Records(BTreeMap<String, Value>);

/// How far a call is that is in this state.
fn rank(state: &str) -> u8 {
    match state {
        "alerting" => 0,
        "leaving" | "canceling" => 2,
        "ended" => 3,
        _ => 1,
    }
}

/// How far the connecting of the called party is.
fn outcome_rank(state: &str) -> u8 {
    match state {
        "requested" => 0,
        "accepted" => 1,
        "trying" => 2,
        "ringing" => 3,
        _ => 4,
    }
}

impl Records {
    /// A call's record is seen.
    pub(crate) fn seen(&mut self, call: &Value) -> Result<(), Violation> {
        let id = text(&call["id"]);
        let before = self.0.insert(id, call.clone());
        let Some(before) = before else { return Ok(()) };
        let went = |what: &str| wrong(format!("{what} went backwards:\n{before}\n{call}"));
        if rank(&text(&before["state"])) > rank(&text(&call["state"])) {
            return went("the state of a call");
        }
        if before["state"] == "connected" && call["state"] == "connecting" {
            return went("the state of a call");
        }
        for time in ["placed", "answered", "ended"] {
            let (was, is) = (&before["times"][time], &call["times"][time]);
            if !was.is_null() && was != is {
                return went(&format!("the time \"{time}\""));
            }
        }
        let outcome = |call: &Value| call["outcome"]["state"].as_str().map(outcome_rank);
        if let Some(was) = outcome(&before)
            && outcome(call).is_none_or(|is| is < was)
        {
            return went("the outcome");
        }
        Ok(())
    }

    /// The calls that were not over when they were seen last, by their ids.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().filter(|(_, call)| call["state"] != "ended").map(|(id, call)| (id.as_str(), call))
    }

    /// Whether a call was ever seen.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
