//! A storm of datagrams that are no SIP, or nearly so, beside calls.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use cordboard_tests::baresip::{Answer, Way};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::{network, wait_up_to};

use crate::Site;

const A_SECOND: u32 = 5000;
const SECONDS: u32 = 10;
/// How long the server has to be quiet for, and what it may use in that time: 2 %, in ticks of 10 ms.
const QUIET: Duration = Duration::from_secs(2);
const TICKS: u64 = 4;

/// Numbers that are as good as drawn, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % sides
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.roll(256) as u8).collect()
    }
}

/// Messages that are right, as those of anybody to whom no call belongs.
fn valid(dice: &mut Dice) -> Vec<u8> {
    let starts = [
        ("OPTIONS sip:127.0.0.1 SIP/2.0", "OPTIONS"),
        ("INVITE sip:agent@127.0.0.1 SIP/2.0", "INVITE"),
        ("BYE sip:agent@127.0.0.1 SIP/2.0", "BYE"),
        ("REFER sip:agent@127.0.0.1 SIP/2.0", "REFER"),
        ("NOTIFY sip:agent@127.0.0.1 SIP/2.0", "NOTIFY"),
        ("CANCEL sip:agent@127.0.0.1 SIP/2.0", "CANCEL"),
        ("SIP/2.0 180 Ringing", "INVITE"),
        ("SIP/2.0 200 OK", "INVITE"),
        ("SIP/2.0 407 Proxy Authentication Required", "REFER"),
    ];
    let (start, method) = starts[dice.roll(starts.len())];
    let number = dice.roll(1 << 30);
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\n\
         From: \"Some Body\" <sip:some@127.0.0.1>;tag={number}\r\nTo: <sip:agent@127.0.0.1>;tag=t{number}\r\n\
         Call-ID: {number}@127.0.0.1\r\nCSeq: 1 {method}\r\nContact: <sip:some@127.0.0.1:9>\r\n\
         Content-Type: application/sdp\r\nContent-Length: 65\r\n\r\n\
         v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
    )
    .into_bytes()
}

/// The next datagram: bytes of any kind, a message cut short, one with some bytes changed, one that is repeated in itself,
/// or a big one.
fn garbage(dice: &mut Dice) -> Vec<u8> {
    match dice.roll(50) {
        0..10 => {
            let length = dice.roll(1500);
            dice.bytes(length)
        }
        10..25 => {
            let mut message = valid(dice);
            message.truncate(dice.roll(message.len()));
            message
        }
        25..45 => {
            let mut message = valid(dice);
            for _ in 0..=dice.roll(6) {
                let place = dice.roll(message.len());
                message[place] = dice.roll(256) as u8;
            }
            message
        }
        45..49 => {
            let mut message = valid(dice);
            let (from, to) = (dice.roll(message.len()), dice.roll(message.len()));
            let piece = message[from.min(to)..from.max(to)].to_vec();
            message.splice(from..from, piece);
            message
        }
        _ => {
            let (mut message, length) = (valid(dice), 20_000 + dice.roll(45_000));
            message.resize(length, b'a');
            message
        }
    }
}

/// Sends it all, evenly; returns how many datagrams the system took.
fn storm(to: &str) -> u32 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free UDP port");
    let (mut dice, start) = (Dice(1), Instant::now());
    let (mut number, mut sent) = (0, 0);
    while number < A_SECOND * SECONDS {
        let due = (start.elapsed().as_secs_f64() * f64::from(A_SECOND)) as u32;
        while number < due.min(A_SECOND * SECONDS) {
            number += 1;
            sent += u32::from(socket.send_to(&garbage(&mut dice), to).is_ok());
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    sent
}

/// The ticks of processor time that the server has used, for itself and in the kernel.
fn ticks(server: &Cordboard) -> u64 {
    let path = format!("/proc/{}/stat", server.process.id());
    let text = std::fs::read_to_string(path).expect("the server runs");
    let (_, fields) = text.rsplit_once(") ").expect("the name is in brackets");
    let used = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("it is a number"));
    used.sum()
}

/// Waits until the server does next to nothing for a while.
fn wait_quiet(server: &Cordboard) {
    let (mut since, mut before) = (Instant::now(), ticks(server));
    wait_up_to(Duration::from_secs(60), "a quiet while", || {
        if since.elapsed() < QUIET {
            return None;
        }
        let used = ticks(server) - before;
        (since, before) = (Instant::now(), before + used);
        (used <= TICKS).then_some(())
    });
}

#[test]
fn calls_come_and_go_in_a_storm_of_garbage_and_the_processor_rests_behind_it() {
    network::alone(|| {
        let site = Site::start(Way::Udp, &[Answer::Auto; 4]);
        site.connect(&[(3, 4)]);
        let calls = std::thread::scope(|scope| {
            let storm = scope.spawn(|| storm(&site.server.sip));
            let mut calls = 0;
            while !storm.is_finished() {
                site.connect(&[(1, 2)]);
                if calls % 2 == 0 {
                    site.delete((1, 2));
                } else {
                    site.phone(2).command("hangup");
                }
                site.expect_over(&[(1, 2)]);
                calls += 1;
            }
            let sent = storm.join().expect("the storm has not panicked");
            assert!(sent >= A_SECOND * SECONDS * 9 / 10, "the system took only {sent}");
            calls
        });
        assert!(calls >= 3, "only {calls} calls in the storm");
        wait_quiet(&site.server);
        site.connect(&[(1, 2)]);
        site.delete((1, 2));
        site.phone(3).command("hangup");
        site.expect_over(&[(1, 2), (3, 4)]);
    });
}
