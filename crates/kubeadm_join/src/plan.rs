//! What is to be done, or why nothing may be.

use crate::{
    args::Wanted,
    state::{Attempt, Belongs, Config, Membership, NodeSeen, Observed, Readiness},
};
use ansible_module::Refusal;
use std::fmt;

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Stops the kubelet, which would bring static pods back.
    StopKubelet,
    /// Moves the manifests of static pods out of the kubelet's sight.
    MoveManifests,
    /// Runs `kubeadm reset` for the rest, without the member and without the certificates.
    Reset,
    /// Waits for it.
    AwaitReset,
    /// Empties the data directory of etcd.
    WipeEtcd(String),
    /// Writes the join configuration.
    Configure(String),
    /// Starts `kubeadm join`.
    Start(String),
    /// Starts the kubelet of a host that has joined.
    StartKubelet,
    /// Waits until the peers list this host as a voter.
    AwaitVoter(String),
    /// Waits until the Node is Ready.
    AwaitReady(String),
    /// Gives the Node the label and taints of a control-plane node.
    Mark(String),
    /// Waits until this host's own apiserver is ready.
    AwaitApi(String),
    /// Waits until `kubeadm join` has ended.
    AwaitEnd,
    /// Removes a join configuration that nobody will read any more.
    Unconfigure,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StopKubelet => f.write_str("stop the kubelet of the unfinished join"),
            Self::MoveManifests => {
                f.write_str("move the static pod manifests of the unfinished join away")
            }
            Self::Reset => {
                f.write_str("clear the unfinished join (kubeadm reset without the etcd member)")
            }
            Self::AwaitReset => f.write_str("wait for kubeadm reset to end"),
            Self::WipeEtcd(dir) => write!(f, "empty {dir}, whose member is not listed any more"),
            Self::Configure(node) => write!(f, "write the join configuration of {node}"),
            Self::Start(endpoint) => write!(f, "start kubeadm join through {endpoint}"),
            Self::StartKubelet => f.write_str("start the kubelet"),
            Self::AwaitVoter(address) => write!(f, "wait until the member at {address} is a voter"),
            Self::AwaitReady(node) => write!(f, "wait until node {node} is Ready"),
            Self::Mark(node) => write!(f, "mark node {node} as control plane"),
            Self::AwaitApi(address) => write!(f, "wait until the apiserver at {address} is ready"),
            Self::AwaitEnd => f.write_str("wait for kubeadm join to end"),
            Self::Unconfigure => f.write_str("remove the join configuration"),
        }
    }
}

