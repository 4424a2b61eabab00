//! The torture messages of RFC 4475: each is parsed or refused as the RFC demands. Those in `../shared/corpus` are
//! used where they are there; the project's own stand in `tests/torture` and are always run.

use std::path::{Path, PathBuf};

use cordboard_core::sip::message::{Message, parse};

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
    let index = std::fs::read_to_string(folder.join("index.tsv")).expect("the index can be read");
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in index.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (name, class) = (columns[0], columns[2]);
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
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/rfc4475");
    if folder.is_dir() {
        assert_eq!(check_folder(&folder), 49);
    }
}

fn own() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("torture")
}

#[test]
fn each_message_of_our_own_is_parsed_or_refused_as_its_index_says() {
    let messages = std::fs::read_dir(own()).expect("the folder can be read").flatten();
    let messages = messages.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "dat"));
    assert_eq!(check_folder(&own()), messages.count());
}

/// In our own index the expectation starts with the method, the status, or the status that refuses it.
#[test]
fn each_message_of_our_own_is_read_as_that_method_or_refused_with_that_status() {
    let index = std::fs::read_to_string(own().join("index.tsv")).expect("the index can be read");
    for line in index.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (expected, _) = columns[3].split_once("; ").expect("the expectation has two parts");
        let verdict = verdict(&own().join(columns[0]));
        let (Ok(found) | Err(found)) = &verdict;
        assert_eq!(found.split(' ').next(), Some(expected), "{}: {verdict:?}", columns[0]);
    }
}
