//! A phone that is a socket: it hears what the server sends and says what the test wants.

use std::cell::RefCell;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use cordboard_tests::PATIENCE;

/// A phone on 127.0.0.1. Dropped, it ends its calls, so that the server need not wait for them.
pub(crate) struct Phone {
    socket: UdpSocket,
    invites: RefCell<Vec<Heard>>,
}

/// A request that the phone has heard.
#[derive(Clone)]
pub(crate) struct Heard {
    /// As it was sent.
    pub(crate) text: String,
    from: SocketAddr,
}

impl Phone {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes a time limit");
        Self { socket, invites: RefCell::default() }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    /// The path of a call from this phone to user2, placed by user1.
    pub(crate) fn path(&self) -> String {
        format!("{}?agent=user1", self.pair())
    }

    /// The same without agent.
    pub(crate) fn pair(&self) -> String {
        format!("/callcontroller/phone%40{}/user2", self.address())
    }

    /// The next request of this method; what is sent again meanwhile is passed over.
    pub(crate) fn hear(&self, method: &str) -> Heard {
        let start = Instant::now();
        let mut buffer = [0; 65_536];
        while start.elapsed() < PATIENCE {
            let (length, from) =
                self.socket.recv_from(&mut buffer).unwrap_or_else(|e| panic!("no {method} came: {e}"));
            let text = String::from_utf8(buffer[..length].to_vec()).expect("we are sent UTF-8");
            if text.starts_with(&format!("{method} ")) {
                let heard = Heard { text, from };
                if method == "INVITE" {
                    self.invites.borrow_mut().push(heard.clone());
                }
                return heard;
            }
        }
        panic!("no {method} came")
    }

    /// Answers a request; `status` has the phrase with it.
    pub(crate) fn answer(&self, heard: &Heard, status: &str) {
        let line = |name: &str| format!("{name}: {}\r\n", heard.field(name));
        let tag = if heard.field("To").contains("tag=") { "" } else { ";tag=phone" };
        let answer = format!(
            "SIP/2.0 {status}\r\n{}{}To: {}{tag}\r\n{}{}Content-Length: 0\r\n\r\n",
            line("Via"),
            line("From"),
            heard.field("To"),
            line("Call-ID"),
            line("CSeq"),
        );
        self.socket.send_to(answer.as_bytes(), heard.from).expect("a datagram can be sent");
    }

    /// Hears the INVITE and is busy.
    pub(crate) fn be_busy(&self) {
        let invite = self.hear("INVITE");
        self.answer(&invite, "486 Busy Here");
        self.hear("ACK");
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let mut invites = self.invites.take();
        let mut buffer = [0; 65_536];
        if self.socket.set_nonblocking(true).is_ok() {
            while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                invites.extend(text.starts_with("INVITE ").then_some(Heard { text, from }));
            }
        }
        if !std::thread::panicking() {
            invites.iter().for_each(|invite| self.answer(invite, "486 Busy Here"));
        }
    }
}

impl Heard {
    /// The value of the only header field of this name.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> &str {
        match self.fields(name)[..] {
            [value] => value,
            ref others => panic!("{name}: {others:?} in {}", self.text),
        }
    }

    /// The values of all header fields of this name.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(found, _)| *found == name).map(|(_, value)| value).collect()
    }
}
