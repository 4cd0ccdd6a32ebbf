//! What is seen of the host, of its join, and of what became of it in the cluster.

use ansible_module::Returns;
use serde::{Deserialize, Serialize};

/// One reading.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Observed {
    /// This host.
    pub host: Host,
    /// The unit that runs `kubeadm join`.
    pub join: Attempt,
    /// The unit that runs `kubeadm reset`.
    pub reset: Attempt,
    /// The join configuration, which holds secrets.
    pub config: Config,
    /// What lies on the host from an earlier life.
    pub left: Left,
    /// This host's member, found by its peer URL.
    pub member: Membership,
    /// Another join that is under way: its member.
    pub foreign_join: Option<String>,
    /// The cluster that etcd on this host belongs to.
    pub cluster: Belongs,
    /// The Node of this host's name.
    pub node: NodeSeen,
    /// This host's own apiserver; the text says what is missing.
    pub api: Readiness,
    /// The way to the control plane, which only matters before the join.
    pub endpoint: Readiness,
}

/// What the host brings along.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Host {
    /// The name its Node has or will have.
    pub name: String,
    /// The address its apiserver and its member listen on.
    pub address: String,
    /// Whether the host has that address.
    pub has_address: bool,
    /// Version of kubeadm; none when it is not installed.
    pub kubeadm: Option<String>,
    /// Version of the kubelet; none when it is not installed.
    pub kubelet: Option<String>,
    /// Whether the kubelet's unit is up, or on its way up.
    pub kubelet_runs: bool,
    /// Version of the control plane, where it could be asked.
    pub control_plane: Option<String>,
}

/// A unit of ours.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// None was started since the boot.
    #[default]
    None,
    /// It is at work.
    Running,
    /// It ended well.
    Done {
        /// While this run was watching.
        here: bool,
    },
    /// It ended badly.
    Failed {
        /// While this run was watching: an earlier failure is a remainder to clear, ours is to be told.
        here: bool,
        /// Why, as far as its last lines tell.
        cause: Cause,
    },
}

impl Attempt {
    /// Whether it ended while this run was watching.
    pub fn ended_here(&self) -> bool {
        matches!(self, Self::Done { here: true } | Self::Failed { here: true, .. })
    }
}

/// Why kubeadm failed, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cause {
    /// For programs.
    pub code: String,
    /// What kubeadm said.
    pub said: String,
    /// The way out.
    pub way_out: String,
}

/// The join configuration on the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Config {
    /// None.
    #[default]
    Absent,
    /// Ours, of this run's arguments.
    Same,
    /// Of an earlier run.
    Other,
}

/// What an earlier life, or an unfinished join, left.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "what lies there lies there independently")]
pub struct Left {
    /// Static pod manifests, by file name.
    pub manifests: Vec<String>,
    /// A kubeconfig of the kubelet, its own or the one for the bootstrap.
    pub kubelet_config: bool,
    /// Data of an etcd member.
    pub etcd_data: bool,
    /// Static pods still run: the data of etcd is locked by a process, or etcd or the apiserver answers on this host's address.
    pub pods_run: bool,
    /// The cluster CA on this host is another one than the cluster's.
    pub other_ca: bool,
}

impl Left {
    /// Whether the kubelet, restarted, would run an etcd.
    pub fn has_etcd_manifest(&self) -> bool {
        self.manifests.iter().any(|name| name == "etcd.yaml")
    }

    /// Whether `kubeadm reset` has anything to do here: containers to remove, or a kubelet's configuration.
    pub fn needs_reset(&self) -> bool {
        self.kubelet_config || self.pods_run
    }

    /// Whether there is anything that a join would trip over.
    pub fn is_any(&self) -> bool {
        self.needs_reset() || self.etcd_data || !self.manifests.is_empty()
    }
}

/// What the peers list at this host's peer URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// Nobody could be asked.
    #[default]
    Unknown,
    /// No member.
    None,
    /// A learner that never started.
    Nameless,
    /// A member that receives the log and has no vote.
    Learner,
    /// A member with a vote.
    Voter,
}

/// Which cluster etcd on this host belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Belongs {
    /// It does not run, or nobody knows the cluster's id.
    #[default]
    Unknown,
    /// To the peers' cluster.
    Same,
    /// To another one: its data was emptied under it and it founded a cluster of its own, or the host was another's.
    Other {
        /// Its id.
        own: String,
        /// The peers' id.
        peers: String,
    },
}

/// What is seen of the Node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeSeen {
    /// It could not be asked for.
    #[default]
    Unknown,
    /// There is none.
    Absent,
    /// There is one.
    There {
        /// Ready, with a fresh lease.
        up: bool,
        /// It has the label of a control-plane node.
        marked: bool,
    },
}

impl NodeSeen {
    /// Ready, with a fresh lease.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::There { up: true, .. })
    }

    /// It has the label of a control-plane node.
    pub fn is_marked(&self) -> bool {
        matches!(self, Self::There { marked: true, .. })
    }
}

/// Whether something answers as it should.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not, and why.
    Not(String),
}

impl Default for Readiness {
    fn default() -> Self {
        Self::Not("nobody asked".into())
    }
}

/// What is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct View {
    /// Name of this host's Node.
    pub node: String,
    /// What the peers list at this host's peer URL.
    pub member: Membership,
    /// Whether the Node is Ready with a fresh lease and marked as a control-plane node.
    pub ready: bool,
    /// Whether this host's own apiserver is ready.
    pub api_ready: bool,
    /// Whether remainders of an earlier life or of an unfinished join lie on the host.
    pub remainders: bool,
}
