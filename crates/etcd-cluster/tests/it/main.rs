//! The gate against a simulation, and the calls against real etcd.
// Always set here; written out, it tells clippy that helpers of tests are tests.
#![cfg(test)]
#![expect(clippy::print_stdout, reason = "the counts are the result")]
#![expect(clippy::struct_excessive_bools, reason = "independent rules, enumerated")]

mod errors;
mod evidence;
mod gate;
mod live;
mod model;
