//! A machine with what it needs to speak by datagrams: whoever sits at its desk may let something happen to it, in
//! whatever thread.

use std::time::Instant;

use cordboard_core::Tick;
use cordboard_core::io::{Input, Outbox, Output, Wake};

use super::Machine;
use super::departures::Departures;
use super::event_loop::Host;
use super::throttle::Throttle;
use super::udp::{Headers, Port};

/// The desk.
pub(super) struct Desk<M> {
    machine: M,
    pub(super) outbox: Outbox,
    pub(super) ports: Vec<Port>,
    wake: Wake,
    /// What its own loop waits for, while it waits.
    awaited: Wake,
    overflows: Throttle,
}

impl<M: Machine> Desk<M> {
    pub(super) fn new(machine: M, ports: Vec<Port>) -> Self {
        Self {
            machine,
            outbox: Outbox::new(),
            ports,
            wake: Wake::Idle,
            awaited: Wake::Idle,
            overflows: Throttle::default(),
        }
    }

    /// See [`Machine::connections`].
    pub(super) fn connections(&self) -> usize {
        self.machine.connections()
    }

    /// Hands one input in. What comes of it is left in the outbox.
    pub(super) fn handle(&mut self, now: Tick, input: Input<'_>) {
        self.wake = self.machine.handle(now, input, &mut self.outbox);
    }

    /// When the machine wants to be called next.
    pub(super) fn wake(&self) -> Wake {
        self.wake
    }

    /// Its loop is about to wait, and to call the machine when it wants to be called.
    pub(super) fn await_wake(&mut self) -> Wake {
        self.awaited = self.wake;
        self.wake
    }

    /// Whether its loop waits for too long, which is told once.
    pub(super) fn is_awaited_too_late(&mut self) -> bool {
        let at = |wake| if let Wake::At(at, _) = wake { at } else { Tick::from_micros(u64::MAX) };
        let late = at(self.wake) < at(self.awaited);
        if late {
            self.awaited = self.wake;
        }
        late
    }

    /// Sends the datagrams that lie in the outbox.
    pub(super) fn send(&mut self, headers: &mut Headers, host: &mut impl Host, now: Instant) {
        let mut departures = Departures::default();
        for output in self.outbox.outputs() {
            if let Output::Datagram { socket, to, sequence, bytes } = output {
                departures.push((socket, to), sequence, bytes);
            }
        }
        if departures.is_empty() {
            return;
        }
        for group in departures.ordered().chunk_by(|a, b| a.socket == b.socket) {
            let port = group.first().and_then(|first| self.ports.get_mut(usize::from(first.socket.0)));
            let Some(port) = port else { continue };
            group.iter().for_each(|one| host.passed(port.address(), one.to, one.bytes));
            let lost = port.send(headers, group);
            if lost > 0
                && let Some(datagrams) = self.overflows.admit(now, lost as u64)
            {
                tracing::warn!(datagrams, "datagrams are lost: the system has no room for them");
            }
        }
    }

    /// Does what lies in the outbox, if anybody can do it, in the place of the desk's own loop. Else it stays there.
    pub(super) fn stand_in(&mut self, headers: &mut Headers, host: &mut impl Host, now: Instant) -> bool {
        let anybody = |output: &Output<'_>| matches!(output, Output::Datagram { .. } | Output::Report(_));
        if !self.outbox.outputs().all(|output| anybody(&output)) {
            return false;
        }
        self.send(headers, host, now);
        for output in self.outbox.outputs() {
            if let Output::Report(report) = output {
                host.report(report);
            }
        }
        self.outbox.clear();
        self.ports.iter().all(Port::has_no_news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cordboard_core::Report;
    use cordboard_core::io::{ConnectionId, Reason};
    use std::net::SocketAddr;
    use std::time::Duration;

    /// Writes to a connection when its time comes, and wants to be called again at the time that it is called with.
    struct Writer;

    impl Machine for Writer {
        fn handle(&mut self, now: Tick, input: Input<'_>, outbox: &mut Outbox) -> Wake {
            if matches!(input, Input::Timeout) {
                outbox.write(ConnectionId(0), |out| out.push(b'x'));
            }
            Wake::At(now, Reason::Call)
        }
    }

    struct Nobody;

    impl Host for Nobody {
        fn ready(&mut self, _token: usize) -> Vec<Input<'static>> {
            Vec::new()
        }

        fn report(&mut self, _report: &Report) {}

        fn passed(&mut self, _from: SocketAddr, _to: SocketAddr, _bytes: &[u8]) {}
    }

    fn at(millis: u64) -> Tick {
        Tick::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn what_only_its_own_loop_can_do_stays_for_it_with_all_that_comes_behind() {
        let mut desk = Desk::new(Writer, Vec::new());
        let stand_in =
            |desk: &mut Desk<Writer>| desk.stand_in(&mut Headers::new(), &mut Nobody, Instant::now());
        desk.handle(at(1), Input::Drain);
        assert!(stand_in(&mut desk), "there is nothing to be done");
        desk.handle(at(2), Input::Timeout);
        desk.handle(at(3), Input::Drain);
        assert!(!stand_in(&mut desk), "nobody else has its connections");
        assert!(!stand_in(&mut desk));
        assert!(matches!(
            desk.outbox.pop(),
            Some(Output::Write { connection: ConnectionId(0), bytes: b"x" })
        ));
    }

    #[test]
    fn a_loop_that_waits_for_longer_than_its_machine_is_told_of_once() {
        let mut desk = Desk::new(Writer, Vec::new());
        assert_eq!(desk.await_wake(), Wake::Idle);
        desk.handle(at(500), Input::Drain);
        assert!(desk.is_awaited_too_late(), "it would wait for ever");
        assert!(!desk.is_awaited_too_late());
        desk.handle(at(600), Input::Drain);
        assert!(!desk.is_awaited_too_late(), "it comes too early, and waits again");
        desk.handle(at(400), Input::Drain);
        assert!(desk.is_awaited_too_late());
    }
}
