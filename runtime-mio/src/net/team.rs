//! Workers that share one service: a loop and a thread for each, and letters between them.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cordboard_core::io::{Input, ListenerId, Parcel, WorkerId};
use mio::net::TcpStream;
use mio::{Registry, Waker};

use super::desk::Desk;
use super::tokens::Source;

/// So many connections a worker has before the next one is given any.
const TOGETHER: usize = 4;

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
struct Shared<M> {
    mailboxes: Vec<Mailbox>,
    /// Each has its worker at it during a turn, or another one who has something for it; nobody waits for another one's. It
    /// is not there before the worker's loop runs, nor behind.
    desks: Vec<Mutex<Option<Desk<M>>>>,
    /// How many have not drained yet.
    busy: AtomicUsize,
    /// The clock of all starts here.
    start: Instant,
}

/// One worker's place among the others.
pub(crate) struct Seat<M> {
    shared: Arc<Shared<M>>,
    own: usize,
}

impl<M> Clone for Seat<M> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), own: self.own }
    }
}

/// Seats for workers whose loops' registries are these; each may have so many connections of HTTP.
pub(super) fn seats<M>(registries: &[(&Registry, usize)], start: Instant) -> io::Result<Vec<Seat<M>>> {
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
    let desks = mailboxes.iter().map(|_| Mutex::new(None)).collect();
    let shared = Arc::new(Shared { mailboxes, desks, busy, start });
    Ok((0..registries.len()).map(|own| Seat { shared: shared.clone(), own }).collect())
}

impl<M> Seat<M> {
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

    /// Whether this is we.
    pub(super) fn is(&self, worker: WorkerId) -> bool {
        usize::from(worker.0) == self.own
    }

    /// Sets up our desk, or takes it away.
    pub(super) fn set_desk(&self, desk: Option<Desk<M>>) {
        if let Some(mut own) = self.desk() {
            *own = desk;
        }
    }

    /// Our desk; whoever stands in for us is waited for.
    pub(super) fn desk(&self) -> Option<MutexGuard<'_, Option<Desk<M>>>> {
        self.shared.desks.get(self.own).map(|own| own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The desk of another worker, if nobody is at it and nothing that was left for its worker has to come before.
    pub(super) fn free_desk(&self, of: WorkerId) -> Option<MutexGuard<'_, Option<Desk<M>>>> {
        let at = usize::from(of.0);
        let desk = self.shared.desks.get(at)?.try_lock().ok()?;
        // Letters are taken only by who is at the desk: none is on its way between mailbox and machine.
        self.shared.mailboxes.get(at)?.is_empty().then_some(desk)
    }

    /// Has another worker take a turn.
    pub(super) fn wake(&self, worker: WorkerId) {
        if let Some(mailbox) = self.shared.mailboxes.get(usize::from(worker.0)) {
            mailbox.wake();
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
        let empty = own.is_empty();
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

    /// Gives an accepted connection of HTTP to the worker with the most room left; `None` if that is us. Of a few, the first
    /// worker has some more than its part: to wake one thread for each of them would cost more than it gains.
    pub(super) fn deal(&self) -> Option<WorkerId> {
        let mailboxes = self.shared.mailboxes.iter().enumerate();
        let few = mailboxes.clone().find(|(_, mailbox)| mailbox.held() < TOGETHER.min(mailbox.room));
        let (to, mailbox) = few.or_else(|| {
            // Of several the first, so that a few connections are spread evenly.
            mailboxes.max_by_key(|(at, mailbox)| (mailbox.room_left(), std::cmp::Reverse(*at)))
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
    fn is_empty(&self) -> bool {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn leave(&self, letter: Letter) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        if self.sleeps.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a worker cannot be woken");
        }
    }

    /// How many connections its worker has.
    fn held(&self) -> usize {
        self.given.load(Ordering::Relaxed).saturating_sub(self.ended.load(Ordering::Relaxed))
    }

    fn room_left(&self) -> isize {
        isize::try_from(self.room).unwrap_or(isize::MAX) - isize::try_from(self.held()).unwrap_or(isize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_workers_are_given_four_connections_each_before_the_next_and_then_all_alike() {
        let polls: Vec<_> = (0..3).map(|_| mio::Poll::new().expect("a poll")).collect();
        let rooms: Vec<_> = polls.iter().map(|poll| (poll.registry(), 6)).collect();
        let seats = seats::<()>(&rooms, Instant::now()).expect("seats");
        let deal = || seats.first().and_then(Seat::deal).map_or(0, |worker| worker.0);
        let dealt: Vec<u8> = (0..15).map(|_| deal()).collect();
        assert_eq!(dealt, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 1, 2]);
    }
}
