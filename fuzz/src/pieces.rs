//! The same bytes whole and in pieces: a stream has no edges that anybody may rely on.

use std::net::SocketAddr;

use cordboard_core::config::Config;
use cordboard_core::io::{ConnectionId, Input, ListenerId, Outbox, Output, Wake};
use cordboard_core::users::{Directory, User};
use cordboard_core::{Controller, Epoch, Seed, Tick};

use crate::cut;

const CONFIG: &str = "[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]\n\
    [sip]\ndomain = \"example.com\"\nlisten = [\"udp:127.0.0.1:6050\", \"tcp:127.0.0.1:6050\"]\n\
    [limits]\nhttp_head = 1024\nhttp_body = 1024\nhttp_headers = 16\nsip_message = 1300\nsip_headers = 16\npipelined = 3\n";
const CONNECTION: ConnectionId = ConnectionId(0);

/// Any bytes on a connection for HTTP or for SIP: first which, then how often and where they are cut, then they.
pub fn pieces(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let (listener, count) = (ListenerId(u16::from(first & 1)), usize::from(first >> 1 & 31));
    let (cuts, stream) = rest.split_at_checked(count).unwrap_or((&[], rest));
    let whole = Talk::of(listener, &[stream]);
    let in_pieces = Talk::of(listener, &cut(stream, cuts));
    assert_eq!(in_pieces, whole, "cut by {cuts:?}");
    if stream.len() <= 512 {
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(Talk::of(listener, &single), whole, "one byte at a time");
    }
}

/// What a controller does when a peer sends all that and takes every answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Talk {
    /// What it writes to the peer.
    written: String,
    /// How many pings it answers: before or behind the answers to messages that came with them.
    pongs: usize,
    /// What else it does, as text.
    others: Vec<String>,
    /// What it ends with.
    census: String,
}

impl Talk {
    fn of(listener: ListenerId, pieces: &[&[u8]]) -> Self {
        let config = Config::from_toml(CONFIG).expect("the configuration is right");
        let users = Directory::new(vec![User::new("user1", "example.com", "1")], "example.com");
        let users = users.expect("the users are right");
        let made = Controller::new(config, users, Seed([1; 32]), Epoch::from_unix_millis(0));
        let mut controller = made.expect("it has an address");
        let (mut outbox, mut talk) = (Outbox::new(), Self::default());
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        talk.hand(&mut controller, Input::Accepted { listener, connection: CONNECTION, peer }, &mut outbox);
        for bytes in pieces.iter().filter(|bytes| !bytes.is_empty()) {
            talk.hand(&mut controller, Input::Received { connection: CONNECTION, bytes }, &mut outbox);
        }
        let held = if listener.0 == 0 { 0 } else { controller.census().bytes_held };
        talk.census = format!("{:?}, {held} bytes held", controller.census().server_transactions);
        talk
    }

    fn hand(&mut self, controller: &mut Controller, input: Input<'_>, outbox: &mut Outbox) {
        let mut wake = controller.handle(Tick::ZERO, input, outbox);
        for _ in 0..1000 {
            let bytes = self.take(outbox);
            if bytes > 0 {
                wake =
                    controller.handle(Tick::ZERO, Input::Written { connection: CONNECTION, bytes }, outbox);
            } else if matches!(wake, Wake::At(Tick::ZERO, _)) {
                wake = controller.handle(Tick::ZERO, Input::Timeout, outbox);
            } else {
                return controller.audit().expect("the tables agree");
            }
        }
        panic!("it never has enough");
    }

    /// Takes what lies in the outbox, and returns how many bytes are for the peer.
    fn take(&mut self, outbox: &mut Outbox) -> usize {
        let mut bytes = 0;
        while let Some(output) = outbox.pop() {
            match output {
                Output::Write { connection, bytes: more } => {
                    assert_eq!(connection, CONNECTION);
                    bytes += more.len();
                    if more == b"\r\n" {
                        self.pongs += 1;
                        continue;
                    }
                    self.written.push_str(&more.escape_ascii().to_string());
                }
                Output::Report(report) => self.others.push(report.to_string()),
                other => self.others.push(format!("{other:?}")),
            }
        }
        bytes
    }
}
