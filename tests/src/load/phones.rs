//! All phones behind one socket: they pick up at once, follow a REFER by word alone, answer whatever else they are asked,
//! and hang up when it is time.
//!
//! The calling party of call 7 is user `u7`, the called one `v7`; every phone's contact carries that name, so that a message
//! finds its call without a table of dialogs. A phone repeats its answer when it is asked again, and sends again what is
//! not heard: NOTIFY and BYE without an answer, 200 without an ACK, each after T1 and without the longer pauses of
//! RFC 3261, for a loopback has no crowd to spare.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::datagrams::{Arrival, Datagrams, Page};
use super::message::{Message, Party, Side};
use super::readings::Moment;
use crate::phrases::SDP;

/// Batches of datagrams that are taken before something else gets its turn.
const BATCHES: usize = 8;

/// What becomes of a call that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The calling phone hangs up after this.
    For(Duration),
    /// Nobody hangs up.
    Forever,
}

/// What the phones have seen of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The first INVITE of this call has come, at this moment.
    Rung(u64, Moment),
    /// Both phones of this call are connected; only calls that the server stays in come to that.
    Standing(u64),
    /// No phone is in this call any more. `connected`: it was referred, or stood.
    Over {
        /// The call.
        number: u64,
        /// Whether its parties had been brought together.
        connected: bool,
    },
}

/// What has happened at all phones together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that came.
    pub received: u64,
    /// Messages that left.
    pub sent: u64,
    /// Requests that came once more.
    pub repeated: u64,
    /// Messages that were sent once more, because they were not heard.
    pub resent: u64,
    /// Requests of ours that were refused.
    pub refused: u64,
    /// Messages that could not be read, or that no phone can make anything of.
    pub strange: u64,
}

impl Counts {
    /// What has happened since an earlier count.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            received: self.received - earlier.received,
            sent: self.sent - earlier.sent,
            repeated: self.repeated - earlier.repeated,
            resent: self.resent - earlier.resent,
            refused: self.refused - earlier.refused,
            strange: self.strange - earlier.strange,
        }
    }
}

/// Where the phone that is rung first is in its call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Calling {
    #[default]
    Unasked,
    Ringing,
    PickedUp,
    /// It was told to call the other one by itself, and says that it has.
    Referred,
    /// It was told what the other one's media are, and its answer is not yet acknowledged.
    Joining,
    Talking,
    HangingUp,
    Gone,
}

/// Where the other one is; a referred call never reaches it here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Called {
    #[default]
    Unasked,
    Ringing,
    Talking,
    Gone,
}

#[derive(Debug, Default)]
struct Call {
    calling: Calling,
    called: Called,
    connected: bool,
    /// Which of its messages were heard, by their bits in [`mark`].
    heard: u8,
    /// How the calling phone will hang up, and where that is sent.
    bye: Option<(Box<[u8]>, SocketAddrV4)>,
}

impl Call {
    fn is_over(&self) -> bool {
        self.calling == Calling::Gone && matches!(self.called, Called::Unasked | Called::Gone)
    }
}

/// The order in which what is written at once leaves: no call's messages overtake each other.
mod lane {
    pub(super) const RINGING: u8 = 0;
    pub(super) const PICKED_UP: u8 = 1;
    pub(super) const ANSWER: u8 = 2;
    pub(super) const ACCEPTED: u8 = 3;
    /// The first of three.
    pub(super) const NOTIFY: u8 = 4;
    pub(super) const BYE: u8 = 7;
}

/// The messages of a call that are sent again until they are heard, a bit each.
mod mark {
    /// The first of three.
    pub(super) const NOTIFY: u8 = 1;
    pub(super) const PICKED_UP: u8 = 8;
    pub(super) const JOINED: u8 = 16;
    pub(super) const CALLED: u8 = 32;
    pub(super) const BYE: u8 = 64;
}

/// After how long a message is sent again: T1 of RFC 3261.
const T1: Duration = Duration::from_millis(500);

/// How often.
const TRIES: u8 = 10;

/// A message that may have to be sent again.
#[derive(Debug)]
struct Unheard {
    due: Instant,
    number: u64,
    mark: u8,
    tries: u8,
    to: SocketAddrV4,
    text: Box<[u8]>,
}

/// What a referred phone tells of the call that it makes.
const TOLD: [(&str, &str); 3] = [
    ("100 Trying", "active;expires=60"),
    ("180 Ringing", "active;expires=60"),
    ("200 OK", "terminated;reason=noresource"),
];

/// The phones.
#[derive(Debug)]
pub struct Phones {
    socket: Datagrams,
    desk: Desk,
}

