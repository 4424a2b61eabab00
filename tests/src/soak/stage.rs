//! Who plays against the server, and the order of events: the peak, the long time, the end.

mod ending;

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use super::abuse::Abusers;
use super::agenda::Agenda;
use super::calls::{Call, Calls, Purpose, Verdict};
use super::connection::Response;
use super::leg::{Pace, Seen};
use super::options::Options;
use super::phones::{News, Phones};
use super::plan::{Kind, Moment, Plan, Role, Way};
use super::site::{REFRESH, Site};
use super::tally::{Fifth, Tally};
use super::usage::Usage;
use super::web::{Request, Web};
use crate::sim::dice::Dice;

/// How many calls are in progress at once while the peak is measured, and for how long that is.
const AT_ONCE: usize = 1500;
const PEAK_TIME: Duration = Duration::from_secs(4);
/// It warms up before.
const WARM_UP: Duration = Duration::from_secs(1);
/// No more calls are placed at once meanwhile.
const MOST_AT_ONCE: u32 = 50;
/// When the machine has been away for longer, the calls of that time are not placed at all.
const LONGEST_LAG: Duration = Duration::from_millis(100);
/// How long after its last word it is looked whether a call is over, and again if it is not.
const LOOK: Duration = Duration::from_millis(30);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long after its order was answered the progress of a call is looked at.
const WATCH: Duration = Duration::from_millis(50);
/// How often memory is looked at in all, and files are read again.
const SAMPLES: u32 = 200;
const RELOADS: u32 = 12;
/// Nonsense in a second: datagrams, clients that misbehave, and requests that cannot be fulfilled.
const DATAGRAMS: u32 = 20;
const CLIENTS: u32 = 2;
const PROBES: u32 = 5;
/// How late the refresh of a session may be.
const LATEST_REFRESH: Duration = Duration::from_secs(5);
/// More faults than these are not told one by one.
const MOST_FAULTS: usize = 20;

/// Requests that cannot be fulfilled, and what answers them; the first part of a path is that of no call.
const REFUSALS: [(&str, &str, u16); 8] = [
    ("POST", "/callcontroller/nobody/else?agent=agent&timeout=0", 400),
    ("POST", "/callcontroller/nobody/else?agent=agent&action=transfer", 400),
    ("POST", "/callcontroller/nobody/else?agent=agent&action=transfer&target=x", 404),
    ("DELETE", "/callcontroller/nobody/else?agent=agent", 404),
    ("GET", "/nowhere", 404),
    ("PUT", "/callcontroller/nobody/else", 405),
    ("BREW", "/callcontroller/nobody/else", 501),
    ("GET", "/callcontroller/nobody/else?agent=agent", 200),
];

#[derive(Clone, Copy, Debug)]
enum Todo {
    Watch(u32),
    Check(u32),
    Sample,
    Reload,
    Datagram,
    Client,
    Probe,
}

/// How calls are placed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Placing {
    /// None are.
    Not,
    /// So that so many are always in progress.
    AtOnce(usize),
    /// So many a second, of which all are placed until then.
    Rate(f64, Duration),
}

/// The time that is counted.
#[derive(Clone, Copy, Debug)]
struct Act {
    from: Duration,
    time: Duration,
}

/// The server and everybody around it.
pub struct Stage {
    options: Options,
    site: Site,
    phones: Phones,
    web: Web<Purpose>,
    abusers: Abusers,
    calls: Calls,
    agenda: Agenda<Todo>,
    dice: Dice,
    start: Instant,
    placing: Placing,
    placed: u32,
    ended: u64,
    act: Option<Act>,
    used: Usage,
    fifth: usize,
    tally: Tally,
    faults: Vec<String>,
    more_faults: u64,
}

