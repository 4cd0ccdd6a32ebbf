//! The calls against a real kube-apiserver.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's way to fail"
)]

mod drain;
mod lock;
mod nodes;
mod world;
