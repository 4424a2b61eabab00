//! The proxy is killed, and comes back knowing nothing.

use cordboard_tests::baresip::{Answer, Way};
use cordboard_tests::wait_for;
use serde_json::json;

use crate::{Site, dialogs, ended, path, wait_connected};

const CALLS: [(usize, usize); 3] = [(1, 2), (3, 4), (5, 6)];

/// Calls that stand while the proxy is killed; each is then ended in another way.
fn outlive_a_crash(way: Way<'_>) {
    let mut site = Site::start(way, &[Answer::Auto; 6]);
    site.connect(&CALLS);
    site.proxy.crash_and_return();
    for call in CALLS {
        assert_eq!(dialogs(&site.server, &path(call), "Confirmed"), 2);
    }
    site.phone(1).command("hangup");
    site.phone(4).command("hangup");
    site.delete((5, 6));
    site.expect_over(&CALLS);
}

#[test]
fn calls_outlive_a_proxy_that_is_killed_and_end_by_either_side_or_by_order() {
    outlive_a_crash(Way::Udp);
}

#[test]
fn calls_over_tcp_outlive_a_proxy_that_is_killed_and_end_by_either_side_or_by_order() {
    outlive_a_crash(Way::Tcp);
}

/// Calls that are ended, one by order and the others by a phone, while nobody is there to pass that on.
fn end_during_a_crash(way: Way<'_>) {
    let mut site = Site::start(way, &[Answer::Auto; 6]);
    site.connect(&CALLS);
    site.proxy.crash();
    for call in CALLS {
        site.delete(call);
    }
    site.proxy.come_back();
    site.expect_over(&CALLS);
}

#[test]
fn calls_that_are_deleted_while_the_proxy_is_away_are_hung_up_when_it_is_back() {
    end_during_a_crash(Way::Udp);
}

#[test]
fn calls_over_tcp_that_are_deleted_while_the_proxy_is_away_are_hung_up_when_it_is_back() {
    end_during_a_crash(Way::Tcp);
}

/// When a phone that rings is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PicksUp {
    /// While nobody is there to pass that on.
    Meanwhile,
    /// When the proxy is back.
    After,
}

/// The called phone rings while the proxy is killed, and is answered.
fn rings_through_a_crash(way: Way<'_>, picks_up: PicksUp) {
    let mut site = Site::start(way, &[Answer::Auto, Answer::Manual]);
    site.place(&[(1, 2)]);
    site.phone(2).wait_ringing();
    wait_for("the ringing", || (dialogs(&site.server, &path((1, 2)), "Early") == 1).then_some(()));
    site.proxy.crash();
    if picks_up == PicksUp::Meanwhile {
        site.phone(2).command("accept");
    }
    site.proxy.come_back();
    if picks_up == PicksUp::After {
        site.phone(2).command("accept");
    }
    wait_connected(&site.server, &path((1, 2)));
    site.delete((1, 2));
    site.expect_over(&[(1, 2)]);
}

#[test]
fn a_phone_that_rings_while_the_proxy_is_killed_picks_up_when_it_is_back() {
    rings_through_a_crash(Way::Udp, PicksUp::After);
}

#[test]
fn a_phone_that_picks_up_while_the_proxy_is_away_is_connected_when_it_is_back() {
    rings_through_a_crash(Way::Udp, PicksUp::Meanwhile);
}

#[test]
fn a_phone_over_tcp_that_rings_while_the_proxy_is_killed_picks_up_when_it_is_back() {
    rings_through_a_crash(Way::Tcp, PicksUp::After);
}

#[test]
fn a_calling_phone_is_let_go_when_the_proxy_has_come_back_without_knowing_the_called_one() {
    let mut site = Site::start(Way::Udp, &[Answer::Manual, Answer::Auto]);
    site.place(&[(1, 2)]);
    site.phone(1).wait_ringing();
    site.proxy.crash_and_return();
    site.phone(1).command("accept");
    site.phone(1).wait_idle();
    let call = ended(&site.server, &path((1, 2)));
    assert_eq!(call["outcome"], json!({"state": "failed", "status": 404}), "{call}");
    // Who registers anew is known again.
    site.phones = site.new_phones(Way::Udp, &[Answer::Auto; 2]);
    site.connect(&[(1, 2)]);
    site.delete((1, 2));
    site.expect_over(&[(1, 2)]);
}

#[test]
fn a_call_that_is_placed_while_the_proxy_is_away_for_good_ends_with_a_record() {
    let mut site = Site::start(Way::Udp, &[Answer::Auto, Answer::Auto]);
    site.proxy.crash();
    site.place(&[(1, 2)]);
    let call = ended(&site.server, &path((1, 2)));
    assert_eq!(call["outcome"], serde_json::Value::Null, "{call}");
    let log = site.server.process.said();
    assert!(log.contains("result=\"not reached 503\""), "{log}");
}
