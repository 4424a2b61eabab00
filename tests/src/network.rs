//! Networks of a test's own, with their weather.

use std::panic::resume_unwind;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use crate::process;

/// Runs this in a network namespace of its own, with all that it starts: nothing of it leaves, and nobody comes in.
///
/// The namespace is over with the last program in it. To make one takes root; without, this panics and says so.
pub fn alone<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap_or_else(|e| {
            panic!("a network namespace cannot be made ({e}): this test has to run as root")
        });
        run(Command::new("ip").args(["link", "set", "lo", "up"]), "");
        act()
    };
    // The namespace is the thread's, and of whomever it starts.
    let ended = std::thread::scope(|scope| scope.spawn(inside).join());
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

/// The same, where `percent` of a hundred datagrams are lost, whichever way they go.
///
/// By a rule of the packet filter: fewer kernels have `netem`.
pub fn lossy<T: Send>(percent: u8, act: impl FnOnce() -> T + Send) -> T {
    alone(|| {
        let rule = format!("meta l4proto udp numgen random mod 100 < {percent} counter drop");
        let table = format!(
            "table inet weather {{\nchain loss {{\ntype filter hook input priority 0;\n{rule}\n}}\n}}\n"
        );
        run(Command::new("nft").args(["-f", "-"]), &table);
        act()
    })
}

/// How many datagrams the weather of this namespace has taken so far.
pub fn lost() -> u64 {
    let said = run(Command::new("nft").args(["list", "ruleset"]), "");
    let count = said.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    count.unwrap_or_else(|| panic!("nothing is counted: {said}"))
}

/// Runs a program with this input and returns what it says; panics when it fails.
fn run(command: &mut Command, input: &str) -> String {
    let ended = process::run(command, input);
    assert_eq!(ended.exit, Some(0), "{command:?}: {}", ended.said);
    ended.said
}
