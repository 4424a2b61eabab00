//! Every file of the corpus through its target: what was found once is not to come again.

use std::path::{Path, PathBuf};

use cordboard_fuzz::TARGETS;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder().join(target))
        .unwrap_or_else(|fault| panic!("{target}: {fault}"))
        .map(|entry| entry.expect("an entry can be read").path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).expect("a file can be read")))
        .collect();
    all.sort();
    all
}

#[test]
fn every_input_of_the_corpus_passes() {
    for (name, target) in TARGETS {
        let files = files(name);
        assert!(files.len() >= 5, "{name} has a corpus");
        for (path, bytes) in files {
            let passes = std::panic::catch_unwind(|| target(&bytes));
            assert!(passes.is_ok(), "{path} fails {name}");
        }
    }
}

#[test]
fn the_corpus_is_small_and_every_folder_of_it_has_a_target() {
    for entry in std::fs::read_dir(folder()).expect("there is a corpus") {
        let name = entry.expect("an entry can be read").file_name().into_string().expect("a name is text");
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "{name} is no target");
        let files = files(&name);
        assert!(files.len() <= 40, "{name} has {} files", files.len());
        for (path, bytes) in files {
            assert!(bytes.len() <= 4096, "{path} has {} bytes", bytes.len());
        }
    }
}

#[test]
fn every_target_is_one_that_libfuzzer_runs() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let manifest = manifest.expect("there is a manifest");
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len(), "each has a name in TARGETS");
}
