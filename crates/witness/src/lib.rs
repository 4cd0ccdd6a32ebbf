//! Keeps a control plane under watch while an operation runs, and writes the evidence.
//!
//! Four clients use the API the way real ones do (fresh connections, one persistent HTTP/2 connection, a writer,
//! a long watch) and write one line per request. Judging comes afterwards and is a pure function over those lines
//! ([`report::judge::judge`]), so that the numbers can be checked again from the file alone.
//!
//! The invariant: nothing is smoothed over. A request is tried a second time only where client-go does so unseen
//! (its connection closed before the first byte of an answer, or the server refused it and said when to ask again),
//! once, and that is on its line. What was not seen (no end of the watch, no
//! reading on a member) counts against the operation, never for it.
//!
//! Not a load generator and not a monitor: rate, number and duration are bounded, and it stops by itself.

pub mod answer;
pub mod cli;
pub mod clients;
pub mod event;
pub mod http;
pub mod journal;
pub mod options;
pub mod report;
pub mod status;
pub mod verify;
pub mod watch;
