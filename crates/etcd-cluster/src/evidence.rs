//! What a member must show to count as healthy, and what is missing.
//!
//! Nothing is assumed: a member is *proven* when every point was seen in its favour, and each point that was not
//! is a [`Doubt`]. The two points that etcd cannot tell (its Node and the Kubernetes parts beside it) are given by
//! the caller as plain values, or left out where there is no Kubernetes.

use crate::{
    fault::{Fault, Kind},
    matching::is_called,
    member::{Member, MemberId},
    reading::{Alarm, AlarmKind, Answer, Reading, Status},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, time::Duration};

/// How many raft entries a member may be behind.
pub const MAX_LAG: u64 = 1000;

/// How long evidence must have held before it counts: two samples, this far apart.
pub const SETTLE: Duration = Duration::from_secs(5);

/// Milliseconds since the first sample of an unbroken row in which a member was proven.
pub type ProvenFor = BTreeMap<MemberId, u64>;

/// Tells whether the evidence of a member has held long enough.
pub fn is_settled(proven_for: &ProvenFor, id: MemberId) -> bool {
    proven_for.get(&id).is_some_and(|ms| Duration::from_millis(*ms) >= SETTLE)
}

/// As it is when the evidence of all these members has held long enough.
pub fn all_settled(members: &[Member]) -> ProvenFor {
    let settled = u64::try_from(SETTLE.as_millis()).unwrap_or(u64::MAX);
    members.iter().map(|member| (member.id, settled)).collect()
}

/// One point of evidence that is missing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It has never started, so nobody knows where to ask it.
    Nameless,
    /// It was not asked: it lists no client URL, or the reading is cut short.
    NotAsked,
    /// Status did not answer.
    Silent(Fault),
    /// Somebody else answers at its client URL.
    OtherMember(MemberId),
    /// It belongs to another cluster: its data was lost and it founded one of its own, or the address was given away.
    OtherCluster(MemberId),
    /// It has no vote.
    Learner,
    /// It knows no leader.
    NoLeader,
    /// It follows another leader than the rest.
    LeaderDiffers(MemberId),
    /// It is in another term than the rest.
    TermDiffers(u64),
    /// An alarm of its own.
    Alarm(AlarmKind),
    /// Nobody could tell the alarms.
    AlarmsUnknown,
    /// A linearizable read through it failed.
    NotLinearizable(Option<Fault>),
    /// Its log is this many entries behind.
    Lagging(u64),
    /// Its member list could not be read.
    ListUnknown,
    /// Its member list differs from the others'.
    ListDiffers,
    /// No Node of its name, or none that was said to be healthy.
    NoNode,
    /// The kubelet beside it has not renewed its lease.
    LeaseStale,
    /// API server, controller manager or scheduler beside it are not ready.
    ComponentsDown,
}

impl Doubt {
    /// Tells whether it commonly goes away by itself within seconds, as in an election.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoLeader
            | Self::LeaderDiffers(_)
            | Self::TermDiffers(_)
            | Self::AlarmsUnknown
            | Self::Lagging(_)
            | Self::ListUnknown
            | Self::ListDiffers => true,
            Self::NotLinearizable(fault) => fault.as_ref().is_none_or(|fault| {
                matches!(
                    fault.kind,
                    Kind::NoLeader
                        | Kind::LeaderChanged
                        | Kind::TimedOut
                        | Kind::TooManyRequests
                        // it answered before, so it was waiting for somebody else
                        | Kind::Deadline
                )
            }),
            _ => false,
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nameless => f.write_str("never started"),
            Self::NotAsked => f.write_str("was not asked"),
            Self::Silent(fault) => write!(f, "does not answer: {fault}"),
            Self::OtherMember(id) => write!(f, "member {id} answers at its client URL"),
            Self::OtherCluster(id) => write!(f, "belongs to another cluster, {id}"),
            Self::Learner => f.write_str("is a learner"),
            Self::NoLeader => f.write_str("knows no leader"),
            Self::LeaderDiffers(id) => write!(f, "follows another leader, {id}"),
            Self::TermDiffers(term) => write!(f, "is in another term, {term}"),
            Self::Alarm(kind) => write!(f, "alarm {kind}"),
            Self::AlarmsUnknown => f.write_str("alarms could not be read"),
            Self::NotLinearizable(Some(fault)) => write!(f, "linearizable read failed: {fault}"),
            Self::NotLinearizable(None) => f.write_str("linearizable read was not tried"),
            Self::Lagging(entries) => write!(f, "is {entries} log entries behind"),
            Self::ListUnknown => f.write_str("its member list could not be read"),
            Self::ListDiffers => f.write_str("its member list differs from the others'"),
            Self::NoNode => f.write_str("no healthy Node belongs to it"),
            Self::LeaseStale => f.write_str("the kubelet's lease is stale"),
            Self::ComponentsDown => f.write_str("its Kubernetes components are not all ready"),
        }
    }
}

