//! Makes and revokes what a kubeadm control-plane join needs.
