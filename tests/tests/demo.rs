//! `cordboard demo` as a new user sees it.

use std::process::Command;

use cordboard_tests::cordboard::program;
use cordboard_tests::curl::curl;
use cordboard_tests::process::Process;
use cordboard_tests::wait_for;

#[test]
fn the_demo_connects_transfers_and_hangs_up_and_its_curl_lines_work() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut command = Command::new(program());
    command.args(["demo", "--https", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let mut demo = Process::start("demo", &mut command, folder.path());
    let said =
        demo.wait_said("what can be tried", |said| said.contains("subject=Hello").then(|| said.to_owned()));
    let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("it does not say {text}:\n{said}"));
    let parts = ["1. user1's phone", "2. Another call", "3. user3 takes", "4. Both are hung up"].map(at);
    assert!(parts.is_sorted(), "{said}");
    let part = |number: usize| &said[parts[number - 1]..parts.get(number).copied().unwrap_or(said.len())];
    assert!(part(1).contains("REFER") && part(1).contains("SIP/2.0 200 OK</status-line>"), "{}", part(1));
    assert_eq!(part(2).matches("Confirmed Dialog").count(), 2, "{}", part(2));
    assert_eq!(part(3).matches("<remote-party>sip:user3@").count(), 1, "{}", part(3));
    assert_eq!(part(3).matches("Confirmed Dialog").count(), 2, "{}", part(3));
    assert!(part(4).matches("BYE").count() >= 2, "{}", part(4));

    let lines: Vec<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("  curl "))
        .map(|line| line.replace('\'', ""))
        .collect();
    assert_eq!(lines.len(), 9, "{said}");
    for line in &lines {
        let words: Vec<&str> = line.split(' ').filter(|word| *word != "-k").collect();
        let wanted = if words.contains(&"DELETE") { 204 } else { 200 };
        // A transfer is possible when both are connected, which takes a moment.
        wait_for(line, || (curl(&words).status == wanted).then_some(()));
    }
}
