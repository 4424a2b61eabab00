//! The loop that orders calls, plays their phones, and watches each from its POST to its last BYE.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};

use super::orders::{Answer, Orders};
use super::phones::{Counts, News, Phones};
use super::readings::{Moment, Scheduled, own_processor};

/// Nothing happens for so long: what has not ended by then never will. It is longer than a transaction may take.
const STALLED: Duration = Duration::from_secs(36);

/// How long is listened for after the last call, so that what calls leave behind is counted with them.
const SETTLE: Duration = Duration::from_millis(300);

/// When calls are ordered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// The next one as soon as fewer than `window` are in progress.
    Closed {
        /// How many in all.
        calls: u64,
        /// How many at once.
        window: u64,
    },
    /// One after the other in even steps, whatever becomes of those before.
    Open {
        /// In a second.
        rate: f64,
        /// For so long.
        time: Duration,
    },
}

/// When a call counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// When its last phone has hung up.
    Over,
    /// When both phones are connected.
    Standing,
}

/// How long something took, each time.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// The one that this part of all does not exceed; nothing of none.
    pub fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
        sorted.get(at).copied().unwrap_or_default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What came of the calls that were ordered.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Orders that were sent.
    pub ordered: u64,
    /// Calls whose parties were connected and that were done.
    pub completed: u64,
    /// Those of them that were done in the time that counts.
    pub completed_meanwhile: u64,
    /// Orders that were answered 503 with Retry-After.
    pub refused: u64,
    /// Orders with any other answer than 200, and calls that ended without connecting anybody.
    pub other: u64,
    /// Orders without an answer.
    pub unanswered: u64,
    /// Calls that were ordered and did not end.
    pub unfinished: u64,
    /// Orders that found no connection free when they were due.
    pub late: u64,
    /// From POST to the first INVITE.
    pub rang: Latencies,
    /// From POST to its answer 200.
    pub accepted: Latencies,
    /// From POST to its answer 503.
    pub told_off: Latencies,
    /// Answers 503 that do not say when to try again.
    pub gruff: u64,
    /// Turns of this loop: so late it may have been to order, to read and to answer.
    pub turns: Latencies,
    /// What the phones saw.
    pub counts: Counts,
    /// Datagrams for which the phones' socket had no room.
    pub lost: u64,
    /// What calls a second are counted in: the time in which orders came in even steps, or until the last call was done.
    pub span: Duration,
    /// What the scheduler tells of this loop in that time.
    pub own: Scheduled,
}

impl Outcome {
    /// Calls that went wrong; being refused is not wrong.
    pub fn failed(&self) -> u64 {
        self.other + self.unanswered + self.unfinished
    }

    /// Completed calls in a second. Where orders came in even steps, those that were done later do not count.
    pub fn rate(&self) -> f64 {
        self.completed_meanwhile as f64 / self.span.as_secs_f64().max(1e-9)
    }

    /// The part of the time in which this loop was at work.
    pub fn own_share(&self) -> f64 {
        self.own.ran.as_secs_f64() / self.span.as_secs_f64().max(1e-9)
    }
}

/// Orders calls with numbers from `first` on until all that `pace` wants are done, or nothing happens any more.
pub fn drive(
    phones: &mut Phones,
    orders: &mut Orders,
    first: u64,
    pace: Pace,
    done: Done,
) -> io::Result<Outcome> {
    let (counts, lost) = (phones.counts(), phones.lost());
    let mut run = Run::new(first, pace, done);
    let (mut answers, mut news) = (Vec::new(), Vec::new());
    let mut awake = Instant::now();
    loop {
        run.place(orders)?;
        let now = Instant::now();
        run.outcome.turns.0.push(now - awake);
        if run.is_settled(now) {
            break;
        }
        let until = run.next(now).min(phones.next_due().unwrap_or(now + STALLED));
        let ready = wait(phones, orders, until.saturating_duration_since(now))?;
        awake = Instant::now();
        for at in ready.lines {
            orders.take(at, &mut answers)?;
        }
        if ready.phones {
            phones.take(&mut news)?;
        }
        phones.pass(Instant::now())?;
        answers.drain(..).for_each(|answer| run.answered(answer));
        news.drain(..).for_each(|one| run.hear(one));
    }
    Ok(run.close(phones.counts().since(counts), phones.lost() - lost))
}

