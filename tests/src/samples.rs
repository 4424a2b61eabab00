//! Messages as phones send them, for the benchmarks.

/// An INVITE of 933 bytes, with a description.
pub const INVITE: &[u8] = include_bytes!("../samples/invite.sip");
/// 180 to an INVITE.
pub const RINGING: &[u8] = include_bytes!("../samples/ringing.sip");
/// 200 to an INVITE, with a description.
pub const OK: &[u8] = include_bytes!("../samples/ok.sip");
/// A NOTIFY of a referred call.
pub const NOTIFY: &[u8] = include_bytes!("../samples/notify.sip");
/// A BYE.
pub const BYE: &[u8] = include_bytes!("../samples/bye.sip");

/// All of them with their names.
pub const ALL: [(&str, &[u8]); 5] = [
    ("INVITE with SDP, 933 bytes", INVITE),
    ("180", RINGING),
    ("200 with SDP", OK),
    ("NOTIFY", NOTIFY),
    ("BYE", BYE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_sound_and_the_invite_is_as_long_as_the_goal_says() {
        for (name, bytes) in ALL {
            assert!(cordboard_core::sip::message::parse(bytes).is_ok(), "{name}");
        }
        assert_eq!(INVITE.len(), 933);
    }
}
