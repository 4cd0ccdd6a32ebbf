//! The clients that keep the control plane under watch.

pub mod etcd;
pub mod get;
pub mod haproxy;
pub mod http2;
pub mod ticker;
pub mod watcher;
pub mod writer;
