//! All that happens in a run: a number that stands for it, and on demand every line of it.

use std::net::SocketAddr;

use cordboard_core::Tick;

/// What has happened.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// Nothing has; with `lines` all is kept.
    pub fn new(lines: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, lines: lines.then(Vec::new) }
    }

    fn mix(&mut self, bytes: &[u8]) {
        // FNV-1a.
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// A message was sent.
    pub fn message(&mut self, now: Tick, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.events += 1;
        self.mix(&now.as_micros().to_le_bytes());
        self.mix(&[from.port() as u8, to.port() as u8]);
        self.mix(bytes);
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} {from} -> {to} {}", seconds(now), summary(bytes)));
        }
    }

    /// Something else happened.
    pub fn note(&mut self, now: Tick, what: impl FnOnce() -> String) {
        self.events += 1;
        let what = what();
        self.mix(&now.as_micros().to_le_bytes());
        self.mix(what.as_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{} == {what}", seconds(now)));
        }
    }

    /// The number that stands for all of it.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many things happened.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Every line of it, if they were kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

fn seconds(now: Tick) -> String {
    let micros = now.as_micros();
    format!("{:>6}.{:03}", micros / 1_000_000, micros / 1000 % 1000)
}

/// A message in a line: its start, its Call-ID, CSeq and branch.
fn summary(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let start = lines.next().unwrap_or_default().to_owned();
    let field = |name: &str| {
        let found = text.lines().find(|line| line.starts_with(name)).map(|line| &line[name.len()..]);
        found.unwrap_or_default().trim().to_owned()
    };
    let branch = field("Via:")
        .split("branch=")
        .nth(1)
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    let media: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("m=") || line.starts_with("a=s") || line.starts_with("a=inactive"))
        .collect();
    format!("{start} | {} | {} | {branch} {}", field("Call-ID:"), field("CSeq:"), media.join(" "))
}
