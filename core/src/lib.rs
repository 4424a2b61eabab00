//! The protocol core of Cordboard, without I/O.

pub mod config;
pub mod io;
pub mod users;

mod auth;
mod call;
mod http;
mod ident;
mod random;
mod report;
mod rest;
pub mod sip;
mod time;

pub use random::Seed;
pub use report::Report;
pub use time::{Epoch, Tick};
