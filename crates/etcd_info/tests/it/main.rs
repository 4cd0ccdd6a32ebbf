//! The built module against real etcd.
// Always set here; written out, it tells clippy that helpers of tests are tests.
#![cfg(test)]

mod live;
