//! Any bytes as a module's request: decoded or refused in one sentence, never a panic.
#![no_main]

#[path = "../../crates/ansible-module/tests/it/anything.rs"]
mod anything;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    anything::hold(bytes);
});
