//! Speaks to HAProxy over its runtime socket: values, and thin calls.
//!
//! Covers what is needed to take a server out of a backend and to put it back, for HAProxy 2.4 to 3.4: the admin state, the
//! checks, the sessions. It edits no configuration: what is set here lasts until HAProxy is reloaded or restarted.
//!
//! The socket has no status codes. A command that changes something answers an empty line, and everything else it may answer is
//! a sentence; [`Denial`] knows those sentences. Tables ([`servers`], [`stat`]) are read by their header, because columns were
//! added between versions.
//!
//! One request is one connection with one deadline, so that a reply can belong to no other request.

mod address;
mod call;
mod error;
pub mod servers;
pub mod stat;

pub use address::{Address, Name, NotAName, ServerRef};
pub use call::{Info, Level, Runtime};
pub use error::{Denial, Error};
