//! Effects on this machine: commands, files, units, block devices, the kernel log.
//!
//! The only crate of the product that touches the host it runs on, and [`command`] the only place that spawns.
//! Not for anything that goes over the network: etcd, Kubernetes, Proxmox VE and HAProxy have crates of their own.
//!
//! Two rules hold for all of it. A secret never stands in an argument list, because every user of the host can read
//! `/proc/<pid>/cmdline`: it travels on standard input or in a file of mode 0600. And nothing that takes longer than a few
//! seconds is a child of ours: it is a [transient unit](systemd::Transient), which outlives us and is found again by its name.

pub mod block;
pub mod certificate;
pub mod command;
pub mod file;
pub mod identity;
pub mod kernel_log;
pub mod lock;
pub mod systemd;

pub use command::{Command, Failed, Output};
pub use lock::Lock;
