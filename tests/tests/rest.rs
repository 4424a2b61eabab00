//! The REST interface over real sockets: real curl against the real server.

#[path = "rest/credentials.rs"]
mod credentials;
#[path = "rest/life.rs"]
mod life;
#[path = "rest/login.rs"]
mod login;
#[path = "rest/phone.rs"]
mod phone;
#[path = "rest/placing.rs"]
mod placing;
#[path = "rest/refusals.rs"]
mod refusals;
#[path = "rest/wire.rs"]
mod wire;

use cordboard_tests::cordboard::{Cordboard, NewUser};
use cordboard_tests::curl::{Reply, curl};

/// Who the tests' servers know.
const USERS: [NewUser<'static>; 4] = [
    ("user1", "11", &["--alias", "201", "--display-name", "User One"]),
    ("user2", "22", &[]),
    ("desk", "33", &["--act-for", "user1"]),
    ("robot", "44", &["--act-for", "*"]),
];

/// A server that trusts every loopback address.
fn server(more: &str) -> Cordboard {
    Cordboard::start("example.com", "", more, &USERS)
}

/// A server that trusts 127.0.0.1 and nobody else; `auth` are the lines of that table.
fn guarded(auth: &str) -> Cordboard {
    let config = format!(
        "[http]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\ntrusted = [\"127.0.0.1/32\"]\n\
         [sip]\ndomain = \"example.com\"\nlisten = [\"udp:127.0.0.1:0\"]\n[auth]\n{auth}\n"
    );
    Cordboard::configured(&config, &USERS)
}

/// A request over HTTPS from an address that [`guarded`] does not trust.
fn stranger(server: &Cordboard, arguments: &[&str], path: &str) -> Reply {
    let url = format!("https://{}{path}", server.https);
    curl(&[&["--interface", "127.0.0.2"], arguments, &[url.as_str()]].concat())
}

/// A request over HTTPS from 127.0.0.1.
fn trusted(server: &Cordboard, arguments: &[&str], path: &str) -> Reply {
    let url = format!("https://{}{path}", server.https);
    curl(&[arguments, &[url.as_str()]].concat())
}

/// A request over HTTP from 127.0.0.1.
fn plain(server: &Cordboard, arguments: &[&str], path: &str) -> Reply {
    let url = format!("http://{}{path}", server.http);
    curl(&[arguments, &[url.as_str()]].concat())
}
