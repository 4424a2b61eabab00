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

/// An even port that is free together with the odd one behind it, as phones want them for RTP and RTCP.
pub fn free_pair() -> u16 {
    loop {
        // The system gives odd ports to whoever binds without a wish, so the pair is sought around one.
        let even = free() & !1;
        let both = [even, even + 1];
        let fits = |port: &u16| {
            UdpSocket::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("127.0.0.1", *port)).is_ok()
        };
        let mut given = GIVEN.lock().expect("nobody panics with it");
        if both.iter().all(fits) && given.insert(even) {
            given.insert(even + 1);
            return even;
        }
    }
}
