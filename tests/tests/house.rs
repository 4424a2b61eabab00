//! The house's rules as a test: how large files may be, who may know whom, and what core must not know.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the project").to_owned()
}

/// All Rust files of the project with their text.
fn sources() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for folder in ["core", "runtime-mio", "runtime-smol", "tests", "fuzz"] {
        collect(&root().join(folder), &mut all);
    }
    assert!(all.len() > 50, "the sources were found");
    all
}

fn collect(folder: &Path, all: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, all);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).expect("it lies in the project").display().to_string();
            all.push((name, std::fs::read_to_string(&path).expect("a source can be read")));
        }
    }
}

#[test]
fn no_file_has_more_than_700_lines() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > 700)
        .map(|(name, lines)| format!("{name}: {lines}"))
        .collect();
    assert!(long.is_empty(), "what second thing is in {long:#?}");
}

#[test]
fn no_room_is_without_a_name_of_its_own() {
    for (name, _) in sources() {
        let nameless = ["utils", "util", "common", "helpers", "helper", "misc"];
        let stem = Path::new(&name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folder = name.split('/').any(|part| nameless.contains(&part));
        assert!(!nameless.contains(&stem) && !folder, "{name}");
    }
}

/// The layer of a core file: the first part of its path below `core/src`.
fn layer(name: &str) -> Option<&str> {
    let inside = name.strip_prefix("core/src/")?;
    Some(inside.split(['/', '.']).next().unwrap_or(inside))
}

/// What each layer may know; whoever is not named here may be known by all.
fn may_know(layer: &str) -> &'static [&'static str] {
    match layer {
        "io" | "time" | "ident" | "random" | "report" => {
            &["io", "time", "ident", "random", "report", "users", "config", "tls", "sip"]
        }
        "tls" => &[],
        "http" => &["time", "io"],
        "auth" => &["time", "io", "users", "random"],
        "users" | "config" => &["auth", "users", "config", "sip", "http", "io"],
        "sip" => &["sip", "tls", "time", "io", "ident", "random", "config", "report"],
        "call" => {
            &["call", "sip", "tls", "auth", "time", "io", "ident", "random", "report", "config", "users"]
        }
        "rest" => &["rest", "call", "http", "users", "config", "ident", "time", "sip"],
        _ => &[
            "rest",
            "call",
            "sip",
            "auth",
            "http",
            "tls",
            "time",
            "io",
            "ident",
            "random",
            "report",
            "config",
            "users",
            "softphone",
            "ladder",
            "controller",
        ],
    }
}

const LAYERS: [&str; 19] = [
    "io",
    "time",
    "ident",
    "random",
    "report",
    "tls",
    "http",
    "auth",
    "users",
    "config",
    "sip",
    "call",
    "rest",
    "controller",
    "softphone",
    "fuzzing",
    "ladder",
    "measuring",
    "lib",
];

#[test]
fn no_arrow_between_the_layers_of_core_points_up() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let Some(own) = layer(&name) else { continue };
        for line in
            text.lines().map(str::trim).filter(|line| line.contains("crate::") && !line.starts_with("//"))
        {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let known =
                    used == own || may_know(own).contains(&used.as_str()) || !LAYERS.contains(&used.as_str());
                if !known {
                    wrong.push(format!("{name}: {line}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn core_knows_no_clock_file_socket_thread_or_environment() {
    let words = [
        "Instant::now",
        "SystemTime",
        "std::fs",
        "std::thread",
        "TcpStream",
        "UdpSocket",
        "TcpListener",
        "std::env::",
        "thread_rng",
        "getrandom",
        "unsafe ",
    ];
    for (name, text) in sources().into_iter().filter(|(name, _)| name.starts_with("core/src/")) {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for word in words {
                assert!(!line.contains(word), "{name}: {line}");
            }
        }
    }
}

#[test]
fn no_test_sleeps_and_nothing_is_left_to_be_done() {
    for (name, text) in sources().into_iter().filter(|(name, _)| !name.ends_with("house.rs")) {
        for word in ["thread::sleep", "todo!", "unimplemented!", "#[ignore", "FIXME", "TODO", "XXX"] {
            assert!(!text.contains(word), "{name}: {word}");
        }
    }
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    for command in ["cargo run --release -- demo", "tests/run"] {
        assert!(readme.contains(command), "{command}");
    }
}
