//! Ports for programs that have to be told which to take.
//!
//! They lie below those that the system gives to whoever binds without a wish or connects: one of these would be free when it
//! was looked at and taken, by a connection of a test that runs beside, when the program gets to bind it.

use std::net::{TcpListener, UdpSocket};
use std::sync::Mutex;

/// The first port that is given.
const FIRST: u16 = 10_000;

/// The next port to be looked at.
static NEXT: Mutex<Option<u16>> = Mutex::new(None);

/// How many ports in a row are one caller's: programs take some behind the one that they are told, phones for RTCP and
/// SIP over TLS, SIPp for video.
const ROW: u16 = 8;

/// The first of eight ports in a row on 127.0.0.1 that are free for UDP and TCP, and were not given to anybody else in
/// this process. It is even, as phones want it for RTP.
pub fn free() -> u16 {
    let end = first_of_the_system();
    let mut next = NEXT.lock().expect("nobody panics with it");
    // Processes that run at once begin at different places.
    let mut first = next.unwrap_or_else(|| {
        let places = u32::from(end - FIRST);
        FIRST + u16::try_from(std::process::id().wrapping_mul(97) % places).expect("a port has 16 bits")
    });
    for _ in (FIRST..end).step_by(usize::from(ROW)) {
        first = first.next_multiple_of(ROW);
        if first + ROW > end {
            first = FIRST;
        }
        let found = (first..first + ROW).all(is_free).then_some(first);
        first += ROW;
        if let Some(found) = found {
            *next = Some(first);
            return found;
        }
    }
    panic!("no {ROW} ports in a row from {FIRST} to {end} are free");
}

fn is_free(port: u16) -> bool {
    UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Where the ports begin that the system gives away by itself.
fn first_of_the_system() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    first.filter(|first| *first > FIRST + 1_000).unwrap_or(32_768)
}
