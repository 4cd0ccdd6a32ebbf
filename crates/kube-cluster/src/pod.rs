//! A pod as a drain sees it.

use crate::call::{Condition, Meta};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt};

/// A pod.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own; they come in any combination"
)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Tells it from another pod of the same name, such as a `StatefulSet`'s next.
    pub uid: String,
    /// Node it is bound to; empty when to none.
    pub node: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Who would bring it back.
    pub owner: Owner,
    /// Whether it is on its way out already.
    pub terminating: bool,
    /// Whether it has run to its end (`Succeeded` or `Failed`).
    pub finished: bool,
    /// Whether it has an `emptyDir`, whose data goes with it.
    pub empty_dir: bool,
    /// Whether its Ready condition holds.
    pub ready: bool,
}

/// Who a pod belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The kubelet: a static pod, of which the object is but a mirror.
    Kubelet,
    /// A `DaemonSet`, which ignores a cordon.
    DaemonSet(String),
    /// A controller that makes another one elsewhere: its kind and name.
    Controller(String, String),
    /// Nobody: what is evicted does not come back.
    Nobody,
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What is read of a pod.
#[derive(Deserialize)]
pub(crate) struct PodObject {
    metadata: Meta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    node_name: String,
    volumes: Vec<Volume>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Volume {
    empty_dir: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodStatus {
    phase: String,
    conditions: Vec<Condition>,
}

impl PodObject {
    pub(crate) fn value(self) -> Pod {
        let Self { metadata, spec, status } = self;
        let ready = |condition: &Condition| condition.kind == "Ready" && condition.status == "True";
        Pod {
            owner: owner(&metadata),
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            node: spec.node_name,
            labels: metadata.labels,
            terminating: metadata.deletion_timestamp.is_some(),
            finished: ["Succeeded", "Failed"].contains(&status.phase.as_str()),
            empty_dir: spec.volumes.iter().any(|volume| volume.empty_dir.is_some()),
            ready: status.conditions.iter().any(ready),
        }
    }
}

fn owner(metadata: &Meta) -> Owner {
    if metadata.annotations.contains_key("kubernetes.io/config.mirror") {
        return Owner::Kubelet;
    }
    let controls = |owner: &&crate::call::OwnerReference| owner.controller == Some(true);
    match metadata.owner_references.iter().find(controls) {
        Some(owner) if owner.kind == "DaemonSet" => Owner::DaemonSet(owner.name.clone()),
        Some(owner) => Owner::Controller(owner.kind.clone(), owner.name.clone()),
        None => Owner::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(metadata: &Value, spec: &Value, phase: &str) -> Pod {
        let object = json!({"metadata": metadata, "spec": spec, "status": {"phase": phase}});
        serde_json::from_value::<PodObject>(object).unwrap().value()
    }

    #[test]
    fn owners_are_told_apart() {
        let by = |kind: &str| json!({"name": "x", "ownerReferences": [{"kind": kind, "name": "o", "controller": true}]});
        let spec = json!({});
        assert_eq!(pod(&by("DaemonSet"), &spec, "Running").owner, Owner::DaemonSet("o".into()));
        assert_eq!(
            pod(&by("ReplicaSet"), &spec, "Running").owner,
            Owner::Controller("ReplicaSet".into(), "o".into())
        );
        assert_eq!(pod(&json!({"name": "x"}), &spec, "Running").owner, Owner::Nobody);
        let mirror = json!({"annotations": {"kubernetes.io/config.mirror": "h"}, "ownerReferences": [{"kind": "Node", "name": "cp1", "controller": true}]});
        assert_eq!(pod(&mirror, &spec, "Running").owner, Owner::Kubelet);
    }

    #[test]
    fn volumes_ends_and_deletions_are_seen() {
        let spec = json!({"nodeName": "cp2", "volumes": [{"name": "a", "configMap": {}}, {"name": "b", "emptyDir": {}}]});
        let read = pod(&json!({"deletionTimestamp": "2026-11-21T08:00:00Z"}), &spec, "Succeeded");
        assert!(read.empty_dir && read.finished && read.terminating && read.node == "cp2");
        let read =
            pod(&json!({}), &json!({"volumes": [{"name": "a", "configMap": {}}]}), "Running");
        assert!(!read.empty_dir && !read.finished && !read.terminating);
    }
}
