//! All phones, and the weather between them and the server.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::agenda::Agenda;
use super::datagrams::Datagrams;
use super::leg::{Effect, Later, Leg, Name, Pace, Seen};
use super::plan::{Moment, Pickup, Plan, Role};
use crate::phrases::{Speaker, field, method};
use crate::sim::dice::Dice;

/// How many sockets the phones share.
const SOCKETS: usize = 4;
/// How many datagrams of one leg are lost at the most, so that no request is lost as often as it is sent.
const MOST_LOST: u8 = 3;
/// Of a hundred datagrams of a call in bad weather, how many are lost, doubled, and late.
const LOST: u64 = 8;
const DOUBLED: u64 = 10;
const LATE: u64 = 20;
/// How late.
const LONGEST_DELAY: Duration = Duration::from_millis(50);

/// What the phones have to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The first INVITE of a leg is there.
    Asked(Name),
    /// Something was reached in this call.
    Reached(u32, Moment),
    /// The call is over for this leg; the status in the Reason of the BYE, if there was one.
    Over(Name, Option<u16>),
    /// A timer was seen, so many microseconds late.
    Timer(Seen, i64),
    /// The server has done something wrong in this call.
    Wrong(u32, String),
}

#[derive(Debug)]
enum Due {
    Wake(Name, Later),
    Depart(usize, SocketAddr, String),
    Arrive(Name, SocketAddr, String),
}

/// A leg and the weather on its way.
struct Station {
    leg: Leg,
    socket: usize,
    /// How many datagrams may still be lost, in bad weather.
    weather: Option<u8>,
}

/// All phones.
pub struct Phones {
    sockets: Vec<Datagrams>,
    stations: HashMap<Name, Station>,
    agenda: Agenda<Due>,
    dice: Dice,
    pace: Pace,
    effects: Vec<Effect>,
    /// Messages for calls that are over.
    pub stragglers: u64,
    /// Datagrams that came.
    pub received: u64,
}

impl Phones {
    /// Phones at ports that the system chose.
    pub fn new(dice: Dice, pace: Pace) -> Self {
        Self {
            sockets: (0..SOCKETS).map(|_| Datagrams::bind()).collect(),
            stations: HashMap::new(),
            agenda: Agenda::default(),
            dice,
            pace,
            effects: Vec::new(),
            stragglers: 0,
            received: 0,
        }
    }

    /// The sockets, to be waited for.
    pub fn sockets(&self) -> &[Datagrams] {
        &self.sockets
    }

    /// Something has come on some of the sockets, in their order.
    pub fn ready(&mut self, ready: impl Iterator<Item = bool>) {
        for (socket, ready) in self.sockets.iter_mut().zip(ready) {
            socket.ready |= ready;
        }
    }

    /// When something is to be done.
    pub fn next(&self) -> Option<Duration> {
        self.agenda.next()
    }

    /// The user of a leg, escaped for a path.
    pub fn user(&self, (call, role): Name) -> String {
        let address = self.sockets[socket((call, role))].address;
        format!("{}{call}%40{address}", role.letter())
    }

    /// Has the phones of a call ready.
    pub fn expect(&mut self, call: u32, plan: &Plan) {
        for (role, temper) in Role::ALL.into_iter().zip(plan.tempers) {
            if !plan.expected.legs.contains(&role) {
                continue;
            }
            let name = (call, role);
            let socket = socket(name);
            let timeout = plan.timeout.map(Duration::from_secs);
            let leg = Leg::new(name, self.sockets[socket].address, temper, plan.flow, self.pace);
            let weather = (plan.weather && temper.pickup != Pickup::Silent).then_some(MOST_LOST);
            self.stations.insert(name, Station { leg: leg.given_up_after(timeout), socket, weather });
        }
    }

    /// The phones of a call are not needed any more.
    pub fn forget(&mut self, call: u32) {
        Role::ALL.iter().for_each(|role| drop(self.stations.remove(&(call, *role))));
    }

    /// A phone of a call.
    pub fn leg(&self, name: Name) -> Option<&Leg> {
        self.stations.get(&name).map(|station| &station.leg)
    }

    /// What the phones of a call are doing, for people.
    pub fn describe(&self, call: u32) -> String {
        let legs = Role::ALL.iter().filter_map(|role| self.leg((call, *role)));
        legs.map(Leg::describe).collect::<Vec<_>>().join(", ")
    }

    /// How many phones are not done yet.
    pub fn len(&self) -> usize {
        self.stations.len()
    }

    /// Whether all are done.
    pub fn is_empty(&self) -> bool {
        self.stations.is_empty()
    }

    /// Takes what has come and does what is due; whether more may have come.
    pub fn turn(&mut self, now: Duration, news: &mut Vec<News>) -> bool {
        let mut more = false;
        let mut came = Vec::new();
        for socket in self.sockets.iter_mut().filter(|socket| socket.ready) {
            more |= socket.receive(|from, text| came.push((from, text.to_owned())));
        }
        self.received += came.len() as u64;
        for (from, text) in came {
            self.sort(now, from, text, news);
        }
        while let Some(due) = self.agenda.due(now) {
            match due {
                Due::Wake(name, later) => {
                    self.with(now, name, news, |leg, effects| leg.wake(now, later, effects));
                }
                Due::Depart(socket, to, text) => self.sockets[socket].send(to, text),
                Due::Arrive(name, from, text) => self.arrive(now, name, from, &text, news),
            }
        }
        more
    }

