//! What the program measures: each goal that needs sockets.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::drive::{Done, Pace};
use super::machine::processors;
use super::options::{HELD, Options, Row};
use super::orders::{Access, Method, Width};
use super::phones::Hold;
use super::report::{Goal, Report, millis};
use super::stand::{Job, Measured, Setup, Stand};

/// How long calls are held that are held.
const HOLD: Duration = Duration::from_secs(1);

/// Where orders come whatever becomes of those before: as many as two thousand may be unanswered.
const WIDE: Width = Width { connections: 32, each: 60 };

/// Measures all that is asked for. `program` is the one that has the floor in it.
pub fn measure(options: &Options, program: PathBuf) -> io::Result<Report> {
    let mut bench = Bench { options, program, report: Report::default(), peak: None };
    let wanted = |row: &Row| options.rows.contains(row);
    if [Row::Refer, Row::Digest, Row::Invite].iter().any(wanted) {
        bench.calls()?;
    }
    if wanted(&Row::Half) {
        bench.half()?;
    }
    if wanted(&Row::Rest) {
        bench.rest()?;
    }
    if wanted(&Row::Workers) {
        bench.workers()?;
    }
    if wanted(&Row::Overload) {
        bench.overload()?;
    }
    Ok(bench.report)
}

struct Bench<'a> {
    options: &'a Options,
    program: PathBuf,
    report: Report,
    /// Calls by REFER a second, once that was measured.
    peak: Option<f64>,
}

