//! Load by real sockets: what a call costs the server, beside a stand-in that only moves the same packets.
//!
//! [`Phones`](phones::Phones) are all phones behind one socket, [`Orders`](orders::Orders) the connections that calls are
//! ordered by, [`drive`](drive::drive) is the loop that serves both and watches each call from its POST to its last BYE. A
//! [`Stand`](stand::Stand) is a server, or the [`floor`], with phones of its own. [`rows`] are what the program `load` measures.
//!
//! It shares its processors with what it measures, so it is cheap: one thread, system calls for many datagrams, and no more
//! read of a message than who it is for.

pub mod datagrams;
pub mod drive;
pub mod floor;
pub mod machine;
pub mod message;
pub mod options;
pub mod orders;
pub mod phones;
pub mod readings;
pub mod report;
pub mod rows;
pub mod stand;
pub mod table;
