//! Any text as a configuration and as users files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cordboard_fuzz::config(bytes));