impl Bench<'_> {
    fn refers(&self) -> Job {
        let (calls, window) = (self.options.calls, self.options.window);
        Job {
            method: Method::Refer,
            pace: Pace::Closed { calls, window },
            done: Done::Over,
            hold: Hold::Forever,
            width: Width { connections: self.options.connections, each: 1 },
        }
    }

    fn held(&self) -> Job {
        let (calls, window) = (self.options.calls, self.options.window * HELD);
        let pace = Pace::Closed { calls: calls.max(window), window };
        Job { method: Method::Invite, hold: Hold::For(HOLD), pace, ..self.refers() }
    }

    fn open(&self, rate: f64) -> Job {
        Job { pace: Pace::Open { rate, time: self.options.time }, width: WIDE, ..self.refers() }
    }

    fn setup(&self) -> Setup {
        Setup { workers: self.options.workers, ..Setup::default() }
    }

    /// Floor and server by turns, on the same calls.
    fn calls(&mut self) -> io::Result<()> {
        let wanted = |row| self.options.rows.contains(&row);
        let (refer, digest, invite) = (wanted(Row::Refer), wanted(Row::Digest), wanted(Row::Invite));
        let mut server = Stand::server(self.setup())?;
        let mut refer_floor = Stand::floor(&self.program, Method::Refer)?;
        let mut invite_floor = Stand::floor(&self.program, Method::Invite)?;
        let plain = refer_floor.trusted();
        let trusted = server.trusted();
        for _ in 0..self.options.rounds {
            let job = self.refers();
            if refer || digest {
                let floor = refer_floor.measure(&plain, job)?;
                self.report.add("floor-refer", &floor, None);
                if refer {
                    let measured = server.measure(&trusted, job)?;
                    self.report.add("refer-https", &measured, Some(&floor));
                }
                if digest {
                    let measured = server.measure(&Access::Digest, job)?;
                    self.report.add("refer-digest", &measured, Some(&floor));
                }
            }
            if invite {
                let job = self.held();
                let floor = invite_floor.measure(&plain, job)?;
                self.report.add("floor-invite", &floor, None);
                let measured = server.measure(&trusted, job)?;
                self.report.add("invite-https", &measured, Some(&floor));
            }
        }
        let ratio = |row| self.report.ratio(row);
        let goals = [
            (refer, "refer-https", "REFER over trusted HTTPS, CPU per call, x floor", 1.0),
            (digest, "refer-digest", "REFER with Digest, CPU per call, x floor", 1.25),
            (invite, "invite-https", "INVITE held 1 s, CPU per call, x floor", 1.0),
        ];
        let met: Vec<Goal> = goals
            .into_iter()
            .filter(|(wanted, ..)| *wanted)
            .map(|(_, row, what, most)| Goal::at_most(what, ratio(row), most, 2))
            .collect();
        met.into_iter().for_each(|goal| self.report.goal(goal));
        self.peak = if refer { Some(self.report.rate("refer-https")) } else { None };
        Ok(())
    }

    /// Orders in even steps at half of the peak.
    fn half(&mut self) -> io::Result<()> {
        let mut server = Stand::server(self.setup())?;
        let trusted = server.trusted();
        let peak = match self.peak {
            Some(peak) => peak,
            None => server.measure(&trusted, self.refers())?.outcome.rate(),
        };
        for _ in 0..self.options.rounds {
            let measured = server.measure(&trusted, self.open(peak / 2.0))?;
            self.report.add("half-load", &measured, None);
        }
        let [median, high, most] = self.report.rang("half-load");
        let what = format!("POST to first INVITE at {:.0} calls/s, p99, ms", peak / 2.0);
        self.report.goal(Goal::at_most(&what, millis(high), 1.0, 2));
        self.report.note(format!(
            "half load: POST to first INVITE p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms (medians of the rounds)",
            millis(median),
            millis(high),
            millis(most)
        ));
        Ok(())
    }

    /// What calls cost that stand, and what others cost beside them.
    fn rest(&mut self) -> io::Result<()> {
        let rest = self.options.rest;
        let calls = rest + self.options.calls.max(10_000);
        let setup = Setup { calls: Some(calls), ..self.setup() };
        let (mut empty, mut full) = (Stand::server(setup)?, Stand::server(setup)?);
        let (to_empty, to_full) = (empty.trusted(), full.trusted());
        // What the first calls of all make grow is no matter of those that rest.
        empty.measure(&to_empty, self.refers())?;
        full.measure(&to_full, self.refers())?;
        let pace = Pace::Closed { calls: rest, window: self.options.window };
        let standing = Job { method: Method::Invite, pace, done: Done::Standing, ..self.refers() };
        let set_up = full.measure(&to_full, standing)?;
        self.report.add("set-up", &set_up, None);
        let each = set_up.grown as f64 / set_up.outcome.completed.max(1) as f64;
        let what = format!("memory of an INVITE call at rest, of {rest}, bytes of RSS");
        self.report.goal(Goal::at_most(&what, each, 3072.0, 0));
        for _ in 0..self.options.rounds {
            let alone = empty.measure(&to_empty, self.refers())?;
            self.report.add("refer-alone", &alone, None);
            let beside = full.measure(&to_full, self.refers())?;
            self.report.add("refer-beside", &beside, Some(&alone));
        }
        let what = format!("CPU per call beside {rest} at rest, x without");
        self.report.goal(Goal::at_most(&what, self.report.ratio("refer-beside"), 1.15, 2));
        full.abandon();
        Ok(())
    }

    /// One worker and two by turns.
    fn workers(&mut self) -> io::Result<()> {
        let with = |workers| Stand::server(Setup { workers: Some(workers), ..Setup::default() });
        let (mut one, mut two) = (with(1)?, with(2)?);
        let (to_one, to_two) = (one.trusted(), two.trusted());
        let job = Job { width: WIDE, ..self.refers() };
        let (mut clock, mut bound) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            let single = one.measure(&to_one, job)?;
            let double = two.measure(&to_two, job)?;
            clock.push(double.outcome.rate() / single.outcome.rate().max(1e-9));
            bound.push(double.bound() / single.bound().max(1e-9));
            self.report.add("workers-1", &single, None);
            self.report.add("workers-2", &double, Some(&single));
        }
        self.report.note(format!(
            "workers: by the clock x {:.2}; by the processor time of the busiest worker x {:.2}",
            super::report::median(&clock),
            super::report::median(&bound)
        ));
        if processors() < 4 {
            self.report.note(format!(
                "workers: with {} processors, phones and orders take what the second worker would: only the \
                 second figure tells how it scales",
                processors()
            ));
            let what = "workers: calls/s that the busiest worker could take, two to one, x";
            self.report.goal(Goal::at_least(what, super::report::median(&bound), 1.8));
        } else {
            let what = "workers: calls/s, two to one, x";
            self.report.goal(Goal::at_least(what, super::report::median(&clock), 1.8));
        }
        Ok(())
    }

    /// Twice as many orders as a server with one worker takes.
    fn overload(&mut self) -> io::Result<()> {
        let mut server = Stand::server(Setup { workers: Some(1), refuses: true, ..Setup::default() })?;
        let trusted = server.trusted();
        let mut kept = Vec::new();
        for _ in 0..self.options.rounds {
            let job = Job { width: WIDE, ..self.refers() };
            let peak = server.measure(&trusted, job)?;
            self.report.add_refusing("peak", &peak);
            let rate = 2.0 * peak.outcome.rate();
            let over = server.measure(&trusted, self.open(rate))?;
            kept.push(self.overloaded(rate, &peak, &over));
        }
        let what = "overload: completed calls/s, x peak";
        self.report.goal(Goal::at_least(what, super::report::median(&kept), 0.9));
        Ok(())
    }

    /// What came of twice the peak; the part of the peak that was kept.
    fn overloaded(&mut self, rate: f64, peak: &Measured, over: &Measured) -> f64 {
        self.report.add_refusing("overload", over);
        let outcome = &over.outcome;
        let seconds = self.options.time.as_secs_f64();
        self.report.note(format!(
            "overload: {:.0} orders/s wanted, {:.0} sent; completed meanwhile {:.0}/s; 503 with Retry-After {:.0}/s, \
             after p50 {:.2} ms, p99 {:.2} ms, of which this program may have been late by {:.2} ms; completed {}, \
             503 {}, other {}, unanswered {}, unfinished {}",
            rate,
            outcome.ordered as f64 / seconds,
            outcome.rate(),
            outcome.refused as f64 / seconds,
            millis(outcome.told_off.quantile(0.5)),
            millis(outcome.told_off.quantile(0.99)),
            millis(outcome.turns.quantile(0.99)),
            outcome.completed,
            outcome.refused,
            outcome.other,
            outcome.unanswered,
            outcome.unfinished
        ));
        if outcome.gruff > 0 {
            self.report.note(format!("overload: {} answers 503 lack Retry-After", outcome.gruff));
        }
        if outcome.late > 0 {
            self.report.note(format!(
                "overload: {} orders found {} of before unanswered and had to wait: the server takes them too slowly, \
                 or this program has too little of the processors",
                outcome.late,
                WIDE.connections * WIDE.each
            ));
        }
        outcome.rate() / peak.outcome.rate().max(1e-9)
    }
}
