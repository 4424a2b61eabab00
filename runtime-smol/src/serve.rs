//! `cordboard-lite serve`: files, sockets, signals, and the controller in their midst.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;

use cordboard_core::Controller;
use cordboard_core::config::Config;
use cordboard_core::io::Input;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use smol::channel::Sender;
use smol::io::AsyncReadExt;
use smol::{Async, LocalExecutor, Timer};

use crate::check::read_config;
use crate::files::Files;
use crate::net::{Bound, Event, Net};
use crate::system::{epoch, notify, raise_descriptor_limit, seed};
use crate::watch::Watch;
use crate::{addresses, log};

/// Runs the service until it is told to end and its calls are over.
pub(crate) fn run(path: &Path) -> Result<(), String> {
    log::start("info");
    raise_descriptor_limit();
    let mut config = read_config(path)?;
    if config.workers.is_some_and(|workers| workers > 1) {
        tracing::info!("`workers` is for the other server: this one works alone");
    }
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let files = Files::new(path, &config);
    let users = files.users()?;
    let first = files.first(&config)?;
    let bound = bind(&mut config)?;
    let announcement = addresses::announcement(&config);
    let controller = Controller::new(config, users, seed()?, epoch()).map_err(|e| e.to_string())?;
    let executor = Rc::new(LocalExecutor::new());
    let wrong = |e: io::Error| format!("watching sockets: {e}");
    let mut net = Net::new(executor.clone(), controller, bound).map_err(wrong)?;
    attend(&executor, Rc::new(files), net.sender()).map_err(|e| format!("waiting for signals: {e}"))?;
    announcement.iter().for_each(|line| tracing::info!("{line}"));
    notify(&[NotifyState::Ready]);
    smol::block_on(executor.run(net.run(first)));
    tracing::info!("ended");
    Ok(())
}

/// Binds all addresses and writes those really bound back into the configuration.
fn bind(config: &mut Config) -> Result<Bound, String> {
    let bound = Bound::new(&addresses::datagrams(config), &addresses::streams(config))?;
    let (sockets, listeners) = bound.addresses().map_err(|e| format!("asking for own addresses: {e}"))?;
    addresses::take_over(config, &sockets, &listeners);
    Ok(bound)
}

/// Attends to signals, the users file and the watchdog.
fn attend(executor: &LocalExecutor<'_>, files: Rc<Files>, events: Sender<Event>) -> io::Result<()> {
    executor.spawn(end(signals(&[SIGTERM, SIGINT])?, events.clone())).detach();
    executor.spawn(reload(signals(&[SIGHUP])?, files.clone(), events.clone())).detach();
    match Watch::new(files.users_file()) {
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
        for input in files.reload() {
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
