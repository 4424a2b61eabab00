//! Config (helper D).
/// The configuration.
#[derive(Clone, Debug, Default)]
pub struct Config;
