//! `cordboard demo` as a new user sees it.

use std::process::Command;

use cordboard_tests::cordboard::program;
use cordboard_tests::process::Process;
use cordboard_tests::wait_for;

/// What stands between two lines where the phones take a moment; the tests ask again and again instead.
const MOMENT: &str = "sleep 1; ";

/// A demo that has shown its calls, and all that it has said.
fn shown(folder: &tempfile::TempDir) -> (Process, String) {
    let mut command = Command::new(program());
    command.args(["demo", "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let mut demo = Process::start("demo", &mut command, folder.path());
    let said =
        demo.wait_said("what can be tried", |said| said.contains("subject=Hello").then(|| said.to_owned()));
    (demo, said)
}

/// The lines that it proposes, as they are.
fn proposed(said: &str) -> Vec<&str> {
    let is_command = |line: &&str| line.trim_start_matches(MOMENT).starts_with("curl ");
    said.lines().filter_map(|line| line.strip_prefix("  ")).filter(is_command).collect()
}

/// The status and the body that a line gets which is pasted into a shell.
fn pasted(line: &str) -> (String, String) {
    let line = line.trim_start_matches(MOMENT);
    let script = format!("{line} --silent --show-error --max-time 20 --write-out '\\n%{{http_code}}'");
    let output = Command::new("sh").args(["-c", &script]).output().expect("a shell can be started");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or_default();
    (status.to_owned(), body.to_owned())
}

#[test]
fn the_demo_connects_transfers_and_hangs_up() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (_demo, said) = shown(&folder);
    let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("it does not say {text}:\n{said}"));
    let parts = ["1. user1's phone", "2. Another call", "3. user3 takes", "4. Both are hung up"].map(at);
    assert!(parts.is_sorted(), "{said}");
    let part = |number: usize| &said[parts[number - 1]..parts.get(number).copied().unwrap_or(said.len())];
    assert!(part(1).contains("REFER") && part(1).contains("SIP/2.0 200 OK</status-line>"), "{}", part(1));
    assert_eq!(part(2).matches("Confirmed Dialog").count(), 2, "{}", part(2));
    assert_eq!(part(3).matches("<remote-party>sip:user3@").count(), 1, "{}", part(3));
    assert_eq!(part(3).matches("Confirmed Dialog").count(), 2, "{}", part(3));
    assert!(part(4).matches("BYE").count() >= 2, "{}", part(4));
}

#[test]
fn the_lines_that_the_demo_proposes_work_when_they_are_pasted_into_a_shell() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (_demo, said) = shown(&folder);
    let connected =
        |user: &str| format!("sip:{user}@example.com</remote-party>\n\t\t<dialog-state>Confirmed");
    let expected = [
        ("POST", "200", String::new()),
        ("the progress of a call by REFER", "200", "<method>NOTIFY</method>".to_owned()),
        ("POST", "200", String::new()),
        ("both dialogs", "200", connected("user2")),
        ("a transfer", "200", String::new()),
        ("the target in the call", "200", connected("user3")),
        ("DELETE", "204", String::new()),
        ("all calls", "200", "\"calls\":[".to_owned()),
        ("POST with a login", "200", String::new()),
    ];
    let lines = proposed(&said);
    assert_eq!(lines.len(), expected.len(), "{said}");
    for (line, (what, status, text)) in lines.iter().zip(&expected) {
        wait_for(&format!("{what}: {line}"), || {
            let (got, body) = pasted(line);
            (got == *status && body.contains(text.as_str())).then_some(())
        });
    }
}

#[test]
fn readme_tells_to_paste_what_the_demo_proposes() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (_demo, said) = shown(&folder);
    let address = said.split("POST https://").nth(1).and_then(|rest| rest.split('/').next());
    let usual = said.replace(address.expect("it tells where it listens"), "127.0.0.1:6666");
    let readme = include_str!("../../README.md");
    let section = readme.split("## The demo").nth(1).and_then(|rest| rest.split("\n## ").next());
    let block = section.and_then(|text| text.split("```sh\n").nth(1)?.split("```").next());
    let lines: Vec<&str> = block.expect("README has lines to paste").lines().collect();
    let ours = proposed(&usual);
    assert!(lines.len() >= 5 && ours.windows(lines.len()).any(|run| run == lines), "{lines:#?} in {ours:#?}");
}
