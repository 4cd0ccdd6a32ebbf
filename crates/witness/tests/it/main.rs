//! The verdict over written events, and the clients against a real control plane.

mod control_plane;
mod judge;
mod live;
