//! What is seen of the cluster, and of what was put into it for a join.

use ansible_module::Returns;
use serde::{Deserialize, Serialize};

/// One reading.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Observed {
    /// What a join must be told.
    pub cluster: Facts,
    /// The joining host's member.
    pub member: Membership,
    /// It answers at its client URL, as itself.
    pub member_answers: bool,
    /// Another join that is under way: its member.
    pub foreign_join: Option<String>,
    /// Why etcd must not get one more member at the moment.
    pub gate: Option<Closed>,
    /// The Node of the joining host's name.
    pub node: NodeSeen,
    /// The bootstrap token.
    pub token: Token,
    /// The uploaded certificates.
    pub certificates: Certificates,
    /// Ids of bootstrap tokens that were made for a join of this node, or are named in the arguments.
    pub tokens: Vec<String>,
    /// The Secret kubeadm-certs, or the token that limits its life, is there.
    pub uploaded: bool,
}

/// What a join must be told. Nothing of it is secret.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// `controlPlaneEndpoint` of kubeadm's cluster configuration.
    pub api_endpoint: Option<String>,
    /// Pins of the cluster's CA.
    pub ca_cert_hashes: Vec<String>,
    /// The CA certificate as PEM.
    pub ca_certificate: String,
    /// The apiserver's version.
    pub kubernetes_version: String,
    /// Id of the etcd cluster, hexadecimal.
    pub cluster_id: String,
    /// Client URLs of the voters other than the joining host's.
    pub etcd_endpoints: Vec<String>,
}

/// The gate's no.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Closed {
    /// For programs.
    pub code: String,
    /// For people.
    pub text: String,
    /// It commonly goes away by itself.
    pub passing: bool,
}

/// What the members list at the joining host's peer URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, Returns)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// No member.
    #[default]
    None,
    /// A learner that never started.
    Nameless,
    /// A member without a vote.
    Learner,
    /// A member with a vote.
    Voter,
}

/// What is seen of the Node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeSeen {
    /// There is none.
    #[default]
    Absent,
    /// There is one.
    There {
        /// Ready with a fresh lease, and marked as control plane.
        whole: bool,
    },
}

/// The bootstrap token of the arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Token {
    /// There is none of this id.
    #[default]
    Absent,
    /// Somebody else's token has this id.
    Taken,
    /// It is there and expires too soon, or may not be used for a join.
    Stale,
    /// It is there.
    Ready {
        /// The cluster-info is signed with it, without which no join trusts the cluster.
        signed: bool,
    },
}

/// The Secret kubeadm-certs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificates {
    /// There is none.
    #[default]
    Absent,
    /// It was uploaded by somebody else, with another key, or expires too soon.
    Other,
    /// It was uploaded by this module with this key.
    Ready,
}

/// What is shown, and what the join is told. Never a secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct View {
    /// Whether the bootstrap token is in the cluster and may be used.
    pub token_ready: bool,
    /// Whether the certificates lie in the cluster, encrypted with the key given.
    pub certificates_ready: bool,
    /// Ids of the bootstrap tokens for this node. An id alone is no secret.
    pub token_ids: Vec<String>,
    /// What the members list at the joining host's peer URL.
    pub listed_member: Membership,
    /// The control plane's stable endpoint, host and port.
    pub api_endpoint: Option<String>,
    /// Pins of the cluster's CA, as C(sha256:<hex>).
    pub ca_cert_hashes: Vec<String>,
    /// The cluster's CA certificate as PEM.
    pub ca_certificate: String,
    /// Version of the control plane, as C(v1.36.3).
    pub kubernetes_version: String,
    /// Id of the etcd cluster, hexadecimal.
    pub cluster_id: String,
    /// Client URLs of the voters other than the joining host's.
    pub etcd_endpoints: Vec<String>,
}
