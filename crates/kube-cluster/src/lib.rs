//! Kubernetes nodes, drain, leases and readiness: values, and thin calls over kube.
