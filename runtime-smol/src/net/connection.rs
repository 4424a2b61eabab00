//! One stream connection: a task that reads it, and one that writes it.

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
/// How long a peer may take to close its side after ours: what it still sends must not reset the connection before it
/// has read our last answer.
const LINGER: Duration = Duration::from_secs(2);

/// What the writing task is to do.
enum Job {
    Write(Vec<u8>),
    /// Nothing more comes; the reading task is kept until the peer has closed as well.
    Close(Task<()>),
}

/// A connection that the machine knows.
pub(super) struct Connection {
    jobs: Sender<Job>,
    reader: Task<()>,
    writer: Task<()>,
}

impl Connection {
    /// Begins to read and write. `alive` is dropped when everything has been written.
    pub(super) fn open(
        id: ConnectionId,
        stream: TcpStream,
        executor: &LocalExecutor<'_>,
        events: &Sender<Event>,
        alive: Sender<()>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let stream = Rc::new(Async::new(stream)?);
        let (jobs, waiting) = smol::channel::unbounded();
        let reader = executor.spawn(read(id, stream.clone(), events.clone()));
        let writer = executor.spawn(write(id, stream, waiting, events.clone(), alive));
        Ok(Self { jobs, reader, writer })
    }

    /// Writes these bytes behind those of before; how many wait is core's to bound.
    pub(super) fn write(&self, bytes: &[u8]) {
        // A writer that is gone has said that the connection is.
        drop(self.jobs.try_send(Job::Write(bytes.to_vec())));
    }

    /// Closes it, now or when all is written.
    pub(super) fn close(self, how: Close) {
        let Self { jobs, reader, writer } = self;
        match how {
            Close::Now => drop((reader, writer)),
            Close::Flushed => {
                drop(jobs.try_send(Job::Close(reader)));
                writer.detach();
            }
        }
    }
}

async fn read(id: ConnectionId, stream: Rc<Async<TcpStream>>, events: Sender<Event>) {
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

async fn write(
    id: ConnectionId,
    stream: Rc<Async<TcpStream>>,
    jobs: Receiver<Job>,
    events: Sender<Event>,
    alive: Sender<()>,
) {
    while let Ok(job) = jobs.recv().await {
        match job {
            Job::Write(bytes) => {
                if (&*stream).write_all(&bytes).await.is_err() {
                    drop(events.send(Event::Ended(id)).await);
                    return;
                }
                if events.send(Event::Written(id, bytes.len())).await.is_err() {
                    return;
                }
            }
            Job::Close(reader) => {
                let shut = stream.get_ref().shutdown(Shutdown::Write);
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
