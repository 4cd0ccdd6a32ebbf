//! All tests of the module.
// Always set here; written out, it tells clippy that helpers of tests are tests.
#![cfg(test)]

mod cases;
mod kept;
mod laws;
mod live;
mod torn;
