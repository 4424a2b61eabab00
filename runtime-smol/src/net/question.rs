//! One question to a name server: a socket of its own, and a task that hears what comes back.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;

use cordboard_core::io::QueryId;
use smol::channel::Sender;
use smol::{Async, LocalExecutor, Task};

use super::datagrams::LONGEST;
use super::{Event, dial};

/// A question that core has not called over.
pub(super) struct Question {
    socket: Rc<Async<UdpSocket>>,
    server: SocketAddr,
    /// Ends when the question is dropped.
    _hearing: Task<()>,
}

impl Question {
    /// Opens a port for questions to this server.
    pub(super) fn new(
        id: QueryId,
        server: SocketAddr,
        executor: &LocalExecutor<'_>,
        events: &Sender<Event>,
    ) -> io::Result<Self> {
        let socket = Rc::new(Async::new(dial::question(server)?)?);
        let hearing = executor.spawn(hear(id, socket.clone(), events.clone()));
        Ok(Self { socket, server, _hearing: hearing })
    }

    /// Whether it goes to this server.
    pub(super) fn is_to(&self, server: SocketAddr) -> bool {
        self.server == server
    }

    /// Sends a message.
    pub(super) fn ask(&self, message: &[u8]) -> io::Result<()> {
        match self.socket.get_ref().send(message) {
            // No room: it is lost, as on the way, and core asks again.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }
}

async fn hear(id: QueryId, socket: Rc<Async<UdpSocket>>, events: Sender<Event>) {
    loop {
        // A question that waits keeps no buffer.
        if socket.readable().await.is_err() {
            return;
        }
        let mut buffer = vec![0; LONGEST];
        let event = match socket.recv(&mut buffer).await {
            Ok(length) => {
                buffer.truncate(length);
                Event::Answer(id, buffer)
            }
            Err(error) => {
                tracing::debug!(query = id.0, %error, "hearing a name server");
                Event::Unanswered(id)
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
}
