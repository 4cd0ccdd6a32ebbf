//! Decisions as data, the laws, and the module against a real apiserver.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's way to fail"
)]

mod cases;
mod laws;
mod live;
mod world;
