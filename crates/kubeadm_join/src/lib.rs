//! Joins this host to a kubeadm cluster as a control-plane node.
