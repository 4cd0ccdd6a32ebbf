//! Against the real kubeadm.
