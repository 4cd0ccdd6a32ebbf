//! Saves a verified snapshot of an etcd cluster.
