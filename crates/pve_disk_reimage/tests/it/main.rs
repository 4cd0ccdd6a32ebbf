//! All tests of the module.

#![cfg(test)]

mod cases;
mod laws;
mod live;
