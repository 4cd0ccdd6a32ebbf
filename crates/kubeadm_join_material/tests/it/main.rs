//! Everything about `kubeadm_join_material` that is tested from outside.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's way to fail, in functions that clippy does not see as tests"
)]

mod cases;
mod laws;
mod live;
mod protocol;
