//! The simulation itself: that it is one run for one seed, and that it notices what is wrong. The swarm runs many more
//! seeds (`tests/run`, `swarm --minutes N`).

use cordboard_core::mistakes::{self, Mistake};
use cordboard_tests::sim::Sim;

/// A run, or why it is wrong.
fn run(seed: u64) -> Result<u64, String> {
    Sim::new(seed, false).run().map(|summary| summary.trace).map_err(|failure| failure.violation.to_string())
}

#[test]
fn one_seed_is_one_run() {
    for seed in [1, 2, 3, 50] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(1), run(2));
}

#[test]
fn runs_of_many_kinds_are_right() {
    for seed in 0..40 {
        if let Err(why) = run(seed) {
            panic!("seed {seed}: {why}; `tests/run sim {seed}` shows all that happens");
        }
    }
}

/// The first seed from this one on that notices a mistake.
fn noticed(mistake: Mistake, from: u64) -> Option<(u64, String)> {
    mistakes::switch(Some(mistake));
    let found = (from..from + 60).find_map(|seed| Some((seed, run(seed).err()?)));
    mistakes::switch(None);
    found
}

#[test]
fn every_mistake_is_noticed() {
    let mut missed = Vec::new();
    for mistake in Mistake::ALL {
        // Some show only where a server is silent, or a phone answers when nobody waits any more.
        let from = match mistake {
            Mistake::DropTimer => 50,
            Mistake::AbandonLate2xx => 66,
            _ => 0,
        };
        match noticed(mistake, from) {
            Some((seed, why)) => {
                println!(
                    "{mistake:?} is noticed with seed {seed}: {}",
                    why.lines().next().unwrap_or_default()
                );
            }
            None => missed.push(mistake),
        }
    }
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}
