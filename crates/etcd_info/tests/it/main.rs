//! The built module against real etcd, and the diagnosis case by case.
// Always set here; written out, it tells clippy that helpers of tests are tests.
#![cfg(test)]

mod bad_input;
mod causes;
mod degrees;
mod diagnose;
mod live;
mod recorded;
mod versions;
mod world;
