//! `cordboard serve`: files, sockets, signals, and the controller in their midst.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cordboard_core::config::Config;
use cordboard_core::io::Input;
use cordboard_core::tls::Acceptor;
use cordboard_core::{Controller, Epoch, Report, Seed};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::certificate::CertificateFiles;
use crate::check::{beside, read_config, read_users};
use crate::net::bound::Bound;
use crate::net::event_loop::{EventLoop, Host};
use crate::watch::Watch;
use crate::{certificate, log};

const SIGNAL_TOKEN: usize = 0;
const WATCH_TOKEN: usize = 1;

/// Runs the service until it is told to end and its calls are over.
pub(crate) fn run(path: &Path) -> Result<(), String> {
    log::start("info");
    raise_descriptor_limit();
    let mut config = read_config(path)?;
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let users_file = beside(path, &config.users.file);
    let users = read_users(&users_file, config.realm())?;
    let files = certificate_files(path, &config);
    let acceptor = certificate(files.as_ref(), &config)?;
    let bound = bind(&mut config)?;
    let mut event_loop = EventLoop::new(bound).map_err(|e| format!("watching sockets: {e}"))?;
    let mut service = Service::new(&event_loop, Some(users_file), config.realm().to_owned())?;
    service.certificate = files;
    let mut controller = Controller::new(config, users, seed()?, epoch()).map_err(|e| e.to_string())?;
    let first = acceptor.into_iter().map(|acceptor| Input::Certificate(Box::new(acceptor))).collect();
    notify(&[NotifyState::Ready]);
    event_loop.run(&mut controller, &mut service, first).map_err(|e| format!("waiting for sockets: {e}"))?;
    tracing::info!("ended");
    Ok(())
}

fn certificate_files(path: &Path, config: &Config) -> Option<CertificateFiles> {
    let (Some(certificate), Some(key)) = (&config.http.certificate, &config.http.key) else { return None };
    Some(CertificateFiles { certificate: beside(path, certificate), key: beside(path, key) })
}

/// The certificate for HTTPS, if there are HTTPS listeners.
fn certificate(files: Option<&CertificateFiles>, config: &Config) -> Result<Option<Acceptor>, String> {
    if config.http.https.is_empty() {
        return Ok(None);
    }
    if let Some(files) = files {
        return files.load().map(Some);
    }
    let mut names = vec!["localhost".to_owned()];
    names.extend(config.http.https.iter().map(|address| address.ip().to_string()));
    certificate::self_signed(names).map(|(acceptor, _)| Some(acceptor))
}

/// Lets the process have as many file descriptors as it may: each connection takes one.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
    }
}

/// Binds all addresses and writes those really bound back into the configuration.
pub(crate) fn bind(config: &mut Config) -> Result<Bound, String> {
    let datagrams: Vec<SocketAddr> = config.sip.listen.iter().map(|listen| listen.address).collect();
    let streams: Vec<SocketAddr> = config.http.https.iter().chain(&config.http.http).copied().collect();
    let bound = Bound::new(&datagrams, &streams).map_err(|e| e.to_string())?;
    let own = config.http.https.iter_mut().chain(&mut config.http.http);
    own.zip(bound.stream_addresses()).for_each(|(configured, bound)| *configured = *bound);
    for (configured, bound) in config.sip.listen.iter_mut().zip(bound.datagram_addresses()) {
        configured.address = *bound;
    }
    let list = |all: &[SocketAddr], kind: &str| {
        all.iter().for_each(|address| tracing::info!("listening {kind}={address}"))
    };
    list(&config.http.https, "https");
    list(&config.http.http, "http");
    list(bound.datagram_addresses(), "udp");
    Ok(bound)
}

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

fn notify(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::debug!(error = %e, "systemd was not told");
    }
}

/// What the service does besides calls: signals, the users file, the watchdog, the log.
pub(crate) struct Service {
    signals: Signals,
    /// None where the users are fixed.
    users_file: Option<PathBuf>,
    watch: Option<Watch>,
    realm: String,
    /// None where it is made at start, or there is none.
    certificate: Option<CertificateFiles>,
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

    pub(crate) fn new(
        event_loop: &EventLoop,
        users_file: Option<PathBuf>,
        realm: String,
    ) -> Result<Self, String> {
        let wrong = |e: std::io::Error| format!("signals: {e}");
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(wrong)?;
        event_loop.register(&mut signals, SIGNAL_TOKEN).map_err(wrong)?;
        let watch = users_file.as_deref().and_then(|file| match Watch::new(file, event_loop, WATCH_TOKEN) {
            Ok(watch) => Some(watch),
            Err(e) => {
                tracing::warn!(error = %e, "the users file is not watched: SIGHUP reads it again");
                None
            }
        });
        // Twice as often as asked, so that one late turn is no reason to be killed.
        let watchdog = sd_notify::watchdog_enabled().map(|time| time / 2);
        Ok(Self { signals, users_file, watch, realm, certificate: None, watchdog, told_to_end: 0 })
    }

    fn reload(&self) -> Option<Input<'static>> {
        match read_users(self.users_file.as_deref()?, &self.realm) {
            Ok(users) => {
                tracing::info!(users = users.users().len(), "users were read again");
                Some(Input::Reload(Box::new(users)))
            }
            Err(wrong) => {
                tracing::error!("the users stay as they were: {wrong}");
                None
            }
        }
    }

    fn reload_certificate(&self) -> Option<Input<'static>> {
        match self.certificate.as_ref()?.load() {
            Ok(acceptor) => {
                tracing::info!("the certificate was read again");
                Some(Input::Certificate(Box::new(acceptor)))
            }
            Err(wrong) => {
                tracing::error!("the certificate stays as it was: {wrong}");
                None
            }
        }
    }
}

impl Host for Service {
    fn ready(&mut self, _token: usize) -> Vec<Input<'static>> {
        let mut inputs = Vec::new();
        if self.watch.as_ref().is_some_and(Watch::was_written) {
            inputs.extend(self.reload());
        }
        let signals: Vec<i32> = self.signals.pending().collect();
        for signal in signals {
            match signal {
                SIGHUP => {
                    inputs.extend(self.reload());
                    inputs.extend(self.reload_certificate());
                }
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

    fn passed(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if tracing::enabled!(tracing::Level::TRACE) {
            tracing::trace!(%from, %to, message = %String::from_utf8_lossy(bytes), "SIP");
        }
    }
}
