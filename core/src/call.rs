//! Calls: the legs, what is done with them, and the record of it.

pub(crate) mod order;
mod outcome;
pub(crate) mod record;
