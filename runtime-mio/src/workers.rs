//! Several workers for one service: their addresses, their loops, their threads.

use std::net::SocketAddr;
use std::num::NonZero;
use std::thread::JoinHandle;

use cordboard_core::config::{Config, Listen, SipTransport};
use cordboard_core::io::{Input, Worker, WorkerId};
use cordboard_core::users::Directory;
use cordboard_core::{Controller, Epoch, Report, Seed};

use crate::net::bound::Bound;
use crate::net::event_loop::{Host, Place, copy};
use crate::system::epoch;
use crate::{addresses, log};

/// So many at most, if nobody says how many.
const MOST: usize = 8;

/// How many workers there are to be.
pub(crate) fn count(config: &Config) -> u8 {
    let processors = || std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
    u8::try_from(config.workers.unwrap_or_else(processors)).unwrap_or(u8::MAX)
}

/// A worker, not started yet.
pub(crate) struct Prepared {
    worker: Worker,
    config: Config,
    epoch: Epoch,
    place: Place<Controller>,
}

/// Binds the addresses of all workers, the first of which has those of HTTP.
pub(crate) fn prepare(config: &Config) -> Result<Vec<Prepared>, String> {
    let of = count(config);
    let mut configs = config.for_workers(of).map_err(|e| e.to_string())?;
    let (mut bounds, mut http) = (Vec::new(), Vec::new());
    for (id, config) in configs.iter_mut().enumerate() {
        let worker = Worker { id: WorkerId(u8::try_from(id).unwrap_or(u8::MAX)), of };
        let bound = bind(worker, config, &mut http)?;
        bounds.push((bound, worker.share(config.limits.connections)));
    }
    let places = Place::team(bounds).map_err(|e| format!("watching sockets: {e}"))?;
    let epoch = epoch();
    let workers = (0..of).map(|id| Worker { id: WorkerId(id), of });
    Ok(workers
        .zip(configs)
        .zip(places)
        .map(|((worker, config), place)| Prepared { worker, config, epoch, place })
        .collect())
}

/// Binds the addresses of one worker and writes those really bound into its configuration; `http` are those of the first.
fn bind(worker: Worker, config: &mut Config, http: &mut Vec<SocketAddr>) -> Result<Bound, String> {
    let streams = addresses::streams(config);
    let first = worker.id == WorkerId(0);
    let of_http = config.http.https.len() + config.http.http.len();
    let own = if first { streams.as_slice() } else { streams.get(of_http..).unwrap_or_default() };
    let bound = Bound::new(&addresses::datagrams(config), own).map_err(|e| match first {
        true => e.to_string(),
        false => format!(
            "{e}: it is the port of worker {} of {}; choose another port in sip.listen, or set `workers`",
            worker.id.0, worker.of
        ),
    })?;
    if first {
        *http = bound.stream_addresses().iter().take(of_http).copied().collect();
    }
    let skipped = if first { 0 } else { of_http };
    let all: Vec<SocketAddr> = http.iter().take(skipped).chain(bound.stream_addresses()).copied().collect();
    addresses::take_over(config, bound.datagram_addresses(), &all);
    Ok(bound)
}

impl Prepared {
    /// What the log says of the addresses that it listens on.
    pub(crate) fn announcement(&self) -> Vec<String> {
        if self.worker.id == WorkerId(0) {
            return addresses::announcement(&self.config);
        }
        let line = |listen: &Listen| {
            format!("listening {}={} worker={}", word(listen.transport), listen.address, self.worker.id.0)
        };
        self.config.sip.listen.iter().map(line).collect()
    }

    /// The controller, and the place of the loop to run it in.
    pub(crate) fn controller(
        self,
        users: Directory,
        seed: Seed,
    ) -> Result<(Controller, Place<Controller>), String> {
        let Self { worker, config, epoch, place } = self;
        let controller = Controller::for_worker(config, users, seed, epoch, worker);
        Ok((controller.map_err(|e| e.to_string())?, place))
    }

    /// Starts a thread for it.
    pub(crate) fn start(
        self,
        users: Directory,
        seed: Seed,
        first: &[Input<'static>],
    ) -> Result<JoinHandle<()>, String> {
        let name = format!("worker {}", self.worker.id.0);
        let first = first.iter().filter_map(copy).collect();
        let (controller, place) = self.controller(users, seed)?;
        let run = move || {
            // Without it nobody would serve its calls: whoever watches the service starts it again.
            let _ends_all = EndsAll;
            let ran = place.take().and_then(|mut it| it.run(controller, &mut Hand, first));
            if let Err(error) = ran {
                tracing::error!(%error, "waiting for sockets");
                std::process::exit(1);
            }
            log::flush();
        };
        std::thread::Builder::new().name(name).spawn(run).map_err(|e| format!("starting a thread: {e}"))
    }
}

fn word(transport: SipTransport) -> &'static str {
    match transport {
        SipTransport::Udp => "udp",
        SipTransport::Tcp => "tcp",
        SipTransport::Tls => "tls",
    }
}

/// Shows a SIP message in the log, if it is to show all.
pub(crate) fn show(from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
    if tracing::enabled!(tracing::Level::TRACE) {
        tracing::trace!(%from, %to, message = %String::from_utf8_lossy(bytes), "SIP");
    }
}

/// Ends the process when its thread panics.
struct EndsAll;

impl Drop for EndsAll {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// A worker beside the first does nothing besides calls but write the log.
struct Hand;

impl Host for Hand {
    fn ready(&mut self, _token: usize) -> Vec<Input<'static>> {
        Vec::new()
    }

    fn report(&mut self, report: &Report) {
        log::write(report);
    }

    fn turned(&mut self) {
        log::flush();
    }

    fn passed(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        show(from, to, bytes);
    }
}
