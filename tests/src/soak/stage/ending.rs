//! The end: the server drains, and leaves when the last call is over.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{LATEST_REFRESH, Purpose, REFRESH, Request, Stage, Way};
use crate::soak::plan::Role;
use crate::soak::site::Reloads;
use crate::soak::tally::Tally;

/// How long after the last call the server may still be there: its transactions have to end.
const LEAVING: Duration = Duration::from_secs(60);

impl Stage {
    /// Lets the calls in progress come to their end while the server drains; what was counted and what was wrong.
    pub fn clear(mut self) -> (Tally, Vec<String>) {
        let reloads = self.site.reloads();
        let process = &mut self.site.server.process;
        process.signal(Signal::SIGTERM);
        process.wait_said("draining", |said| said.contains("draining").then_some(()));
        self.probe("POST", "/callcontroller/nobody/else?agent=agent", Purpose::Probe(503));
        self.judge_sessions();
        self.turn_for(self.longest(), |stage| {
            stage.calls.busy() == 0 && stage.web.waiting() == 0 && stage.abusers.waiting() == 0
        });
        self.give_up(self.now());
        self.hang_up_resting();
        self.await_exit();
        self.judge_log(reloads);
        if self.more_faults > 0 {
            let more = self.more_faults;
            self.faults.push(format!("and {more} faults more"));
        }
        println!(
            "{} datagrams came, {} for calls that were over; {} were nonsense; {} clients misbehaved, {} connections were opened",
            self.phones.received,
            self.phones.stragglers,
            self.abusers.datagrams_sent,
            self.abusers.clients_sent,
            self.web.opened
        );
        (self.tally, self.faults)
    }

    fn longest(&self) -> Duration {
        self.options.t1() * 64 * 2 + Duration::from_secs(25)
    }

    fn turn_for(&mut self, most: Duration, over: impl Fn(&Self) -> bool) {
        let end = self.now() + most;
        self.turn_until(|stage| over(stage) || stage.now() > end);
    }

    fn probe(&mut self, method: &'static str, uri: &str, purpose: Purpose) {
        self.web.ask(Way::Https, Request { purpose, method, uri: uri.to_owned(), json: true });
    }

    /// Every session at rest has to have been refreshed when it was due.
    fn judge_sessions(&mut self) {
        let now = self.now();
        let mut refreshes = 0;
        for number in self.calls.resting() {
            for role in [Role::Calling, Role::Called] {
                let Some(leg) = self.phones.leg((number, role)) else { continue };
                refreshes += leg.refreshes;
                let rests = leg.unrefreshed(now);
                if rests.is_none_or(|since| since > REFRESH + LATEST_REFRESH) {
                    let what =
                        format!("call {number} at rest: {} was refreshed {rests:?} ago", leg.describe());
                    self.wrong(what);
                }
            }
        }
        println!("sessions at rest were refreshed {refreshes} times");
    }

    /// All calls at rest but one end, and are looked at; the last one ends the server with it.
    fn hang_up_resting(&mut self) {
        let resting = self.calls.resting();
        let Some((last, others)) = resting.split_last() else { return };
        others.iter().for_each(|number| self.order(Purpose::Delete(*number), *number));
        self.turn_for(self.longest(), |stage| stage.calls.resting().len() == 1);
        self.probe("GET", "/calls?agent=agent", Purpose::List(1));
        self.turn_for(self.longest(), |stage| stage.web.waiting() == 0);
        let left = self.calls.resting().len();
        if left != 1 {
            self.wrong(format!("{} calls at rest have not ended", left - 1));
        }
        self.order(Purpose::Delete(*last), *last);
        self.turn_for(self.longest(), |stage| stage.web.waiting() == 0 && stage.has_hung_up(*last));
        if !self.has_hung_up(*last) {
            self.wrong("the last call at rest has not ended".to_owned());
        }
        self.forget(*last);
    }

    /// Whether its phones know that a call is over.
    fn has_hung_up(&self, number: u32) -> bool {
        [Role::Calling, Role::Called]
            .iter()
            .all(|role| self.phones.leg((number, *role)).is_none_or(|leg| leg.is_over()))
    }

    fn await_exit(&mut self) {
        let end = self.now() + LEAVING;
        while !self.site.server.process.has_ended() && self.now() < end {
            self.turn();
        }
        if !self.site.server.process.has_ended() {
            self.wrong(format!("the server has not ended within {LEAVING:?} of the last call"));
            return;
        }
        let status = self.site.server.process.wait();
        if !status.success() {
            let said = self.site.server.process.said();
            let last: Vec<&str> = said.lines().rev().take(5).collect();
            self.wrong(format!("the server has ended with {status}: {last:#?}"));
        }
        if !self.phones.is_empty() {
            let count = self.phones.len();
            self.wrong(format!("{count} phones were left alone"));
        }
    }

    /// It has to have read its users as often as they changed or it was told to, and nothing else may have gone wrong.
    fn judge_log(&mut self, reloads: Reloads) {
        let said = self.site.server.process.said();
        let count = |text: &str| said.matches(text).count() as u32;
        let (read, kept) = (count("users were read again"), count("the users stay as they were"));
        // A file that was put back while it was read is read once more.
        if read < reloads.good || kept < reloads.broken {
            self.wrong(format!("of {reloads:?} of the users, the server tells {read} and {kept}"));
        }
        let expected = |line: &str| line.contains("the users stay as they were");
        let errors = said.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked"));
        for line in errors.filter(|line| !expected(line)) {
            self.wrong(format!("the server says: {line}"));
        }
    }
}
