//! What is observed, and how it is shown.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use ansible_module::Returns;
use serde::{Deserialize, Serialize};

/// One reading of a host, or what a judgement rests on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(default)]
pub struct View {
    /// What the report calls its host.
    pub name: Option<String>,
    /// V(kubeadm) or V(k3s); none where neither has left a control plane.
    pub distribution: Option<String>,
    /// This host's clock.
    pub clock: Option<Clock>,
    /// Every certificate of the control plane: those of the directory of certificates, and those that clients hold in C(/etc/kubernetes/*.conf).
    pub certificates: Option<Vec<Certificate>>,
    /// The one of them that ends first.
    pub expires_first: Option<Certificate>,
    /// The static pods of the control plane, as their manifests have them.
    pub manifests: Option<Manifests>,
    /// Files and directories of the host that they need and that kubeadm does not make: a host that joins must have them before.
    /// In a judgement: of all hosts.
    pub files: Option<Vec<File>>,
    /// Whether each component says that it is ready.
    pub components: Option<Components>,
    /// Versions of the programs.
    pub versions: Option<Versions>,
    /// In a judgement: the hosts that answered and whose components are all ready.
    pub healthy: Option<Vec<String>>,
    /// In a judgement: no two clocks are further apart, in seconds.
    pub clock_difference: Option<f64>,
}

/// A clock.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Returns)]
pub struct Clock {
    /// Seconds since 1970, when the module began.
    pub now: f64,
    /// The same, when the report was complete.
    pub done: Option<f64>,
    /// O(asked_at).
    pub asked_at: Option<f64>,
    /// RV(clock.now) minus O(asked_at): how far this clock is ahead of the controller's, and how long the task took to get here. The smallest of a few is the nearest.
    pub since_asked: Option<f64>,
}

/// A certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(default)]
pub struct Certificate {
    /// The file it lies in.
    pub path: String,
    /// The common name of its subject.
    pub subject: String,
    /// When it ends, RFC 3339.
    pub not_after: String,
    /// Whole days left; negative when it has ended.
    pub days_left: i64,
    /// Whole days from its beginning to its end.
    pub lifetime_days: i64,
    /// Whether the kubelet renews it by itself.
    pub renews_itself: bool,
}

/// The static pods of the control plane.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(default)]
pub struct Manifests {
    /// kube-apiserver.
    pub apiserver: Option<Manifest>,
    /// kube-controller-manager.
    pub controller_manager: Option<Manifest>,
    /// kube-scheduler.
    pub scheduler: Option<Manifest>,
    /// etcd.
    pub etcd: Option<Manifest>,
}

/// A static pod.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(default)]
pub struct Manifest {
    /// Its image.
    pub image: String,
    /// The image's tag, without what follows a hyphen.
    pub version: Option<String>,
    /// What of the host is mounted.
    pub host_paths: Vec<HostPath>,
}

/// A hostPath volume.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(default)]
pub struct HostPath {
    /// On the host.
    pub path: String,
    /// Its type, as in C(DirectoryOrCreate); empty where none is given.
    pub kind: String,
    /// Whether kubeadm mounts it by default.
    pub default: bool,
}

/// A file or directory of the host.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(default)]
pub struct File {
    /// Where.
    pub path: String,
    /// What needs it, as in C(kube-apiserver --audit-policy-file).
    pub needed_by: String,
    /// V(file), V(directory), V(other), or V(absent).
    pub kind: String,
    /// Whether its content may be a secret.
    pub secret: bool,
    /// SHA-256 of the content of a file that is no secret.
    pub sha256: Option<String>,
    /// SHA-256 of O(fingerprint_key) and the SHA-256 of the content, where a key was given: equal for equal files, and worth nothing without the key.
    pub fingerprint: Option<String>,
}

/// The components of a control plane.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(default)]
pub struct Components {
    /// kube-apiserver.
    pub apiserver: Option<Health>,
    /// kube-controller-manager.
    pub controller_manager: Option<Health>,
    /// kube-scheduler.
    pub scheduler: Option<Health>,
    /// The kubelet.
    pub kubelet: Option<Health>,
    /// etcd.
    pub etcd: Option<Health>,
}

impl Components {
    /// Each by its name.
    pub fn each(&self) -> [(&'static str, Option<&Health>); 5] {
        [
            ("kube-apiserver", self.apiserver.as_ref()),
            ("kube-controller-manager", self.controller_manager.as_ref()),
            ("kube-scheduler", self.scheduler.as_ref()),
            ("kubelet", self.kubelet.as_ref()),
            ("etcd", self.etcd.as_ref()),
        ]
    }
}

/// What a component says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(default)]
pub struct Health {
    /// Whether it says that it is ready.
    pub ready: bool,
    /// Why not.
    pub why: Option<String>,
    /// Where it was asked.
    pub url: String,
}

/// Versions, as in C(v1.36.3).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(default)]
pub struct Versions {
    /// The kubelet.
    pub kubelet: Option<String>,
    /// kubeadm.
    pub kubeadm: Option<String>,
    /// containerd.
    pub containerd: Option<String>,
    /// k3s.
    pub k3s: Option<String>,
}
