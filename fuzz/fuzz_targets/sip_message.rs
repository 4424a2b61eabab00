//! Any bytes as a SIP message: read or refused, never a panic; what is refused can be answered without one.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cordboard_fuzz::sip_message(bytes));
