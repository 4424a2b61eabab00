//! What was measured, as tables: medians over the rounds, goals, and what went wrong.

use std::fmt;
use std::time::Duration;

use super::stand::Measured;
use super::table::Table;

/// A time in milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The middle of these, or the mean of the two in the middle; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle)) {
        (1, Some(value)) => *value,
        (_, Some(value)) => (value + sorted[middle - 1]) / 2.0,
        (_, None) => 0.0,
    }
}

/// A goal, and what was measured.
#[derive(Clone, Debug)]
pub struct Goal {
    what: String,
    measured: String,
    goal: String,
    is_met: bool,
}

impl Goal {
    /// No more than this, shown with so many places.
    pub fn at_most(what: &str, measured: f64, most: f64, places: usize) -> Self {
        Self {
            what: what.to_owned(),
            measured: format!("{measured:.places$}"),
            goal: format!("<= {most:.places$}"),
            // Nothing at all was not measured.
            is_met: measured > 0.0 && measured <= most,
        }
    }

    /// No less than this.
    pub fn at_least(what: &str, measured: f64, least: f64) -> Self {
        Self {
            what: what.to_owned(),
            measured: format!("{measured:.2}"),
            goal: format!(">= {least:.2}"),
            is_met: measured >= least,
        }
    }
}

/// One kind of calls, round by round.
#[derive(Clone, Debug, Default)]
struct Kind {
    name: String,
    rate: Vec<f64>,
    each: Vec<f64>,
    ratio: Vec<f64>,
    bound: Vec<f64>,
    rang: [Vec<f64>; 3],
    accepted: [Vec<f64>; 2],
    own: Vec<f64>,
    /// For how much of the time this program had no processor, and the server's worst thread.
    starved: [Vec<f64>; 2],
    late: Vec<f64>,
    repeated: u64,
    resent: u64,
    lost_by_server: u64,
    lost_by_phones: u64,
    failed: u64,
}

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Report {
    kinds: Vec<Kind>,
    goals: Vec<Goal>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a round in which every call should have been completed; `beside` is what it is compared with.
    pub fn add(&mut self, name: &str, measured: &Measured, beside: Option<&Measured>) {
        self.add_refusing(name, measured);
        let kind = self.kind(name);
        kind.failed += measured.outcome.refused;
        if let Some(beside) = beside {
            let floor = beside.each().as_secs_f64().max(1e-12);
            kind.ratio.push(measured.each().as_secs_f64() / floor);
        }
    }

    /// The same where calls may be refused.
    pub fn add_refusing(&mut self, name: &str, measured: &Measured) {
        let outcome = &measured.outcome;
        eprintln!(
            "{name}: {} of {} calls, {:.0} calls/s, {:.1} us CPU per call",
            outcome.completed,
            outcome.ordered,
            outcome.rate(),
            measured.each().as_secs_f64() * 1e6
        );
        let kind = self.kind(name);
        kind.rate.push(outcome.rate());
        kind.each.push(measured.each().as_secs_f64() * 1e6);
        kind.bound.push(measured.bound());
        for (place, part) in kind.rang.iter_mut().zip([0.5, 0.99, 1.0]) {
            place.push(millis(outcome.rang.quantile(part)));
        }
        for (place, part) in kind.accepted.iter_mut().zip([0.5, 0.99]) {
            place.push(millis(outcome.accepted.quantile(part)));
        }
        kind.own.push(100.0 * outcome.own_share());
        for (place, waited) in kind.starved.iter_mut().zip([outcome.own.waited, measured.spent.waited]) {
            place.push(100.0 * waited.as_secs_f64() / outcome.span.as_secs_f64().max(1e-9));
        }
        kind.late.push(millis(outcome.turns.quantile(0.99)));
        kind.repeated += outcome.counts.repeated;
        kind.resent += outcome.counts.resent;
        kind.lost_by_server += measured.lost;
        kind.lost_by_phones += outcome.lost;
        kind.failed += outcome.failed() + outcome.counts.strange + outcome.counts.refused;
    }

    /// Adds a goal.
    pub fn goal(&mut self, goal: Goal) {
        self.goals.push(goal);
    }

    /// Adds a remark.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn kind(&mut self, name: &str) -> &mut Kind {
        let at = self.kinds.iter().position(|kind| kind.name == name).unwrap_or_else(|| {
            self.kinds.push(Kind { name: name.to_owned(), ..Kind::default() });
            self.kinds.len() - 1
        });
        &mut self.kinds[at]
    }

    fn found(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }

    /// Processor time for each call by that of what it was compared with.
    pub fn ratio(&self, name: &str) -> f64 {
        self.found(name).map_or(0.0, |kind| median(&kind.ratio))
    }

    /// Calls a second.
    pub fn rate(&self, name: &str) -> f64 {
        self.found(name).map_or(0.0, |kind| median(&kind.rate))
    }

    /// From POST to the first INVITE: p50, p99, and the longest.
    pub fn rang(&self, name: &str) -> [Duration; 3] {
        let milli = |values: &Vec<f64>| Duration::from_secs_f64(median(values) / 1e3);
        self.found(name).map_or([Duration::ZERO; 3], |kind| kind.rang.each_ref().map(milli))
    }

    /// Calls that failed.
    pub fn failed(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.failed).sum()
    }
}

/// The head of the table of calls.
const HEAD: [&str; 15] = [
    "what",
    "calls/s",
    "CPU us/call",
    "ratio",
    "bound/s",
    "INVITE p50",
    "p99 ms",
    "answer p50",
    "p99 ms",
    "load busy",
    "late p99 ms",
    "starved",
    "repeated",
    "lost",
    "failed",
];

impl Kind {
    fn row(&self) -> Vec<String> {
        let figure = |values: &[f64], places: usize| format!("{:.places$}", median(values));
        let ratio = if self.ratio.is_empty() { String::new() } else { figure(&self.ratio, 2) };
        vec![
            self.name.clone(),
            figure(&self.rate, 0),
            figure(&self.each, 1),
            ratio,
            figure(&self.bound, 0),
            figure(&self.rang[0], 2),
            figure(&self.rang[1], 2),
            figure(&self.accepted[0], 2),
            figure(&self.accepted[1], 2),
            format!("{} %", figure(&self.own, 0)),
            figure(&self.late, 2),
            format!("{}+{} %", figure(&self.starved[0], 0), figure(&self.starved[1], 0)),
            format!("{}+{}", self.repeated, self.resent),
            format!("{}+{}", self.lost_by_server, self.lost_by_phones),
            if self.failed > 0 { format!("FAILED {}", self.failed) } else { "0".to_owned() },
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut calls = Table::new(&HEAD);
        self.kinds.iter().for_each(|kind| calls.push(kind.row()));
        writeln!(f, "{calls}")?;
        let mut goals = Table::new(&["goal", "measured", "wanted", ""]);
        for goal in &self.goals {
            let verdict = if goal.is_met { "met" } else { "MISSED" };
            goals.push(vec![goal.what.clone(), goal.measured.clone(), goal.goal.clone(), verdict.to_owned()]);
        }
        if !goals.is_empty() {
            writeln!(f, "{goals}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}
