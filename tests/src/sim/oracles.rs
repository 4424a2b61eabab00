//! What may never happen.

pub(super) mod records;
pub(super) mod wire;

/// Something that may never happen has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what is wrong.
pub(super) fn wrong<T>(what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation(what.into()))
}
