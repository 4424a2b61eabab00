//! HTTP requests and SIP over TCP to the whole controller: the same outputs however the bytes are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cordboard_fuzz::pieces(bytes));
