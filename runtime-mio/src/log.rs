//! The log: one line an event, to standard error.

use std::cell::RefCell;
use std::io::{self, Write};

use cordboard_core::{Opened, Report};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// More than this is not kept back.
const KEPT: usize = 16 * 1024;

thread_local! {
    /// Lines of this thread that were not written yet.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Sets the log up: `RUST_LOG` decides what is shown, else `default`.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines)
        .with_target(false)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        flush();
        usual(panic);
    }));
}

/// Writes what core reports. What is said of single calls may wait for the next [`flush`], which the event loop does at the
/// end of each turn: one system call for many calls.
pub(crate) fn write(report: &Report) {
    match report {
        Report::CallEnded(_) | Report::IgnoredParameters(_) => tracing::info!(target: CALLS, "{report}"),
        Report::LoginFailed { .. }
        | Report::Unanswerable { .. }
        | Report::Unresolved { .. }
        | Report::Overloaded { .. }
        | Report::Relieved { .. }
        | Report::SipConnection { opened: Opened::ByUs, .. }
        | Report::Tls { opened: Opened::ByUs, .. } => tracing::warn!("{report}"),
        // Anybody can cause the others, as often as they like.
        _ => tracing::debug!("{report}"),
    }
}

/// The target of what is said of single calls.
const CALLS: &str = "cordboard::calls";

/// Writes the lines that wait.
pub(crate) fn flush() {
    LINES.with_borrow_mut(|lines| {
        if !lines.is_empty() {
            put(lines);
            lines.clear();
        }
    });
}

/// Standard error is the last place where anything could be said: where it is closed, nobody listens.
fn put(lines: &[u8]) {
    drop(io::stderr().write_all(lines));
}

/// Lines in the order in which they were said, those of single calls in bundles.
struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { waits: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        Line { waits: *metadata.level() == Level::INFO && metadata.target() == CALLS }
    }
}

/// One line.
struct Line {
    waits: bool,
}

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| {
            lines.extend_from_slice(text);
            if !self.waits || lines.len() > KEPT {
                put(lines);
                lines.clear();
            }
        });
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
