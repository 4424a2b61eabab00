//! The log: one line an event, to standard error.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use cordboard_core::{Opened, Report};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// More than this is not kept back.
const KEPT: usize = 16 * 1024;

thread_local! {
    /// Lines of this thread that were not written yet.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Sets the log up: `RUST_LOG` decides what is shown, else `default`.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines).event_format(Format).init();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        flush();
        usual(panic);
    }));
}

/// Writes what core reports. What is said of each call may wait for the next [`flush`], which the event loop does at the end
/// of each turn: one system call for many calls.
pub(crate) fn write(report: &Report) {
    match report {
        Report::CallEnded(_) => tracing::info!(target: CALLS, "{report}"),
        Report::IgnoredParameters(_) => tracing::info!("{report}"),
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

/// The target of what is said of each call.
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

/// How a line reads: time, level, what is said, and fields. It costs a fraction of what the usual format does, which is
/// made for spans and colours; a line is written for each call.
struct Format;

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write_time(&mut writer)?;
        writer.write_str(match *event.metadata().level() {
            Level::ERROR => " ERROR ",
            Level::WARN => "  WARN ",
            Level::INFO => "  INFO ",
            Level::DEBUG => " DEBUG ",
            Level::TRACE => " TRACE ",
        })?;
        let mut fields = Fields { line: Printable(writer), result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        fields.line.0.write_char('\n')
    }
}

thread_local! {
    /// The second that was written last, and how it reads.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Writes the time in UTC to the microsecond (RFC 3339); the calendar is asked once a second.
fn write_time(writer: &mut Writer<'_>) -> fmt::Result {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() {
            *second = now.as_secs();
            text.clear();
            tracing_subscriber::fmt::time::SystemTime.format_time(&mut Writer::new(text))?;
            text.truncate(text.find('.').unwrap_or(text.len()));
        }
        writer.write_str(text)
    })?;
    write!(writer, ".{:06}Z", now.subsec_micros())
}

/// Writes what an event says, and then its fields.
struct Fields<'w> {
    line: Printable<'w>,
    result: fmt::Result,
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.line, "{value:?}"),
            name => write!(self.line, " {name}={value:?}"),
        };
        self.result = self.result.and(written);
    }
}

/// Text from outside must neither begin a new line nor tell a terminal what to do.
struct Printable<'w>(Writer<'w>);

impl fmt::Write for Printable<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return self.0.write_str(text);
        }
        for c in text.chars() {
            if c.is_control() { write!(self.0, "{}", c.escape_default())? } else { self.0.write_char(c)? }
        }
        Ok(())
    }
}

/// Lines in the order in which they were said, those of each call in bundles.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written when this is said.
    fn line(say: impl FnOnce()) -> String {
        let subscriber = tracing_subscriber::fmt().with_writer(Lines).event_format(Format).finish();
        tracing::subscriber::with_default(subscriber, say);
        let lines = LINES.with_borrow_mut(std::mem::take);
        String::from_utf8(lines).expect("text")
    }

    #[test]
    fn a_line_has_its_time_level_text_and_fields_and_stays_one_line() {
        let user = "bob\r\n2026 INFO ends\u{1b}[2J\u{e9}";
        let line = line(|| tracing::info!(target: CALLS, number = 3, %user, text = "a b", "call ended"));
        let (time, rest) = line.split_once(' ').expect("a time");
        assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
        let said = " INFO call ended number=3 user=bob\\r\\n2026 INFO ends\\u{1b}[2J\u{e9} text=\"a b\"\n";
        assert_eq!(rest, said);
    }
}
