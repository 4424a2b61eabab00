//! One phone in one call: what it says to what it hears.

use std::net::SocketAddr;
use std::time::Duration;

use super::plan::{Flow, Moment, Pickup, Referral, Role, Temper, Timers};
use crate::login::proves;
use crate::phrases::{SDP, Speaker, field, method};

/// Who a leg is: the number of its call and its role in it.
pub type Name = (u32, Role);

/// What a phone does later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Later {
    /// It picks up, or is busy.
    Pick,
    /// It says once more what was not answered: the serial number of what it is, and the pause before the next time.
    Repeat(u32, Duration),
    /// Its last NOTIFY.
    LastNotice,
    /// It hangs up.
    HangUp,
    /// It has been silent for so long that nobody speaks to it any more.
    GivenUp,
}

/// A timer of the server's that can be seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// A request was sent again.
    Repeat,
    /// A call was given up.
    Timeout,
    /// A session was refreshed, or OPTIONS sent.
    Refresh,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A datagram to the server.
    Say(String),
    /// The phone wants to be woken.
    Wake(Duration, Later),
    /// Something by which others go.
    Reached(Moment),
    /// Its first INVITE is there.
    Asked,
    /// The call is over for it.
    Over,
    /// A timer has fired so many microseconds after its time.
    Timer(Seen, i64),
    /// The server has done something wrong.
    Wrong(String),
}

/// What the phone has said and waits to be answered.
#[derive(Debug)]
struct Open {
    serial: u32,
    /// The method and CSeq number of a request of its own; ACK and that of the INVITE for a final response.
    awaits: (&'static str, u32),
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has come, or what came was not accepted as it is.
    New,
    /// It rings, or keeps silent.
    Ringing,
    /// It has picked up.
    Up,
    /// It has said the last word.
    Leaving,
    /// All is over.
    Over,
}

/// The times of T1 and what follows from it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// T1 of RFC 3261.
    pub t1: Duration,
    /// Half of the session interval.
    pub refresh: Duration,
}

/// The longest pause between two repetitions, in T1.
const LONGEST_PAUSE: u32 = 8;
/// How many answers are kept to be repeated.
const KEPT: usize = 4;

/// A phone in a call.
#[derive(Debug)]
pub struct Leg {
    /// Which.
    pub name: Name,
    temper: Temper,
    flow: Flow,
    timeout: Option<Duration>,
    pace: Pace,
    /// The server, as soon as it has spoken.
    pub server: Option<SocketAddr>,
    own: SocketAddr,
    tag: String,
    state: State,
    /// The INVITE that made the dialog.
    invite: String,
    /// When it came first, and how often since.
    first: Duration,
    copies: u32,
    answers: Vec<(String, String)>,
    open: Option<Open>,
    serial: u32,
    cseq: u32,
    asked_for_credentials: bool,
    refused_offer: bool,
    /// Whether it was invited again, by which the calling party learns where to send its audio.
    reinvited: bool,
    /// Whether it knows.
    connected: bool,
    refer: Option<Notices>,
    refreshed: Option<Duration>,
    /// How often the session was refreshed.
    pub refreshes: u32,
    /// What the BYE to it gave as its reason.
    pub reason: Option<u16>,
}

/// How far its NOTIFYs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notices {
    /// That it rings.
    First,
    /// What became of it.
    Last,
    /// All were said.
    Done,
}

impl Leg {
    /// A phone at this address, before anything has come.
    pub fn new(name: Name, own: SocketAddr, temper: Temper, flow: Flow, pace: Pace) -> Self {
        Self {
            name,
            temper,
            flow,
            timeout: None,
            pace,
            server: None,
            own,
            tag: format!("{}{}", name.1.letter(), name.0),
            state: State::New,
            invite: String::new(),
            first: Duration::ZERO,
            copies: 0,
            answers: Vec::new(),
            open: None,
            serial: 0,
            cseq: 0,
            asked_for_credentials: false,
            refused_offer: false,
            reinvited: false,
            connected: false,
            refer: None,
            refreshed: None,
            refreshes: 0,
            reason: None,
        }
    }

