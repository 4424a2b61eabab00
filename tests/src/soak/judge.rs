//! Whether the end of a long run was as its beginning: memory, timers, latency, processor time.

use std::time::Duration;

use super::leg::Seen;
use super::tally::{Fifth, Tally};

/// What is let pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    /// How much memory may grow whatever happens, in bytes: what an allocator needs to settle.
    pub memory: f64,
    /// How much more it may grow with each call, in bytes: less than the smallest thing that could be left behind.
    pub memory_a_call: f64,
    /// What is asked of time; `None` where the run is too short to tell.
    pub time: Option<TimeTolerances>,
}

/// What is let pass of time: how the last fifth may differ from the first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeTolerances {
    /// By how much the median of a kind of timer may be later or earlier.
    pub lateness: Duration,
    /// The median latency: so many times the first, and this much more.
    pub median: (f64, Duration),
    /// The same for the latency that one call in a hundred exceeds.
    pub tail: (f64, Duration),
    /// How many times the processor time of a call.
    pub processor: f64,
    /// The share of calls that may be refused, or not be placed at all, because the machine had other things to do.
    pub refused: f64,
}

impl Tolerances {
    /// For a run that is long enough to tell.
    pub const LONG: Tolerances = Tolerances {
        memory: 4.0 * 1024.0 * 1024.0,
        memory_a_call: 8.0,
        time: Some(TimeTolerances {
            lateness: Duration::from_millis(5),
            median: (1.5, Duration::from_micros(200)),
            tail: (2.0, Duration::from_millis(5)),
            processor: 1.25,
            refused: 0.01,
        }),
    };

    /// For a short one, in which caches and tables still fill.
    pub const SHORT: Tolerances =
        Tolerances { memory: 32.0 * 1024.0 * 1024.0, memory_a_call: 0.0, time: None };
}

/// How memory has grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Bytes a call, as the line of least squares has it.
    pub a_call: f64,
    /// Over how many calls.
    pub calls: f64,
}

impl Growth {
    /// That of samples of calls placed and bytes held; `None` without at least two that differ in their calls.
    pub fn of(samples: &[(u64, u64)]) -> Option<Self> {
        let points: Vec<(f64, f64)> = samples.iter().map(|(x, y)| (*x as f64, *y as f64)).collect();
        let count = points.len() as f64;
        let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|(x, _)| *x), mean(|(_, y)| *y));
        let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        if points.len() < 2 || spread == 0.0 {
            return None;
        }
        let together: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let calls = points.last()?.0 - points.first()?.0;
        Some(Self { a_call: together / spread, calls })
    }

    fn bytes(self) -> f64 {
        self.a_call * self.calls
    }

    fn fault(self, tolerances: &Tolerances) -> Option<String> {
        let most = tolerances.memory + tolerances.memory_a_call * self.calls;
        (self.bytes() > most).then(|| {
            format!(
                "memory grows by {:.1} bytes a call: {:.1} MiB over {:.0} calls, where {:.1} MiB are let pass",
                self.a_call,
                self.bytes() / MIB,
                self.calls,
                most / MIB
            )
        })
    }
}

/// A mebibyte.
pub const MIB: f64 = 1024.0 * 1024.0;
/// A median of fewer says nothing.
const FEWEST: usize = 5;

/// What was not as it should be.
pub fn judge(tally: &Tally, tolerances: &Tolerances) -> Vec<String> {
    let mut faults = Vec::new();
    faults.extend(tally.growth().and_then(|growth| growth.fault(tolerances)));
    let [first, .., last] = &tally.fifths;
    if let Some(time) = &tolerances.time {
        faults.extend(drifts(first, last, time));
        faults.extend(latencies(first, last, time));
        let (before, after) = (first.processor_a_call(), last.processor_a_call());
        if after > before * time.processor {
            faults.push(format!(
                "a call costs {after:.0} us of processor time at the end, {before:.0} us at the beginning"
            ));
        }
        let (placed, refused) = (tally.placed() as f64, (tally.refused() + tally.missed) as f64);
        if refused > placed * time.refused {
            faults.push(format!(
                "of {placed} calls {} were refused with 503, and {} more could not be placed in their time",
                tally.refused(),
                tally.missed
            ));
        }
    }
    faults
}

fn drifts(first: &Fifth, last: &Fifth, tolerance: &TimeTolerances) -> Vec<String> {
    let most = tolerance.lateness.as_micros() as i64;
    let kinds = [Seen::Repeat, Seen::Timeout, Seen::Refresh];
    let medians = kinds.into_iter().filter_map(|kind| {
        let median = |fifth: &Fifth| {
            let late = fifth.lateness(Some(kind));
            (late.len() >= FEWEST).then(|| quantile(&late, 50))
        };
        Some((kind, median(first)?, median(last)?))
    });
    let drifted = medians.filter(|(_, before, after)| (after - before).abs() > most);
    drifted
        .map(|(kind, before, after)| {
            format!("timers ({kind:?}) fire {after} us late at the end, {before} us at the beginning")
        })
        .collect()
}

