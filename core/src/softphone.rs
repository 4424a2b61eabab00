//! A scripted phone and a small exchange on the same SIP layers as the controller: for the demo, the simulator and tests.
//!
//! Both have the controller's contract: an [`Input`](crate::io::Input) goes in, what is to be done comes out in an
//! [`Outbox`](crate::io::Outbox), and a [`Wake`](crate::io::Wake) says when to call again. Their one socket is
//! [`SocketId`](crate::io::SocketId)`(0)`.

mod exchange;
mod phone;
mod temper;

pub use exchange::{Challenge, Exchange, ExchangeConfig, Subscriber};
pub use phone::{Phone, PhoneCall, PhoneCensus, PhoneConfig, PhoneCounts, PhoneState};
pub use temper::{Notices, Notify, Pickup, Referral, Temper, WhenLeft};