/// All but the socket.
#[derive(Debug)]
struct Desk {
    address: SocketAddrV4,
    /// The same with its @, as contacts have it.
    at: String,
    hold: Hold,
    calls: HashMap<u64, Call>,
    /// When which calling phone hangs up; the time of holding is the same for all that wait here.
    due: VecDeque<(Instant, u64)>,
    /// What may have to be sent again, soonest first.
    unheard: VecDeque<Unheard>,
    page: Page,
    counts: Counts,
}

impl Phones {
    /// Phones at a port of 127.0.0.1 that the system chose.
    pub fn new(hold: Hold) -> io::Result<Self> {
        let socket = Datagrams::bind()?;
        let desk = Desk {
            address: socket.address(),
            at: format!("@{}", socket.address()),
            hold,
            calls: HashMap::new(),
            due: VecDeque::new(),
            unheard: VecDeque::new(),
            page: Page::default(),
            counts: Counts::default(),
        };
        Ok(Self { socket, desk })
    }

    /// Where all of them are reached.
    pub fn address(&self) -> SocketAddrV4 {
        self.desk.address
    }

    /// From now on this becomes of calls that come to stand. Those that are to be hung up keep their time, so a change
    /// between two times is for when none is.
    pub fn set_hold(&mut self, hold: Hold) {
        self.desk.hold = hold;
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.desk.counts
    }

    /// How many datagrams the system had no room for.
    pub fn lost(&self) -> u64 {
        self.socket.lost()
    }

    /// Calls in which a phone is.
    pub fn calls(&self) -> usize {
        self.desk.calls.len()
    }

    /// When [`pass`](Self::pass) has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        let hang_up = self.desk.due.front().map(|(at, _)| *at);
        let again = self.desk.unheard.front().map(|unheard| unheard.due);
        hang_up.into_iter().chain(again).min()
    }

    /// Takes and answers what has come; called when the socket can be read, and without harm at any other time.
    pub fn take(&mut self, news: &mut Vec<News>) -> io::Result<()> {
        let Self { socket, desk } = self;
        for _ in 0..BATCHES {
            let taken = socket.receive(|arrival| desk.take(arrival, news))?;
            if taken == 0 {
                break;
            }
            socket.send(&mut desk.page)?;
        }
        Ok(())
    }

    /// Hangs up the calls whose time is over, and sends again what was not heard; called when that is due, and without harm
    /// at any other time.
    pub fn pass(&mut self, now: Instant) -> io::Result<()> {
        let Self { socket, desk } = self;
        desk.send_again(now);
        while let Some((_, number)) = desk.due.pop_front_if(|(at, _)| *at <= now) {
            desk.hang_up(number);
        }
        socket.send(&mut desk.page)
    }
}

impl AsFd for Phones {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Desk {
    fn take(&mut self, arrival: Arrival<'_>, news: &mut Vec<News>) {
        self.counts.received += 1;
        let strange = match Message::read(arrival.bytes) {
            None => true,
            Some(message) if message.start.starts_with(b"SIP/2.0 ") => {
                self.answered(&message, news);
                false
            }
            Some(message) => match Party::behind(b" sip:", message.start) {
                Some(party) => {
                    self.asked(party, &message, arrival, news);
                    false
                }
                None => true,
            },
        };
        self.counts.strange += u64::from(strange);
    }

    /// An answer to a NOTIFY or a BYE of ours.
    fn answered(&mut self, message: &Message<'_>, news: &mut Vec<News>) {
        self.counts.refused += u64::from(!message.start.starts_with(b"SIP/2.0 2"));
        if let Some(party) = Party::behind(b"branch=z9hG4bKNOTIFY", message.via) {
            // The numbers of the three are 100 to 102.
            let which = message.cseq.get(2).map_or(0, |digit| digit.wrapping_sub(b'0').min(2));
            self.heard(party.number, mark::NOTIFY << which);
        }
        let Some(party) = Party::behind(b"branch=z9hG4bKBYE", message.via) else { return };
        self.heard(party.number, mark::BYE);
        if let Some(call) = self.calls.get_mut(&party.number) {
            call.calling = Calling::Gone;
            self.close_if_over(party.number, news);
        }
    }

    fn asked(&mut self, party: Party, message: &Message<'_>, arrival: Arrival<'_>, news: &mut Vec<News>) {
        let from = arrival.from;
        match message.method() {
            b"INVITE" => self.invited(party, message, arrival, news),
            b"ACK" => self.acknowledged(party, news),
            b"REFER" => self.referred(party, message, from),
            b"BYE" => self.hung_up(party, message, from, news),
            _ => self.answer(party, message, "200 OK", lane::ANSWER, from),
        }
    }

