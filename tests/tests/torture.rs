//! The torture messages of RFC 4475: each is parsed or refused as the RFC demands. Those in `../shared/corpus` are
//! used where they are there; the project's own stand in `tests/torture` and are always run.

use std::net::SocketAddr;
use std::path::Path;

use cordboard_core::config::Config;
use cordboard_core::io::{Datagram, Input, Outbox, Output, SocketId, Wake};
use cordboard_core::sip::message::{Message, parse};
use cordboard_core::users::Directory;
use cordboard_core::{Census, Controller, Epoch, Seed, Tick};
use cordboard_tests::torture::{self, Torture, corpus_folder, own_folder, table};

/// What the parser may do with a message: the classes of the corpus's index.
fn verdict(file: &Path) -> Result<String, String> {
    let bytes = std::fs::read(file).expect("a torture message can be read");
    match parse(&bytes) {
        Ok(Message::Request(request)) => Ok(request.method.as_str().to_owned()),
        Ok(Message::Response(response)) => Ok(response.status.code().to_string()),
        Err(rejected) => Err(format!("{} {}", rejected.fault.status(), rejected.fault)),
    }
}

/// Messages of the class `invalid` that a lenient parser may take, as their index says.
const MAY_BE_TAKEN: [&str; 3] = ["baddate", "trws", "lwsstart"];

fn check_folder(folder: &Path) -> usize {
    let mut wrong = Vec::new();
    let mut count = 0;
    for columns in table(&folder.join("index.tsv")) {
        let (name, class) = (columns[0].as_str(), columns[2].as_str());
        let verdict = verdict(&folder.join(name));
        let stem = name.trim_end_matches(".dat");
        let right = match class {
            "valid" | "valid-semantics" => verdict.is_ok(),
            _ => verdict.is_err() || MAY_BE_TAKEN.contains(&stem),
        };
        if !right {
            wrong.push(format!("{name} ({class}): {verdict:?}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    count
}

#[test]
fn each_message_of_rfc_4475_is_parsed_or_refused_as_its_index_says() {
    if let Some(folder) = corpus_folder() {
        assert_eq!(check_folder(&folder), 49);
    }
}

#[test]
fn each_message_of_our_own_is_parsed_or_refused_as_its_index_says() {
    let messages = std::fs::read_dir(own_folder()).expect("the folder can be read").flatten();
    let messages = messages.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "dat"));
    assert_eq!(check_folder(&own_folder()), messages.count());
}

/// In our own index the expectation starts with the method, the status, or the status that refuses it.
#[test]
fn each_message_of_our_own_is_read_as_that_method_or_refused_with_that_status() {
    for columns in table(&own_folder().join("index.tsv")) {
        let (expected, _) = columns[3].split_once("; ").expect("the expectation has two parts");
        let verdict = verdict(&own_folder().join(&columns[0]));
        let (Ok(found) | Err(found)) = &verdict;
        assert_eq!(found.split(' ').next(), Some(expected), "{}: {verdict:?}", columns[0]);
    }
}

fn controller() -> Controller {
    let config = Config::from_toml("[sip]\ndomain = \"example.com\"\n").expect("it is right");
    let users = Directory::new(Vec::new(), "example.com").expect("nobody is right");
    Controller::new(config, users, Seed([4; 32]), Epoch::from_unix_millis(0)).expect("it has an address")
}

const SOURCE: ([u8; 4], u16) = ([192, 0, 2, 200], 4711);

/// Where the answer to these bytes has to go: to the address that they came from, at the port that its Via names, or
/// that they came from where it asks for that (RFC 3261 §18.2.2, RFC 3581 §4).
fn way_back(bytes: &[u8]) -> Option<SocketAddr> {
    let port = |via: &cordboard_core::sip::message::Via<'_>| match via.rport() {
        Some(_) => SOURCE.1,
        None => via.port.unwrap_or(5060),
    };
    let port = match parse(bytes) {
        Ok(Message::Request(request)) => port(&request.via),
        Ok(Message::Response(_)) => return None,
        Err(rejected) => port(rejected.via()?),
    };
    Some(SocketAddr::from((SOURCE.0, port)))
}

/// What a controller that has met nothing else does with a message; then time passes until nothing is left of it.
fn answered(message: &Torture) -> Vec<(SocketAddr, u16)> {
    let (mut controller, mut outbox) = (controller(), Outbox::new());
    let datagram = Datagram { socket: SocketId(0), from: SOURCE.into(), bytes: &message.bytes };
    let mut wake = controller.handle(Tick::ZERO, Input::Datagram(datagram), &mut outbox);
    let mut answers = Vec::new();
    while let Some(output) = outbox.pop() {
        if let Output::Datagram { to, bytes, .. } = output {
            let status = String::from_utf8_lossy(bytes).split(' ').nth(1).and_then(|code| code.parse().ok());
            answers.push((to, status.expect("it is a response")));
        }
    }
    while let Wake::At(tick, _) = wake {
        wake = controller.handle(tick, Input::Timeout, &mut outbox);
        outbox.clear();
    }
    assert_eq!(controller.census(), Census::default(), "{}", message.name);
    answers
}

#[test]
fn each_message_as_it_stands_is_answered_to_where_its_via_says_or_dropped() {
    let mut wrong = Vec::new();
    for message in torture::own().iter().chain(&torture::corpus()) {
        let answers = answered(message);
        let expected: Vec<_> = way_back(&message.bytes).zip(message.answer).into_iter().collect();
        if answers != expected || answers.is_empty() != message.answer.is_none() {
            wrong.push(format!("{}: wanted {expected:?}, got {answers:?}", message.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
