//! Every reason to say no.

use crate::state::{Other, Ready};
use ansible_module::Refusal;

/// Names the bad state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsafe {
    /// There is none of this name.
    NoNode,
    /// No other node could carry the cluster.
    LastControlPlane {
        /// What is missing on the others.
        others: Vec<Other>,
    },
    /// Its kubelet cannot be told anything.
    Blind {
        /// Seconds since it was heard of.
        age: Option<u64>,
    },
    /// It was said to be powered off and is not.
    Alive {
        /// Seconds since it was heard of.
        age: u64,
    },
    /// An eviction would lose what the user did not say may be lost.
    Lost {
        /// Pods that nothing brings back.
        unmanaged: Vec<String>,
        /// Pods whose data goes with them.
        emptydir: Vec<String>,
    },
    /// Something stayed.
    DrainTimeout {
        /// Seconds.
        after: u64,
        /// Each pod, and what holds it.
        pods: Vec<(String, String)>,
        /// Volumes.
        attachments: Vec<String>,
    },
    /// Its etcd member has to go first.
    MemberListed {
        /// Name and id.
        member: String,
    },
    /// Nobody said how to reach etcd.
    EtcdUnasked,
    /// Etcd does not say.
    EtcdUnknown {
        /// Why.
        why: String,
    },
    /// The deletion waits for somebody.
    Finalizers {
        /// Seconds.
        after: u64,
        /// For whom.
        finalizers: Vec<String>,
    },
    /// A kubelet that runs makes its Node anew.
    Registered {
        /// The new one.
        uid: String,
    },
    /// It did not become ready.
    NotReady {
        /// Seconds.
        after: u64,
        /// The condition, and seconds since the kubelet was heard of.
        seen: Option<(Ready, Option<u64>)>,
    },
}

impl Unsafe {
    fn code(&self) -> &'static str {
        match self {
            Self::NoNode => "no_node",
            Self::LastControlPlane { .. } => "last_control_plane",
            Self::Blind { .. } => "node_blind",
            Self::Alive { .. } => "node_alive",
            Self::Lost { .. } => "pods_would_be_lost",
            Self::DrainTimeout { .. } => "drain_timeout",
            Self::MemberListed { .. } => "member_listed",
            Self::EtcdUnasked | Self::EtcdUnknown { .. } => "etcd_unknown",
            Self::Finalizers { .. } => "finalizers",
            Self::Registered { .. } => "registered_again",
            Self::NotReady { .. } => "not_ready",
        }
    }

    /// What was observed, what was needed, and the way out.
    pub fn refusal(&self, name: &str) -> Refusal {
        let (code, text) = (self.code(), self.text(name));
        match self {
            // The node joins in an earlier task; the member is removed in one.
            Self::NoNode | Self::MemberListed { .. } => Refusal::unmet(code, text),
            Self::EtcdUnknown { .. } => Refusal::passing(code, text),
            _ => Refusal::finally(code, text),
        }
    }

    fn text(&self, name: &str) -> String {
        match self {
            Self::NoNode => {
                format!("there is no Node {name}; check the name with `kubectl get nodes`")
            }
            Self::LastControlPlane { others } => last(name, others),
            Self::Blind { age } => format!(
                "the kubelet of {name} {}: evictions on it would be accepted and never finish; repair it, or cordon it, prove that it is powered off, and then give out_of_service=true",
                heard(*age)
            ),
            Self::Alive { age } => format!(
                "{name} was said to be powered off, but its kubelet was heard of {age} s ago: its pods may still run and would run twice; power it off first, or drain it without out_of_service"
            ),
            Self::Lost { unmanaged, emptydir } => lost(name, unmanaged, emptydir),
            Self::DrainTimeout { after, pods, attachments } => {
                overdue(name, *after, pods, attachments)
            }
            Self::MemberListed { member } => format!(
                "the etcd member {member} of {name} is still listed: the Node goes after its member, which etcd_member with state=absent removes as far as the quorum allows"
            ),
            Self::EtcdUnasked => format!(
                "{name} is a node of a control plane that runs its own etcd: give the option etcd, so that it can be seen that its member is gone"
            ),
            Self::EtcdUnknown { why } => format!(
                "whether the etcd member of {name} is gone cannot be seen: {why}; the Node is only deleted after its member"
            ),
            Self::Finalizers { after, finalizers } => format!(
                "the Node {name} was deleted and is still there after {after} s, for it has the finalizers {}; each is removed by the controller that set it: see why that one does not (its pod, its log), and run this again",
                finalizers.join(", ")
            ),
            Self::Registered { uid } => format!(
                "the Node {name} was deleted, and its kubelet registered it again (UID {uid}): stop the kubelet or power the machine off, then run this again"
            ),
            Self::NotReady { after, seen } => not_ready(name, *after, *seen),
        }
    }
}

fn heard(age: Option<u64>) -> String {
    age.map_or_else(|| "was never heard of".into(), |age| format!("was last heard of {age} s ago"))
}

fn last(name: &str, others: &[Other]) -> String {
    let others: Vec<_> = others
        .iter()
        .map(|other| format!("{}: {}", other.name, other.missing.join(", ")))
        .collect();
    let others = if others.is_empty() { "there is no other".to_owned() } else { others.join("; ") };
    format!(
        "no other node could carry the control plane without {name} ({others}); at least one must have its apiserver, controller-manager and scheduler ready and a kubelet that is heard of; repair or join one first"
    )
}

fn lost(name: &str, unmanaged: &[String], emptydir: &[String]) -> String {
    let mut parts = vec![];
    if !unmanaged.is_empty() {
        parts.push(format!(
            "nothing would bring back {} (force=true evicts them all the same)",
            unmanaged.join(", ")
        ));
    }
    if !emptydir.is_empty() {
        parts.push(format!(
            "data in an emptyDir would be lost of {} (delete_emptydir_data=true accepts that)",
            emptydir.join(", ")
        ));
    }
    format!("draining {name} would lose something: {}", parts.join("; "))
}

fn overdue(name: &str, after: u64, pods: &[(String, String)], attachments: &[String]) -> String {
    let mut left: Vec<_> = pods.iter().map(|(pod, why)| format!("{pod} {why}")).collect();
    left.extend(
        attachments.iter().map(|volume| format!("the VolumeAttachment {volume} is still there")),
    );
    format!(
        "{name} is cordoned and not drained after {after} s: {}; see to these, or uncordon it; running this again goes on where it stopped",
        left.join("; ")
    )
}

fn not_ready(name: &str, after: u64, seen: Option<(Ready, Option<u64>)>) -> String {
    let seen = match seen {
        None => "there is no such Node".to_owned(),
        Some((ready, age)) => {
            let ready = match ready {
                Ready::Yes => "it says that it is",
                Ready::No => "its kubelet says that it is not",
                Ready::Unknown => "its condition is unknown",
            };
            format!("{ready}, and its kubelet {}", heard(age))
        }
    };
    format!(
        "{name} is not ready after {after} s: {seen}; look at `kubectl describe node {name}` and the kubelet's log there"
    )
}
