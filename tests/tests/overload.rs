//! More calls than can be taken, by real sockets: those that were taken come to their end, the others are told at once to
//! try again later, and afterwards calls are taken as before.

use std::time::Duration;

use cordboard_tests::load::drive::{Done, Pace};
use cordboard_tests::load::orders::{Method, Width};
use cordboard_tests::load::phones::Hold;
use cordboard_tests::load::stand::{Job, Setup, Stand};
use cordboard_tests::wait_for;

/// Orders in the flood.
const CALLS: u64 = 20_000;

/// As many orders as the server has room for, all at once, and further ones as soon as any is answered.
fn flood() -> Job {
    let width = Width { connections: 32, each: 60 };
    let window = (width.connections * width.each) as u64;
    let pace = Pace::Closed { calls: CALLS, window };
    Job { method: Method::Refer, pace, done: Done::Over, hold: Hold::For(Duration::ZERO), width }
}

#[test]
fn a_flood_does_not_drown_the_calls_that_were_taken_and_whoever_is_refused_is_told_when_to_try_again() {
    // However fast the machine is, what it has to do waits for a millisecond then.
    let setup = Setup { workers: Some(1), behind: Some("1ms"), ..Setup::default() };
    let mut server = Stand::server(setup).expect("it starts");
    let trusted = server.trusted();
    let flooded = server.measure(&trusted, flood()).expect("the flood passes");
    let outcome = &flooded.outcome;
    let (refused, completed) = (outcome.refused, outcome.completed);
    assert!(refused > 0 && completed > 0, "{refused} refused, {completed} completed");
    assert_eq!(outcome.gruff, 0, "503 has Retry-After");
    assert_eq!((outcome.failed(), outcome.counts.strange), (0, 0), "who was taken comes to the end");
    assert_eq!(refused + completed, CALLS);
    let one = Job { pace: Pace::Closed { calls: 1, window: 1 }, ..flood() };
    wait_for("a call that is taken again", || {
        let afterwards = server.measure(&trusted, one).expect("it goes on");
        (afterwards.outcome.completed == 1).then_some(())
    });
}

#[test]
fn after_a_flood_every_worker_takes_calls_again_also_those_that_rest() {
    let setup = Setup { workers: Some(2), behind: Some("1ms"), ..Setup::default() };
    let mut server = Stand::server(setup).expect("it starts");
    let trusted = server.trusted();
    let flooded = server.measure(&trusted, flood()).expect("the flood passes");
    assert!(flooded.outcome.refused > 0, "it was one");
    // One connection, whose worker stands in for the other one.
    let width = Width { connections: 1, each: 1 };
    let few = Job { pace: Pace::Closed { calls: 20, window: 1 }, width, ..flood() };
    wait_for("calls that are all taken again", || {
        let afterwards = server.measure(&trusted, few).expect("it goes on");
        (afterwards.outcome.completed == 20).then_some(())
    });
}
