//! Cordboard: the production server.
fn main() {}
