//! Decisions as data, the laws, and real etcd.
// Always set here; written out, it tells clippy that helpers of tests are tests.
#![cfg(test)]
#![expect(clippy::print_stdout, reason = "the counts are the result")]

mod cases;
mod laws;
mod live;
mod scenarios;
mod versions;
mod world;
