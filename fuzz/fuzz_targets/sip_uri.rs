//! Any text as a SIP URI, a name-addr, a Via value and a list of parameters.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cordboard_fuzz::sip_uri(bytes));
