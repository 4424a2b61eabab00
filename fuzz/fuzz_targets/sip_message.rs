//! Any bytes as a SIP message: read or refused, never a panic; what is refused can be answered without one.
#![no_main]

use std::net::SocketAddr;

use cordboard_core::sip::message::{Message, Status, Writer, parse};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let source = SocketAddr::from(([192, 0, 2, 1], 5060));
    let mut out = Vec::new();
    match parse(bytes) {
        Ok(Message::Request(request)) => {
            Writer::answer(&mut out, &request, source, Status::OK, Some("tag")).end();
            assert!(parse(&out).is_ok(), "our answer can be read");
        }
        Ok(Message::Response(response)) => assert!(response.status.code() >= 100),
        Err(rejected) => Writer::refusal(&mut out, &rejected, source, "t"),
    }
});
