//! The gate against a simulation, and the calls against real etcd.

mod evidence;
mod gate;
mod live;
mod model;
