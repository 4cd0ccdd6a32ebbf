//! The closed list of what can be wrong with a cluster, and the way out of each.

use ansible_module::Returns;
use serde::Serialize;

/// How the cluster is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Returns)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong.
    Healthy,
    /// Something is wrong, and at least one more voter may be lost.
    Degraded,
    /// No further voter may be lost.
    AtRisk,
    /// No quorum answers: nothing is written, and nothing is read that is certain.
    QuorumLost,
    /// Nobody tells.
    Unknown,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct Cause {
    /// Its name, for programs.
    pub code: Code,
    /// The member it is about, by name or address, and id; a URL or a host's path where it is no member.
    pub subject: Option<String>,
    /// Id of that member, hexadecimal.
    pub member_id: Option<String>,
    /// What was seen.
    pub evidence: Vec<String>,
    /// What to do, naming the module or playbook.
    pub way_out: String,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $code:ident -> $way:literal;)*) => {
        /// Names what is wrong. The gravest come first.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Returns)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $($(#[doc = $doc])* $code,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// What to do, with `{name}` and `{id}` for the member.
            pub fn way_out(self) -> &'static str {
                match self {
                    $(Self::$code => $way,)*
                }
            }
        }
    };
}

codes! {
    /// No leader serves a quorum.
    NoLeader -> "start the members that are down; if their data is lost: quorate.controlplane.etcd_recover on the best survivor";
    /// A member's data differs from the others'. Every write is refused.
    Corrupt -> "quorate.controlplane.etcd_info with hashkv=true tells whose data differs; then quorate.controlplane.etcd_member with state=absent id={id}, which disarms the alarm last, and a fresh join";
    /// A database is over its quota. Every write is refused.
    Nospace -> "quorate.controlplane.etcd_maintenance: compact, defragment, disarm; quorate.controlplane.etcd_info with count_keys=/registry/ tells what fills it";
    /// A certificate is over, not valid yet, of another authority or name, or without the right.
    Certificate -> "renew it (kubeadm certs renew etcd-server, or a restart of k3s), or give ca_cert, client_cert and client_key of this cluster";
    /// It does not answer.
    Unreachable -> "start it; if its host is gone for good: quorate.controlplane.etcd_member with state=absent id={id} target_stopped=true, or the playbook quorate.controlplane.replace_control_plane_node";
    /// It runs, or has data or a Node, and the cluster does not list it.
    NotInMemberList -> "stop it, remove its data and let it join again: the playbook quorate.controlplane.replace_control_plane_node, or quorate.controlplane.kubeadm_join; for k3s a restart of the service joins by itself";
    /// Somebody else answers at its address: a member of another cluster, or one that lost its data and founded its own.
    ForeignMember -> "stop it; quorate.controlplane.etcd_member with state=absent id={id}, remove the data on its host, and join again";
    /// It is listed and has never started. A voter counts towards the quorum all the same.
    NamelessMember -> "let its join finish (quorate.controlplane.etcd_member with state=voter); if nobody joins: quorate.controlplane.etcd_member with state=absent id={id}";
    /// It receives the log and gets no vote.
    LearnerStuck -> "quorate.controlplane.etcd_member with state=voter id={id} force=true where it is in sync; else with state=absent id={id}, and join again";
    /// It follows another leader, is in another term, or lists other members than the rest.
    Disagreement -> "look again in ten seconds: an election passes; if it stays, the network between the members is cut: check port 2380";
    /// Its log is far behind the leader's.
    Lagging -> "find out what holds it up (disk, network, load); no defragmentation and no removal of another member until it has caught up";
    /// Its disk is too slow: syncs of the log or reads take as long as heartbeats.
    SlowDisk -> "free the disk of other load or replace it: the playbook quorate.controlplane.replace_control_plane_node; where leadership is on it: quorate.controlplane.etcd_member with state=follower id={id}";
    /// So much is written that the log grows by more than a thousand entries a second, or proposals queue.
    WriteStorm -> "quorate.controlplane.etcd_info with count_keys=/registry/, twice, tells what grows: stop its writer, then quorate.controlplane.etcd_maintenance";
    /// Its clock differs from the others'.
    Clock -> "set the clock of its host (chrony, systemd-timesyncd): certificates and leases depend on it";
    /// Members run different versions, or ones that must not run together.
    VersionGap -> "bring every member to the same version; before the first 3.6 all of them to 3.5.26 or later";
    /// Two listed members have the same name.
    DuplicateName -> "name members by id: quorate.controlplane.etcd_member with state=absent id={id} for the one that nobody runs";
    /// Its Node is missing or not healthy.
    Node -> "quorate.controlplane.k8s_node with state=ready name={name} shows the Node; a member without a host: quorate.controlplane.etcd_member with state=absent id={id}";
    /// One or two voters tolerate the loss of none.
    FewVoters -> "join control-plane nodes until there are three voters: quorate.controlplane.kubeadm_join";
    /// A certificate ends within thirty days, or in the last third of a shorter life. Nothing is refused yet.
    CertificateEnds -> "renew it in time: kubeadm certs renew etcd-server, etcd-peer or etcd-healthcheck-client on its host, which etcd takes up by itself, or a restart of k3s there; quorate.controlplane.control_plane_info shows all certificates of a host";
}
