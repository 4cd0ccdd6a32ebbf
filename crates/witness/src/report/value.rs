//! The report as a value; its JSON is report.json.

use std::collections::BTreeMap;

use serde::Serialize;

use super::facts::{Evidence, Refusal};
use crate::event::{Client, Member};

/// Everything that is said about one operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Whether everything held.
    pub verdict: Verdict,
    /// `kubeadm` or `k3s`.
    pub distribution: String,
    /// Versions by program.
    pub versions: BTreeMap<String, String>,
    /// The node that was replaced.
    pub target: String,
    /// From the start of the playbook to its end.
    pub replace_seconds: f64,
    /// The part of it that is prescribed waiting.
    pub quiet_seconds: f64,
    /// Requests outside the fault window.
    pub api: Api,
    /// Requests inside the fault window, counted apart.
    pub fault_window: FaultWindow,
    /// Writes of the whole run.
    pub writes: Writes,
    /// The long watch.
    pub watch: Watch,
    /// The etcd members at the end.
    pub members_after: Vec<Member>,
    /// The mistakes that were tried.
    pub refusals: Vec<Refusal>,
    /// How many tasks the second run changed; absent when there was none.
    pub second_run_changed: Option<u64>,
    /// How closely the control plane was watched.
    pub watched: Watched,
    /// Failed requests, the first 50.
    pub failures: Vec<Failure>,
    /// What was shown on the way.
    pub evidence: Vec<Evidence>,
}

/// The verdict with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Every check holds.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One thing that had to hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What had to hold.
    pub needed: String,
    /// What was found.
    pub found: String,
    /// It holds.
    pub ok: bool,
}

/// Requests of one client or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// All.
    pub requests: usize,
    /// Without a good answer, at the end.
    pub failed: usize,
    /// Tried a second time, because the connection closed before the first byte.
    pub retried: usize,
    /// The median.
    pub median_ms: f64,
    /// 99 of 100 were at most this long.
    pub p99_ms: f64,
    /// The longest.
    pub longest_ms: f64,
}

/// Requests outside the fault window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Api {
    /// All clients together.
    #[serde(flatten)]
    pub all: Tally,
    /// Each client.
    pub by_client: BTreeMap<Client, Tally>,
    /// New connections of the persistent HTTP/2 client.
    pub http2_reconnects: usize,
}

/// From the fault to the moment when `HAProxy` stopped sending requests to the target.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FaultWindow {
    /// Its length.
    pub seconds: f64,
    /// Requests that were under way in it.
    #[serde(flatten)]
    pub all: Tally,
}

/// What became of the writes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Writes {
    /// Tried.
    pub tried: usize,
    /// Acknowledged, those found by reading included.
    pub acked: usize,
    /// Acknowledged and not found on some member at the end.
    pub lost: usize,
    /// Sent without a verdict.
    pub ambiguous: usize,
    /// Of these: found by reading later.
    pub ambiguous_found: usize,
    /// Apiservers whose reading is complete.
    pub apiservers_read: usize,
    /// etcd members whose own store was read.
    pub etcd_members_read: usize,
}

/// What the long watch saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Watch {
    /// Creations that it delivered.
    pub events: usize,
    /// How often it went on from its last resourceVersion on a new connection.
    pub reconnects: usize,
    /// Acknowledged writes that it never showed.
    pub missed: usize,
    /// How often the server had forgotten its place.
    pub gone: usize,
}

/// How closely the control plane was watched.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Watched {
    /// From the first request to the last.
    pub seconds: f64,
    /// The longest time in which one of the clients began no request.
    pub longest_gap_ms: f64,
    /// Requests that were not made because too many were under way.
    pub skipped: usize,
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// When it began, Unix seconds.
    pub at: f64,
    /// Whose it was.
    pub client: Client,
    /// How long it took.
    pub ms: f64,
    /// It was under way in the fault window.
    pub in_fault_window: bool,
    /// What went wrong.
    pub error: String,
}
