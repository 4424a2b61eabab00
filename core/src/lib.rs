//! The protocol core of Cordboard, without I/O.
//!
//! Cordboard is a third-party call controller: an HTTP request asks that two people be connected, Cordboard rings the
//! first one's phone by SIP and hands it to the second. Everything that decides lives here, as state machines that open
//! no socket, read no clock, start no thread and draw no randomness but from the seed that they are given.
//!
//! Two types matter. A [`Controller`] is the whole protocol side of the service. An [`Outbox`](io::Outbox) belongs to
//! the caller and holds what is to be done after each [`handle`](Controller::handle). A runtime hands in what happened
//! ([`Input`](io::Input)), does what lies in the outbox, and calls again when the [`Wake`](io::Wake) says.
//!
//! ```
//! use cordboard_core::{Controller, Epoch, Seed, Tick};
//! use cordboard_core::config::Config;
//! use cordboard_core::io::{Datagram, Input, Outbox, Output, SocketId, Wake};
//! use cordboard_core::users::{Directory, User};
//!
//! let config = Config::from_toml("[sip]\ndomain = \"example.com\"\nproxy = \"sip:192.0.2.1:5060\"")?;
//! let users = Directory::new(vec![User::new("user1", config.realm(), "123")], config.realm())?;
//! let mut controller = Controller::new(config, users, Seed([7; 32]), Epoch::from_unix_millis(0))?;
//! let mut outbox = Outbox::new();
//!
//! // An OPTIONS request comes in by UDP, and is answered.
//! let options = b"OPTIONS sip:cordboard@127.0.0.1 SIP/2.0\r\n\
//!     Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport\r\nMax-Forwards: 70\r\n\
//!     From: <sip:proxy@example.com>;tag=1\r\nTo: <sip:cordboard@127.0.0.1>\r\n\
//!     Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
//! let datagram = Datagram {
//!     socket: SocketId(0),
//!     from: "192.0.2.1:5060".parse()?,
//!     bytes: options,
//! };
//! let wake = controller.handle(Tick::ZERO, Input::Datagram(datagram), &mut outbox);
//! let Some(Output::Datagram { bytes, .. }) = outbox.pop() else { panic!("no answer") };
//! assert!(bytes.starts_with(b"SIP/2.0 200 OK\r\n"));
//! // The transaction is kept for copies of the request: call again until it is forgotten.
//! let mut wake = wake;
//! while let Wake::At(tick, _) = wake {
//!     wake = controller.handle(tick, Input::Timeout, &mut outbox);
//! }
//! assert_eq!(controller.census(), cordboard_core::Census::default());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod config;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod io;
pub mod ladder;
#[cfg(feature = "measuring")]
pub mod measuring;
#[cfg(feature = "mistakes")]
pub mod mistakes;
#[cfg(not(feature = "mistakes"))]
#[expect(unreachable_pub, reason = "it is public where tests switch mistakes on")]
mod mistakes;
pub mod sip;
#[cfg(feature = "softphone")]
pub mod softphone;
pub mod tls;
pub mod users;

mod auth;
mod call;
mod controller;
mod http;
mod ident;
mod random;
mod report;
mod rest;
mod time;

pub use auth::digest;
pub use controller::{Census, Controller, StartError};
pub use random::Seed;
pub use report::{CallEnded, Opened, Report};
pub use time::{Epoch, Tick};
