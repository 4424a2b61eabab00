//! A program that runs in a folder of its own, with its output in a file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait_for;

/// How long a program may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How a program has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub exit: Option<i32>,
    /// What it has written, errors behind the rest.
    pub said: String,
}

/// Runs a program with this input to its end.
pub fn run(command: &mut Command, input: &str) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?} cannot be started: {e}"));
    // Who has made up its mind already reads nothing.
    drop(child.stdin.take().expect("it has an input").write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    Ended { exit: output.status.code(), said: String::from_utf8_lossy(&said).into_owned() }
}

/// A running program. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it says goes to `NAME.log` in `folder`. Panics when it cannot be started: without the
    /// real peers the tests would prove nothing.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Self {
        Self::start_with_input(name, command, Stdio::null(), folder)
    }

    /// As [`start`](Self::start), with something to read.
    pub fn start_with_input(name: &str, command: &mut Command, input: Stdio, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).expect("a log file can be made");
        let copy = file.try_clone().expect("a file handle can be copied");
        let child = command
            .stdin(input)
            .stdout(file)
            .stderr(copy)
            .spawn()
            .unwrap_or_else(|e| panic!("{name} cannot be started: {e}"));
        Self { name: name.to_owned(), child, log }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state can be asked for").is_some()
    }

    /// Waits until `found` finds something in what it says.
    pub fn wait_said<T>(&mut self, what: &str, mut found: impl FnMut(&str) -> Option<T>) -> T {
        let name = self.name.clone();
        wait_for(&format!("{name}: {what}"), || {
            let said = self.said();
            let answer = found(&said);
            if answer.is_none()
                && let Ok(Some(status)) = self.child.try_wait()
            {
                panic!("{name} ended ({status}) before {what}:\n{said}");
            }
            answer
        })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Err(e) = kill(Pid::from_raw(self.child.id() as i32), signal) {
            panic!("{}: {signal}: {e}", self.name);
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let name = self.name.clone();
        wait_for(&format!("the end of {name}"), || self.child.try_wait().expect("its state can be asked for"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

impl Process {
    /// Ends it: it is asked to, and killed if it does not listen. Afterwards, and of one that has ended, nothing is left.
    pub fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let pid = Pid::from_raw(self.child.id() as i32);
        if kill(pid, Signal::SIGTERM).is_ok() {
            let start = Instant::now();
            while start.elapsed() < GRACE {
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
        // It did not listen; nothing may stay behind.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
