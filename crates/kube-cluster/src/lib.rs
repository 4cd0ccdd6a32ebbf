//! Kubernetes as far as a control-plane operation needs it: nodes, drain, readiness, and the lock of an operation.
//!
//! Values first: [`Node`], [`Pod`], [`Budget`], [`Component`], [`Lock`] are plain data with the questions one asks of them. The calls are thin and
//! stand in one place each, as methods of [`Cluster`]. Nothing here waits, retries or decides: that is for the modules.
//!
//! Not a general client: objects are read through types that hold only what is asked for here. The whole `PodSpec` would cost hundreds of
//! kilobytes of code in a program that travels to every host, and its memory for every pod.
//!
//! Invariants: every change to an object that somebody else may replace carries its UID or resourceVersion; no change is repeated behind the
//! caller's back (the client's own retry of 429 and 503 is off, because a 429 is an answer about a disruption budget; reads are repeated for 5 s); no secret's content is read.
//!
//! What can go wrong is an [`Error`], which names the call and keeps apart what a caller branches on.

mod access;
mod call;
mod component;
mod drain;
mod fence;
mod holder;
mod lock;
mod lock_calls;
mod node;
mod node_calls;
mod pod;
mod selector;

pub use access::{Access, Cluster};
pub use call::{Error, chain};
pub use component::{Component, Plane, Role, planes};
pub use drain::{Budget, Evicted};
pub use fence::{Fence, Held, Lost, Unproven, assert_held};
pub use holder::{Holder, Process, Witness, run_id};
pub use k8s_openapi::jiff::Timestamp;
pub use lock::{Claim, Lock, Operation, Seen};
pub use lock_calls::{LockName, Written};
pub use node::{BLIND_AFTER, Node, OUT_OF_SERVICE, Ready, Taint};
pub use node_calls::{Deleted, Secret};
pub use pod::{Owner, Pod};
pub use selector::Selector;
