//! Decisions as data, the laws, and real etcd.
// Always set here; written out, it tells clippy that helpers of tests are tests.
#![cfg(test)]
#![expect(clippy::print_stdout, reason = "the counts and figures are the result")]

mod cases;
mod laws;
mod live;
mod quota;
mod world;
