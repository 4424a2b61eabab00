//! Ports that the system chose.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::sync::Mutex;

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port on 127.0.0.1 that is free for UDP and TCP, and was not given to anybody else in this process.
pub fn free() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free TCP port");
        let port = listener.local_addr().expect("it is bound").port();
        let fits = UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if fits && GIVEN.lock().expect("nobody panics with it").insert(port) {
            return port;
        }
    }
}

/// Two ports that follow each other, as phones want them for RTP and RTCP or for SIP and SIPS.
pub fn free_pair() -> u16 {
    loop {
        let port = free();
        let next = port.wrapping_add(1);
        let fits = port.is_multiple_of(2)
            && UdpSocket::bind(("127.0.0.1", next)).is_ok()
            && TcpListener::bind(("127.0.0.1", next)).is_ok();
        if fits && GIVEN.lock().expect("nobody panics with it").insert(next) {
            return port;
        }
    }
}
