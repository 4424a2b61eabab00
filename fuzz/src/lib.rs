//! What the fuzz targets do with their bytes; a test does the same with the corpus.
//!
//! Each target is a function over bytes that panics when something is wrong. `fuzz_targets` hands them to libFuzzer,
//! `tests/corpus.rs` to the files in `corpus`, so that everything found once is tested for ever.

mod life;
mod pieces;
mod text;
mod wire;

pub use life::controller;
pub use pieces::pieces;
pub use text::{config, digest, sip_uri};
pub use wire::{dns_answer, http_request, sdp, sip_message};

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("config", config),
    ("controller", controller),
    ("digest", digest),
    ("dns_answer", dns_answer),
    ("http_request", http_request),
    ("pieces", pieces),
    ("sdp", sdp),
    ("sip_message", sip_message),
    ("sip_uri", sip_uri),
];

/// The bytes cut behind these places, each counted from the one before.
fn cut<'a>(mut bytes: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, rest) = bytes.split_at(usize::from(*length).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}
