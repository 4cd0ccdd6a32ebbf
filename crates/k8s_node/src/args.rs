//! What a user may write, and what it means.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use ansible_module::{BadArgs, Options, Seconds, options::groups::KubeOptions};
use kube_cluster::Access;
use std::{path::PathBuf, time::Duration};

/// Cordons, drains, uncordons, awaits or deletes a Kubernetes node.
///
/// Pods are evicted, at most ten at a time. One that a C(PodDisruptionBudget) holds is tried again after the delay the server names, until O(timeout)
/// is over; then the task fails and names the pods and the budgets. Pods of a C(DaemonSet) and static pods stay.
///
/// A node whose kubelet has not been heard of for 40 seconds cannot be drained: evictions on it are accepted and never finish. See O(out_of_service).
///
/// The last complete node of a control plane is never drained nor deleted, and no node whose etcd member is still listed is deleted.
#[derive(Options, Debug)]
pub struct Args {
    /// Name of the node.
    #[option(alias = "node")]
    pub name: String,
    /// What the node shall be.
    pub state: State,
    /// The node's UID, as read before.
    ///
    /// A node of the same name and another UID is another one: with O(state=cordoned), O(state=drained) and O(state=absent) the one that was meant is
    /// gone, and there is nothing to do.
    pub uid: Option<String>,
    /// How long the whole may take.
    #[option(default = "5m", alias = "wait_timeout")]
    pub timeout: Seconds,
    /// Seconds that pods are given to end, instead of their own.
    #[option(alias = "terminate_grace_period")]
    pub grace_period: Option<Seconds>,
    /// Whether pods are evicted that nothing brings back.
    #[option(default = "no")]
    pub force: bool,
    /// Whether pods with an C(emptyDir) are evicted. What is in it is lost.
    #[option(default = "no")]
    pub delete_emptydir_data: bool,
    /// With O(state=drained), instead of evictions, declare the node out of service, so that the cluster gives up its pods and volumes.
    ///
    /// Only true when the node was proven to be powered off: a pod that still runs there would run twice.
    ///
    /// Where there is nothing left to be given up nothing is declared. O(state=uncordoned) takes it back.
    #[option(default = "no")]
    pub out_of_service: bool,
    /// How to reach etcd, with O(state=absent). Needed for a node of a control plane that runs its own etcd.
    pub etcd: Option<Etcd>,
    /// The run that holds the control plane's lock, as RV(quorate.controlplane.control_plane_lock#module:holder).
    ///
    /// When it is given, each change is only made after proving that the lock is still that run's.
    pub lock_holder: Option<String>,
    /// How to reach the cluster.
    #[option(include)]
    pub cluster: KubeOptions,
}

/// What a node can be.
#[derive(Options, Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No new pods are put on it.
    Cordoned,
    /// It is cordoned, no pods are left on it but those that belong to it, and no volume is attached to it.
    Drained,
    /// New pods may be put on it.
    Uncordoned,
    /// It is ready, and its kubelet was heard of lately. This is waited for.
    Ready,
    /// There is no such node, nor what k3s remembers of its password.
    Absent,
    /// As it is: nothing is changed, and what there is is returned.
    Current,
}

/// How to reach etcd.
#[derive(Options, Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// Client URLs of members.
    #[option(default = "https://127.0.0.1:2379")]
    pub endpoints: Vec<String>,
    /// The authority of the members' certificates.
    ///
    /// When none of the three files is given, those of kubeadm, else of k3s.
    pub ca_cert: Option<PathBuf>,
    /// A client certificate.
    pub client_cert: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
}

/// The arguments after validation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// How to reach the cluster.
    pub access: Access,
    /// Which node.
    pub name: String,
    /// What it shall be.
    pub state: State,
    /// Which of that name.
    pub uid: Option<String>,
    /// For the whole.
    pub timeout: Duration,
    /// For pods to end.
    pub grace: Option<Duration>,
    /// Evict what nothing brings back.
    pub force: bool,
    /// Evict what loses its data.
    pub delete_emptydir_data: bool,
    /// The node is powered off.
    pub out_of_service: bool,
    /// How to reach etcd.
    pub etcd: Option<Etcd>,
    /// Who must hold the lock.
    pub lock_holder: Option<String>,
}

/// Validates.
pub fn wanted(args: Args) -> Result<Wanted, BadArgs> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
    if args.name.is_empty() || !args.name.chars().all(plain) {
        return Err(BadArgs::new(format!(
            "name {:?} is not the name of a node: letters, digits, - and . only",
            args.name
        )));
    }
    if args.timeout.0 < Duration::from_secs(1) {
        return Err(BadArgs::new("timeout is less than a second, in which nothing can come about"));
    }
    if args.out_of_service && args.state != State::Drained {
        return Err(BadArgs::new("out_of_service goes with state=drained only"));
    }
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    Ok(Wanted {
        access: Access {
            kubeconfig: args.cluster.kubeconfig,
            context: args.cluster.context,
            server: args.cluster.server,
        },
        name: args.name,
        state: args.state,
        uid: some(args.uid),
        timeout: args.timeout.0,
        grace: args.grace_period.map(|seconds| seconds.0),
        force: args.force,
        delete_emptydir_data: args.delete_emptydir_data,
        out_of_service: args.out_of_service,
        etcd: args.etcd,
        lock_holder: some(args.lock_holder),
    })
}
