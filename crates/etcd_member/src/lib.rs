//! Removes a member from an etcd cluster, or waits for one to become a voter.
