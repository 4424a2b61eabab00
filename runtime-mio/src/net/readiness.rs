//! What is ready: streams at once, datagrams, while they are let come in, a moment later.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// How many events of one kind are taken at once.
const EVENTS: usize = 1024;
/// The streams among the datagram sockets; it is no token of theirs.
const STREAMS: Token = Token(0);

/// What the system tells of sockets. Datagram sockets are told apart from everything else, so that these can be waited for
/// without them.
#[derive(Debug)]
pub(super) struct Readiness {
    streams: Poll,
    /// Datagram sockets, and the streams as one.
    all: Poll,
    /// More streams may be ready than were told last, of which no event will tell.
    more: bool,
}

/// What is ready now.
#[derive(Debug)]
pub(super) struct Ready {
    streams: Events,
    datagrams: Events,
}

impl Ready {
    /// Nothing is.
    pub(super) fn new() -> Self {
        Self { streams: Events::with_capacity(EVENTS), datagrams: Events::with_capacity(EVENTS) }
    }

    /// Everything but datagram sockets.
    pub(super) fn streams(&self) -> impl Iterator<Item = &Event> {
        self.streams.iter()
    }

    /// Datagram sockets.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &Event> {
        self.datagrams.iter().filter(|event| event.token() != STREAMS)
    }
}

impl Readiness {
    pub(super) fn new() -> io::Result<Self> {
        let (streams, all) = (Poll::new()?, Poll::new()?);
        all.registry().register(&mut SourceFd(&streams.as_raw_fd()), STREAMS, Interest::READABLE)?;
        Ok(Self { streams, all, more: false })
    }

    /// Where everything but datagram sockets is registered.
    pub(super) fn registry(&self) -> &Registry {
        self.streams.registry()
    }

    /// Where datagram sockets are registered, under tokens other than 0.
    pub(super) fn of_datagrams(&self) -> &Registry {
        self.all.registry()
    }

    /// Waits until anything is ready; `None` for ever. Like all waiting here, it may end early.
    pub(super) fn wait(&mut self, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.more { Some(Duration::ZERO) } else { timeout };
        retry_later(self.all.poll(&mut ready.datagrams, timeout), &mut ready.datagrams)?;
        self.take_streams(ready)
    }

    /// Waits for streams alone, to the microsecond: datagrams come in meanwhile.
    pub(super) fn wait_for_streams(&mut self, ready: &mut Ready, timeout: Duration) -> io::Result<()> {
        ready.datagrams.clear();
        ready.streams.clear();
        let mut polled = [PollFd::new(self.registry().as_fd(), PollFlags::POLLIN)];
        let timeout = if self.more { Duration::ZERO } else { timeout };
        match ppoll(&mut polled, Some(TimeSpec::from_duration(timeout)), None) {
            Ok(0) | Err(Errno::EINTR) => Ok(()),
            Ok(_) => self.take_streams(ready),
            Err(error) => Err(error.into()),
        }
    }

    fn take_streams(&mut self, ready: &mut Ready) -> io::Result<()> {
        retry_later(self.streams.poll(&mut ready.streams, Some(Duration::ZERO)), &mut ready.streams)?;
        self.more = ready.streams.iter().count() >= EVENTS;
        Ok(())
    }
}

/// A signal that ends the waiting is no error: nothing is ready then.
fn retry_later(polled: io::Result<()>, events: &mut Events) -> io::Result<()> {
    match polled {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => events.clear(),
        other => other?,
    }
    Ok(())
}