/// What can be read.
struct Ready {
    phones: bool,
    lines: Vec<usize>,
}

/// Waits until something can be read, but no longer than this.
fn wait(phones: &Phones, orders: &Orders, most: Duration) -> io::Result<Ready> {
    let sockets = std::iter::once(phones.as_fd()).chain(orders.sockets());
    let mut polled: Vec<PollFd<'_>> = sockets.map(|socket| PollFd::new(socket, PollFlags::POLLIN)).collect();
    match ppoll(&mut polled, Some(most.into()), None) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(Ready { phones: false, lines: Vec::new() }),
        Err(error) => return Err(error.into()),
    }
    let ready = |one: &PollFd<'_>| one.any().unwrap_or(true);
    let lines = polled.iter().skip(1).enumerate().filter(|(_, one)| ready(one)).map(|(at, _)| at).collect();
    Ok(Ready { phones: polled.first().is_some_and(ready), lines })
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    NotYet,
    Accepted,
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    at: Moment,
    answered: Answered,
    reached: Reached,
}

/// What its phones have told of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    Nothing,
    Goal,
    End,
}

struct Run {
    first: u64,
    pace: Pace,
    done: Done,
    placed: Vec<Placed>,
    /// Orders that were due and found no free connection, by the moment at which that was seen.
    waiting: VecDeque<Moment>,
    /// Calls of which nothing more is awaited.
    closed: u64,
    start: Instant,
    /// When something last happened that a call was waiting for.
    last: Instant,
    own: Scheduled,
    quiet_since: Option<Instant>,
    outcome: Outcome,
}

impl Run {
    fn new(first: u64, pace: Pace, done: Done) -> Self {
        let now = Instant::now();
        Self {
            first,
            pace,
            done,
            placed: Vec::new(),
            waiting: VecDeque::new(),
            closed: 0,
            start: now,
            last: now,
            own: own_processor(),
            quiet_since: None,
            outcome: Outcome::default(),
        }
    }

    /// How many are to be ordered by now.
    fn due(&self, now: Instant) -> u64 {
        match self.pace {
            Pace::Closed { calls, window } => calls.min(self.closed + window),
            Pace::Open { rate, time } => {
                let passed = now.saturating_duration_since(self.start).min(time);
                (passed.as_secs_f64() * rate) as u64
            }
        }
    }

    /// Whether no more are to be ordered.
    fn is_ordered(&self, now: Instant) -> bool {
        match self.pace {
            Pace::Closed { calls, .. } => self.placed.len() as u64 >= calls,
            Pace::Open { time, .. } => now >= self.start + time,
        }
    }

    /// When the next order is due, or something is to be looked after.
    fn next(&self, now: Instant) -> Instant {
        let stalled = self.last.max(now) + STALLED;
        let settled = self.quiet_since.map_or(stalled, |since| since + SETTLE);
        let order = match self.pace {
            // Those that wait for a connection are sent when one is free.
            Pace::Open { rate, time } if now < self.start + time => {
                let next = (self.placed.len() + self.waiting.len() + 1) as f64 / rate;
                (self.start + Duration::from_secs_f64(next)).min(self.start + time)
            }
            Pace::Open { .. } | Pace::Closed { .. } => stalled,
        };
        order.min(settled).min(stalled)
    }

    /// Orders what is due, as far as connections are free.
    fn place(&mut self, orders: &mut Orders) -> io::Result<()> {
        let now = Instant::now();
        if self.is_ordered(now) {
            self.finish(now);
            return Ok(());
        }
        let due = self.due(now);
        while (self.placed.len() as u64) < due {
            // Who had to wait has waited since it was due.
            let at = self.waiting.front().copied().unwrap_or_else(Moment::now);
            if !orders.place(self.first + self.placed.len() as u64)? {
                break;
            }
            self.waiting.pop_front();
            self.placed.push(Placed { at, answered: Answered::NotYet, reached: Reached::Nothing });
        }
        if matches!(self.pace, Pace::Open { .. }) {
            let seen = Moment::now();
            while (self.placed.len() + self.waiting.len()) < due as usize {
                self.waiting.push_back(seen);
                self.outcome.late += 1;
            }
        }
        Ok(())
    }