/// What Kubernetes says of the node of one member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NodeHealth {
    /// The kubelet renewed its lease within 40 s. Node Ready alone is no evidence: a dead node reads Ready for that long.
    pub lease_fresh: bool,
    /// API server, controller manager and scheduler are ready.
    pub components_ready: bool,
}

/// What Kubernetes says of the nodes, by member name.
pub type Kubernetes = BTreeMap<String, NodeHealth>;

/// What is missing, member by member; an empty list means *proven*.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Evidence(pub BTreeMap<MemberId, Vec<Doubt>>);

impl Evidence {
    /// Weighs one reading.
    pub fn weigh(reading: &Reading, kubernetes: Option<&Kubernetes>) -> Self {
        let weigh = |member: &Member| {
            let mut doubts = of_etcd(reading, member);
            doubts.extend(kubernetes.map(|nodes| of_node(nodes, member)).into_iter().flatten());
            (member.id, doubts)
        };
        Self(reading.members.iter().map(weigh).collect())
    }

    /// Tells whether nothing is missing. A member that was not weighed is not proven.
    pub fn is_proven(&self, id: MemberId) -> bool {
        self.0.get(&id).is_some_and(Vec::is_empty)
    }

    /// Tells what is missing.
    pub fn doubts(&self, id: MemberId) -> &[Doubt] {
        self.0.get(&id).map_or(&[], Vec::as_slice)
    }
}

fn of_node(nodes: &Kubernetes, member: &Member) -> Vec<Doubt> {
    let of_k3s = || nodes.iter().find(|(name, _)| is_called(member, name)).map(|(_, node)| node);
    let Some(node) = nodes.get(&member.name).or_else(of_k3s) else { return vec![Doubt::NoNode] };
    let stale = (!node.lease_fresh).then_some(Doubt::LeaseStale);
    stale.into_iter().chain((!node.components_ready).then_some(Doubt::ComponentsDown)).collect()
}

fn of_etcd(reading: &Reading, member: &Member) -> Vec<Doubt> {
    let mut doubts = vec![];
    if member.is_nameless() {
        doubts.push(Doubt::Nameless);
    }
    doubts.extend(of_alarms(reading, member));
    let answer = reading.answers.get(&member.id);
    let Some((answer, status)) = answer.and_then(|answer| Some((answer, answer.status.as_ref()?)))
    else {
        let fault = answer.and_then(|answer| answer.fault.clone());
        doubts.push(fault.map_or(Doubt::NotAsked, Doubt::Silent));
        return doubts;
    };
    doubts.extend(of_identity(reading, member, status));
    doubts.extend(of_raft(reading, status));
    doubts.extend(of_reads(reading, answer));
    doubts
}

fn of_alarms(reading: &Reading, member: &Member) -> Vec<Doubt> {
    let Some(alarms) = &reading.alarms else { return vec![Doubt::AlarmsUnknown] };
    let own = |alarm: &&Alarm| alarm.member == member.id;
    alarms.iter().filter(own).map(|alarm| Doubt::Alarm(alarm.kind)).collect()
}

fn of_identity(reading: &Reading, member: &Member, status: &Status) -> Vec<Doubt> {
    let other = (status.member_id != member.id).then_some(Doubt::OtherMember(status.member_id));
    let foreign =
        (status.cluster_id != reading.cluster_id).then_some(Doubt::OtherCluster(status.cluster_id));
    let learner = (!member.is_voter() || status.learner).then_some(Doubt::Learner);
    [other, foreign, learner].into_iter().flatten().collect()
}

fn of_raft(reading: &Reading, status: &Status) -> Vec<Doubt> {
    if status.leader == MemberId(0) {
        return vec![Doubt::NoLeader];
    }
    let Some((leader, term)) = reading.leader() else { return vec![Doubt::NoLeader] };
    if status.leader != leader {
        return vec![Doubt::LeaderDiffers(status.leader)];
    }
    if status.term != term {
        return vec![Doubt::TermDiffers(status.term)];
    }
    let ahead = reading.status(leader).map_or(0, |leader| leader.raft_index).max(status.raft_index);
    let lag = ahead.saturating_sub(status.applied_index);
    if lag >= MAX_LAG { vec![Doubt::Lagging(lag)] } else { vec![] }
}

fn of_reads(reading: &Reading, answer: &Answer) -> Vec<Doubt> {
    if !answer.linearizable {
        return vec![Doubt::NotLinearizable(answer.fault.clone())];
    }
    match &answer.list {
        None => vec![Doubt::ListUnknown],
        Some(list) if !same_members(list, &reading.members) => vec![Doubt::ListDiffers],
        Some(_) => vec![],
    }
}

/// Compares what is agreed on through raft; the order and the client URLs are not.
fn same_members(one: &[Member], other: &[Member]) -> bool {
    let keys = |list: &[Member]| {
        let key = |m: &Member| (m.id, m.name.clone(), m.role, m.peer_urls.clone());
        let mut keys: Vec<_> = list.iter().map(key).collect();
        keys.sort();
        keys
    };
    keys(one) == keys(other)
}
