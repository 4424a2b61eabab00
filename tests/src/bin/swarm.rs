//! Runs seed after seed of the simulation, on all processors, until one goes wrong or time is over.
//!
//! `swarm --minutes 60`, `swarm --seconds 120`, `swarm --seeds 0..500`; `swarm --replay SEED` prints all that happens;
//! `swarm --mistakes` makes every mistake on purpose, and says with which seed it is noticed.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cordboard_core::mistakes::{self, Mistake};
use cordboard_tests::sim::{Sim, Summary};

/// What is to be run.
#[derive(Clone, Debug)]
enum Order {
    /// These seeds.
    Seeds(Range<u64>),
    /// As many as come about in this time.
    Time(Duration),
    /// One, with all that happens.
    Replay(u64),
    /// Whichever notices each mistake.
    Mistakes,
}

/// What all runs together were.
#[derive(Debug, Default)]
struct Sum {
    seeds: u64,
    events: u64,
    time: Duration,
    placed: u64,
    connected: u64,
    /// Stands for all traces, in whatever order they were made.
    trace: u64,
}

impl Sum {
    fn add(&mut self, summary: &Summary) {
        self.seeds += 1;
        self.events += summary.events;
        self.time += summary.time;
        self.placed += summary.placed;
        self.connected += summary.connected;
        self.trace ^= summary.trace;
    }
}

fn order() -> Result<Order, String> {
    let mut arguments = std::env::args().skip(1);
    let (what, value) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let number = |text: &str| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
    match what.as_str() {
        "--minutes" => Ok(Order::Time(Duration::from_secs(60 * number(&value)?))),
        "--seconds" => Ok(Order::Time(Duration::from_secs(number(&value)?))),
        "--replay" => Ok(Order::Replay(number(&value)?)),
        "--seeds" => {
            let (from, to) = value.split_once("..").ok_or("--seeds wants FROM..TO")?;
            Ok(Order::Seeds(number(from)?..number(to)?))
        }
        "--mistakes" => Ok(Order::Mistakes),
        _ => Err("usage: swarm --minutes N | --seconds N | --seeds FROM..TO | --replay SEED | --mistakes"
            .to_owned()),
    }
}

fn main() -> ExitCode {
    match order() {
        Ok(Order::Replay(seed)) => replay(seed),
        Ok(Order::Mistakes) => make_mistakes(),
        Ok(order) => swarm(&order),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn replay(seed: u64) -> ExitCode {
    let sim = Sim::new(seed, true);
    println!("{:#?}", sim.scenario());
    match sim.run() {
        Ok(summary) => {
            println!("seed {seed} is right: {summary:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.lines.iter().for_each(|line| println!("{line}"));
            println!("seed {seed} is wrong: {}", failure.violation);
            ExitCode::FAILURE
        }
    }
}

/// No mistake is looked for with more seeds.
const MOST_SEEDS: u64 = 20_000;

fn make_mistakes() -> ExitCode {
    let mut missed = 0;
    for mistake in Mistake::ALL {
        mistakes::switch(Some(mistake));
        let found =
            (0..MOST_SEEDS).find_map(|seed| Some((seed, Sim::new(seed, false).run().err()?.violation)));
        mistakes::switch(None);
        match found {
            Some((seed, why)) => {
                let why = why.to_string();
                println!("{mistake:?}: seed {seed}: {}", why.lines().next().unwrap_or_default());
            }
            None => {
                missed += 1;
                println!("{mistake:?}: not noticed");
            }
        }
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn swarm(order: &Order) -> ExitCode {
    let start = Instant::now();
    let next = AtomicU64::new(if let Order::Seeds(seeds) = order { seeds.start } else { 0 });
    let sum = Mutex::new((Sum::default(), None));
    let goes_on = |seed: u64| match order {
        Order::Seeds(seeds) => seed < seeds.end,
        Order::Time(time) => start.elapsed() < *time,
        Order::Replay(_) | Order::Mistakes => false,
    };
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !goes_on(seed) || sum.lock().expect("nobody panics").1.is_some() {
                return;
            }
            let result = Sim::new(seed, false).run();
            let mut sum = sum.lock().expect("nobody panics");
            match result {
                Ok(summary) => sum.0.add(&summary),
                Err(failure) => sum.1 = Some((seed, failure.violation)),
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let (sum, wrong) = sum.into_inner().expect("nobody panics");
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} seeds in {seconds:.1} s, {:.1} seeds/s, {:.0} simulated hours/s; {} events, {} calls placed, {} stood at the end; trace {:016x}",
        sum.seeds,
        sum.seeds as f64 / seconds,
        sum.time.as_secs_f64() / 3600.0 / seconds,
        sum.events,
        sum.placed,
        sum.connected,
        sum.trace,
    );
    match wrong {
        None => ExitCode::SUCCESS,
        Some((seed, violation)) => {
            println!("seed {seed} is wrong: {violation}\n`tests/run sim {seed}` shows all that happens");
            ExitCode::FAILURE
        }
    }
}
