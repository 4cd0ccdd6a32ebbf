//! All tests of the module.

#![cfg(test)]

mod cases;
mod fence;
mod laws;
mod live;
