//! etcd members, their evidence and the gate: values, and thin calls over etcd-client.
