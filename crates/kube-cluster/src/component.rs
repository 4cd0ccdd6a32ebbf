//! Which nodes carry a whole control plane.

use crate::{Cluster, Error, Node, Owner, Pod};
use std::fmt;

/// A part of the control plane that runs as a static pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// etcd.
    Etcd,
}

impl Role {
    /// What every control-plane node runs; etcd may live elsewhere.
    const NEEDED: [Self; 3] = [Self::ApiServer, Self::ControllerManager, Self::Scheduler];

    fn of(pod: &Pod) -> Option<Self> {
        match pod.labels.get("component").map(String::as_str) {
            Some("kube-apiserver") => Some(Self::ApiServer),
            Some("kube-controller-manager") => Some(Self::ControllerManager),
            Some("kube-scheduler") => Some(Self::Scheduler),
            Some("etcd") => Some(Self::Etcd),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Etcd => "etcd",
        })
    }
}

/// A static pod of the control plane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Component {
    /// The node it runs on.
    pub node: String,
    /// Which part it is.
    pub role: Role,
    /// Whether its Ready condition holds. It is no evidence without a fresh kubelet lease.
    pub ready: bool,
}

/// What one node contributes to the control plane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plane {
    /// The node.
    pub node: String,
    /// What is missing for it to carry the cluster alone, in words; empty when nothing is.
    pub missing: Vec<String>,
    /// Whether an etcd member is seen on it: a static pod, or the label of k3s and RKE2.
    pub etcd: bool,
}

impl Plane {
    /// Whether it could carry the cluster alone.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Every control-plane node, and what is missing on it. Unknown is missing.
pub fn planes(nodes: &[Node], components: &[Component]) -> Vec<Plane> {
    let plane = |node: &Node| {
        let here = || components.iter().filter(|component| component.node == node.name);
        let ready = |role: Role| here().any(|component| component.role == role && component.ready);
        let mut missing = vec![];
        if node.deleting {
            missing.push("it is being deleted".to_owned());
        }
        if let Some(age) = node.lease_age.filter(|_| node.is_blind()) {
            missing.push(format!("its kubelet was last heard of {} s ago", age.as_secs()));
        } else if node.is_blind() {
            missing.push("its kubelet has no lease".to_owned());
        }
        if node.is_k3s() {
            // One process runs them all, and the kubelet is in it.
            missing.extend((node.ready != crate::Ready::Yes).then(|| "it is not Ready".to_owned()));
        } else {
            let absent = Role::NEEDED.into_iter().filter(|role| !ready(*role));
            missing.extend(absent.map(|role| format!("{role} is not ready")));
        }
        let etcd = node.has_etcd_label() || here().any(|component| component.role == Role::Etcd);
        Plane { node: node.name.clone(), missing, etcd }
    };
    nodes.iter().filter(|node| node.is_control_plane()).map(plane).collect()
}

impl Cluster {
    /// The static pods of the control plane.
    pub async fn components(&self) -> Result<Vec<Component>, Error> {
        let path = "/api/v1/namespaces/kube-system/pods?labelSelector=tier%3Dcontrol-plane";
        let pods = self.pods(path).await?;
        let mirrors = pods.into_iter().filter(|pod| pod.owner == Owner::Kubelet);
        let component = |pod: Pod| {
            let role = Role::of(&pod)?;
            Some(Component { node: pod.node, role, ready: pod.ready && !pod.terminating })
        };
        Ok(mirrors.filter_map(component).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ready;
    use std::time::Duration;

    fn node(name: &str, seconds: u64) -> Node {
        let label = ("node-role.kubernetes.io/control-plane".to_owned(), String::new());
        Node {
            name: name.into(),
            labels: [label].into(),
            ready: Ready::Yes,
            lease_age: Some(Duration::from_secs(seconds)),
            ..Node::default()
        }
    }

    fn pods(node: &str, ready: bool) -> Vec<Component> {
        let all = [Role::ApiServer, Role::ControllerManager, Role::Scheduler, Role::Etcd];
        all.into_iter().map(|role| Component { node: node.into(), role, ready }).collect()
    }

    #[test]
    fn a_dead_node_reads_ready_and_is_no_plane() {
        let all = planes(
            &[node("cp1", 3), node("cp2", 41)],
            &[pods("cp1", true), pods("cp2", true)].concat(),
        );
        assert!(all[0].is_complete() && all[0].etcd);
        assert_eq!(all[1].missing, ["its kubelet was last heard of 41 s ago"]);
    }

    #[test]
    fn each_missing_part_is_named() {
        let mut parts = pods("cp1", true);
        parts[1].ready = false;
        parts.remove(2);
        let all = planes(&[node("cp1", 3)], &parts);
        assert_eq!(
            all[0].missing,
            ["kube-controller-manager is not ready", "kube-scheduler is not ready"]
        );
    }

    #[test]
    fn k3s_shows_no_pods() {
        let mut server = node("cp1", 3);
        server.annotations.insert("k3s.io/node-args".into(), "[]".into());
        assert!(planes(&[server.clone()], &[])[0].is_complete());
        server.ready = Ready::No;
        assert_eq!(planes(&[server], &[])[0].missing, ["it is not Ready"]);
    }

    #[test]
    fn workers_are_no_planes() {
        assert!(planes(&[Node { name: "w1".into(), ..Node::default() }], &[]).is_empty());
    }
}