    fn invited(&mut self, party: Party, message: &Message<'_>, arrival: Arrival<'_>, news: &mut Vec<News>) {
        let Party { side, number } = party;
        let from = arrival.from;
        if !message.is_in_dialog() {
            let call = self.calls.entry(number).or_default();
            let first = match side {
                Side::Calling => std::mem::replace(&mut call.calling, Calling::Ringing) == Calling::Unasked,
                Side::Called => std::mem::replace(&mut call.called, Called::Ringing) == Called::Unasked,
            };
            self.counts.repeated += u64::from(!first);
            if first && side == Side::Calling {
                news.push(News::Rung(number, arrival.at));
            }
            self.answer(party, message, "180 Ringing", lane::RINGING, from);
        } else if side == Side::Calling
            && let Some(call) = self.calls.get_mut(&number)
        {
            match call.calling {
                Calling::PickedUp => {
                    call.calling = Calling::Joining;
                    if self.hold != Hold::Forever {
                        call.bye = Some((bye(&self.at, party, message), from));
                    }
                }
                Calling::Joining => self.counts.repeated += 1,
                _ => {}
            }
        }
        self.pick_up(party, message, from);
        let unheard = match (side, message.is_in_dialog()) {
            (Side::Called, _) => mark::CALLED,
            (Side::Calling, false) => mark::PICKED_UP,
            (Side::Calling, true) => mark::JOINED,
        };
        self.keep(number, unheard, from);
    }

    /// The message that was written last is to be sent again unless it is heard.
    fn keep(&mut self, number: u64, mark: u8, to: SocketAddrV4) {
        let text = self.page.last().into();
        self.unheard.push_back(Unheard { due: Instant::now() + T1, number, mark, tries: TRIES, to, text });
    }

