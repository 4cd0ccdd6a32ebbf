//! The node as this module sees it, and what can be done to it.

use ansible_module::Returns;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One reading.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Observed {
    /// Name of the node.
    pub name: String,
    /// The node; none when there is none of this name.
    pub node: Option<Node>,
    /// The other nodes of the control plane.
    pub others: Vec<Other>,
    /// Every pod on it.
    pub pods: Vec<Pod>,
    /// Volumes that are attached to it.
    pub attachments: Vec<String>,
    /// Its etcd member.
    pub member: Member,
    /// The Secret in which k3s remembers its password.
    pub password: Option<String>,
    /// The UID that this task has deleted.
    pub deleted: Option<String>,
    /// For how many seconds this task has been running.
    pub elapsed: u64,
}

/// The node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own; they come in any combination"
)]
pub struct Node {
    /// Tells it from others of the name.
    pub uid: String,
    /// No new pods.
    pub cordoned: bool,
    /// The Ready condition.
    pub ready: Ready,
    /// Seconds since the kubelet was heard of; none when it never was.
    pub lease_age: Option<u64>,
    /// Part of the control plane.
    pub control_plane: bool,
    /// Declared out of service.
    pub out_of_service: bool,
    /// Its deletion waits for finalizers.
    pub deleting: bool,
    /// Those.
    pub finalizers: Vec<String>,
}

/// The Ready condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// The kubelet says so.
    Yes,
    /// The kubelet says no.
    No,
    /// The kubelet does not say.
    #[default]
    Unknown,
}

/// Another node of the control plane.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// What is missing for it to carry the cluster alone.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// A pod.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own; they come in any combination"
)]
pub struct Pod {
    /// `namespace/name`.
    pub name: String,
    /// Tells it from others of the name.
    pub uid: String,
    /// Belongs to the node: a static pod, or one of a `DaemonSet`.
    pub stays: bool,
    /// Nothing brings it back.
    pub unmanaged: bool,
    /// Has an `emptyDir`.
    pub empty_dir: bool,
    /// Has run to its end.
    pub finished: bool,
    /// On its way out.
    pub terminating: bool,
    /// What holds it.
    pub held: Option<String>,
}

/// The etcd member of a node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Member {
    /// It has none: no node of the control plane, or etcd runs elsewhere.
    #[default]
    Unneeded,
    /// Etcd runs on the control plane, and was not asked.
    Unasked,
    /// Not listed.
    Unlisted,
    /// Listed.
    Listed(String),
    /// The list cannot be read.
    Unknown(String),
}

impl Node {
    /// Whether its kubelet cannot be told anything.
    pub fn is_blind(&self) -> bool {
        self.lease_age.is_none_or(|age| age > kube_cluster::BLIND_AFTER.as_secs())
    }
}

impl Observed {
    /// Pods that have to go.
    pub fn leaving(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(|pod| !pod.stays)
    }
}

/// One change, or one wait: what, and to which node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What.
    pub act: Act,
    /// Name of the node.
    pub node: String,
    /// Its UID, or nothing where there is none yet.
    pub uid: String,
}

/// What is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// No new pods.
    Cordon,
    /// New pods again.
    Uncordon,
    /// Pods are asked to go, as far as their budgets allow.
    Evict,
    /// Until they are gone.
    AwaitGone,
    /// Until the kubelet has not been heard of for long enough.
    AwaitSilence,
    /// The cluster may give up what is on it.
    OutOfService,
    /// It may not any more.
    InService,
    /// Until no volume is attached.
    AwaitDetached,
    /// Until it is ready.
    AwaitReady,
    /// The Node goes.
    Delete,
    /// Until it is gone.
    AwaitDeleted,
    /// The Secret goes in which k3s remembers its password.
    ForgetPassword(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { act, node, uid } = self;
        match act {
            Act::Cordon => write!(f, "cordon {node}"),
            Act::Uncordon => write!(f, "uncordon {node}"),
            Act::Evict => write!(f, "evict the pods on {node}"),
            Act::AwaitGone => write!(f, "wait for the pods on {node} to be gone"),
            Act::AwaitSilence => write!(
                f,
                "wait until the kubelet of {node} has been silent for {} s",
                kube_cluster::BLIND_AFTER.as_secs()
            ),
            Act::OutOfService => write!(f, "declare {node} out of service"),
            Act::InService => write!(f, "take back that {node} is out of service"),
            Act::AwaitDetached => write!(f, "wait for the volumes of {node} to be detached"),
            Act::AwaitReady => write!(f, "wait for {node} to be ready"),
            Act::Delete => write!(f, "delete the Node {node} (UID {uid})"),
            Act::AwaitDeleted => write!(f, "wait for the Node {node} (UID {uid}) to be gone"),
            Act::ForgetPassword(secret) => write!(
                f,
                "delete the Secret kube-system/{secret}, with which {node} could not join again"
            ),
        }
    }
}

