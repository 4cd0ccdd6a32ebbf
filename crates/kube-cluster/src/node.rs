//! A Node as a value.

use crate::{
    Timestamp,
    call::{Condition, Meta},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// A kubelet renews its lease every 10 s; after 40 s the node lifecycle controller calls it gone. Until then the Node still reads Ready, and
/// evictions on it are accepted and never finish.
pub const BLIND_AFTER: Duration = Duration::from_secs(40);
/// The taint that lets the cluster give up the pods and volumes of a node that is powered off.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// A Node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Tells it from an earlier or later Node of the same name.
    pub uid: String,
    /// The version that was read.
    pub resource_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Who must agree before a deletion takes effect.
    pub finalizers: Vec<String>,
    /// Whether a deletion waits for finalizers.
    pub deleting: bool,
    /// Whether new pods are kept away.
    pub cordoned: bool,
    /// Taints.
    pub taints: Vec<Taint>,
    /// The Ready condition. It is no evidence without a fresh lease: a dead node reads Ready for 40 s.
    pub ready: Ready,
    /// Its own addresses (`InternalIP`).
    pub addresses: Vec<String>,
    /// The kubelet's version, as `v1.36.3`.
    pub kubelet_version: String,
    /// The boot the kubelet runs in.
    pub boot_id: String,
    /// How long ago the kubelet renewed its lease in kube-node-lease, by the server's clock; none when there is no lease.
    pub lease_age: Option<Duration>,
}

/// The Ready condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// The kubelet says so.
    Yes,
    /// The kubelet says no.
    No,
    /// The kubelet stopped reporting, or never did.
    #[default]
    Unknown,
}

/// A taint. Written back whole, because a merge replaces the list.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
    /// When it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_added: Option<String>,
}

impl Node {
    /// Whether its kubelet cannot be told anything: its lease is older than [`BLIND_AFTER`], or it has none.
    pub fn is_blind(&self) -> bool {
        self.lease_age.is_none_or(|age| age > BLIND_AFTER)
    }

    /// Ready, and lately heard of.
    pub fn is_up(&self) -> bool {
        self.ready == Ready::Yes && !self.is_blind() && !self.deleting
    }

    /// Whether it is a control-plane node.
    pub fn is_control_plane(&self) -> bool {
        let role =
            |role: &str| self.labels.contains_key(&format!("node-role.kubernetes.io/{role}"));
        role("control-plane") || role("master")
    }

    /// Whether k3s or RKE2 runs an etcd member on it, by its label.
    pub fn has_etcd_label(&self) -> bool {
        self.labels.contains_key("node-role.kubernetes.io/etcd")
    }

    /// Whether it runs k3s, whose control plane is one process and shows no pods.
    pub fn is_k3s(&self) -> bool {
        self.annotations.contains_key("k3s.io/node-args")
            || self.annotations.contains_key("k3s.io/hostname")
    }

    /// The name k3s or RKE2 gave the etcd member on it; kubeadm uses the Node's own name.
    pub fn etcd_name(&self) -> Option<&str> {
        let named = |by: &str| self.annotations.get(&format!("etcd.{by}.cattle.io/node-name"));
        named("k3s").or_else(|| named("rke2")).map(String::as_str)
    }

    /// Whether it is declared out of service.
    pub fn is_out_of_service(&self) -> bool {
        self.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE && taint.effect == "NoExecute")
    }
}

/// How long ago a lease was renewed. A renewal after `date`, which is to the second, is as fresh as can be.
pub(crate) fn age(renewed: Option<&str>, date: Option<Timestamp>) -> Option<Duration> {
    let renewed: Timestamp = renewed?.parse().ok()?;
    Some(date?.duration_since(renewed).try_into().unwrap_or_default())
}

/// What is read of a Node.
#[derive(Deserialize)]
pub(crate) struct NodeObject {
    metadata: Meta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeSpec {
    unschedulable: bool,
    taints: Vec<Taint>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct NodeStatus {
    conditions: Vec<Condition>,
    addresses: Vec<Address>,
    node_info: NodeInfo,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct NodeInfo {
    kubelet_version: String,
    #[serde(rename = "bootID")]
    boot_id: String,
}

/// A lease, as far as its age goes.
#[derive(Deserialize)]
pub(crate) struct LeaseObject {
    pub metadata: Meta,
    #[serde(default)]
    pub spec: LeaseTimes,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LeaseTimes {
    pub renew_time: Option<String>,
}

impl NodeObject {
    pub(crate) fn name(&self) -> &str {
        &self.metadata.name
    }

    pub(crate) fn value(self, lease_age: Option<Duration>) -> Node {
        let Self { metadata, spec, status } = self;
        let ready = status.conditions.iter().find(|condition| condition.kind == "Ready");
        let ready = match ready.map(|condition| condition.status.as_str()) {
            Some("True") => Ready::Yes,
            Some("False") => Ready::No,
            _ => Ready::Unknown,
        };
        let own = status.addresses.into_iter().filter(|address| address.kind == "InternalIP");
        Node {
            name: metadata.name,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            labels: metadata.labels,
            annotations: metadata.annotations,
            finalizers: metadata.finalizers,
            deleting: metadata.deletion_timestamp.is_some(),
            cordoned: spec.unschedulable,
            taints: spec.taints,
            ready,
            addresses: own.map(|address| address.address).collect(),
            kubelet_version: status.node_info.kubelet_version,
            boot_id: status.node_info.boot_id,
            lease_age,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(status: &str) -> Node {
        let object = json!({"metadata": {"name": "cp2", "uid": "u", "labels": {"node-role.kubernetes.io/control-plane": ""}, "finalizers": ["wrangler.cattle.io/node"]},
            "spec": {"unschedulable": true, "taints": [{"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}]},
            "status": {"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": status}],
                "addresses": [{"type": "Hostname", "address": "cp2"}, {"type": "InternalIP", "address": "198.18.0.12"}],
                "nodeInfo": {"kubeletVersion": "v1.36.3", "bootID": "b"}}});
        serde_json::from_value::<NodeObject>(object).unwrap().value(Some(Duration::from_secs(3)))
    }

    #[test]
    fn a_node_is_read() {
        let node = node("True");
        assert!(
            node.cordoned && node.is_control_plane() && node.is_out_of_service() && node.is_up()
        );
        assert_eq!(
            (node.addresses, node.kubelet_version),
            (vec!["198.18.0.12".into()], "v1.36.3".into())
        );
        assert_eq!(node.finalizers, ["wrangler.cattle.io/node"]);
    }

    #[test]
    fn ready_without_a_fresh_lease_is_no_evidence() {
        let mut node = node("True");
        node.lease_age = Some(BLIND_AFTER + Duration::from_secs(1));
        assert!(node.is_blind() && !node.is_up());
        node.lease_age = None;
        assert!(node.is_blind() && !node.is_up());
    }

    #[test]
    fn an_unheard_of_kubelet_is_unknown() {
        assert_eq!((node("Unknown").ready, node("False").ready), (Ready::Unknown, Ready::No));
    }

    #[test]
    fn a_lease_ages_by_the_servers_clock() {
        let date: Timestamp = "2026-11-21T08:00:10Z".parse().unwrap();
        assert_eq!(
            age(Some("2026-11-21T08:00:00.500000Z"), Some(date)),
            Some(Duration::from_millis(9500))
        );
        assert_eq!(age(Some("2026-11-21T08:00:10.900000Z"), Some(date)), Some(Duration::ZERO));
        assert_eq!(age(None, Some(date)), None);
    }
}
