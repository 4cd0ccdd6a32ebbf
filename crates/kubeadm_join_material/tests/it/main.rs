//! Everything about `kubeadm_join_material` that is tested from outside.

mod cases;
mod laws;
mod live;
