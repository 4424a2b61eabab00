//! Programs that talk to the server as no program should, and datagrams that mean nothing.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::connection::Connection;
use crate::garbage::garbage;
use crate::sim::dice::Dice;

/// What a bad client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Abuse {
    /// It sends bytes that are no HTTP: 400, or the connection is closed.
    Garbage,
    /// It sends no TLS where TLS is spoken: the connection is closed.
    NoTls,
    /// It goes away in the middle of a request.
    Leaves,
    /// It stops in the middle of a request: 408.
    Stops,
    /// It sends a head that is too long: 431.
    LongHead,
    /// It sends many requests at once, without a login: each is answered 401.
    Pipelines,
}

const ALL: [Abuse; 6] =
    [Abuse::Garbage, Abuse::NoTls, Abuse::Leaves, Abuse::Stops, Abuse::LongHead, Abuse::Pipelines];

/// How many requests are sent at once.
const AT_ONCE: usize = 40;
/// How long the server has for what it says to it; it waits for ten seconds itself for a request to be complete.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Debug)]
struct Client {
    what: Abuse,
    connection: Connection,
    since: Duration,
    statuses: Vec<u16>,
}

/// The bad clients.
#[derive(Debug)]
pub struct Abusers {
    http: String,
    https: String,
    sip: Vec<SocketAddr>,
    socket: UdpSocket,
    dice: Dice,
    clients: VecDeque<Client>,
    /// How many there were.
    pub clients_sent: u32,
    /// How many datagrams were sent.
    pub datagrams_sent: u32,
}

impl Abusers {
    /// Those of a server's `ADDRESS:PORT` of HTTP and HTTPS, and its addresses of SIP.
    pub fn new(http: &str, https: &str, sip: Vec<SocketAddr>, dice: Dice) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free UDP port");
        socket.set_nonblocking(true).expect("a socket need not block");
        Self {
            http: http.to_owned(),
            https: https.to_owned(),
            sip,
            socket,
            dice,
            clients: VecDeque::new(),
            clients_sent: 0,
            datagrams_sent: 0,
        }
    }

    /// How many clients are still there.
    pub fn waiting(&self) -> usize {
        self.clients.len()
    }

    /// Sends a datagram that means nothing.
    pub fn send_datagram(&mut self) {
        let bytes = garbage(&mut self.dice);
        let to = *self.dice.pick(&self.sip);
        // What the system does not take is as good as lost, and what comes back is not listened to.
        self.datagrams_sent += u32::from(self.socket.send_to(&bytes, to).is_ok());
        let mut answer = [0; 64];
        while self.socket.recv_from(&mut answer).is_ok() {}
    }

    /// One more client comes.
    pub fn send_client(&mut self, now: Duration) {
        let what = *self.dice.pick(&ALL);
        let to = if what == Abuse::NoTls { &self.https } else { &self.http };
        let mut connection = Connection::open(to, None);
        let post = "POST /callcontroller/c0/d0 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n";
        match what {
            Abuse::Garbage | Abuse::NoTls => {
                let bytes: Vec<u8> = (0..400).map(|_| self.dice.bits() as u8).collect();
                connection.send(&[&b"\x00"[..], &bytes, b"\r\n\r\n"].concat());
            }
            Abuse::Leaves | Abuse::Stops => {
                let length = 1 + self.dice.below(post.len() as u64 - 1) as usize;
                connection.send(&post.as_bytes()[..length]);
            }
            Abuse::LongHead => {
                let long = "x".repeat(20_000);
                connection.send(format!("GET / HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n").as_bytes());
            }
            Abuse::Pipelines => {
                connection.send("GET /calls HTTP/1.1\r\nHost: x\r\n\r\n".repeat(AT_ONCE).as_bytes())
            }
        }
        connection.turn();
        self.clients_sent += 1;
        if what != Abuse::Leaves {
            self.clients.push_back(Client { what, connection, since: now, statuses: Vec::new() });
        }
    }

    /// Takes what was said to them; the faults among it.
    pub fn turn(&mut self, now: Duration) -> Vec<String> {
        let mut faults = Vec::new();
        self.clients.retain_mut(|client| {
            client.connection.turn();
            while let Some(response) = client.connection.response() {
                client.statuses.push(response.status);
            }
            match client.judge(now) {
                Ok(over) => !over,
                Err(what) => {
                    faults.push(what);
                    false
                }
            }
        });
        faults
    }
}

impl Client {
    /// Whether it has got what it deserves.
    fn judge(&self, now: Duration) -> Result<bool, String> {
        let closed = self.connection.is_closed();
        let statuses = self.statuses.as_slice();
        let over = match self.what {
            Abuse::Garbage => closed && matches!(statuses, [] | [400]),
            Abuse::NoTls => closed && statuses.is_empty(),
            Abuse::Stops => statuses == [408] && closed,
            Abuse::LongHead => statuses == [431] && closed,
            Abuse::Pipelines => statuses == [401; AT_ONCE],
            Abuse::Leaves => true,
        };
        let late = now > self.since + PATIENCE;
        if !over && (closed || late) {
            let end = if late { "nothing more came" } else { "the connection was closed" };
            return Err(format!("a client that {:?} is answered {statuses:?}, then {end}", self.what));
        }
        Ok(over)
    }
}
