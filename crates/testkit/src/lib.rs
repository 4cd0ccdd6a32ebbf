//! For tests: cases, laws, real servers on free ports, and the runner of built modules.
//!
//! A module's `tests/it/main.rs` is one target with `cases`, `laws` and `live` in it:
//! `testkit::cases::check::<MyModule>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"))`, `testkit::laws::check::<MyModule>(…)` over
//! generated worlds, and live tests against the real servers of this crate through `testkit::module::Call::new(env!("CARGO_BIN_EXE_…"), …)`.

pub mod apiserver;
pub mod cases;
pub mod etcd;
pub mod haproxy;
pub mod laws;
pub mod module;
pub mod pve;

#[expect(clippy::panic, reason = "a test's way to fail")]
fn or_panic<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}