    /// The server is to give it up after so long.
    #[must_use]
    pub fn given_up_after(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    /// Whether it was ever called.
    pub fn was_asked(&self) -> bool {
        self.server.is_some()
    }

    /// Whether the call is over for it.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// What it is doing, for people.
    pub fn describe(&self) -> String {
        format!(
            "{} is {:?}, waits for {:?}",
            self.tag,
            self.state,
            self.open.as_ref().map(|open| open.awaits)
        )
    }

    /// How long ago its session was refreshed, if it has one that should be.
    pub fn unrefreshed(&self, now: Duration) -> Option<Duration> {
        self.refreshed.map(|at| now.saturating_sub(at))
    }

    fn speaker(&self) -> Speaker<'_> {
        Speaker { address: self.own, tag: &self.tag }
    }

    /// A message has come.
    pub fn hear(&mut self, now: Duration, text: &str, effects: &mut Vec<Effect>) {
        match method(text) {
            "SIP/2.0" => self.answered(text, effects),
            "INVITE" => self.invited(now, text, effects),
            "ACK" => self.acknowledged(text, effects),
            method => self.asked(now, method, text, effects),
        }
    }

    /// Answers and remembers the answer.
    fn say(
        &mut self,
        request: &str,
        status: &str,
        lines: &str,
        sdp: &str,
        effects: &mut Vec<Effect>,
    ) -> String {
        let text = self.speaker().answer(request, status, lines, sdp);
        if self.answers.len() >= KEPT {
            self.answers.remove(0);
        }
        let cseq = field(request, "CSeq").to_owned();
        self.answers.retain(|(of, _)| *of != cseq);
        self.answers.push((cseq, text.clone()));
        effects.push(Effect::Say(text.clone()));
        text
    }

