//! What is counted while calls come and go, by fifths of the time.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::judge::{Growth, MIB, quantile};
use super::leg::Seen;
use super::plan::Kind;

/// What was counted in a fifth of the time.
#[derive(Clone, Debug, Default)]
pub struct Fifth {
    /// Calls that were ordered.
    pub placed: u64,
    /// Calls that were refused with 503.
    pub refused: u64,
    /// Calls that ended as they should, by the outcome of connecting the called party.
    pub ended: BTreeMap<&'static str, u64>,
    /// From each order to the first INVITE, in microseconds.
    pub latency: Vec<i64>,
    /// The server's timers, and by how many microseconds they were late.
    pub timers: Vec<(Seen, i64)>,
    /// The server's memory at its end, in bytes.
    pub memory: u64,
    /// The server's processor time within it.
    pub processor: Duration,
}

impl Fifth {
    /// Microseconds of the server's processor time for a call.
    pub fn processor_a_call(&self) -> f64 {
        self.processor.as_micros() as f64 / self.placed.max(1) as f64
    }

    /// How late timers were: of one kind, or of all.
    pub fn lateness(&self, kind: Option<Seen>) -> Vec<i64> {
        let wanted = |seen: Seen| kind.is_none_or(|kind| kind == seen);
        self.timers.iter().filter(|(seen, _)| wanted(*seen)).map(|(_, late)| *late).collect()
    }
}

/// All that was counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By fifths of the time.
    pub fifths: [Fifth; 5],
    /// How many calls had been placed and how many bytes the server held, again and again.
    pub memory: Vec<(u64, u64)>,
    /// Calls that could not be placed in their time, because the machine had other things to do.
    pub missed: u64,
    /// Calls that ended as they should, by their kind.
    pub kinds: BTreeMap<Kind, u64>,
}

impl Tally {
    /// Calls that were ordered.
    pub fn placed(&self) -> u64 {
        self.fifths.iter().map(|fifth| fifth.placed).sum()
    }

    /// Calls that were refused with 503.
    pub fn refused(&self) -> u64 {
        self.fifths.iter().map(|fifth| fifth.refused).sum()
    }

    /// How memory has grown since the first fifth was over.
    pub fn growth(&self) -> Option<Growth> {
        Growth::of(&self.memory[self.memory.len() / 5..])
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "fifth   calls refused connected  failed refused  unknown never up  RSS MiB   INVITE ms p50    p99  timers  late ms p50    max  CPU us/call"
        )?;
        for (number, fifth) in self.fifths.iter().enumerate() {
            let ended = |word: &str| fifth.ended.get(word).copied().unwrap_or_default();
            let late = fifth.lateness(None);
            let millis = |micros: i64| micros as f64 / 1000.0;
            writeln!(
                f,
                "{:>5} {:>7} {:>7} {:>9} {:>7} {:>7} {:>8} {:>8} {:>8.1} {:>15.2} {:>6.2} {:>7} {:>12.2} {:>6.1} {:>12.0}",
                number + 1,
                fifth.placed,
                fifth.refused,
                ended("connected"),
                ended("failed"),
                ended("refused"),
                ended("unknown"),
                ended("none"),
                fifth.memory as f64 / MIB,
                millis(quantile(&fifth.latency, 50)),
                millis(quantile(&fifth.latency, 99)),
                late.len(),
                millis(quantile(&late, 50)),
                millis(late.iter().max().copied().unwrap_or_default()),
                fifth.processor_a_call(),
            )?;
        }
        if self.missed > 0 {
            writeln!(f, "{} calls could not be placed in their time", self.missed)?;
        }
        let kinds = self.kinds.iter().map(|(kind, count)| format!("{kind:?} {count}"));
        writeln!(f, "{}", kinds.collect::<Vec<_>>().join(", "))?;
        match self.growth() {
            Some(growth) => write!(
                f,
                "memory after the first fifth: {:+.2} bytes a call over {} calls",
                growth.a_call, growth.calls
            ),
            None => write!(f, "memory: too few samples to tell"),
        }
    }
}
