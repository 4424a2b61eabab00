//! Any bytes as a description of media: answered, and put under our own origin.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cordboard_fuzz::sdp(bytes));
