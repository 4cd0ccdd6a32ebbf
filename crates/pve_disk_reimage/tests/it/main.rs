//! All tests of the module.

mod cases;
mod laws;
mod live;
