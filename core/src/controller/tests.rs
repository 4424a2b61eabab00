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
