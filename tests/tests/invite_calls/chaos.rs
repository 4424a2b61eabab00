//! Phones that say anything at any time: nothing is left of it, and no INVITE or BYE of theirs stays unanswered.

use std::time::Duration;

use cordboard_tests::hand::{Hand, Mail, sdp};
use cordboard_tests::world::{World, controller_address};

use super::by_hand::{ABLE, path, place, setting};

/// Numbers that are as good as drawn, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % sides
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.roll(all.len() as u64) as usize]
    }
}

/// A phone, with what it has been asked and has not answered yet.
struct Player {
    hand: Hand,
    /// The first INVITEs of its dialogs.
    invites: Vec<Mail>,
    asked: Vec<Mail>,
}

impl Player {
    fn new(world: &mut World, port: u16) -> Self {
        Self { hand: Hand::new(world, port), invites: Vec::new(), asked: Vec::new() }
    }

    /// Takes in what has come: requests wait for their answers, answers to INVITE are acknowledged now and then.
    fn listen(&mut self, world: &mut World, dice: &mut Dice) {
        while let Some(mail) = self.hand.try_next(world, Duration::ZERO, "") {
            let method = mail.start().split(' ').next().unwrap_or_default().to_owned();
            match method.as_str() {
                "ACK" => {}
                "SIP/2.0"
                    if mail.start().starts_with("SIP/2.0 2") && mail.field("CSeq").ends_with("INVITE") =>
                {
                    if let (Some(invite), true) = (self.invites.last().cloned(), dice.roll(8) > 0) {
                        let cseq =
                            mail.field("CSeq").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(1);
                        let answer = sdp(4000 + dice.roll(90) as u16, 1, "sendrecv");
                        self.hand.request_as(world, &invite, ("ACK", cseq), "", &answer);
                    }
                }
                "SIP/2.0" => {}
                "INVITE" if !mail.field("To").contains(";tag=") => {
                    self.invites.push(mail.clone());
                    self.asked.push(mail);
                }
                _ => self.asked.push(mail),
            }
        }
    }

    /// Answers something that it was asked, in any way.
    fn answer(&mut self, world: &mut World, dice: &mut Dice) {
        if self.asked.is_empty() {
            return;
        }
        let place = dice.roll(self.asked.len() as u64) as usize;
        let statuses: &[&str] = &[
            "180 Ringing",
            "183 Session Progress",
            "200 OK",
            "200 OK",
            "200 OK",
            "408 Request Timeout",
            "415 Unsupported Media Type",
            "422 Session Interval Too Small",
            "481 Call/Transaction Does Not Exist",
            "486 Busy Here",
            "488 Not Acceptable Here",
            "491 Request Pending",
            "500 Server Internal Error",
            "503 Service Unavailable",
            "603 Decline",
            "302 Moved Temporarily",
            "401 Unauthorized",
        ];
        let status = if dice.roll(10) < 7 { "200 OK" } else { dice.one_of(statuses) };
        let odd = [ABLE, "Require: 100rel\r\nRSeq: 1\r\n", "Min-SE: 4000\r\n", "Retry-After: 1\r\n"];
        let lines = if dice.roll(4) == 0 { dice.one_of(&odd) } else { "" };
        let body = match dice.roll(9) {
            0 => String::new(),
            port => sdp(4000 + port as u16, dice.roll(9) as u32, "sendrecv"),
        };
        let mail = self.asked[place].clone();
        self.hand.reply(world, &mail, status, lines, &body);
        if !status.starts_with('1') {
            self.asked.remove(place);
        }
    }

