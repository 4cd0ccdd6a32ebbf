//! etcd members, their evidence and the gate: values, and thin calls over etcd-client.
//!
//! A caller opens a [`Cluster`], takes a [`Reading`] of every member at once, asks [`evidence`] which of
//! them are proven, and the [`gate`] whether an operation may begin. The last two are pure functions over
//! plain values, so that a decision can be stored, shown and tested without a cluster.
//!
//! Not for general use of etcd as a store: the only key ever read is one that need not exist, and others are only counted.
//!
//! The invariant: whatever was not seen to be healthy counts as down, and no operation that passed the
//! gate leaves fewer healthy voters than a quorum at any point of its path.

pub mod calls;
pub mod certs;
mod choose;
pub mod client;
pub mod evidence;
pub mod fault;
pub mod gate;
pub mod handshake;
pub mod http;
mod inquiry;
pub mod keys;
pub mod matching;
pub mod member;
pub mod metrics;
pub mod reading;
pub mod version;

pub use calls::Cluster;
pub use client::{Access, Connection};
pub use evidence::{Doubt, Evidence, Kubernetes};
pub use gate::{Facts, Operation, Order, SubStep, Unsafe, Verdict};
pub use matching::{Mismatch, Target};
pub use member::{Member, MemberId, Role, Which};
pub use reading::Reading;
