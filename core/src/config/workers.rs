//! The addresses of each worker.

use thiserror::Error;

use super::{Config, Listen, SipTransport};
use crate::io::{Worker, WorkerId};

/// The most workers.
pub(super) const MOST: usize = 64;

/// A worker's address would have a port beyond the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "there is no port for worker {} of {} beside {listen} (sip.listen): choose lower ports there, or set `workers`",
    worker.id.0,
    worker.of
)]
pub struct NoPort {
    /// The worker.
    worker: Worker,
    /// The address that its own would be derived from.
    listen: Listen,
}

impl Config {
    /// The configuration of one worker: it differs in the ports of `sip.listen`. Those of the first are as they were written,
    /// those of each further one lie a step behind; the step is the smallest with which no two meet. Port 0 stays as it is.
    pub fn for_worker(&self, worker: Worker) -> Result<Config, NoPort> {
        let step = step(&self.sip.listen, worker.of);
        let mut config = self.clone();
        for (listen, written) in config.sip.listen.iter_mut().zip(&self.sip.listen) {
            let port = u32::from(written.address.port());
            if port != 0 {
                let port = u16::try_from(port + u32::from(worker.id.0) * step);
                listen.address.set_port(port.map_err(|_| NoPort { worker, listen: *written })?);
            }
        }
        Ok(config)
    }

    /// The configurations of so many workers.
    pub fn for_workers(&self, of: u8) -> Result<Vec<Config>, NoPort> {
        (0..of).map(|id| self.for_worker(Worker { id: WorkerId(id), of })).collect()
    }
}

/// Only ports of one protocol meet; whether their addresses could is not looked at, so that it need not be thought about.
fn step(listens: &[Listen], of: u8) -> u32 {
    let by_datagrams = |listen: &Listen| listen.transport == SipTransport::Udp;
    let ports = |listen: &Listen| (by_datagrams(listen), u32::from(listen.address.port()));
    let meet = |step: u32| {
        listens.iter().map(ports).any(|(kind, port)| {
            let others = listens.iter().map(ports).filter(|(other, at)| *other == kind && *at > port);
            others.map(|(_, at)| at - port).any(|apart| apart % step == 0 && apart / step < u32::from(of))
        })
    };
    (1..=u32::from(u16::MAX)).find(|step| !meet(*step)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(listen: &str, of: u8) -> Result<Vec<Vec<u16>>, NoPort> {
        let text =
            format!("[sip]\ndomain = \"example.com\"\nlisten = {listen}\ncertificate = \"c\"\nkey = \"k\"");
        let config = Config::from_toml(&text).unwrap();
        let all = config.for_workers(of)?;
        Ok(all
            .iter()
            .map(|one| one.sip.listen.iter().map(|listen| listen.address.port()).collect())
            .collect())
    }

    #[test]
    fn each_worker_has_ports_of_its_own_and_the_first_those_that_were_written() {
        let udp = r#"["udp:127.0.0.1:6050"]"#;
        assert_eq!(ports(udp, 3).unwrap(), [[6050], [6051], [6052]]);
        assert_eq!(ports(udp, 1).unwrap(), [[6050]]);
        // Both are ports of TCP.
        let all = r#"["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060", "tls:127.0.0.1:5061"]"#;
        assert_eq!(ports(all, 2).unwrap(), [[5060, 5060, 5061], [5062, 5062, 5063]]);
        let apart = r#"["udp:127.0.0.1:5060", "udp:127.0.0.2:5062"]"#;
        assert_eq!(ports(apart, 2).unwrap(), [[5060, 5062], [5061, 5063]]);
        assert_eq!(ports(apart, 3).unwrap(), [[5060, 5062], [5063, 5065], [5066, 5068]]);
        assert_eq!(ports(r#"["udp:127.0.0.1:0"]"#, 2).unwrap(), [[0], [0]]);
    }

    #[test]
    fn a_port_that_does_not_exist_is_refused_saying_whose() {
        let error = ports(r#"["udp:127.0.0.1:65534"]"#, 3).unwrap_err().to_string();
        assert!(error.contains("worker 2 of 3") && error.contains("udp:127.0.0.1:65534"), "{error}");
    }
}
