//! What a service has from the system at its start: randomness, the time, and as many files as it may open.

use std::time::{SystemTime, UNIX_EPOCH};

use cordboard_core::{Epoch, Seed};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;

/// 32 bytes that nobody can guess.
pub(crate) fn seed() -> Result<Seed, String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| format!("the system gives no randomness: {e}"))?;
    Ok(Seed(bytes))
}

/// The wall clock's time at the start of the loop's ticks.
pub(crate) fn epoch() -> Epoch {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Epoch::from_unix_millis(u64::try_from(now.as_millis()).unwrap_or(0))
}

/// Lets the process have as many file descriptors as it may: each connection takes one.
pub(crate) fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
    }
}

/// Tells systemd, if it wants to know.
pub(crate) fn notify(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::debug!(error = %e, "systemd was not told");
    }
}