    /// Sends what the phones have said.
    pub fn flush(&mut self) {
        self.sockets.iter_mut().for_each(Datagrams::flush);
    }

    /// A message has come: to its leg, if the weather lets it.
    fn sort(&mut self, now: Duration, from: SocketAddr, text: String, news: &mut Vec<News>) {
        let Some(name) = addressee(&text) else { return };
        let Some(station) = self.stations.get_mut(&name) else {
            self.straggler(name, from, &text);
            return;
        };
        let fates = fates(&mut station.weather, &mut self.dice);
        for delay in fates.into_iter().flatten() {
            if delay.is_zero() {
                self.arrive(now, name, from, &text, news);
            } else {
                self.agenda.note(now + delay, Due::Arrive(name, from, text.clone()));
            }
        }
    }

    fn arrive(&mut self, now: Duration, name: Name, from: SocketAddr, text: &str, news: &mut Vec<News>) {
        self.with(now, name, news, |leg, effects| {
            leg.server = Some(from);
            leg.hear(now, text, effects);
        });
    }

    /// Whoever is done says what anybody says of a call that is not there.
    fn straggler(&mut self, name: Name, from: SocketAddr, text: &str) {
        self.stragglers += 1;
        let status = match method(text) {
            "ACK" | "SIP/2.0" | "INVITE" => return,
            "BYE" | "CANCEL" => "200 OK",
            _ => "481 Call/Transaction Does Not Exist",
        };
        let socket = socket(name);
        let tag = format!("{}{}", name.1.letter(), name.0);
        let speaker = Speaker { address: self.sockets[socket].address, tag: &tag };
        let answer = speaker.response(text, status, "");
        self.sockets[socket].send(from, answer);
    }

    fn with(
        &mut self,
        now: Duration,
        name: Name,
        news: &mut Vec<News>,
        act: impl FnOnce(&mut Leg, &mut Vec<Effect>),
    ) {
        let Some(station) = self.stations.get_mut(&name) else { return };
        act(&mut station.leg, &mut self.effects);
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Say(text) => {
                    let Some(to) = station.leg.server else { continue };
                    for delay in fates(&mut station.weather, &mut self.dice).into_iter().flatten() {
                        if delay.is_zero() {
                            self.sockets[station.socket].send(to, text.clone());
                        } else {
                            self.agenda.note(now + delay, Due::Depart(station.socket, to, text.clone()));
                        }
                    }
                }
                Effect::Wake(after, later) => self.agenda.note(now + after, Due::Wake(name, later)),
                Effect::Reached(moment) => news.push(News::Reached(name.0, moment)),
                Effect::Asked => news.push(News::Asked(name)),
                Effect::Over => news.push(News::Over(name, station.leg.reason)),
                Effect::Timer(seen, late) => news.push(News::Timer(seen, late)),
                Effect::Wrong(what) => news.push(News::Wrong(name.0, what)),
            }
        }
    }
}

/// How late each copy of a datagram comes: none if it is lost, two if it is doubled.
fn fates(weather: &mut Option<u8>, dice: &mut Dice) -> [Option<Duration>; 2] {
    let Some(may_be_lost) = weather else { return [Some(Duration::ZERO), None] };
    if *may_be_lost > 0 && dice.happens(LOST) {
        *may_be_lost -= 1;
        return [None, None];
    }
    let mut fate = || if dice.happens(LATE) { dice.time(LONGEST_DELAY) } else { Duration::ZERO };
    let first = fate();
    let second = fate();
    [Some(first), dice.happens(DOUBLED).then_some(second)]
}

fn socket((call, role): Name) -> usize {
    (call as usize + role as usize) % SOCKETS
}

/// To which leg a message is addressed: a request by the user of its URI, a response by our tag in From.
fn addressee(text: &str) -> Option<Name> {
    let user = if text.starts_with("SIP/2.0") {
        field(text, "From").split_once(";tag=")?.1.split(';').next()?
    } else {
        text.split_once(" sip:")?.1.split('@').next()?
    };
    let role = Role::ALL.into_iter().find(|role| user.starts_with(role.letter()))?;
    Some((user[1..].parse().ok()?, role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_sorted_by_who_is_asked_and_who_has_asked() {
        assert_eq!(addressee("INVITE sip:c12@127.0.0.1:5 SIP/2.0\r\n\r\n"), Some((12, Role::Calling)));
        let response = "SIP/2.0 200 OK\r\nFrom: <sip:x@y>;tag=t7\r\n\r\n";
        assert_eq!(addressee(response), Some((7, Role::Target)));
        assert_eq!(addressee("OPTIONS sip:127.0.0.1 SIP/2.0\r\n\r\n"), None);
    }

    #[test]
    fn bad_weather_loses_no_more_than_its_share_of_a_leg() {
        let (mut weather, mut dice) = (Some(MOST_LOST), Dice::new(1, 0));
        let fates: Vec<_> = (0..1000).map(|_| fates(&mut weather, &mut dice)).collect();
        assert_eq!(fates.iter().filter(|fate| **fate == [None, None]).count(), usize::from(MOST_LOST));
        assert!(fates.iter().any(|fate| fate[1].is_some()), "some are doubled");
        let mut fine = None;
        assert!((0..1000).all(|_| super::fates(&mut fine, &mut dice) == [Some(Duration::ZERO), None]));
    }
}
