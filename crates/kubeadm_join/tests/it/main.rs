//! Everything about `kubeadm_join` that is tested from outside.

mod cases;
mod laws;
mod live;
