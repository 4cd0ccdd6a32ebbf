//! The verdict over written events, and the clients against a real control plane.

// `cfg(test)` is always set here; written out, it tells clippy that helpers of tests are tests.
#[cfg(test)]
mod control_plane;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod live;