impl Stage {
    /// Starts the server and brings everybody to their places.
    pub fn set(options: &Options) -> Self {
        let site = Site::start(options.t1());
        let dice = |purpose| Dice::new(options.seed, purpose);
        let server = &site.server;
        Self {
            phones: Phones::new(dice(1), Pace { t1: options.t1(), refresh: REFRESH }),
            web: Web::new(&server.http, &server.https, site.tls.clone()),
            abusers: Abusers::new(&server.http, &server.https, site.sip(), dice(2)),
            dice: dice(3),
            options: *options,
            site,
            calls: Calls::default(),
            agenda: Agenda::default(),
            start: Instant::now(),
            placing: Placing::Not,
            placed: 0,
            ended: 0,
            act: None,
            used: Usage::default(),
            fifth: 0,
            tally: Tally::default(),
            faults: Vec::new(),
            more_faults: 0,
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// How many calls of the quick kinds come to their end in a second when there are always enough of them.
    pub fn measure_peak(&mut self) -> f64 {
        self.placing = Placing::AtOnce(AT_ONCE);
        let warm = self.now() + WARM_UP;
        self.turn_until(|stage| stage.now() >= warm);
        let (since, before) = (self.now(), self.ended);
        self.turn_until(|stage| stage.now() >= since + PEAK_TIME);
        let peak = (self.ended - before) as f64 / (self.now() - since).as_secs_f64();
        self.placing = Placing::Not;
        self.turn_until(|stage| stage.calls.busy() == 0);
        peak
    }

    /// Places calls at this rate for so long, amid all that goes wrong.
    pub fn play(&mut self, rate: f64, time: Duration) {
        (0..self.options.resting).for_each(|_| {
            let plan = Plan::of(Kind::Resting, &mut self.dice);
            self.place(plan);
        });
        let now = self.now();
        self.act = Some(Act { from: now, time });
        self.used = self.site.usage();
        self.placed = 0;
        self.tally = Tally::default();
        self.placing = Placing::Rate(rate, now);
        self.note_evenly(time, time / SAMPLES, Todo::Sample);
        self.note_evenly(time, time / RELOADS, Todo::Reload);
        self.note_evenly(time, Duration::from_secs(1) / DATAGRAMS, Todo::Datagram);
        self.note_evenly(time, Duration::from_secs(1) / CLIENTS, Todo::Client);
        self.note_evenly(time, Duration::from_secs(1) / PROBES, Todo::Probe);
        self.turn_until(|stage| stage.now() >= now + time);
        self.end_fifth();
        self.act = None;
        self.placing = Placing::Not;
    }

    /// Notes the same thing again and again for the time that is counted.
    fn note_evenly(&mut self, time: Duration, every: Duration, todo: Todo) {
        let now = self.now();
        let times = (time.as_secs_f64() / every.as_secs_f64()) as u32;
        (1..times).for_each(|number| self.agenda.note(now + every * number, todo));
    }

    fn turn_until(&mut self, over: impl Fn(&Self) -> bool) {
        while !over(self) {
            self.turn();
        }
    }

    /// Does all that is there to be done, and waits for more.
    fn turn(&mut self) {
        let now = self.now();
        self.place_due(now);
        let mut news = Vec::new();
        let more = self.phones.turn(now, &mut news);
        news.into_iter().for_each(|news| self.hear(now, news));
        while let Some(todo) = self.agenda.due(now) {
            self.act_on(now, todo);
        }
        let mut answers = Vec::new();
        self.web.turn(&mut answers);
        for (request, response) in answers {
            self.answered(now, &request, response.as_ref());
        }
        let wrong = self.abusers.turn(now);
        wrong.into_iter().for_each(|what| self.wrong(what));
        self.phones.flush();
        self.count_fifths(now);
        self.wait(if more { PollTimeout::ZERO } else { self.pause() });
    }

    /// Waits until something comes or is to be done.
    fn wait(&mut self, pause: PollTimeout) {
        let wanted =
            |full: bool| if full { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        let sockets = self.phones.sockets();
        let phones = sockets.iter().map(|socket| PollFd::new(socket.descriptor(), PollFlags::POLLIN));
        // One that is closed would be ready for ever.
        let connections = self.web.connections().map(|one| {
            let wanted = if one.is_closed() { PollFlags::empty() } else { wanted(one.is_full()) };
            PollFd::new(one.descriptor(), wanted)
        });
        let mut all: Vec<PollFd<'_>> = phones.chain(connections).collect();
        match poll(&mut all, pause) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => panic!("nothing can be waited for: {error}"),
        }
        let ready: Vec<bool> = all.iter().map(|one| one.any().unwrap_or(true)).collect();
        let (phones, web) = ready.split_at(sockets.len());
        self.web.ready(web.iter().copied());
        self.phones.ready(phones.iter().copied());
    }

    /// How long nothing is to be done.
    fn pause(&self) -> PollTimeout {
        let next = [self.phones.next(), self.agenda.next()].into_iter().flatten().min();
        let idle = Duration::from_millis(if self.placing == Placing::Not { 20 } else { 1 });
        let pause = next.map_or(idle, |at| at.saturating_sub(self.now()).min(idle));
        PollTimeout::try_from(pause.as_micros().div_ceil(1000) as i32).expect("it is short")
    }

    fn place_due(&mut self, now: Duration) {
        let due = match self.placing {
            Placing::Not => 0,
            Placing::AtOnce(most) => MOST_AT_ONCE.min(most.saturating_sub(self.calls.busy()) as u32),
            Placing::Rate(rate, from) => {
                let due = now.saturating_sub(from).as_secs_f64() * rate;
                // What could not be placed while the machine was away is not made up for.
                let most = rate * LONGEST_LAG.as_secs_f64();
                if due > most {
                    self.tally.missed += (due - most) as u64;
                    self.placing = Placing::Rate(rate, now - LONGEST_LAG);
                }
                due.min(most) as u32
            }
        };
        for _ in 0..due {
            let quick = matches!(self.placing, Placing::AtOnce(_));
            let plan = if quick { Plan::draw_quick(&mut self.dice) } else { Plan::draw(&mut self.dice) };
            self.place(plan);
            self.placed += 1;
            self.counting().placed += 1;
            if let Placing::Rate(rate, from) = &mut self.placing {
                *from += Duration::from_secs_f64(1.0 / *rate);
            }
        }
    }

    fn place(&mut self, plan: Plan) {
        let number = self.calls.next;
        self.phones.expect(number, &plan);
        let users = Role::ALL.map(|role| self.phones.user((number, role)));
        let now = self.now();
        self.calls.insert(Call::new(plan, now, users));
        self.order(Purpose::Place(number), number);
    }

    /// Sends a request of a call, unless that is over.
    fn order(&mut self, purpose: Purpose, number: u32) {
        if let Some(call) = self.calls.get(number) {
            let request = call.request(purpose);
            let way = call.plan.way;
            self.web.ask(way, request);
        }
    }

    /// What is being counted in; before and after the time that is counted, it counts for nothing.
    fn counting(&mut self) -> &mut Fifth {
        &mut self.tally.fifths[self.fifth]
    }

    fn count_fifths(&mut self, now: Duration) {
        if let Some(Act { from, time }) = self.act
            && now >= from + time * (self.fifth as u32 + 1) / 5
            && self.fifth < 4
        {
            self.end_fifth();
            self.fifth += 1;
        }
    }

    fn end_fifth(&mut self) {
        let used = self.site.usage();
        let before = std::mem::replace(&mut self.used, used);
        let fifth = self.counting();
        fifth.memory = used.memory;
        fifth.processor = used.processor - before.processor;
    }

    fn act_on(&mut self, now: Duration, todo: Todo) {
        match todo {
            Todo::Watch(number) => self.order(Purpose::Watch(number), number),
            Todo::Check(number) => self.order(Purpose::Check(number), number),
            Todo::Sample => {
                let memory = self.site.usage().memory;
                self.tally.memory.push((u64::from(self.placed), memory));
                // No call takes longer than two requests that are not answered, and some time for all the rest.
                let longest = self.options.t1() * 64 * 2 + Duration::from_secs(20);
                self.give_up(now.saturating_sub(longest));
            }
            Todo::Reload => self.site.reload(),
            Todo::Datagram => self.abusers.send_datagram(),
            Todo::Client => self.abusers.send_client(now),
            Todo::Probe => {
                let (method, uri, status) = *self.dice.pick(&REFUSALS);
                let purpose = Purpose::Probe(status);
                let request = Request { purpose, method, uri: uri.to_owned(), json: self.dice.happens(50) };
                let way = *self.dice.pick(&[Way::Http, Way::Https]);
                self.web.ask(way, request);
            }
        }
    }

    /// Calls that were ordered before this should have ended.
    fn give_up(&mut self, before: Duration) {
        for number in self.calls.older_than(before) {
            let what = format!("it has not ended: {}", self.phones.describe(number));
            self.end_wrong(number, &what);
        }
    }

    fn hear(&mut self, now: Duration, news: News) {
        match news {
            News::Asked((number, Role::Calling)) => {
                // Bad weather is not the server's.
                if let Some(call) = self.calls.get(number).filter(|call| !call.plan.weather) {
                    let latency = (now - call.ordered).as_micros() as i64;
                    self.counting().latency.push(latency);
                }
            }
            News::Asked(_) => {}
            News::Reached(number, moment) => self.reached(number, moment),
            News::Over((number, role), reason) => {
                let Some(call) = self.calls.get(number) else { return };
                let verdict = call.over(role, reason);
                self.follow(now, number, verdict);
            }
            News::Timer(seen, late) => {
                if seen == Seen::Refresh && late > LATEST_REFRESH.as_micros() as i64 {
                    self.wrong(format!("a session was refreshed {} s too late", late / 1_000_000));
                }
                self.counting().timers.push((seen, late));
            }
            News::Wrong(number, what) => self.end_wrong(number, &what),
        }
    }

    fn reached(&mut self, number: u32, moment: Moment) {
        let Some(plan) = self.calls.get(number).map(|call| call.plan) else { return };
        if plan.deleted == Some(moment) {
            self.order(Purpose::Delete(number), number);
        } else if plan.transferred && moment == Moment::Connected {
            self.order(Purpose::Transfer(number), number);
        }
    }

    fn answered(&mut self, now: Duration, request: &Request<Purpose>, response: Option<&Response>) {
        let number = match request.purpose {
            Purpose::Place(number)
            | Purpose::Delete(number)
            | Purpose::Transfer(number)
            | Purpose::Watch(number)
            | Purpose::Check(number) => number,
            Purpose::Probe(_) | Purpose::List(_) => return self.judge_answer(request, response),
        };
        let Some(call) = self.calls.get(number) else { return };
        let verdict = call.answered(request.purpose, response);
        let goes_on = verdict == Verdict::GoesOn;
        self.follow(now, number, verdict);
        if goes_on && matches!(request.purpose, Purpose::Place(_)) {
            self.reached(number, Moment::Placed);
            if self.calls.get(number).is_some_and(|call| call.plan.watched) {
                self.agenda.note(now + WATCH, Todo::Watch(number));
            }
        }
    }

    /// An answer that belongs to no call.
    fn judge_answer(&mut self, request: &Request<Purpose>, response: Option<&Response>) {
        let Some(response) = response else {
            return self.wrong(format!("{} {} is not answered", request.method, request.uri));
        };
        let right = match request.purpose {
            Purpose::List(open) => return self.judge_list(open, response),
            Purpose::Probe(status) => response.status == status || is_refusal(response),
            _ => true,
        };
        if !right {
            let Response { status, body, .. } = response;
            let body: String = body.chars().take(500).collect();
            let Request { purpose, method, uri, .. } = request;
            self.wrong(format!("{method} {uri} ({purpose:?}) is answered {status}: {body}"));
        }
    }

    /// The list of all calls.
    fn judge_list(&mut self, open: usize, response: &Response) {
        let list: Value = serde_json::from_str(&response.body).unwrap_or_default();
        let calls = list["calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        let still: Vec<&Value> = calls.iter().filter(|call| call["times"]["ended"].is_null()).collect();
        if response.status != 200 || still.len() > open {
            let some: Vec<String> = still.iter().take(3).map(ToString::to_string).collect();
            self.wrong(format!(
                "{}: {} calls are listed that have not ended: {some:?}",
                response.status,
                still.len()
            ));
        }
    }

    fn follow(&mut self, now: Duration, number: u32, verdict: Verdict) {
        match verdict {
            Verdict::GoesOn => {
                let done = self.calls.get(number).is_some_and(|call| call.is_done());
                if done {
                    self.agenda.note(now + LOOK, Todo::Check(number));
                }
            }
            Verdict::NotYet => self.agenda.note(now + LOOK_AGAIN, Todo::Check(number)),
            Verdict::Refused => {
                self.counting().refused += 1;
                self.forget(number);
            }
            Verdict::Right => {
                if let Some(plan) = self.forget(number) {
                    self.ended += 1;
                    let outcome = plan.expected.outcome.map_or("none", |(state, _)| state);
                    *self.counting().ended.entry(outcome).or_default() += 1;
                    *self.tally.kinds.entry(plan.kind).or_default() += 1;
                }
            }
            Verdict::Wrong(what) => self.end_wrong(number, &what),
        }
    }

    fn forget(&mut self, number: u32) -> Option<Plan> {
        self.phones.forget(number);
        self.calls.remove(number).map(|call| call.plan)
    }

    fn end_wrong(&mut self, number: u32, what: &str) {
        if let Some(plan) = self.forget(number) {
            self.wrong(format!("call {number}, {plan}: {what}"));
        }
    }

    fn wrong(&mut self, what: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(what);
        } else {
            self.more_faults += 1;
        }
    }
}

/// There was too much to do at that moment; whoever says so says when to come again.
fn is_refusal(response: &Response) -> bool {
    response.status == 503 && response.field("Retry-After").is_some()
}
