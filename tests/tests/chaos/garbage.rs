//! A storm of datagrams that are no SIP, or nearly so, beside calls.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use cordboard_tests::baresip::{Answer, Way};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::garbage::garbage;
use cordboard_tests::sim::dice::Dice;
use cordboard_tests::{network, wait_up_to};

use crate::Site;

const A_SECOND: u32 = 5000;
const SECONDS: u32 = 10;
/// How long the server has to be quiet for, and what it may use in that time: 2 %, in ticks of 10 ms.
const QUIET: Duration = Duration::from_secs(2);
const TICKS: u64 = 4;

/// Sends it all, evenly; returns how many datagrams the system took.
fn storm(to: &str) -> u32 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free UDP port");
    let (mut dice, start) = (Dice::new(1, 0), Instant::now());
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
