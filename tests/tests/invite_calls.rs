//! Calls that Cordboard stays in, from HTTP to the phones and back, in virtual time.

#[path = "invite_calls/setup.rs"]
mod setup;
