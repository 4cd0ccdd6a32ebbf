//! What whoever ran the operation tells the report: the steps and the facts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Member;

/// One line of the steps file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When it began, Unix seconds.
    pub at: f64,
    /// Its name, as the playbook shows it.
    pub step: String,
    /// The host it ran for.
    pub host: String,
    /// How long it took.
    pub seconds: f64,
    /// It changed something.
    pub changed: bool,
}

/// The facts file. Times are Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// `kubeadm` or `k3s`.
    pub distribution: String,
    /// The node that was replaced, by the name that `HAProxy` and etcd give it.
    pub target: String,
    /// Versions by program.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// When the fault was made; absent when a healthy node was replaced.
    pub fault_at: Option<f64>,
    /// The fault in a few words.
    pub fault: Option<String>,
    /// When `HAProxy` stopped sending requests to the target; by default read from the events.
    pub haproxy_down_at: Option<f64>,
    /// When the playbook began.
    pub replace_started: f64,
    /// When it ended.
    pub replace_ended: f64,
    /// How much of it was waiting that safety prescribes.
    #[serde(default)]
    pub quiet_seconds: f64,
    /// The same command once more.
    pub second_run: Option<SecondRun>,
    /// The mistakes that were tried.
    #[serde(default)]
    pub refusals: Vec<Refusal>,
    /// The etcd members at the end.
    #[serde(default)]
    pub members_after: Vec<Member>,
    /// What was shown on the way: the kernel's line, the sick member.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
}

/// The second run of the same command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondRun {
    /// When it began, Unix seconds.
    pub at: f64,
    /// How long it took.
    pub seconds: f64,
    /// How many tasks changed something.
    pub changed: u64,
}

/// A mistake that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// When, Unix seconds.
    pub at: f64,
    /// What was tried.
    pub what: String,
    /// It was refused, as it must be.
    pub refused: bool,
    /// The refusal's code.
    pub code: String,
    /// Its text.
    pub text: String,
    /// The code that it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

impl Refusal {
    /// Tells whether the mistake was refused for the reason that was to be shown.
    pub fn holds(&self) -> bool {
        self.refused && self.expected.as_ref().is_none_or(|expected| *expected == self.code)
    }
}

/// Something that was shown on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What it is.
    pub title: String,
    /// As it was seen, line breaks kept.
    pub text: String,
}
