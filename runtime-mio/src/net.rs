//! Sockets and the loop that drives a protocol machine with them.

pub(crate) mod bound;
mod connections;
mod departures;
mod desk;
mod dial;
mod errors;
pub(crate) mod event_loop;
mod pace;
mod queries;
mod readiness;
mod tcp;
mod team;
mod throttle;
mod tokens;
mod udp;

use cordboard_core::io::{Input, Outbox, Wake};
use cordboard_core::softphone::{Exchange, Phone};
use cordboard_core::{Controller, Tick};

/// A protocol machine without I/O: the controller, and in the demo its phones and exchange.
pub(crate) trait Machine {
    /// See [`Controller::handle`].
    fn handle(&mut self, now: Tick, input: Input<'_>, outbox: &mut Outbox) -> Wake;
    /// How many of the connections that it was given are still there; asked only of workers.
    fn connections(&self) -> usize {
        0
    }
}

impl Machine for Controller {
    fn handle(&mut self, now: Tick, input: Input<'_>, outbox: &mut Outbox) -> Wake {
        Controller::handle(self, now, input, outbox)
    }

    fn connections(&self) -> usize {
        self.http_connections()
    }
}

impl Machine for Phone {
    fn handle(&mut self, now: Tick, input: Input<'_>, outbox: &mut Outbox) -> Wake {
        Phone::handle(self, now, input, outbox)
    }
}

impl Machine for Exchange {
    fn handle(&mut self, now: Tick, input: Input<'_>, outbox: &mut Outbox) -> Wake {
        Exchange::handle(self, now, input, outbox)
    }
}
