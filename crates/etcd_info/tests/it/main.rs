//! The built module against real etcd.

mod live;
