//! The whole controller: what its peers send it, made from what it sends them, and time.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cordboard_fuzz::controller(bytes));
