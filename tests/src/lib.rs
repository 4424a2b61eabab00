//! What the tests that cross a process share: real programs started, watched and ended.
//!
//! Everything binds to loopback addresses and to ports that the system chose. A program is ended by its id when its
//! guard is dropped, also when the test fails.

pub mod baresip;
pub mod bench;
pub mod board;
pub mod certificates;
pub mod cordboard;
pub mod curl;
pub mod garbage;
pub mod hand;
pub mod kamailio;
pub mod linphone;
pub mod load;
pub mod login;
pub mod mail;
pub mod nameserver;
pub mod network;
pub mod phone;
pub mod phrases;
pub mod ports;
pub mod process;
pub mod quick_phone;
pub mod rehearsal;
pub mod samples;
pub mod sim;
pub mod sipp;
pub mod soak;
pub mod softphones;
pub mod tape;
pub mod torture;
pub mod world;

use std::time::{Duration, Instant};

/// The longest that a test waits for something that should come soon.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer; panics, naming `what`, when none comes in time.
///
/// Between two questions the thread yields to what it waits for.
pub fn wait_for<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_up_to(PATIENCE, what, ask)
}

/// As [`wait_for`], for what is known to take longer, or must not.
pub fn wait_up_to<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < patience, "waited {patience:?} in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
