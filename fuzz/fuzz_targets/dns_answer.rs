//! Any records as a name server's answer, any text as resolv.conf and hosts.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cordboard_fuzz::dns_answer(bytes));