    fn heard(&mut self, number: u64, mark: u8) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.heard |= mark;
        }
    }

    /// Sends again what is due and was not heard; a call that is over has nothing more to say.
    fn send_again(&mut self, now: Instant) {
        while let Some(mut unheard) = self.unheard.pop_front_if(|unheard| unheard.due <= now) {
            let waits = self.calls.get(&unheard.number).is_some_and(|call| call.heard & unheard.mark == 0);
            if waits && unheard.tries > 0 {
                self.page.write(&unheard.text);
                self.page.post(lane::BYE, unheard.to);
                self.counts.resent += 1;
                unheard.tries -= 1;
                unheard.due = now + T1;
                self.unheard.push_back(unheard);
            }
        }
    }

    fn acknowledged(&mut self, party: Party, news: &mut Vec<News>) {
        let Some(call) = self.calls.get_mut(&party.number) else { return };
        let heard = match (party.side, call.calling, call.called) {
            (Side::Calling, Calling::Ringing, _) => {
                call.calling = Calling::PickedUp;
                mark::PICKED_UP
            }
            (Side::Calling, Calling::Joining, _) => {
                call.calling = Calling::Talking;
                mark::JOINED
            }
            (Side::Called, _, Called::Ringing) => {
                call.called = Called::Talking;
                mark::CALLED
            }
            _ => return,
        };
        call.heard |= heard;
        if (call.calling, call.called) == (Calling::Talking, Called::Talking) {
            call.connected = true;
            news.push(News::Standing(party.number));
            if let Hold::For(time) = self.hold {
                self.due.push_back((Instant::now() + time, party.number));
            }
        }
    }

    fn referred(&mut self, party: Party, message: &Message<'_>, from: SocketAddrV4) {
        self.answer(party, message, "202 Accepted", lane::ACCEPTED, from);
        let Some(call) = self.calls.get_mut(&party.number) else { return };
        let again = std::mem::replace(&mut call.calling, Calling::Referred) == Calling::Referred;
        call.connected = true;
        self.counts.repeated += u64::from(again);
        for (at, (status, state)) in (0_u8..).zip(TOLD) {
            self.notify(party, message, (100 + at, status, state));
            self.page.post(lane::NOTIFY + at, from);
            self.counts.sent += 1;
            if !again {
                self.keep(party.number, mark::NOTIFY << at, from);
            }
        }
    }

    fn hung_up(&mut self, party: Party, message: &Message<'_>, from: SocketAddrV4, news: &mut Vec<News>) {
        self.answer(party, message, "200 OK", lane::ANSWER, from);
        match self.calls.get_mut(&party.number) {
            None => self.counts.repeated += 1,
            Some(call) => {
                match party.side {
                    Side::Calling => call.calling = Calling::Gone,
                    Side::Called => call.called = Called::Gone,
                }
                self.close_if_over(party.number, news);
            }
        }
    }

    fn close_if_over(&mut self, number: u64, news: &mut Vec<News>) {
        if self.calls.get(&number).is_some_and(Call::is_over)
            && let Some(call) = self.calls.remove(&number)
        {
            news.push(News::Over { number, connected: call.connected });
        }
    }

    fn hang_up(&mut self, number: u64) {
        if let Some(call) = self.calls.get_mut(&number)
            && let Some((bye, to)) = call.bye.take()
        {
            call.calling = Calling::HangingUp;
            self.page.write(&bye);
            self.page.post(lane::BYE, to);
            self.counts.sent += 1;
            self.keep(number, mark::BYE, to);
        }
    }

    /// What all answers begin with.
    fn begin_answer(&mut self, party: Party, message: &Message<'_>, status: &str) {
        let page = &mut self.page;
        page.write(b"SIP/2.0 ");
        page.write(status.as_bytes());
        page.write(b"\r\nVia: ");
        page.write(message.via);
        page.write(b"\r\nFrom: ");
        page.write(message.from);
        page.write(b"\r\nTo: ");
        page.write(message.to);
        if !message.is_in_dialog() {
            page.write(b";tag=");
            name(page, party);
        }
        page.write(b"\r\nCall-ID: ");
        page.write(message.call_id);
        page.write(b"\r\nCSeq: ");
        page.write(message.cseq);
        page.write(b"\r\nContact: <sip:");
        name(page, party);
        page.write(self.at.as_bytes());
    }

    fn answer(&mut self, party: Party, message: &Message<'_>, status: &str, lane: u8, to: SocketAddrV4) {
        self.begin_answer(party, message, status);
        self.page.write(b">\r\nContent-Length: 0\r\n\r\n");
        self.page.post(lane, to);
        self.counts.sent += 1;
    }

    fn pick_up(&mut self, party: Party, message: &Message<'_>, to: SocketAddrV4) {
        self.begin_answer(party, message, "200 OK");
        self.page.write(
            b">\r\nAllow: INVITE, ACK, BYE, CANCEL, REFER, NOTIFY, OPTIONS, UPDATE\r\n\
              Content-Type: application/sdp\r\nContent-Length: ",
        );
        self.page.number(SDP.len() as u64);
        self.page.write(b"\r\n\r\n");
        self.page.write(SDP.as_bytes());
        self.page.post(lane::PICKED_UP, to);
        self.counts.sent += 1;
    }

    fn notify(&mut self, party: Party, refer: &Message<'_>, (cseq, status, state): (u8, &str, &str)) {
        let page = &mut self.page;
        begin_request(page, ("NOTIFY", cseq), (&self.at, party), refer);
        page.write(b"Contact: <sip:");
        name(page, party);
        page.write(self.at.as_bytes());
        page.write(b">\r\nEvent: refer\r\nSubscription-State: ");
        page.write(state.as_bytes());
        page.write(b"\r\nContent-Type: message/sipfrag;version=2.0\r\nContent-Length: ");
        page.number("SIP/2.0 \r\n".len() as u64 + status.len() as u64);
        page.write(b"\r\n\r\nSIP/2.0 ");
        page.write(status.as_bytes());
        page.write(b"\r\n");
    }
}

/// How a phone hangs up the call of a request that came.
fn bye(at: &str, party: Party, of: &Message<'_>) -> Box<[u8]> {
    let mut page = Page::default();
    begin_request(&mut page, ("BYE", 200), (at, party), of);
    page.write(b"Content-Length: 0\r\n\r\n");
    page.into_text()
}

fn name(page: &mut Page, party: Party) {
    page.write(&[party.letter()]);
    page.number(party.number);
}

/// A request up to the end of CSeq, in the dialog of one that came; `at` is our address behind an @.
fn begin_request(page: &mut Page, (method, cseq): (&str, u8), (at, party): (&str, Party), of: &Message<'_>) {
    page.write(method.as_bytes());
    page.write(b" ");
    page.write(of.target());
    page.write(b" SIP/2.0\r\nVia: SIP/2.0/UDP ");
    page.write(at.trim_start_matches('@').as_bytes());
    page.write(b";branch=z9hG4bK");
    page.write(method.as_bytes());
    name(page, party);
    page.write(b".");
    page.number(u64::from(cseq));
    page.write(b";rport\r\nMax-Forwards: 70\r\nFrom: ");
    page.write(of.to);
    page.write(b"\r\nTo: ");
    page.write(of.from);
    page.write(b"\r\nCall-ID: ");
    page.write(of.call_id);
    page.write(b"\r\nCSeq: ");
    page.number(u64::from(cseq));
    page.write(b" ");
    page.write(method.as_bytes());
    page.write(b"\r\n");
}
