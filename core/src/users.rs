//! Users (helper C).
/// The users.
#[derive(Clone, Debug, Default)]
pub struct Directory;
