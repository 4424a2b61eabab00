//! Any bytes as pipelined HTTP requests: the same requests however they are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cordboard_fuzz::http_request(bytes));
