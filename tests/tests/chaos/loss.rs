//! A network that loses ten of a hundred datagrams, whichever way they go.

use std::time::Duration;

use cordboard_core::softphone::Temper;
use cordboard_tests::baresip::{Answer, Way};
use cordboard_tests::cordboard::Cordboard;
use cordboard_tests::softphones::Softphone;
use cordboard_tests::{network, wait_up_to};

use crate::{Site, delete, expect_over, place, wait_connected};

const LOST: u8 = 10;
const CALLS: usize = 40;
/// As long as a transaction may take, and one more behind it.
const LONG: Duration = Duration::from_secs(70);

#[test]
fn of_forty_calls_through_a_lossy_network_none_is_lost() {
    network::lossy(LOST, || {
        let (calling, called) = (Softphone::start(Temper::default()), Softphone::start(Temper::default()));
        let server = Cordboard::start("127.0.0.1", "", "", &[("agent", "1", &[])]);
        let path = |number: usize| {
            let user = |phone: &Softphone| phone.user(&format!("user{number}"));
            format!("/callcontroller/{}/{}?agent=agent", user(&calling), user(&called))
        };
        let paths: Vec<String> = (0..CALLS).map(path).collect();
        paths.iter().for_each(|path| place(&server, path));
        paths.iter().for_each(|path| wait_connected(&server, path));
        for (one, other) in [(&calling, &called), (&called, &calling)] {
            assert_eq!((one.calls(), one.counts().answered), (CALLS, CALLS as u32));
            wait_up_to(LONG, "all to be told of each other", || (one.told_of(other) == CALLS).then_some(()));
        }
        paths.iter().for_each(|path| delete(&server, path));
        for phone in [&calling, &called] {
            wait_up_to(LONG, "the end of all calls", || (phone.calls() == 0).then_some(()));
        }
        paths.iter().for_each(|path| expect_over(&server, path));
        for phone in [&calling, &called] {
            wait_up_to(LONG, "the end of all transactions", || phone.is_quiet().then_some(()));
        }
        assert!(network::lost() > 20, "the weather was fine");
    });
}

#[test]
fn calls_of_real_phones_through_a_real_proxy_live_and_end_in_a_lossy_network() {
    network::lossy(LOST, || {
        let calls = [(1, 2), (3, 4), (5, 6)];
        let site = Site::start(Way::Udp, &[Answer::Auto; 6]);
        site.connect(&calls);
        site.phone(1).command("hangup");
        site.phone(4).command("hangup");
        site.delete((5, 6));
        site.expect_over(&calls);
        assert!(network::lost() > 0, "the weather was fine");
    });
}