/// How many of what is waited for are named.
const NAMED: usize = 3;

/// What shows how far a step has come.
pub fn seen(observed: &Observed, step: &Step) -> Option<String> {
    let left: Vec<String> = match step.act {
        Act::Evict | Act::AwaitGone => observed.leaving().map(Pod::with_reason).collect(),
        Act::AwaitDetached => observed.attachments.clone(),
        Act::AwaitDeleted => observed.node.as_ref()?.finalizers.clone(),
        Act::AwaitReady => {
            let seen = match observed.node.as_ref().map(|node| node.ready) {
                None => "there is no such Node yet",
                Some(Ready::Yes) => "its kubelet was not heard of lately",
                Some(Ready::No) => "its kubelet says that it is not",
                Some(Ready::Unknown) => "its kubelet does not say",
            };
            return Some(seen.into());
        }
        _ => return None,
    };
    let more = if left.len() > NAMED { ", …" } else { "" };
    let named: Vec<_> = left.iter().take(NAMED).cloned().collect();
    (!left.is_empty()).then(|| format!("{} left: {}{more}", left.len(), named.join(", ")))
}

impl Pod {
    fn with_reason(&self) -> String {
        match &self.held {
            Some(held) => format!("{} ({held})", self.name),
            None => self.name.clone(),
        }
    }
}

/// The state expected after a step, in the worst case.
pub fn project(observed: &Observed, step: &Step) -> Observed {
    let mut after = observed.clone();
    if let Some(node) = &mut after.node {
        change(node, &step.act);
    }
    match &step.act {
        Act::Evict => {
            for pod in after.pods.iter_mut().filter(|pod| !pod.stays) {
                (pod.terminating, pod.held) = (true, None);
            }
        }
        Act::AwaitGone => after.pods.retain(|pod| pod.stays),
        Act::AwaitDetached => after.attachments.clear(),
        Act::AwaitReady => change(after.node.get_or_insert_default(), &step.act),
        Act::Delete => after.deleted = Some(step.uid.clone()),
        Act::AwaitDeleted => after.node = None,
        Act::ForgetPassword(_) => after.password = None,
        Act::Cordon | Act::Uncordon | Act::OutOfService | Act::InService | Act::AwaitSilence => {}
    }
    after
}

fn change(node: &mut Node, act: &Act) {
    match act {
        Act::Cordon => node.cordoned = true,
        Act::Uncordon => node.cordoned = false,
        Act::OutOfService => node.out_of_service = true,
        Act::InService => node.out_of_service = false,
        Act::AwaitSilence => node.lease_age = Some(kube_cluster::BLIND_AFTER.as_secs() + 1),
        Act::AwaitReady => {
            (node.ready, node.lease_age, node.deleting) = (Ready::Yes, Some(0), false);
        }
        Act::Delete => node.deleting = true,
        _ => {}
    }
}

/// What is shown of a node.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own; they come in any combination"
)]
pub struct View {
    /// Name of the node.
    pub name: String,
    /// Whether there is one.
    pub exists: bool,
    /// Its UID.
    pub uid: Option<String>,
    /// Whether new pods are kept away.
    pub cordoned: bool,
    /// Whether it is ready, and its kubelet was heard of lately.
    pub ready: bool,
    /// Whether it is declared out of service.
    pub out_of_service: bool,
    /// Pods on it that do not belong to it.
    pub pods: Vec<String>,
    /// Volumes that are attached to it.
    pub volume_attachments: Vec<String>,
}

/// What of an observation is shown.
pub fn view(observed: &Observed) -> View {
    let node = observed.node.as_ref();
    View {
        name: observed.name.clone(),
        exists: node.is_some(),
        uid: node.map(|node| node.uid.clone()),
        cordoned: node.is_some_and(|node| node.cordoned),
        ready: node
            .is_some_and(|node| node.ready == Ready::Yes && !node.is_blind() && !node.deleting),
        out_of_service: node.is_some_and(|node| node.out_of_service),
        pods: observed.leaving().map(|pod| pod.name.clone()).collect(),
        volume_attachments: observed.attachments.clone(),
    }
}
