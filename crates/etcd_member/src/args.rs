//! What a user may write, and what it means.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use ansible_module::{
    BadArgs, Json, Options, Seconds,
    options::groups::{EtcdOptions, LockOptions},
};
use etcd_cluster::{
    MemberId, Target,
    evidence::{Kubernetes, NodeHealth},
    gate::Permit,
    member::Member,
};
use kube_cluster::Fence;
use serde_json::Map;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// Removes a member from an etcd cluster, waits for one to become a voter, or moves leadership.
///
/// Run it on a member that stays, or anywhere with certificates: all calls go to members other than the one that is removed.
///
/// A voter is removed only when the quorum is proven to survive the whole operation in the worst case. Every member that stays is asked at its own
/// client URL, twice and five seconds apart: a linearizable read works, it follows the same leader in the same term, its log is not behind, it has no alarm, and it lists the same
/// members. What could not be seen counts as broken.
///
/// Leadership is moved away first; afterwards the member is verified to be gone from the list of every peer, and alarms that it left behind are disarmed.
///
/// Adding members is left to the distribution (C(kubeadm join), a k3s server that joins); O(state=voter) waits for that to be complete.
///
/// Works for the members of kubeadm, of k3s (by the Node's name as well as by the member's), and for etcd on its own.
#[derive(Options, Debug)]
#[options(
    required_if = "state=absent:name|id|peer_address",
    required_if = "state=voter:name|peer_address",
    required_if = "state=follower:name|id|peer_address",
    required_if = "leader=elsewhere:name|id|peer_address",
    required_one_of = "state|leader",
    mutually_exclusive = "state|leader"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own to users")]
pub struct Args {
    /// What the member shall be.
    pub state: Option<State>,
    /// Who shall lead: a member by its name, id or peer address, which must be a healthy voter; or V(elsewhere), for anybody but the member
    /// described by O(name), O(id) or O(peer_address), which is what O(state=follower) does.
    pub leader: Option<String>,
    /// Name of the member: the node's name with kubeadm and k3s.
    ///
    /// Everything that is given about the member must agree with the member list. A member that has not started yet has no name, which contradicts none.
    pub name: Option<String>,
    /// Id of the member: hexadecimal, as etcdctl shows it, or decimal. Quote it in YAML.
    ///
    /// Digits alone are tried as both, and refused when they fit two members; C(0x) in front makes them hexadecimal.
    #[option(alias = "member_id")]
    pub id: Option<String>,
    /// Peer address of the member: an address, with or without port, or the peer URL.
    #[option(alias = "peer", alias = "peer_url")]
    pub peer_address: Option<String>,
    /// The member's host is proven to be powered off, or its etcd stopped for good.
    ///
    /// A member that does not answer is not removed without this: it may be running behind a cut network, and would come back by itself.
    ///
    /// A member that answers is not removed with it.
    #[option(default = "false")]
    pub target_stopped: bool,
    /// A fresh member will join in its place, and the gate judges that part of the path too: both the addition and the promotion in the worst case.
    #[option(default = "false")]
    pub then_rejoin: bool,
    /// Allows to go from two voters to one.
    #[option(default = "false")]
    pub allow_single_member: bool,
    /// With O(state=voter): promotes the learner as soon as it is in sync, instead of waiting until the distribution does.
    ///
    /// Only for a join whose owner is gone: kubeadm and k3s promote by themselves.
    #[option(default = "false")]
    pub force: bool,
    /// With O(state=follower): goes on where no other voter could lead, because there is but one, or two and the other is not healthy. Stopping the
    /// member then stops every write. What the gate would have said is a warning.
    #[option(default = "false")]
    pub allow_downtime: bool,
    /// Names of the Nodes whose kubelet lease is fresh and whose control-plane components are ready. When given, a member without one of them is not proven.
    pub healthy_nodes: Option<Vec<String>>,
    /// An earlier sample of the evidence, RV(quorate.controlplane.etcd_info#module:sample), so that the second one need not be waited for.
    ///
    /// It counts when it is at least five seconds and at most fifteen minutes old.
    pub sample: Map<String, Json>,
    /// The fence.
    #[option(include)]
    pub lock: LockOptions,
    /// How to reach etcd.
    #[option(include)]
    pub etcd: EtcdOptions,
    /// How long the whole may take.
    #[option(default = "300")]
    pub timeout: Seconds,
}

/// What a member can be.
#[derive(Options, Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It is not listed.
    Absent,
    /// It is listed with a vote, and proven healthy. This waits for a join and changes nothing.
    Voter,
    /// It does not lead. Leadership is moved to a healthy voter, so that stopping the member afterwards costs no election.
    Follower,
}

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Goal {
    /// The target is not listed.
    Absent,
    /// The target is a healthy voter; a learner is promoted where that is forced.
    Voter {
        /// By us.
        force: bool,
    },
    /// The target does not lead.
    Follower,
    /// The member that this word describes leads.
    Leads(String),
}