    /// Says something that is to be answered, again and again.
    fn insist(&mut self, awaits: (&'static str, u32), text: String, effects: &mut Vec<Effect>) {
        self.serial += 1;
        effects.push(Effect::Wake(self.pace.t1, Later::Repeat(self.serial, self.pace.t1)));
        self.open = Some(Open { serial: self.serial, awaits, text });
    }

    /// A final answer to an INVITE, which is repeated until it is acknowledged.
    fn conclude(&mut self, invite: &str, status: &str, lines: &str, sdp: &str, effects: &mut Vec<Effect>) {
        let text = self.say(invite, status, lines, sdp, effects);
        self.insist(("ACK", number(invite)), text, effects);
    }

    fn invited(&mut self, now: Duration, text: &str, effects: &mut Vec<Effect>) {
        let cseq = field(text, "CSeq");
        if let Some((_, answer)) = self.answers.iter().find(|(of, _)| of == cseq) {
            effects.push(Effect::Say(answer.clone()));
            return;
        }
        if field(text, "To").contains(";tag=") {
            self.invited_again(now, text, effects);
            return;
        }
        if self.temper.pickup == Pickup::Silent {
            self.keep_silent(now, effects);
            return;
        }
        if self.state != State::New {
            // A copy of an INVITE that was refused long ago may have been on its way until now.
            if number(text) >= number(&self.invite) {
                effects.push(Effect::Wrong(format!("{} is invited anew: {cseq}", self.describe())));
            }
            return;
        }
        if self.copies == 0 {
            (self.first, self.copies) = (now, 1);
            effects.push(Effect::Asked);
        }
        if !self.lets_in(text, effects) {
            return;
        }
        if self.temper.refuses_first_offer && !std::mem::replace(&mut self.refused_offer, true) {
            self.conclude(text, "488 Not Acceptable Here", "", "", effects);
            return;
        }
        self.first = now;
        text.clone_into(&mut self.invite);
        self.state = State::Ringing;
        if self.temper.ring.is_zero() {
            self.pick(now, effects);
        } else {
            self.say(text, "180 Ringing", "", "", effects);
            effects.push(Effect::Reached(Moment::Rings(self.name.1)));
            if self.temper.pickup != Pickup::Never {
                effects.push(Effect::Wake(self.temper.ring, Later::Pick));
            }
        }
    }

    /// Each copy of the request shows Timer A (RFC 3261 §17.1.1.2): 1, 3, 7 … T1 after the first.
    fn keep_silent(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.copies == 0 {
            self.first = now;
            self.state = State::Ringing;
            effects.push(Effect::Asked);
            effects.push(Effect::Wake(self.pace.t1 * 65, Later::GivenUp));
        } else {
            let due = self.first + self.pace.t1 * ((1 << self.copies.min(20)) - 1);
            effects.push(Effect::Timer(Seen::Repeat, late(now, due)));
        }
        self.copies += 1;
    }

    /// Whether the request may pass; if not, it is asked for credentials, or they are wrong.
    fn lets_in(&mut self, text: &str, effects: &mut Vec<Effect>) -> bool {
        let Some(status) = self.temper.challenge else { return true };
        let (line, name, header) = if status == 401 {
            ("401 Unauthorized", "WWW-Authenticate", "Authorization")
        } else {
            ("407 Proxy Authentication Required", "Proxy-Authenticate", "Proxy-Authorization")
        };
        let nonce = &self.tag;
        if !std::mem::replace(&mut self.asked_for_credentials, true) {
            let challenge = format!(
                "{name}: Digest realm=\"example.com\", nonce=\"{nonce}\", algorithm=SHA-256, qop=\"auth\"\r\n"
            );
            self.conclude(text, line, &challenge, "", effects);
            return false;
        }
        let shown = field(text, header);
        if shown.is_empty() || !proves(shown, method(text), "123") {
            effects.push(Effect::Wrong(format!("{} gets wrong credentials: {shown:?}", self.tag)));
        }
        true
    }

    /// An INVITE within the dialog: a new description, or a refresh.
    fn invited_again(&mut self, now: Duration, text: &str, effects: &mut Vec<Effect>) {
        if self.state == State::Up {
            self.seen_refresh(now, effects);
            self.reinvited = true;
            let lines = self.session_lines();
            self.conclude(text, "200 OK", &lines, SDP, effects);
            self.refreshed = self.is_watched().then_some(now);
        } else {
            // It has hung up, and that crosses on the way.
            self.conclude(text, "481 Call/Transaction Does Not Exist", "", "", effects);
        }
    }

    fn is_watched(&self) -> bool {
        self.flow == Flow::Invite
    }

    fn session_lines(&self) -> String {
        let allow = match self.temper.timers {
            Timers::None => return String::new(),
            Timers::Update => "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE",
            Timers::Reinvite => "INVITE, ACK, CANCEL, BYE, OPTIONS",
        };
        let seconds = self.pace.refresh.as_secs() * 2;
        format!("Allow: {allow}\r\nRequire: timer\r\nSession-Expires: {seconds};refresher=uac\r\n")
    }

    fn pick(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.state != State::Ringing {
            return;
        }
        let invite = self.invite.clone();
        match self.temper.pickup {
            Pickup::Answer => {
                self.state = State::Up;
                let lines = self.session_lines();
                self.conclude(&invite, "200 OK", &lines, SDP, effects);
                self.refreshed = self.is_watched().then_some(now);
            }
            Pickup::Busy => {
                self.state = State::Leaving;
                self.conclude(&invite, "486 Busy Here", "", "", effects);
            }
            Pickup::Never | Pickup::Silent => {}
        }
    }

    fn acknowledged(&mut self, text: &str, effects: &mut Vec<Effect>) {
        let awaits = ("ACK", number(text));
        if self.open.as_ref().is_none_or(|open| open.awaits != awaits) {
            return;
        }
        self.open = None;
        match self.state {
            State::Leaving => {
                self.end(effects);
                if self.temper.pickup == Pickup::Busy && self.name.1 == Role::Target {
                    effects.push(Effect::Reached(Moment::TargetBusy));
                }
            }
            State::Up => self.connect(effects),
            State::New | State::Ringing | State::Over => {}
        }
    }

    /// An ACK has come: with the first the parties of a call know where to send their audio, but for the calling one.
    fn connect(&mut self, effects: &mut Vec<Effect>) {
        let knows = self.flow == Flow::Invite && (self.name.1 != Role::Calling || self.reinvited);
        if !knows || std::mem::replace(&mut self.connected, true) {
            return;
        }
        match self.name.1 {
            Role::Called => effects.push(Effect::Reached(Moment::Connected)),
            Role::Target => effects.push(Effect::Reached(Moment::Transferred)),
            Role::Calling => {}
        }
        if let Some(after) = self.temper.hangs_up {
            effects.push(Effect::Wake(after, Later::HangUp));
        }
    }

    /// Another request.
    fn asked(&mut self, now: Duration, method: &str, text: &str, effects: &mut Vec<Effect>) {
        if method == "REFER" && self.temper.referral == Referral::Silent {
            self.ignore_refer(now, effects);
            return;
        }
        let cseq = field(text, "CSeq");
        if let Some((_, answer)) = self.answers.iter().find(|(of, _)| of == cseq) {
            effects.push(Effect::Say(answer.clone()));
            return;
        }
        match method {
            "CANCEL" => self.canceled(now, text, effects),
            "BYE" => {
                self.say(text, "200 OK", "", "", effects);
                let cause = field(text, "Reason").split_once("cause=").map_or("", |(_, rest)| rest);
                self.reason = cause.split(';').next().and_then(|cause| cause.trim().parse().ok());
                self.left(effects);
            }
            "REFER" => self.referred(text, effects),
            "OPTIONS" | "UPDATE" => {
                self.seen_refresh(now, effects);
                let lines = if method == "UPDATE" { self.session_lines() } else { String::new() };
                self.say(text, "200 OK", &lines, "", effects);
                self.refreshed = Some(now);
            }
            _ => {
                self.say(text, "200 OK", "", "", effects);
                effects.push(Effect::Wrong(format!("{} is asked {method}", self.describe())));
            }
        }
    }

    /// It was hung up; what it still has to tell of whom it was referred to, it tells.
    fn left(&mut self, effects: &mut Vec<Effect>) {
        let tells = self.refer == Some(Notices::First) && self.temper.referral == Referral::Rings;
        if tells && self.state == State::Up {
            self.state = State::Leaving;
            self.notify(Notices::Last, effects);
        } else {
            self.end(effects);
        }
    }

    /// A refresh comes half of the interval after the last; what comes sooner has another reason.
    fn seen_refresh(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Some(since) = self.unrefreshed(now) else { return };
        if since + Duration::from_secs(1) > self.pace.refresh {
            self.refreshes += 1;
            let due = now.saturating_sub(since) + self.pace.refresh;
            effects.push(Effect::Timer(Seen::Refresh, late(now, due)));
        }
    }

    fn canceled(&mut self, now: Duration, text: &str, effects: &mut Vec<Effect>) {
        self.say(text, "200 OK", "", "", effects);
        if self.state != State::Ringing {
            return;
        }
        if let Some(timeout) = self.timeout.filter(|_| self.temper.pickup == Pickup::Never) {
            effects.push(Effect::Timer(Seen::Timeout, late(now, self.first + timeout)));
        }
        self.state = State::Leaving;
        let invite = self.invite.clone();
        self.conclude(&invite, "487 Request Terminated", "", "", effects);
    }

    /// Each copy shows Timer E (RFC 3261 §17.1.2.2): 1, 3, 7, 15 T1 after the first, then every 8.
    fn ignore_refer(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.refer.is_none() {
            (self.refer, self.first, self.copies) = (Some(Notices::Done), now, 0);
        } else {
            self.copies += 1;
            let units = if self.copies <= 4 { (1 << self.copies) - 1 } else { 15 + (self.copies - 4) * 8 };
            effects.push(Effect::Timer(Seen::Repeat, late(now, self.first + self.pace.t1 * units)));
        }
    }

    fn referred(&mut self, text: &str, effects: &mut Vec<Effect>) {
        match self.temper.referral {
            Referral::Refuses => {
                self.say(text, "603 Decline", "", "", effects);
            }
            Referral::NotifiesFirst => {
                self.notify(Notices::First, effects);
                self.say(text, "202 Accepted", "", "", effects);
            }
            _ => {
                self.say(text, "202 Accepted", "", "", effects);
                self.notify(Notices::First, effects);
            }
        }
    }

    fn notify(&mut self, which: Notices, effects: &mut Vec<Effect>) {
        self.refer = Some(which);
        self.cseq += 1;
        let (status, last) = match (which, self.temper.referral) {
            (Notices::First, _) => ("180 Ringing", false),
            (_, Referral::Fails) => ("486 Busy Here", true),
            _ => ("200 OK", true),
        };
        let text = self.speaker().notify(&self.invite, self.cseq, status, last);
        let times = if self.temper.referral == Referral::Twice { 2 } else { 1 };
        effects.extend(std::iter::repeat_n(Effect::Say(text.clone()), times));
        self.insist(("NOTIFY", self.cseq), text, effects);
    }

    /// An answer to a request of ours.
    fn answered(&mut self, text: &str, effects: &mut Vec<Effect>) {
        let status = text.split(' ').nth(1).unwrap_or_default();
        let awaited = |open: &Open| field(text, "CSeq") == format!("{} {}", open.awaits.1, open.awaits.0);
        if status.starts_with('1') || !self.open.as_ref().is_some_and(awaited) {
            return;
        }
        let said = self.open.take().map_or("", |open| open.awaits.0);
        if said == "BYE" {
            self.end(effects);
            return;
        }
        if status != "200" {
            effects.push(Effect::Wrong(format!("{} gets {status} to {said}", self.describe())));
        }
        if self.state == State::Leaving {
            self.end(effects);
        }
        if self.refer != Some(Notices::First) {
            self.refer = Some(Notices::Done);
            return;
        }
        match self.temper.referral {
            Referral::Rings => effects.push(Effect::Reached(Moment::Referred)),
            Referral::Late => effects.push(Effect::Wake(self.pace.t1 * 4, Later::LastNotice)),
            _ if self.state == State::Up => self.notify(Notices::Last, effects),
            _ => {}
        }
    }

    /// The time for something has come.
    pub fn wake(&mut self, now: Duration, later: Later, effects: &mut Vec<Effect>) {
        match later {
            Later::Pick => self.pick(now, effects),
            Later::Repeat(serial, pause) => {
                let Some(open) = self.open.as_ref().filter(|open| open.serial == serial) else { return };
                effects.push(Effect::Say(open.text.clone()));
                let pause = (pause * 2).min(self.pace.t1 * LONGEST_PAUSE);
                effects.push(Effect::Wake(pause, Later::Repeat(serial, pause)));
            }
            Later::LastNotice => {
                if self.state == State::Up {
                    self.notify(Notices::Last, effects);
                }
            }
            Later::HangUp => {
                if self.state == State::Up {
                    self.state = State::Leaving;
                    self.cseq += 1;
                    let text = self.speaker().request(&self.invite, ("BYE", self.cseq), "", "");
                    effects.push(Effect::Say(text.clone()));
                    self.insist(("BYE", self.cseq), text, effects);
                }
            }
            Later::GivenUp => self.end(effects),
        }
    }

    fn end(&mut self, effects: &mut Vec<Effect>) {
        // What waits for an answer goes on waiting, as a NOTIFY does that crosses a BYE; an ACK does not come any more.
        if self.open.as_ref().is_some_and(|open| open.awaits.0 != "NOTIFY") {
            self.open = None;
        }
        if std::mem::replace(&mut self.state, State::Over) != State::Over {
            effects.push(Effect::Over);
        }
    }
}

/// The CSeq number.
fn number(message: &str) -> u32 {
    let cseq = field(message, "CSeq");
    cseq.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn late(now: Duration, due: Duration) -> i64 {
    now.as_micros() as i64 - due.as_micros() as i64
}
