//! Decisions as data, the laws, and real etcd.

mod cases;
mod laws;
mod live;
mod world;
