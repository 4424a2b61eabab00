//! One stream connection: a task that reads it, and one that writes it.

use std::cell::Cell;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use cordboard_core::io::{Close, ConnectionId};
use smol::channel::{Receiver, Sender};
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor, Task, Timer};

use super::Event;

/// How much is read at once.
const READ: usize = 16 * 1024;
/// More than this must not wait for a peer that takes nothing when more is to be written.
const MAX_WAITING: usize = 1 << 20;
/// How long a peer may take nothing of what waits for it, once the connection is to be closed.
const STALL: Duration = Duration::from_secs(30);
/// How long a peer may take to close its side after ours: what it still sends must not reset the connection before it
/// has read our last answer.
const LINGER: Duration = Duration::from_secs(2);

/// What the writing task is to do.
enum Job {
    Write(Vec<u8>),
    /// Nothing more comes; the reading task is kept until the peer has closed as well.
    Close(Task<()>),
}

/// Who began a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The peer did: it stands.
    Accepted,
    /// We did: it stands or has failed when it can be written to.
    Opened,
}

/// What a connection's tasks have in common.
#[derive(Clone)]
struct Shared {
    id: ConnectionId,
    stream: Rc<Async<TcpStream>>,
    events: Sender<Event>,
    /// Bytes that are still to be written.
    waiting: Rc<Cell<usize>>,
}

/// A connection that the machine knows.
pub(super) struct Connection {
    jobs: Sender<Job>,
    reader: Task<()>,
    writer: Task<()>,
    waiting: Rc<Cell<usize>>,
}

impl Connection {
    /// Begins to read and write. `alive` is dropped when everything has been written.
    pub(super) fn start(
        id: ConnectionId,
        (stream, origin): (TcpStream, Origin),
        executor: &LocalExecutor<'_>,
        events: &Sender<Event>,
        alive: Sender<()>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let waiting = Rc::new(Cell::new(0));
        let stream = Rc::new(Async::new(stream)?);
        let shared = Shared { id, stream, events: events.clone(), waiting: waiting.clone() };
        let (jobs, queue) = smol::channel::unbounded();
        let (opens, gate) = smol::channel::bounded(1);
        let reader = executor.spawn(read(shared.clone(), origin, opens));
        let writer = executor.spawn(write(shared, gate, queue, alive));
        Ok(Self { jobs, reader, writer, waiting })
    }

    /// Writes these bytes behind those of before; fails if too much waits already.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let waiting = self.waiting.get();
        if waiting > MAX_WAITING {
            return Err(io::Error::other(format!("the peer leaves {waiting} bytes waiting")));
        }
        self.waiting.set(waiting + bytes.len());
        // A writer that is gone has said that the connection is.
        drop(self.jobs.try_send(Job::Write(bytes.to_vec())));
        Ok(())
    }

    /// Closes it, now or when all is written.
    pub(super) fn close(self, how: Close, executor: &LocalExecutor<'_>) {
        let Self { jobs, reader, writer, waiting } = self;
        match how {
            Close::Now => drop((reader, writer)),
            Close::Flushed => {
                drop(jobs.try_send(Job::Close(reader)));
                executor.spawn(writer.or(stalled(waiting))).detach();
            }
        }
    }
}

/// Ends when nothing was written for a time.
async fn stalled(waiting: Rc<Cell<usize>>) {
    loop {
        let before = waiting.get();
        Timer::after(STALL).await;
        if waiting.get() == before {
            return;
        }
    }
}

/// Waits until a connection that is being opened stands.
async fn stand(stream: &Async<TcpStream>) -> io::Result<()> {
    stream.writable().await?;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => stream.get_ref().peer_addr().map(drop),
    }
}

async fn read(shared: Shared, origin: Origin, opens: Sender<()>) {
    let Shared { id, stream, events, .. } = shared;
    if origin == Origin::Opened {
        let event = match stand(&stream).await {
            Ok(()) => Event::Connected(id),
            Err(error) => {
                tracing::debug!(connection = id.0, %error, "opening a connection");
                Event::Ended(id)
            }
        };
        let failed = matches!(event, Event::Ended(_));
        if events.send(event).await.is_err() || failed {
            return;
        }
    }
    // The writing task waits for this, or hears that it never comes.
    if opens.send(()).await.is_err() {
        return;
    }
    loop {
        // A connection that rests keeps no buffer.
        if stream.readable().await.is_err() {
            break;
        }
        let mut buffer = vec![0; READ];
        match (&*stream).read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => {
                buffer.truncate(length);
                if events.send(Event::Received(id, buffer)).await.is_err() {
                    return;
                }
            }
        }
    }
    // Whoever waits for no end of it any more has dropped the receiver.
    drop(events.send(Event::Ended(id)).await);
}

async fn write(shared: Shared, gate: Receiver<()>, jobs: Receiver<Job>, alive: Sender<()>) {
    if gate.recv().await.is_err() {
        return;
    }
    while let Ok(job) = jobs.recv().await {
        match job {
            Job::Write(bytes) => {
                if write_all(&shared, &bytes).await.is_err() {
                    drop(shared.events.send(Event::Ended(shared.id)).await);
                    return;
                }
            }
            Job::Close(reader) => {
                let shut = shared.stream.get_ref().shutdown(Shutdown::Write);
                drop(alive);
                if shut.is_ok() {
                    let time = async {
                        Timer::after(LINGER).await;
                    };
                    reader.or(time).await;
                }
                return;
            }
        }
    }
}

/// Writes bytes, and tells the loop of each part that was taken.
async fn write_all(shared: &Shared, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = (&*shared.stream).write(rest).await?;
        rest = rest.get(length..).unwrap_or_default();
        shared.waiting.set(shared.waiting.get().saturating_sub(length));
        let told = shared.events.send(Event::Written(shared.id, length)).await;
        told.map_err(|_| io::ErrorKind::BrokenPipe)?;
    }
    Ok(())
}
