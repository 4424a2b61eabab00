//! Two or three phones that the test plays, connected through Cordboard.

use std::time::Duration;

use cordboard_tests::hand::{Hand, Mail, sdp};
use cordboard_tests::world::{Setting, Weather, World};

/// Two phones in a call, and their first INVITEs.
pub(crate) struct Pair {
    pub(crate) world: World,
    pub(crate) one: Hand,
    pub(crate) two: Hand,
    pub(crate) to_one: Mail,
    pub(crate) to_two: Mail,
}

/// The setting for phones that are played: requests within dialogs come straight to them, and every datagram comes twice.
pub(crate) fn setting() -> Setting {
    let weather = Weather { doubled: 100, ..Weather::default() };
    Setting { record_routes: false, weather, ..Setting::default() }
}

/// What a phone of today says of itself.
pub(crate) const ABLE: &str =
    "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO, PRACK\r\nSupported: timer, 100rel\r\n";

/// Two phones that have not been called yet.
pub(crate) fn phones(setting: Setting) -> (World, Hand, Hand) {
    let mut world = World::new(setting, Vec::new());
    let (one, two) = (Hand::new(&mut world, 7101), Hand::new(&mut world, 7102));
    (world, one, two)
}

/// The path of the call between two phones.
pub(crate) fn path(one: &Hand, two: &Hand) -> String {
    format!("/callcontroller/{}/{}", one.user(), two.user())
}

/// Places a call between them.
pub(crate) fn place(world: &mut World, one: &Hand, two: &Hand, parameters: &str) {
    let path = format!("{}?agent=agent&{parameters}", path(one, two));
    let (status, _, body) = world.ask("POST", &path, "");
    assert_eq!(status, 200, "{body}");
}

/// The call as JSON.
pub(crate) fn shown(world: &mut World, one: &Hand, two: &Hand) -> serde_json::Value {
    let (_, _, body) = world.ask("GET", &path(one, two), "Accept: application/json\r\n");
    serde_json::from_str(&body).expect("it is JSON")
}

/// The first phone is rung and picks up.
pub(crate) fn pick_up(world: &mut World, one: &Hand, lines: &str) -> Mail {
    let invite = one.next(world, "INVITE");
    one.reply(world, &invite, "200 OK", lines, &sdp(4001, 1, "recvonly"));
    one.next(world, "ACK");
    invite
}

impl Pair {
    /// Connects them by flow IV.
    pub(crate) fn connected() -> Self {
        Self::connected_with(setting(), ABLE, ABLE)
    }

    /// The same, with what each says of itself in its 2xx.
    pub(crate) fn connected_with(setting: Setting, one_says: &str, two_says: &str) -> Self {
        let (mut world, one, two) = phones(setting);
        place(&mut world, &one, &two, "sipMethod=INVITE");
        let to_one = pick_up(&mut world, &one, one_says);
        let to_two = two.next(&mut world, "INVITE");
        assert_eq!(to_two.body(), "", "the called party is to offer");
        two.reply(&mut world, &to_two, "200 OK", two_says, &sdp(4002, 1, "sendrecv"));
        let offer = one.next(&mut world, "INVITE");
        assert!(offer.body().contains("m=audio 4002 "), "{}", offer.text);
        one.reply(&mut world, &offer, "200 OK", one_says, &sdp(4001, 2, "sendrecv"));
        one.next(&mut world, "ACK");
        let ack = two.next(&mut world, "ACK");
        assert!(ack.body().contains("m=audio 4001 "), "{}", ack.text);
        Self { world, one, two, to_one, to_two }
    }

    pub(crate) fn shown(&mut self) -> serde_json::Value {
        shown(&mut self.world, &self.one, &self.two)
    }

    /// Hangs up by our interface; both get BYE and answer it, and nothing is left.
    pub(crate) fn end(mut self) {
        let (status, _, _) = self.world.ask("DELETE", &path(&self.one, &self.two), "");
        assert_eq!(status, 204);
        for hand in [&self.one, &self.two] {
            let bye = hand.next(&mut self.world, "BYE");
            hand.reply(&mut self.world, &bye, "200 OK", "", "");
        }
        self.over();
    }

    /// Nobody is in a call any more, and nothing is left.
    pub(crate) fn over(mut self) {
        self.world.pass(Duration::from_secs(1));
        assert_eq!(self.shown()["state"], "ended");
        self.world.expect_nothing_left();
    }
}

/// Answers the BYE that comes to a phone; it is returned.
pub(crate) fn bye(world: &mut World, hand: &Hand) -> Mail {
    let bye = hand.next(world, "BYE");
    hand.reply(world, &bye, "200 OK", "", "");
    bye
}
