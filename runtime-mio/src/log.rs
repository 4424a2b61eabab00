//! The log: one line an event, to standard error.

use cordboard_core::{Opened, Report};
use tracing_subscriber::EnvFilter;

/// Sets the log up: `RUST_LOG` decides what is shown, else `default`.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

/// Writes what core reports.
pub(crate) fn write(report: &Report) {
    match report {
        Report::CallEnded(_) | Report::IgnoredParameters(_) => tracing::info!("{report}"),
        Report::LoginFailed { .. }
        | Report::Unanswerable { .. }
        | Report::Unresolved { .. }
        | Report::SipConnection { opened: Opened::ByUs, .. }
        | Report::Tls { opened: Opened::ByUs, .. } => tracing::warn!("{report}"),
        // Anybody can cause the others, as often as they like.
        _ => tracing::debug!("{report}"),
    }
}
