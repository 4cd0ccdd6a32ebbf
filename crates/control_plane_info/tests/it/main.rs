//! Decisions as data, and the built module against real files and a real apiserver.
// Always set here; written out, it tells clippy that helpers of tests are tests.
#![cfg(test)]

mod cases;
mod live;
mod protocol;
