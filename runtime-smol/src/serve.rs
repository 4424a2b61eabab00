//! `cordboard-lite serve`: files, sockets, signals, and the controller in their midst.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use cordboard_core::config::Config;
use cordboard_core::io::Input;
use cordboard_core::tls::Acceptor;
use cordboard_core::{Controller, Epoch, Seed};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use smol::channel::Sender;
use smol::io::AsyncReadExt;
use smol::{Async, LocalExecutor, Timer};

use crate::certificate::{CertificateFiles, self_signed};
use crate::check::{beside, read_config, read_users};
use crate::log;
use crate::net::{Bound, Event, Net};
use crate::watch::Watch;

/// Runs the service until it is told to end and its calls are over.
pub(crate) fn run(path: &Path) -> Result<(), String> {
    log::start("info");
    let mut config = read_config(path)?;
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let users_file = beside(path, &config.users.file);
    let users = read_users(&users_file, config.realm())?;
    let certificate = certificate_files(path, &config);
    let acceptor = acceptor(certificate.as_ref(), &config)?;
    let bound = bind(&mut config)?;
    let files = Files { users: users_file, realm: config.realm().to_owned(), certificate };
    let controller = Controller::new(config, users, seed()?, epoch()).map_err(|e| e.to_string())?;
    let first = acceptor.into_iter().map(|acceptor| Input::Certificate(Box::new(acceptor))).collect();
    let executor = Rc::new(LocalExecutor::new());
    let wrong = |e: io::Error| format!("watching sockets: {e}");
    let mut net = Net::new(executor.clone(), controller, bound).map_err(wrong)?;
    attend(&executor, Rc::new(files), net.sender()).map_err(|e| format!("waiting for signals: {e}"))?;
    notify(&[NotifyState::Ready]);
    smol::block_on(executor.run(net.run(first)));
    tracing::info!("ended");
    Ok(())
}

fn certificate_files(path: &Path, config: &Config) -> Option<CertificateFiles> {
    let (Some(certificate), Some(key)) = (&config.http.certificate, &config.http.key) else { return None };
    Some(CertificateFiles { certificate: beside(path, certificate), key: beside(path, key) })
}

/// The certificate for HTTPS, if there are HTTPS listeners.
fn acceptor(files: Option<&CertificateFiles>, config: &Config) -> Result<Option<Acceptor>, String> {
    if config.http.https.is_empty() {
        return Ok(None);
    }
    if let Some(files) = files {
        return files.load().map(Some);
    }
    let mut names = vec!["localhost".to_owned()];
    names.extend(config.http.https.iter().map(|address| address.ip().to_string()));
    self_signed(names).map(|(acceptor, _)| Some(acceptor))
}

/// Binds all addresses and writes those really bound back into the configuration.
fn bind(config: &mut Config) -> Result<Bound, String> {
    let datagrams: Vec<SocketAddr> = config.sip.listen.iter().map(|listen| listen.address).collect();
    let streams: Vec<SocketAddr> = config.http.https.iter().chain(&config.http.http).copied().collect();
    let bound = Bound::new(&datagrams, &streams)?;
    let (sockets, listeners) = bound.addresses().map_err(|e| format!("asking for own addresses: {e}"))?;
    let own = config.http.https.iter_mut().chain(&mut config.http.http);
    own.zip(listeners).for_each(|(configured, bound)| *configured = bound);
    config.sip.listen.iter_mut().zip(sockets).for_each(|(configured, bound)| configured.address = bound);
    config.http.https.iter().for_each(|address| tracing::info!("listening https={address}"));
    config.http.http.iter().for_each(|address| tracing::info!("listening http={address}"));
    config.sip.listen.iter().for_each(|listen| tracing::info!("listening udp={}", listen.address));
    Ok(bound)
}

/// 32 bytes that nobody can guess.
fn seed() -> Result<Seed, String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| format!("the system gives no randomness: {e}"))?;
    Ok(Seed(bytes))
}

/// The wall clock's time at the start of the loop's ticks.
fn epoch() -> Epoch {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Epoch::from_unix_millis(u64::try_from(now.as_millis()).unwrap_or(0))
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        tracing::debug!(error = %e, "systemd was not told");
    }
}

/// The files that are read again while the service runs.
struct Files {
    users: PathBuf,
    realm: String,
    /// None where it is made at start, or there is none.
    certificate: Option<CertificateFiles>,
}

impl Files {
    fn reload_users(&self) -> Option<Input<'static>> {
        match read_users(&self.users, &self.realm) {
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

/// Attends to signals, the users file and the watchdog.
fn attend(executor: &LocalExecutor<'_>, files: Rc<Files>, events: Sender<Event>) -> io::Result<()> {
    executor.spawn(end(signals(&[SIGTERM, SIGINT])?, events.clone())).detach();
    executor.spawn(reload(signals(&[SIGHUP])?, files.clone(), events.clone())).detach();
    match Watch::new(&files.users) {
        Ok(watch) => executor.spawn(follow(watch, files, events)).detach(),
        Err(e) => tracing::warn!(error = %e, "the users file is not watched: SIGHUP reads it again"),
    }
    if let Some(time) = sd_notify::watchdog_enabled() {
        executor.spawn(watchdog(time / 2)).detach();
    }
    Ok(())
}

/// A stream that brings a byte for each of these signals.
fn signals(numbers: &[i32]) -> io::Result<Async<UnixStream>> {
    let (told, tells) = UnixStream::pair()?;
    for number in numbers {
        signal_hook::low_level::pipe::register(*number, tells.try_clone()?)?;
    }
    Async::new(told)
}

/// The first signal lets calls come to their end, the second hangs them up, the third waits for nothing.
async fn end(mut signals: Async<UnixStream>, events: Sender<Event>) {
    let mut byte = [0];
    for time in 1.. {
        if signals.read_exact(&mut byte).await.is_err() {
            return;
        }
        match time {
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
        if events.send(Event::Told(Input::Drain)).await.is_err() {
            return;
        }
    }
}

async fn reload(mut signals: Async<UnixStream>, files: Rc<Files>, events: Sender<Event>) {
    let mut byte = [0];
    while signals.read_exact(&mut byte).await.is_ok() {
        for input in [files.reload_users(), files.reload_certificate()].into_iter().flatten() {
            if events.send(Event::Told(input)).await.is_err() {
                return;
            }
        }
    }
}

async fn follow(watch: Watch, files: Rc<Files>, events: Sender<Event>) {
    loop {
        if let Err(e) = watch.written().await {
            tracing::warn!(error = %e, "the users file is not watched any more: SIGHUP reads it again");
            return;
        }
        if let Some(input) = files.reload_users()
            && events.send(Event::Told(input)).await.is_err()
        {
            return;
        }
    }
}

async fn watchdog(time: std::time::Duration) {
    loop {
        notify(&[NotifyState::Watchdog]);
        Timer::after(time).await;
    }
}
