//! Workers that share one service: a loop and a thread for each, and letters between them.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cordboard_core::io::{Input, ListenerId, Parcel, WorkerId};
use mio::net::TcpStream;
use mio::{Registry, Waker};

use super::tokens::Source;

/// What one worker's loop has for another's.
#[derive(Debug)]
pub(super) enum Letter {
    /// For its controller, from another one.
    Parcel(Parcel),
    /// For its controller: what was read anew, or that it is to drain.
    Input(Input<'static>),
    /// A connection of HTTP that was accepted for it.
    Stream { listener: ListenerId, stream: TcpStream, peer: SocketAddr },
    /// Is anybody there?
    Beat,
    /// All have drained.
    Drained,
}

/// Where others leave letters for one worker.
#[derive(Debug)]
struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    waker: Waker,
    /// Whether its worker waits, or is about to, and has to be woken.
    sleeps: AtomicBool,
    /// Whether it has answered the last [`Letter::Beat`].
    beats: AtomicBool,
    /// Connections of HTTP that it was ever given, and of these those that it has no more.
    given: AtomicUsize,
    ended: AtomicUsize,
    /// How many it may have at once.
    room: usize,
}

/// All workers of a service.
#[derive(Debug)]
struct Shared {
    mailboxes: Vec<Mailbox>,
    /// How many have not drained yet.
    busy: AtomicUsize,
    /// The clock of all starts here.
    start: Instant,
}

/// One worker's place among the others.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    shared: Arc<Shared>,
    own: usize,
}

/// Seats for workers whose loops' registries are these; each may have so many connections of HTTP.
pub(super) fn seats(registries: &[(&Registry, usize)], start: Instant) -> io::Result<Vec<Seat>> {
    let mailbox = |(registry, room): &(&Registry, usize)| {
        Ok(Mailbox {
            letters: Mutex::default(),
            waker: Waker::new(registry, Source::Mailbox.token())?,
            sleeps: AtomicBool::new(false),
            beats: AtomicBool::new(true),
            given: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            room: *room,
        })
    };
    let mailboxes = registries.iter().map(mailbox).collect::<io::Result<Vec<_>>>()?;
    let busy = AtomicUsize::new(mailboxes.len());
    let shared = Arc::new(Shared { mailboxes, busy, start });
    Ok((0..registries.len()).map(|own| Seat { shared: shared.clone(), own }).collect())
}

impl Seat {
    /// When the clock of all was started.
    pub(super) fn start(&self) -> Instant {
        self.shared.start
    }

    /// Leaves a letter for another worker.
    pub(super) fn post(&self, to: WorkerId, letter: Letter) {
        if let Some(mailbox) = self.shared.mailboxes.get(usize::from(to.0)) {
            mailbox.leave(letter);
        }
    }

    /// Leaves a letter for each other worker.
    pub(super) fn post_all(&self, letter: impl Fn() -> Option<Letter>) {
        for (at, mailbox) in self.shared.mailboxes.iter().enumerate() {
            if let Some(letter) = letter().filter(|_| at != self.own) {
                mailbox.leave(letter);
            }
        }
    }

    fn own(&self) -> Option<&Mailbox> {
        self.shared.mailboxes.get(self.own)
    }

    /// Whether there are others.
    fn has_others(&self) -> bool {
        self.shared.mailboxes.len() > 1
    }

    /// The letters that were left for us, oldest first.
    pub(super) fn letters(&self) -> Vec<Letter> {
        let Some(own) = self.own().filter(|_| self.has_others()) else { return Vec::new() };
        let letters = std::mem::take(&mut *own.letters.lock().unwrap_or_else(PoisonError::into_inner));
        if letters.iter().any(|letter| matches!(letter, Letter::Beat)) {
            own.beats.store(true, Ordering::Relaxed);
        }
        letters
    }

    /// We are about to wait: from now on whoever leaves a letter wakes us. Whether we may; else there are letters already.
    ///
    /// Either the sender sees the flag when its letter lies there, or we see the letter now: both pass through the lock, the
    /// flag set before and looked at behind it.
    pub(super) fn may_sleep(&self) -> bool {
        let Some(own) = self.own().filter(|_| self.has_others()) else { return true };
        own.sleeps.store(true, Ordering::SeqCst);
        let empty = own.letters.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if !empty {
            own.sleeps.store(false, Ordering::SeqCst);
        }
        empty
    }

    /// We have waited: letters are looked for anyway.
    pub(super) fn is_awake(&self) {
        if let Some(own) = self.own().filter(|_| self.has_others()) {
            own.sleeps.store(false, Ordering::SeqCst);
        }
    }

    /// Gives an accepted connection of HTTP to the worker with the most room left; `None` if that is us.
    pub(super) fn deal(&self) -> Option<WorkerId> {
        let (to, mailbox) = self.shared.mailboxes.iter().enumerate().max_by_key(|(at, mailbox)| {
            // Of several the first, so that a few connections are spread evenly.
            (mailbox.room_left(), std::cmp::Reverse(*at))
        })?;
        mailbox.given.fetch_add(1, Ordering::Relaxed);
        if to == self.own { None } else { u8::try_from(to).ok().map(WorkerId) }
    }

    /// Of so many connections of HTTP that we took, so many we have still.
    pub(super) fn have(&self, taken: usize, connections: usize) {
        if let Some(own) = self.own().filter(|_| self.has_others()) {
            own.ended.store(taken.saturating_sub(connections), Ordering::Relaxed);
        }
    }

    /// We have drained; whether all have, which they are told then.
    pub(super) fn drained(&self) -> bool {
        let all = self.shared.busy.fetch_sub(1, Ordering::AcqRel) == 1;
        if all {
            self.post_all(|| Some(Letter::Drained));
        }
        all
    }

    /// Whether every worker has taken its letters since this was asked last.
    pub(super) fn all_beat(&self) -> bool {
        let mut all = true;
        for (at, mailbox) in self.shared.mailboxes.iter().enumerate() {
            if at != self.own {
                all &= mailbox.beats.swap(false, Ordering::Relaxed);
                mailbox.leave(Letter::Beat);
            }
        }
        all
    }
}

impl Mailbox {
    fn leave(&self, letter: Letter) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        if self.sleeps.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a worker cannot be woken");
        }
    }

    fn room_left(&self) -> isize {
        let held = self.given.load(Ordering::Relaxed).saturating_sub(self.ended.load(Ordering::Relaxed));
        isize::try_from(self.room).unwrap_or(isize::MAX) - isize::try_from(held).unwrap_or(isize::MAX)
    }
}
