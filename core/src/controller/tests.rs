//! What comes to the controller before any layer knows it.

use super::*;
use crate::io::{Close, Output};
use crate::sip::message::Status;

fn controller(config: &str) -> Controller {
    let config = format!("[sip]\ndomain = \"example.com\"\n{config}");
    let config = Config::from_toml(&config).unwrap();
    let users = Directory::new(Vec::new(), "example.com").unwrap();
    Controller::new(config, users, Seed([1; 32]), Epoch::from_unix_millis(0)).unwrap()
}

fn accepted(listener: u16, connection: u64) -> Input<'static> {
    Input::Accepted {
        listener: ListenerId(listener),
        connection: ConnectionId(connection),
        peer: SocketAddr::from(([192, 0, 2, 1], 4000)),
    }
}

/// What is written to a connection, and how it is closed.
fn written(outbox: &mut Outbox, id: u64) -> (String, Option<Close>) {
    let (mut text, mut closed) = (String::new(), None);
    while let Some(output) = outbox.pop() {
        match output {
            Output::Write { connection, bytes } if connection.0 == id => {
                text.push_str(&String::from_utf8_lossy(bytes));
            }
            Output::Close { connection, how } if connection.0 == id => closed = Some(how),
            _ => {}
        }
    }
    (text, closed)
}

#[test]
fn one_connection_too_many_is_told_so_and_leaves_nothing() {
    let mut controller =
        controller("[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]\n[limits]\nconnections = 1");
    let mut outbox = Outbox::new();
    let _wake = controller.handle(Tick::ZERO, accepted(0, 0), &mut outbox);
    assert_eq!(written(&mut outbox, 0), (String::new(), None));
    let _wake = controller.handle(Tick::ZERO, accepted(0, 1), &mut outbox);
    let (text, closed) = written(&mut outbox, 1);
    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
    assert_eq!((closed, controller.census().connections), (Some(Close::Flushed), 1));
    let _wake = controller.handle(Tick::ZERO, Input::Lost { connection: ConnectionId(0) }, &mut outbox);
    let _wake = controller.handle(Tick::ZERO, accepted(0, 2), &mut outbox);
    assert_eq!(written(&mut outbox, 2), (String::new(), None), "there is room again");
}

#[test]
fn https_is_closed_as_long_as_there_is_no_certificate() {
    let mut controller = controller("[http]\nhttps = [\"127.0.0.1:6666\"]\nhttp = []");
    let mut outbox = Outbox::new();
    let _wake = controller.handle(Tick::ZERO, accepted(0, 0), &mut outbox);
    assert_eq!(written(&mut outbox, 0), (String::new(), Some(Close::Now)));
    assert_eq!(controller.census(), Census::default());
}

#[test]
fn every_class_of_status_has_a_phrase_for_codes_that_nobody_registered() {
    let phrases = [(199, "Session Progress"), (299, "OK"), (399, "Multiple Choices"), (499, "Bad Request")];
    for (code, phrase) in phrases.into_iter().chain([(599, "Server Internal Error"), (699, "Global Failure")])
    {
        assert_eq!(Status::new(code).map(Status::phrase), Some(phrase));
    }
}

/// What a request is answered with, and what the operator is told.
fn asked(controller: &mut Controller, now: Tick, request: &str) -> (String, Vec<String>) {
    let mut outbox = Outbox::new();
    let bytes = format!("{request} HTTP/1.1\r\nHost: cordboard\r\n\r\n").into_bytes();
    let connection = ConnectionId(0);
    let _wake = controller.handle(now, Input::Received { connection, bytes: &bytes }, &mut outbox);
    let reports = outbox.outputs().filter_map(|output| match output {
        Output::Report(report) => Some(report.to_string()),
        _ => None,
    });
    let reports = reports.collect();
    (written(&mut outbox, 0).0, reports)
}

#[test]
fn new_calls_are_refused_while_there_is_more_to_do_than_can_be_done_and_nothing_else_is() {
    let mut controller =
        controller("[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]\n[limits]\nbehind = \"50ms\"");
    let mut outbox = Outbox::new();
    let _wake = controller.handle(Tick::ZERO, accepted(0, 0), &mut outbox);
    let behind = |controller: &mut Controller, millis| {
        let _wake = controller.handle(
            Tick::ZERO,
            Input::Behind(std::time::Duration::from_millis(millis)),
            &mut Outbox::new(),
        );
    };
    let order = "POST /callcontroller/user1/user2?timeout=30";
    behind(&mut controller, 49);
    assert!(asked(&mut controller, Tick::ZERO, order).0.starts_with("HTTP/1.1 401 "));
    behind(&mut controller, 50);
    let (answer, reports) = asked(&mut controller, Tick::ZERO, order);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
    assert_eq!(reports, ["overloaded, new calls are refused behind_ms=50"]);
    let (_, reports) = asked(&mut controller, Tick::ZERO, order);
    assert_eq!(reports, Vec::<String>::new(), "it is said once");
    for other in [
        "POST /callcontroller/user1/user2?action=transfer&target=user3",
        "DELETE /callcontroller/user1/user2",
        "GET /callcontroller/user1/user2",
    ] {
        let (answer, _) = asked(&mut controller, Tick::ZERO, other);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{other}: {answer}");
    }
    behind(&mut controller, 0);
    assert!(asked(&mut controller, Tick::ZERO, order).0.starts_with("HTTP/1.1 401 "));
    let wake = controller.handle(Tick::ZERO, Input::Timeout, &mut outbox);
    let Wake::At(later, _) = wake else { panic!("nothing is waited for") };
    outbox.clear();
    let _wake = controller.handle(later, Input::Timeout, &mut outbox);
    let relieved = outbox.outputs().any(
        |output| matches!(output, Output::Report(report) if report.to_string() == "overload is over refused=2"),
    );
    assert!(relieved, "{outbox:?}");
}

#[test]
fn whoever_looks_for_the_reason_of_a_closed_connection_finds_it() {
    let mut controller = controller("[http]\nhttps = []\nhttp = [\"127.0.0.1:6667\"]");
    let mut outbox = Outbox::new();
    let _wake = controller.handle(Tick::ZERO, accepted(0, 0), &mut outbox);
    outbox.clear();
    let later = Tick::ZERO + std::time::Duration::from_secs(76);
    let _wake = controller.handle(later, Input::Timeout, &mut outbox);
    let said: Vec<String> = outbox
        .outputs()
        .filter_map(|output| match output {
            Output::Report(report) => Some(report.to_string()),
            _ => None,
        })
        .collect();
    assert!(
        said.iter().any(|line| line.starts_with("HTTP connection closed") && line.contains("idle_time")),
        "{said:?}"
    );
}