    /// Everything is ordered: looks whether everything is done too.
    fn finish(&mut self, now: Instant) {
        let in_steps = matches!(self.pace, Pace::Open { .. });
        if in_steps && self.outcome.span.is_zero() {
            self.count_span(now);
        }
        let all = self.closed >= self.placed.len() as u64;
        if self.quiet_since.is_none() && (all || now >= self.last + STALLED) {
            self.quiet_since = Some(now);
            if !in_steps {
                self.count_span(self.last);
            }
        }
    }

    /// The time that counts is over.
    fn count_span(&mut self, end: Instant) {
        self.outcome.span = end.saturating_duration_since(self.start);
        self.outcome.own = own_processor().since(self.own);
        self.outcome.completed_meanwhile = self.outcome.completed;
    }

    fn is_settled(&self, now: Instant) -> bool {
        self.quiet_since.is_some_and(|since| now >= since + SETTLE)
    }

    fn call(&mut self, number: u64) -> Option<&mut Placed> {
        // Calls of an earlier run may still have something to say.
        self.placed.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn answered(&mut self, answer: Answer) {
        let now = Moment::now();
        let Some(call) = self.call(answer.number) else { return };
        let took = now.since(call.at);
        call.answered = if answer.status == Some(200) { Answered::Accepted } else { Answered::Refused };
        match answer.status {
            Some(200) => self.outcome.accepted.0.push(took),
            Some(503) if answer.retry_after => {
                self.outcome.refused += 1;
                self.outcome.told_off.0.push(took);
            }
            Some(503) => {
                self.outcome.gruff += 1;
                self.outcome.other += 1;
            }
            Some(_) => self.outcome.other += 1,
            None => self.outcome.unanswered += 1,
        }
        self.close_if_done(answer.number);
    }

    fn hear(&mut self, news: News) {
        let done = self.done;
        let (number, reached) = match news {
            News::Rung(number, at) => {
                let Some(call) = self.call(number) else { return };
                let took = at.since(call.at);
                self.outcome.rang.0.push(took);
                return;
            }
            News::Standing(number) if done == Done::Standing => (number, Reached::Goal),
            News::Standing(_) => return,
            News::Over { number, connected: true } if done == Done::Over => (number, Reached::Goal),
            News::Over { number, .. } => (number, Reached::End),
        };
        let Some(call) = self.call(number) else { return };
        if call.reached == Reached::Nothing {
            call.reached = reached;
            self.close_if_done(number);
        }
    }

    /// Counts a call of which nothing more is awaited.
    fn close_if_done(&mut self, number: u64) {
        let Some(call) = self.call(number) else { return };
        match (call.answered, call.reached) {
            (Answered::Accepted, Reached::Goal) => self.outcome.completed += 1,
            (Answered::Accepted, Reached::End) => self.outcome.other += 1,
            (Answered::Refused, _) => {}
            (Answered::NotYet, _) | (_, Reached::Nothing) => return,
        }
        self.closed += 1;
        self.last = Instant::now();
    }

    fn close(mut self, counts: Counts, lost: u64) -> Outcome {
        self.outcome.ordered = self.placed.len() as u64;
        let open = self.placed.iter().filter(|call| call.answered != Answered::Refused);
        for call in open.filter(|call| call.answered == Answered::NotYet || call.reached == Reached::Nothing)
        {
            match call.answered {
                Answered::NotYet => self.outcome.unanswered += 1,
                Answered::Accepted | Answered::Refused => self.outcome.unfinished += 1,
            }
        }
        self.outcome.counts = counts;
        self.outcome.lost = lost;
        self.outcome
    }
}
