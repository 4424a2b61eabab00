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