fn latencies(first: &Fifth, last: &Fifth, tolerance: &TimeTolerances) -> Vec<String> {
    let shares = [(50, tolerance.median), (99, tolerance.tail)];
    let slower = shares.into_iter().filter_map(|(share, (times, more))| {
        let (before, after) = (quantile(&first.latency, share), quantile(&last.latency, share));
        let most = before as f64 * times + more.as_micros() as f64;
        (after as f64 > most).then(|| {
            format!(
                "from POST to INVITE: {share} % within {after} us at the end, {before} us at the beginning"
            )
        })
    });
    slower.collect()
}

/// The value that so many percent do not exceed; 0 of none.
pub fn quantile(values: &[i64], percent: usize) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS_A_FIFTH: u64 = 100_000;

    /// A run of which each fifth is made from its number; memory is sampled a hundred times, with some noise.
    fn run(fifth: impl Fn(u64) -> Fifth, memory: impl Fn(u64) -> u64) -> Tally {
        let noise = |sample: u64| (sample * 7919 % 13) * 64 * 1024;
        let mut tally =
            Tally { fifths: std::array::from_fn(|number| fifth(number as u64)), ..Tally::default() };
        let sample =
            |number: u64| (number * CALLS_A_FIFTH / 20, memory(number * CALLS_A_FIFTH / 20) + noise(number));
        tally.memory = (0..100).map(sample).collect();
        tally
    }

    fn steady(_: u64) -> Fifth {
        later(0, 0)
    }

    /// A fifth whose timers and latencies are later by so many microseconds.
    fn later(timers: i64, latency: i64) -> Fifth {
        Fifth {
            placed: CALLS_A_FIFTH,
            processor: Duration::from_secs(10),
            latency: (0..1000).map(|at| 300 + at % 100 + latency).collect(),
            timers: (0..100).map(|at| (Seen::Repeat, 700 + at * 10 + timers)).collect(),
            ..Fifth::default()
        }
    }

    fn flat(_: u64) -> u64 {
        60 << 20
    }

    #[test]
    fn a_run_that_ends_as_it_began_is_right() {
        assert_eq!(judge(&run(steady, flat), &Tolerances::LONG), [""; 0]);
    }

    #[test]
    fn a_small_thing_left_behind_by_each_call_is_noticed() {
        // What fills before the first fifth is over does not count.
        let leak = |calls: u64| (60 << 20) + calls * 32;
        let faults = judge(&run(steady, leak), &Tolerances::LONG);
        assert!(matches!(faults.as_slice(), [one] if one.starts_with("memory grows by 32.")), "{faults:?}");
        let fills = |calls: u64| (20 << 20) + (calls.min(CALLS_A_FIFTH) * 400);
        assert_eq!(judge(&run(steady, fills), &Tolerances::LONG), [""; 0]);
    }

    #[test]
    fn memory_that_grows_by_a_generous_bound_is_refused_in_a_short_run_too() {
        let leak = |calls: u64| (60 << 20) + calls * 200;
        assert_eq!(judge(&run(steady, leak), &Tolerances::SHORT).len(), 1);
        assert_eq!(judge(&run(steady, flat), &Tolerances::SHORT), [""; 0]);
    }

    #[test]
    fn timers_that_drift_are_noticed_in_either_direction() {
        for drift in [2000, -2000] {
            let faults = judge(&run(|fifth| later(fifth as i64 * drift, 0), flat), &Tolerances::LONG);
            assert!(
                matches!(faults.as_slice(), [one] if one.starts_with("timers (Repeat) fire")),
                "{faults:?}"
            );
        }
        assert_eq!(judge(&run(|fifth| later(fifth as i64 * 500, 0), flat), &Tolerances::LONG), [""; 0]);
    }

    #[test]
    fn a_run_of_which_much_could_not_be_done_tells_nothing() {
        let missed = |missed| Tally { missed, ..run(steady, flat) };
        assert_eq!(judge(&missed(5 * CALLS_A_FIFTH / 200), &Tolerances::LONG), [""; 0]);
        assert_eq!(judge(&missed(5 * CALLS_A_FIFTH / 50), &Tolerances::LONG).len(), 1);
        assert_eq!(judge(&missed(5 * CALLS_A_FIFTH / 50), &Tolerances::SHORT), [""; 0]);
    }

    #[test]
    fn calls_that_get_slower_or_dearer_are_noticed() {
        let faults = judge(&run(|fifth| later(0, fifth as i64 * 2000), flat), &Tolerances::LONG);
        assert!(faults.iter().all(|fault| fault.starts_with("from POST to INVITE")), "{faults:?}");
        assert_eq!(faults.len(), 2, "{faults:?}");
        let dearer = |fifth| Fifth { processor: Duration::from_secs(10 + fifth), ..steady(fifth) };
        let faults = judge(&run(dearer, flat), &Tolerances::LONG);
        assert!(matches!(faults.as_slice(), [one] if one.starts_with("a call costs 140 us")), "{faults:?}");
        assert_eq!(judge(&run(dearer, flat), &Tolerances::SHORT), [""; 0], "a short run does not tell");
    }
}