/// The arguments after validation.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it shall be.
    pub goal: Goal,
    /// Which member.
    pub target: Target,
    /// It is proven not to run.
    pub target_stopped: bool,
    /// Another comes in its place.
    pub then_rejoin: bool,
    /// What the user allows.
    pub permit: Permit,
    /// Evidence that only Kubernetes has.
    pub kubernetes: Option<Kubernetes>,
    /// An earlier sample.
    pub sample: Option<Sample>,
    /// The lock to hold.
    pub fence: Option<Fence>,
    /// Where to ask.
    pub endpoints: Vec<String>,
    /// Authority, certificate and key.
    pub files: [Option<PathBuf>; 3],
    /// For the whole run.
    pub timeout: Duration,
}

impl Wanted {
    /// Finds the member that is meant in a list.
    ///
    /// # Errors
    /// When what is given does not fit one member.
    pub fn find<'a>(
        &self,
        list: &'a [Member],
    ) -> Result<Option<&'a Member>, etcd_cluster::Mismatch> {
        self.target.find(list)
    }
}

/// Who was proven, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// By the clock of the host that took it.
    pub taken: SystemTime,
    /// The cluster it was taken of.
    pub cluster_id: MemberId,
    /// Members with all evidence.
    pub proven: BTreeSet<MemberId>,
}

/// Older ones say nothing about today.
const SAMPLE_AGE: Duration = Duration::from_mins(15);

/// Validates.
pub fn wanted(args: Args, started: SystemTime) -> Result<Wanted, BadArgs> {
    if let Some(id) = &args.id {
        MemberId::meanings(id).map_err(|bad| BadArgs::new(bad.to_string()))?;
    }
    let goal = goal(&args)?;
    let (endpoints, files) = args.etcd.checked()?;
    let healthy = NodeHealth { lease_fresh: true, components_ready: true };
    let kubernetes =
        args.healthy_nodes.map(|names| names.into_iter().map(|name| (name, healthy)).collect());
    let blank = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    Ok(Wanted {
        goal,
        target: Target {
            id: blank(args.id),
            name: blank(args.name),
            peer: blank(args.peer_address),
        },
        target_stopped: args.target_stopped,
        then_rejoin: args.then_rejoin,
        permit: Permit { single_member: args.allow_single_member, downtime: args.allow_downtime },
        kubernetes,
        sample: sample(&args.sample, started)?,
        fence: args.lock.holder().map(|(kubeconfig, holder)| Fence::new(kubeconfig, holder)),
        endpoints,
        files,
        timeout: args.timeout.0,
    })
}

/// A permission that nothing asks for is a misunderstanding.
fn goal(args: &Args) -> Result<Goal, BadArgs> {
    let goal = match (args.state, args.leader.as_deref().map(str::trim)) {
        (Some(State::Absent), _) => Goal::Absent,
        (Some(State::Voter), _) => Goal::Voter { force: args.force },
        (Some(State::Follower), _) | (None, Some("elsewhere")) => Goal::Follower,
        (None, Some(word)) if !word.is_empty() => Goal::Leads(word.to_owned()),
        (None, _) => {
            return Err(BadArgs::new("leader is empty; it names a member, or is elsewhere"));
        }
    };
    if args.force && !matches!(goal, Goal::Voter { .. }) {
        return Err(BadArgs::new("force is for state voter: it promotes a learner"));
    }
    if args.allow_downtime && goal != Goal::Follower {
        return Err(BadArgs::new(
            "allow_downtime is for state follower: no removal is worth a lost quorum",
        ));
    }
    Ok(goal)
}

/// Reads what `etcd_info` returned. A sample that is too old is none; one that cannot be read is a mistake in the playbook.
fn sample(map: &Map<String, Json>, started: SystemTime) -> Result<Option<Sample>, BadArgs> {
    if map.is_empty() {
        return Ok(None);
    }
    let bad = || {
        BadArgs::new(
            "sample is not what etcd_info returns as sample: a dict of taken_at, cluster_id and proven",
        )
    };
    let text = |value: &Json| match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let seconds = map.get("taken_at").and_then(text).and_then(|text| text.parse::<u64>().ok());
    let cluster = map.get("cluster_id").and_then(text).and_then(|id| id.parse::<MemberId>().ok());
    let ids = map.get("proven").and_then(Json::as_array).and_then(|ids| {
        ids.iter().map(|id| id.as_str()?.parse().ok()).collect::<Option<BTreeSet<MemberId>>>()
    });
    let (Some(seconds), Some(cluster_id), Some(proven)) = (seconds, cluster, ids) else {
        return Err(bad());
    };
    let taken = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let recent = started.duration_since(taken).is_ok_and(|age| age <= SAMPLE_AGE);
    Ok(recent.then_some(Sample { taken, cluster_id, proven }))
}
