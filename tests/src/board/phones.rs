//! What phones say that answer at once.

use crate::phrases::{SDP, Speaker, method};

/// Says what a phone answers to a message, and what it says then by itself.
pub(super) fn reply(message: &str, mut say: impl FnMut(String)) {
    let phone = Speaker { address: super::phones_address(), tag: "phone" };
    match method(message) {
        "INVITE" => say(phone.response(message, "200 OK", SDP)),
        "BYE" => say(phone.response(message, "200 OK", "")),
        "REFER" => {
            say(phone.response(message, "202 Accepted", ""));
            say(phone.notify(message, 1, "200 OK", true));
        }
        _ => {}
    }
}
