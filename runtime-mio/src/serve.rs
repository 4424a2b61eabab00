//! `cordboard serve`: files, sockets, signals, and the controller in their midst.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use cordboard_core::config::Config;
use cordboard_core::io::Input;
use cordboard_core::{Controller, Report};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::check::read_config;
use crate::files::Files;
use crate::net::bound::Bound;
use crate::net::event_loop::{EventLoop, Host};
use crate::system::{notify, raise_descriptor_limit, seed};
use crate::watch::Watch;
use crate::{addresses, log, workers};

const SIGNAL_TOKEN: usize = 0;
const WATCH_TOKEN: usize = 1;

/// Runs the service until it is told to end and its calls are over.
pub(crate) fn run(path: &Path) -> Result<(), String> {
    log::start("info");
    raise_descriptor_limit();
    let config = read_config(path)?;
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let files = Files::new(path, &config);
    let users = files.users()?;
    let first = files.first(&config)?;
    let mut workers = workers::prepare(&config)?.into_iter();
    let main = workers.next().ok_or("there is no worker")?;
    let seed = seed()?;
    let mut announcement = main.announcement();
    let (controller, place) = main.controller(users.clone(), seed.clone())?;
    let mut event_loop = place.take().map_err(|e| format!("watching sockets: {e}"))?;
    let mut service = Service::new(&event_loop, Some(files))?;
    let mut threads = Vec::new();
    for worker in workers {
        announcement.extend(worker.announcement());
        threads.push(worker.start(users.clone(), seed.clone(), &first)?);
    }
    announcement.iter().for_each(|line| tracing::info!("{line}"));
    notify(&[NotifyState::Ready]);
    event_loop.run(controller, &mut service, first).map_err(|e| format!("waiting for sockets: {e}"))?;
    for thread in threads {
        thread.join().map_err(|_| "a worker has panicked")?;
    }
    tracing::info!("ended");
    Ok(())
}

/// Binds all addresses and writes those really bound back into the configuration.
pub(crate) fn bind(config: &mut Config) -> Result<Bound, String> {
    let bound = Bound::new(&addresses::datagrams(config), &addresses::streams(config));
    let bound = bound.map_err(|e| e.to_string())?;
    addresses::take_over(config, bound.datagram_addresses(), bound.stream_addresses());
    Ok(bound)
}

/// What the service does besides calls: signals, the users file, the watchdog, the log.
pub(crate) struct Service {
    signals: Signals,
    /// None where nothing is read again.
    files: Option<Files>,
    watch: Option<Watch>,
    watchdog: Option<Duration>,
    told_to_end: u8,
}

impl Service {
    /// SIGTERM or SIGINT: the first lets calls come to their end, the second hangs them up, the third waits for nothing.
    fn end(&mut self) -> Input<'static> {
        self.told_to_end = self.told_to_end.saturating_add(1);
        match self.told_to_end {
            1 => {
                tracing::info!("draining: no new calls, those in progress come to their end");
                notify(&[NotifyState::Stopping]);
            }
            2 => tracing::warn!("told to end twice: all calls are hung up"),
            _ => {
                tracing::warn!("told to end three times: calls are left as they are");
                std::process::exit(1);
            }
        }
        Input::Drain
    }

    pub(crate) fn new(event_loop: &EventLoop<Controller>, files: Option<Files>) -> Result<Self, String> {
        let wrong = |e: std::io::Error| format!("signals: {e}");
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(wrong)?;
        event_loop.register(&mut signals, SIGNAL_TOKEN).map_err(wrong)?;
        let users_file = files.as_ref().map(Files::users_file);
        let watch = users_file.and_then(|file| match Watch::new(file, event_loop, WATCH_TOKEN) {
            Ok(watch) => Some(watch),
            Err(e) => {
                tracing::warn!(error = %e, "the users file is not watched: SIGHUP reads it again");
                None
            }
        });
        // Twice as often as asked, so that one late turn is no reason to be killed.
        let watchdog = sd_notify::watchdog_enabled().map(|time| time / 2);
        Ok(Self { signals, files, watch, watchdog, told_to_end: 0 })
    }
}

impl Host for Service {
    fn ready(&mut self, _token: usize) -> Vec<Input<'static>> {
        let mut inputs = Vec::new();
        if self.watch.as_ref().is_some_and(Watch::was_written) {
            inputs.extend(self.files.as_ref().and_then(Files::reload_users));
        }
        let signals: Vec<i32> = self.signals.pending().collect();
        for signal in signals {
            match signal {
                SIGHUP => inputs.extend(self.files.as_ref().map(Files::reload).unwrap_or_default()),
                _ => inputs.push(self.end()),
            }
        }
        inputs
    }

    fn report(&mut self, report: &Report) {
        log::write(report);
    }

    fn pulse(&mut self) -> Option<Duration> {
        if self.watchdog.is_some() {
            notify(&[NotifyState::Watchdog]);
        }
        self.watchdog
    }

    fn turned(&mut self) {
        log::flush();
    }

    fn passed(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        workers::show(from, to, bytes);
    }
}
