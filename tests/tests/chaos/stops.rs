//! The proxy stands still for a while, and then finds all that was sent to it.

use std::time::{Duration, Instant};

use cordboard_tests::baresip::{Answer, Way};
use cordboard_tests::{wait_for, wait_up_to};

use crate::{Site, dialogs, path, wait_connected};

/// How long it stands still: less than the 32 s after which a request is given up.
const STOP: Duration = Duration::from_secs(20);

/// What goes on while the proxy stands still.
const UNTOUCHED: (usize, usize) = (1, 2);
const LEFT_BY_THE_CALLING: (usize, usize) = (3, 4);
const DELETED: (usize, usize) = (5, 6);
const PICKED_UP: (usize, usize) = (7, 8);
const PLACED: (usize, usize) = (9, 10);

/// Calls in every state while the proxy stands still: one that stands, one that a phone ends and one that is deleted, one
/// that is picked up, and one that is placed.
fn outlast_a_stop(way: Way<'_>) {
    let mut answers = [Answer::Auto; 10];
    answers[PICKED_UP.1 - 1] = Answer::Manual;
    let site = Site::start(way, &answers);

    site.connect(&[UNTOUCHED, LEFT_BY_THE_CALLING, DELETED]);
    site.place(&[PICKED_UP]);
    site.phone(PICKED_UP.1).wait_ringing();
    wait_for("the ringing", || (dialogs(&site.server, &path(PICKED_UP), "Early") == 1).then_some(()));

    let stopped = site.proxy.stop();
    let start = Instant::now();
    site.phone(LEFT_BY_THE_CALLING.0).command("hangup");
    site.delete(DELETED);
    site.phone(PICKED_UP.1).command("accept");
    site.place(&[PLACED]);
    wait_up_to(STOP * 2, "the end of the stop", || (start.elapsed() >= STOP).then_some(()));
    assert_eq!(site.server.call(&path(PLACED))["state"], "alerting", "nothing has come through");
    drop(stopped);

    site.expect_over(&[LEFT_BY_THE_CALLING, DELETED]);
    for call in [UNTOUCHED, PICKED_UP, PLACED] {
        wait_connected(&site.server, &path(call));
    }
    for call in [UNTOUCHED, PICKED_UP, PLACED] {
        site.delete(call);
    }
    site.expect_over(&[UNTOUCHED, PICKED_UP, PLACED]);
}

#[test]
fn nothing_is_lost_while_the_proxy_stands_still() {
    outlast_a_stop(Way::Udp);
}

#[test]
fn nothing_is_lost_over_tcp_while_the_proxy_stands_still() {
    outlast_a_stop(Way::Tcp);
}