    /// Asks something in one of its dialogs.
    fn ask(&mut self, world: &mut World, dice: &mut Dice) {
        if self.invites.is_empty() {
            return;
        }
        let place = dice.roll(self.invites.len() as u64) as usize;
        let invite = self.invites[place].clone();
        let method = dice.one_of(&[
            "INVITE", "INVITE", "UPDATE", "INFO", "MESSAGE", "OPTIONS", "PRACK", "REFER", "NOTIFY", "BYE",
            "CANCEL", "ACK",
        ]);
        let lines = "Refer-To: <sip:x@y?Replaces=a%3Bto-tag%3Db>\r\nEvent: refer;id=7\r\nRAck: 1 1 INVITE\r\nSupported: timer, 100rel\r\n";
        let body = if dice.roll(3) == 0 { String::new() } else { sdp(4050, dice.roll(9) as u32, "sendonly") };
        match method {
            "CANCEL" | "ACK" => {
                self.hand.request_as(world, &invite, (method, dice.roll(6) as u32), "", "");
            }
            method => {
                self.hand.request(world, &invite, method, lines, &body);
            }
        }
    }

    /// Each request of its own has a final answer.
    fn expect_answers(&self, world: &World, seed: u64) {
        let answers = world.between(controller_address(), self.hand.address, "SIP/2.0");
        let answers: Vec<String> =
            answers.into_iter().filter(|answer| !answer.starts_with("SIP/2.0 1")).collect();
        for request in world.between(self.hand.address, controller_address(), "") {
            if ["SIP/2.0", "ACK"].iter().any(|other| request.starts_with(other)) {
                continue;
            }
            let branch = request.split("branch=").nth(1).and_then(|rest| rest.split(';').next());
            let branch = branch.expect("it has a branch");
            assert!(
                answers.iter().any(|answer| answer.contains(branch)),
                "seed {seed}: unanswered {request}"
            );
        }
    }

    /// Answers everything as a phone does that is hung up.
    fn calm_down(&mut self, world: &mut World) {
        for mail in std::mem::take(&mut self.asked) {
            let status = match mail.start().split(' ').next() {
                Some("INVITE") => "487 Request Terminated",
                _ => "200 OK",
            };
            self.hand.reply(world, &mail, status, "", "");
        }
    }
}

#[test]
fn whatever_phones_say_nothing_is_left_and_what_they_ask_is_answered() {
    let (mut acks, mut passed) = (0, 0);
    for seed in 0..300 {
        let mut dice = Dice(seed * 7919 + 1);
        let mut world = World::new(setting(), Vec::new());
        let mut players = [7101, 7102, 7103].map(|port| Player::new(&mut world, port));
        let (one, two, three) = (players[0].hand.user(), players[1].hand.user(), players[2].hand.user());
        let name = path(&players[0].hand, &players[1].hand);
        let fallback = if dice.roll(3) == 0 { "sipMethod=REFER" } else { "sipMethod=INVITE" };
        place(&mut world, &players[0].hand, &players[1].hand, &format!("{fallback}&timeout=40"));
        for _ in 0..60 {
            for player in &mut players {
                player.listen(&mut world, &mut dice);
            }
            let player = &mut players[dice.roll(3) as usize];
            match dice.roll(12) {
                0..=6 => player.answer(&mut world, &mut dice),
                7 | 8 => player.ask(&mut world, &mut dice),
                9 => {
                    let order = format!("{name}?action=transfer&target={three}&agent=agent&timeout=20");
                    world.ask("POST", &order, "");
                }
                10 if dice.roll(6) == 0 => drop(world.ask("DELETE", &name, "")),
                _ => {}
            }
            world.pass(Duration::from_millis(dice.roll(1500)));
        }
        for _ in 0..40 {
            for calling in [&one, &three] {
                world.ask("DELETE", &format!("/callcontroller/{calling}/{two}"), "");
            }
            for player in &mut players {
                player.listen(&mut world, &mut dice);
                player.calm_down(&mut world);
            }
            world.pass(Duration::from_secs(4));
        }
        for player in &players {
            player.expect_answers(&world, seed);
        }
        acks += world.sent("ACK").iter().filter(|ack| ack.contains("v=0")).count();
        passed += world.sent("INFO").len() + world.sent("MESSAGE").len();
        world.expect_nothing_left();
    }
    assert!(acks > 100 && passed > 20, "{acks} offers were answered, {passed} requests passed");
}
