//! The program that measures: it starts all that it needs, every call comes to its end, and the tables have their rows.

use std::process::Command;

use cordboard_tests::process::{Ended, run};

fn load(arguments: &[&str]) -> Ended {
    run(Command::new(env!("CARGO_BIN_EXE_load")).args(arguments), "")
}

#[test]
fn all_rows_are_measured_and_every_call_is_completed() {
    let sizes = ["--calls", "200", "--window", "10", "--rest", "100", "--seconds", "1", "--rounds", "1"];
    let ended = load(&sizes);
    assert_eq!(ended.exit, Some(0), "{}", ended.said);
    let rows = [
        "floor-refer",
        "refer-https",
        "refer-digest",
        "floor-invite",
        "invite-https",
        "half-load",
        "set-up",
        "refer-alone",
        "refer-beside",
        "workers-1",
        "workers-2",
        "peak",
        "overload",
    ];
    for row in rows {
        let figures = ended.said.lines().find(|line| line.starts_with(&format!("{row} ")));
        assert!(
            figures.is_some_and(|line| line.ends_with(" 0")),
            "{row} has no failed calls: {}",
            ended.said
        );
    }
    let goals = ended.said.lines().filter(|line| line.ends_with("met") || line.ends_with("MISSED"));
    assert_eq!(goals.count(), 8, "{}", ended.said);
}

#[test]
fn what_it_does_not_understand_it_says() {
    let ended = load(&["everything"]);
    assert_eq!(ended.exit, Some(2));
    assert!(ended.said.contains("everything") && ended.said.contains("usage: load"), "{}", ended.said);
}
