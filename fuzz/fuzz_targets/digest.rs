//! Any text as a challenge and as credentials.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cordboard_fuzz::digest(bytes));