/// Why nothing may be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsafe<'a> {
    /// This host belongs to another cluster.
    ForeignCluster { own: &'a str, peers: &'a str },
    /// The host's CA is another one.
    ForeignCa,
    /// kubeadm join failed.
    JoinFailed { cause: &'a crate::state::Cause },
    /// kubeadm reset failed, or left something.
    ResetFailed { what: String },
    /// A member of this host is listed, and does not come of this host any more.
    MemberListed { what: &'static str, address: &'a str },
    /// Nobody could say whether a member of this host is listed.
    MemberUnknown { dir: String },
    /// Another join is under way.
    ForeignJoin { member: &'a str },
    /// A Node of the name exists.
    NodeExists { node: &'a str },
    /// A program is missing.
    NotPrepared { program: &'static str },
    /// Versions differ.
    VersionsDiffer { program: &'static str, own: &'a str, peers: &'a str },
    /// The address is not this host's.
    AddressNotHere { address: &'a str },
    /// The control plane cannot be reached.
    EndpointUnreachable { endpoint: &'a str, why: &'a str },
}

impl From<Unsafe<'_>> for Refusal {
    fn from(reason: Unsafe<'_>) -> Self {
        match reason {
            Unsafe::ForeignCluster { own, peers } => Self::finally(
                "foreign_cluster",
                format!(
                    "etcd on this host belongs to cluster {own}, the peers' is {peers}: it must never serve as one of them; stop its kubelet, then reimage the host (pve_disk_reimage) or clear it by hand"
                ),
            ),
            Unsafe::ForeignCa => Self::finally(
                "foreign_cluster",
                "the CA certificate on this host fits none of ca_cert_hashes: the host belongs to another cluster; reimage it (pve_disk_reimage), or take it out of that cluster and remove /etc/kubernetes by hand",
            ),
            Unsafe::JoinFailed { cause } => Self::finally(
                format!("join_{}", cause.code.trim_start_matches("join_")),
                format!("kubeadm join failed: {}; {}", cause.said, cause.way_out),
            ),
            Unsafe::ResetFailed { what } => Self::finally(
                "reset_failed",
                format!(
                    "kubeadm reset ended and {what}; see the journal of the unit {}, clear it by hand, then run again",
                    crate::RESET_UNIT
                ),
            ),
            Unsafe::MemberListed { what, address } => Self::unmet(
                "member_listed",
                format!(
                    "{what} at {address} is still listed by the peers, and its join does not go on; remove it through the gate first (etcd_member, state absent, peer {address})"
                ),
            ),
            Unsafe::MemberUnknown { dir } => Self::passing(
                "member_unknown",
                format!(
                    "{dir} holds the data of a member and nobody could say whether that is still listed; give etcd_endpoints and cluster_id, or listed_member, as kubeadm_join_material returns them"
                ),
            ),
            Unsafe::ForeignJoin { member } => Self::passing(
                "foreign_join",
                format!(
                    "{member} is joining too; one at a time: wait for it, or remove it first (etcd_member, state absent)"
                ),
            ),
            Unsafe::NodeExists { node } => Self::unmet(
                "node_exists",
                format!("a Node {node:?} exists already; delete it first (k8s_node, state absent)"),
            ),
            Unsafe::NotPrepared { program } => Self::unmet(
                "not_prepared",
                format!(
                    "{program} is not installed on this host; install the peers' version first"
                ),
            ),
            Unsafe::VersionsDiffer { program, own, peers } => Self::unmet(
                "versions_differ",
                format!(
                    "{program} on this host is {own}, the peers have {peers}; install that version first"
                ),
            ),
            Unsafe::AddressNotHere { address } => Self::finally(
                "address_not_here",
                format!("advertise_address {address} is no address of this host"),
            ),
            Unsafe::EndpointUnreachable { endpoint, why } => Self::passing(
                "endpoint_unreachable",
                format!(
                    "the control plane at {endpoint} does not answer: {why}; check api_endpoint and the load balancer"
                ),
            ),
        }
    }
}

/// Decides.
pub fn plan(wanted: &Wanted, seen: &Observed) -> Result<Vec<Step>, Refusal> {
    if let Belongs::Other { own, peers } = &seen.cluster {
        return Err(Unsafe::ForeignCluster { own, peers }.into());
    }
    match &seen.join {
        Attempt::Failed { here: true, cause } => Err(Unsafe::JoinFailed { cause }.into()),
        Attempt::Running | Attempt::Done { here: true } => Ok(awaited(seen)),
        _ if has_joined(seen) => Ok(settled(wanted, seen)),
        _ => {
            let mut steps = clearing(wanted, seen)?;
            ready_to_join(wanted, seen)?;
            let node = seen.host.name.clone();
            steps.extend((seen.config != Config::Same).then_some(Step::Configure(node)));
            steps.push(Step::Start(wanted.endpoint.clone()));
            steps.extend(awaited(&joining(seen)));
            Ok(steps)
        }
    }
}

/// A member with a vote is listed, and this host is where it runs: whatever is missing comes by itself or is not kubeadm's.
fn has_joined(seen: &Observed) -> bool {
    seen.member == Membership::Voter && seen.left.has_etcd_manifest() && seen.left.etcd_data
}

/// What a running join still has to show.
fn awaited(seen: &Observed) -> Vec<Step> {
    let mut steps = vec![];
    let (node, address) = (seen.host.name.clone(), seen.host.address.clone());
    steps.extend((seen.member != Membership::Voter).then(|| Step::AwaitVoter(address.clone())));
    steps.extend((!seen.node.is_up()).then_some(Step::AwaitReady(node)));
    steps.extend((seen.api != Readiness::Ready).then_some(Step::AwaitApi(address)));
    steps.extend((seen.join == Attempt::Running).then_some(Step::AwaitEnd));
    steps
}

/// What a host still owes that has joined and whose kubeadm is gone.
fn settled(wanted: &Wanted, seen: &Observed) -> Vec<Step> {
    let mut steps = vec![];
    // Whoever leaves the phase out of the join does not want it afterwards either.
    let marks = !wanted.skip_phases.iter().any(|phase| phase.starts_with("control-plane-join"));
    let (node, address) = (seen.host.name.clone(), seen.host.address.clone());
    steps.extend((!seen.host.kubelet_runs).then_some(Step::StartKubelet));
    steps.extend((!seen.node.is_up()).then(|| Step::AwaitReady(node.clone())));
    steps.extend((marks && !seen.node.is_marked()).then_some(Step::Mark(node)));
    steps.extend((seen.api != Readiness::Ready).then_some(Step::AwaitApi(address)));
    steps.extend((seen.config != Config::Absent).then_some(Step::Unconfigure));
    steps
}

/// The world right after the start.
fn joining(seen: &Observed) -> Observed {
    Observed {
        join: Attempt::Running,
        member: Membership::None,
        node: NodeSeen::Absent,
        api: Readiness::default(),
        ..seen.clone()
    }
}

/// What must be cleared before a join, in an order that never lets a kubelet meet an emptied data directory: the kubelet is stopped and the
/// manifests are out of its sight before anything is emptied.
fn clearing(wanted: &Wanted, seen: &Observed) -> Result<Vec<Step>, Refusal> {
    let (left, address) = (&seen.left, seen.host.address.as_str());
    let dir = wanted.etcd_data_dir.display().to_string();
    if left.other_ca {
        return Err(Unsafe::ForeignCa.into());
    }
    let listed = match seen.member {
        Membership::Unknown | Membership::None => None,
        Membership::Nameless => Some("a learner that never started"),
        Membership::Learner => Some("a learner"),
        Membership::Voter => Some("a voter"),
    };
    if let Some(what) = listed {
        return Err(Unsafe::MemberListed { what, address }.into());
    }
    if seen.member == Membership::Unknown && (left.etcd_data || left.has_etcd_manifest()) {
        return Err(Unsafe::MemberUnknown { dir }.into());
    }
    if seen.reset.ended_here() && left.needs_reset() {
        let what = if left.pods_run {
            "static pods still run"
        } else {
            "the kubelet's configuration is still there"
        };
        return Err(Unsafe::ResetFailed { what: what.into() }.into());
    }
    let mut steps = vec![];
    if seen.reset == Attempt::Running {
        steps.push(Step::AwaitReset);
    } else if left.is_any() {
        steps.extend(seen.host.kubelet_runs.then_some(Step::StopKubelet));
        steps.extend((!left.manifests.is_empty()).then_some(Step::MoveManifests));
        steps.extend(
            left.needs_reset().then_some([Step::Reset, Step::AwaitReset]).into_iter().flatten(),
        );
    }
    steps.extend(left.etcd_data.then_some(Step::WipeEtcd(dir)));
    Ok(steps)
}

/// What a join needs.
fn ready_to_join(wanted: &Wanted, seen: &Observed) -> Result<(), Refusal> {
    let host = &seen.host;
    if let Some(member) = &seen.foreign_join {
        return Err(Unsafe::ForeignJoin { member }.into());
    }
    if matches!(seen.node, NodeSeen::There { .. }) {
        return Err(Unsafe::NodeExists { node: &host.name }.into());
    }
    let peers = wanted.version.as_deref().or(host.control_plane.as_deref());
    for (program, own) in [("kubeadm", &host.kubeadm), ("kubelet", &host.kubelet)] {
        let Some(own) = own else { return Err(Unsafe::NotPrepared { program }.into()) };
        if let Some(peers) = peers.filter(|peers| peers != own) {
            return Err(Unsafe::VersionsDiffer { program, own, peers }.into());
        }
    }
    if !host.has_address {
        return Err(Unsafe::AddressNotHere { address: &host.address }.into());
    }
    match &seen.endpoint {
        Readiness::Ready => Ok(()),
        Readiness::Not(why) => {
            Err(Unsafe::EndpointUnreachable { endpoint: &wanted.endpoint, why }.into())
        }
    }
}

/// The state expected after a step.
pub fn project(seen: &Observed, step: &Step) -> Observed {
    let mut next = seen.clone();
    match step {
        Step::StopKubelet => next.host.kubelet_runs = false,
        Step::MoveManifests => next.left.manifests.clear(),
        Step::Reset => next.reset = Attempt::Running,
        Step::AwaitReset => {
            next.reset = Attempt::Done { here: true };
            next.host.kubelet_runs = false;
            next.left.manifests.clear();
            (next.left.kubelet_config, next.left.pods_run) = (false, false);
        }
        Step::WipeEtcd(_) => next.left.etcd_data = false,
        Step::Configure(_) => next.config = Config::Same,
        Step::Start(_) => next = joining(&next),
        Step::StartKubelet => next.host.kubelet_runs = true,
        Step::AwaitVoter(_) => next.member = Membership::Voter,
        Step::AwaitReady(_) => {
            next.node = NodeSeen::There { up: true, marked: seen.node.is_marked() }
        }
        Step::Mark(_) => next.node = NodeSeen::There { up: seen.node.is_up(), marked: true },
        Step::AwaitApi(_) => next.api = Readiness::Ready,
        Step::AwaitEnd => {
            next.join = Attempt::Done { here: true };
            next.config = Config::Absent;
            next.host.kubelet_runs = true;
            if let NodeSeen::There { marked, .. } = &mut next.node {
                *marked = true;
            }
            next.left = joined_files();
        }
        Step::Unconfigure => next.config = Config::Absent,
    }
    next
}

/// What a joined host has.
fn joined_files() -> crate::state::Left {
    let parts = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    let manifests = parts.map(|part| format!("{part}.yaml")).to_vec();
    crate::state::Left {
        manifests,
        kubelet_config: true,
        etcd_data: true,
        pods_run: true,
        other_ca: false,
    }
}
