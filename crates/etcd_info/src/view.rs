//! What is shown of an observation.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use crate::{
    causes::{Cause, Verdict},
    diagnose::diagnose,
    local::{Local, Unit},
    state::{Certificate, Observed},
};
use ansible_module::Returns;
use etcd_cluster::{
    Member, Reading,
    gate::quorum,
    keys::{Child, KeyCount},
    reading::Answer,
};
use serde::{Deserialize, Serialize};

/// What is returned.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of its own to users")]
pub struct View {
    /// V(healthy), also when a certificate ends soon; V(degraded) when something is wrong and at least one more voter may be lost; V(at_risk) when none may; V(quorum_lost) when no
    /// quorum answers; V(unknown) when nobody tells.
    pub verdict: Verdict,
    /// The same in one sentence, for people.
    pub summary: String,
    /// What is wrong, with the evidence and the way out, the gravest first.
    pub causes: Vec<Cause>,
    /// Whether the cluster takes writes, as far as can be seen without one.
    pub writable: bool,
    /// Id of the cluster, hexadecimal; C(0) when nobody told it.
    pub cluster_id: String,
    /// The same in decimal; a string, because it needs 64 bits.
    pub cluster_id_dec: String,
    /// Whether a quorum confirmed the member list right before it was read.
    pub linearizable: bool,
    /// The members, by name.
    pub members: Vec<ViewMember>,
    /// The leader that the voters agree on most.
    pub leader: Option<ViewLeader>,
    /// Whether all members that answer follow the same leader in the same term.
    pub terms_agree: bool,
    /// Whether all members that answer list the same members.
    pub lists_agree: bool,
    /// How far the cluster is from losing its quorum.
    pub quorum: ViewQuorum,
    /// Alarms, each with the member it is about. Any one stops every write to the cluster.
    pub alarms: Vec<ViewAlarm>,
    /// The comparison of hashes, where it was asked for.
    pub hashkv: Option<ViewHashes>,
    /// Numbers of keys, for O(count_keys).
    pub keys: Vec<ViewKeys>,
    /// Members without a Node and control-plane Nodes without a member, where O(kubeconfig) was given.
    pub nodes: Option<ViewNodes>,
    /// What this host shows of its own member, where no quorum answered or the endpoint of this host did not.
    pub local: Option<ViewLocal>,
    /// Certificates that members show to clients and to each other, and the client certificate that was used.
    pub certificates: Vec<Certificate>,
    /// What was asked for and could not be read, and why.
    pub unread: Vec<String>,
    /// What the gate says about O(if).
    pub gate: Option<ViewGate>,
    /// This sample of the evidence, for O(quorate.controlplane.etcd_member#module:sample).
    pub sample: ViewSample,
}

/// One listed member.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewMember {
    /// Hexadecimal, as etcdctl shows it.
    pub id: String,
    /// Decimal, as etcd's JSON has it; a string, because it needs 64 bits.
    pub id_dec: String,
    /// Empty until the member has started.
    pub name: String,
    /// V(voter) or V(learner).
    pub role: String,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it leads.
    pub is_leader: bool,
    /// Whether every point of evidence was seen.
    pub proven: bool,
    /// The points that were not, in words.
    pub missing: Vec<String>,
    /// Version of the server.
    pub version: Option<String>,
    /// Raft term it is in.
    pub raft_term: Option<u64>,
    /// Raft index it knows to be committed.
    pub raft_index: Option<u64>,
    /// Raft index it has applied.
    pub raft_applied_index: Option<u64>,
    /// How many entries of the leader's log it has not applied, in two samples.
    pub raft_lag: Vec<u64>,
    /// Revision of its store.
    pub revision: Option<i64>,
    /// Size of its database file in bytes.
    pub db_size: Option<i64>,
    /// Bytes of it that are in use.
    pub db_size_in_use: Option<i64>,
    /// Its quota in bytes; from its metrics before etcd 3.6.
    pub db_quota: Option<i64>,
    /// How long a linearizable read through it took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// 99 of 100 syncs of its log took at most so many milliseconds, since it started.
    pub fsync_p99_ms: Option<f64>,
    /// 99 of 100 commits of its database took at most so many milliseconds, since it started.
    pub commit_p99_ms: Option<f64>,
    /// By how many seconds its clock is ahead of this host's, to the second.
    pub clock_ahead_s: Option<i64>,
    /// Its hash, where it was asked for.
    pub hash: Option<u32>,
}

/// Keys below one prefix.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewKeys {
    /// The prefix.
    pub prefix: String,
    /// All keys below it.
    pub count: u64,
    /// The same by the next part of the key, the largest first; at most 200.
    pub children: Vec<ViewChild>,
    /// Keys below parts that were not looked at.
    pub rest: u64,
}

/// Keys that share one more part.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewChild {
    /// The prefix with it.
    pub prefix: String,
    /// How many.
    pub count: u64,
}

/// Who has no counterpart.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewNodes {
    /// Names of members that no Node belongs to.
    pub members_without_node: Vec<String>,
    /// Names of control-plane Nodes that no member belongs to.
    pub nodes_without_member: Vec<String>,
}

/// What this host shows.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewLocal {
    /// Units that could run a member.
    pub units: Vec<ViewUnit>,
    /// Whether kubeadm's static pod is to run.
    pub manifest: bool,
    /// What etcd says of its own health at its listener for metrics: V(true), or the reason against it.
    pub health: Option<String>,
    /// Where its data lies.
    pub data_dir: Option<String>,
    /// Bytes of the database there.
    pub db_size: Option<u64>,
    /// How many seconds ago the log there was written last.
    pub log_written_s_ago: Option<u64>,
    /// k3s noted there that its member was removed.
    pub removed: bool,
}

/// One unit of this host.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewUnit {
    /// Its name.
    pub name: String,
    /// Its state, such as C(active/running) or C(activating/auto-restart).
    pub state: String,
    /// How its last run ended.
    pub result: String,
    /// How often it was restarted by itself.
    pub restarts: u32,
}

/// The leader.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewLeader {
    /// Its id, hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The raft term.
    pub raft_term: u64,
}

/// How far the cluster is from losing its quorum.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewQuorum {
    /// Members with a vote, nameless ones included.
    pub voters: usize,
    /// Of them proven.
    pub proven: usize,
    /// How many must agree.
    pub needed: usize,
    /// How many more proven voters may be lost.
    pub tolerates: usize,
}

/// One alarm.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewAlarm {
    /// Id of the member, hexadecimal; C(0) when etcd cannot tell.
    pub member_id: String,
    /// Whether that member is still listed.
    pub listed: bool,
    /// V(NOSPACE) or V(CORRUPT).
    pub alarm: String,
}

/// The comparison of hashes.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewHashes {
    /// The revision at which all were asked.
    pub revision: i64,
    /// How many members gave one.
    pub members: usize,
    /// Whether they are equal; none when fewer than two gave one.
    pub equal: Option<bool>,
}

/// What the gate says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, Returns)]
pub struct ViewGate {
    /// Whether the operation may begin.
    pub safe: bool,
    /// The reason against it, for programs: V(quorum), V(join_in_flight) and others.
    pub code: Option<String>,
    /// The reason against it: what was observed, what is needed, and the way out.
    pub text: Option<String>,
    /// V(stop_first) or V(remove_first), where a running voter is removed.
    pub order: Option<String>,
    /// The sub-steps that were judged, in their order.
    pub path: Vec<String>,
    /// What would be the reason against it without the permission given in O(if).
    #[serde(default)]
    pub exception: Option<String>,
}

/// A sample of the evidence.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewSample {
    /// Seconds since 1970.
    pub taken_at: u64,
    /// The cluster, hexadecimal.
    pub cluster_id: String,
    /// Ids of the proven members, hexadecimal.
    pub proven: Vec<String>,
}

/// What of an observation is shown.
pub fn view(observed: &Observed) -> View {
    let (reading, beside) = (&observed.reading, &observed.beside);
    let leader = reading.leader();
    let proven = |member: &&Member| observed.evidence.is_proven(member.id);
    let diagnosis = diagnose(observed);
    View {
        verdict: diagnosis.verdict,
        summary: diagnosis.summary,
        causes: diagnosis.causes,
        writable: reading.linearizable && reading.alarms.as_ref().is_some_and(Vec::is_empty),
        cluster_id: reading.cluster_id.to_string(),
        cluster_id_dec: reading.cluster_id.decimal(),
        linearizable: reading.linearizable,
        members: reading.members.iter().map(|member| member_view(observed, member)).collect(),
        leader: leader.map(|(id, raft_term)| ViewLeader {
            id: id.to_string(),
            name: reading.member(id).map(|member| member.name.clone()).unwrap_or_default(),
            raft_term,
        }),
        terms_agree: one_of_a_kind(reading, |answer| {
            answer.status.as_ref().map(|status| (status.leader, status.term))
        }),
        lists_agree: one_of_a_kind(reading, |answer| answer.list.as_ref()),
        quorum: quorum_of(observed),
        alarms: alarms(reading),
        hashkv: hashes(reading),
        keys: beside.keys.iter().flatten().map(keys).collect(),
        nodes: beside.nodes.as_ref().map(|_| ViewNodes {
            members_without_node: observed.members_without_node(),
            nodes_without_member: observed.nodes_without_member(),
        }),
        local: beside.local.as_ref().map(local),
        certificates: beside.certificates.clone(),
        unread: beside.missing.clone(),
        gate: observed.gate.clone(),
        sample: ViewSample {
            taken_at: observed.taken_at,
            cluster_id: reading.cluster_id.to_string(),
            proven: reading.members.iter().filter(proven).map(|m| m.id.to_string()).collect(),
        },
    }
}

/// Voters, those proven, and how many more may be lost.
pub fn quorum_of(observed: &Observed) -> ViewQuorum {
    let voters = || observed.reading.members.iter().filter(|member| member.is_voter());
    let proven = voters().filter(|member| observed.evidence.is_proven(member.id)).count();
    let needed = quorum(voters().count());
    let tolerates = proven.saturating_sub(needed);
    ViewQuorum { voters: voters().count(), proven, needed, tolerates }
}

/// Whether all who answer say the same; who has nothing to say does not contradict.
fn one_of_a_kind<'a, T: PartialEq>(
    reading: &'a Reading,
    of: impl Fn(&'a Answer) -> Option<T>,
) -> bool {
    let mut all = reading.answers.values().filter_map(of);
    let first = all.next();
    all.all(|other| Some(other) == first)
}

fn keys(of: &KeyCount) -> ViewKeys {
    let child = |child: &Child| ViewChild { prefix: child.prefix.clone(), count: child.count };
    let children = of.children.iter().map(child).collect();
    ViewKeys { prefix: of.prefix.clone(), count: of.count, children, rest: of.rest }
}

fn local(of: &Local) -> ViewLocal {
    let unit = |unit: &Unit| ViewUnit {
        name: unit.name.clone(),
        state: format!("{}/{}", unit.active, unit.sub),
        result: unit.result.clone(),
        restarts: unit.restarts,
    };
    ViewLocal {
        units: of.units.iter().map(unit).collect(),
        manifest: of.manifest,
        health: of.health.clone(),
        data_dir: of.data.as_ref().map(|data| data.path.clone()),
        db_size: of.data.as_ref().map(|data| data.db_size),
        log_written_s_ago: of.data.as_ref().and_then(|data| data.written_s_ago),
        removed: of.data.as_ref().is_some_and(|data| data.tombstone),
    }
}

fn alarms(reading: &Reading) -> Vec<ViewAlarm> {
    let one = |alarm: &etcd_cluster::reading::Alarm| ViewAlarm {
        member_id: alarm.member.to_string(),
        listed: reading.member(alarm.member).is_some(),
        alarm: alarm.kind.to_string(),
    };
    reading.alarms.iter().flatten().map(one).collect()
}

fn hashes(reading: &Reading) -> Option<ViewHashes> {
    let members = reading.answers.values().filter(|answer| answer.hash.is_some()).count();
    let equal = reading.hashes_agree(None);
    reading.hashed_at.map(|revision| ViewHashes { revision, members, equal })
}

fn member_view(observed: &Observed, member: &Member) -> ViewMember {
    let answer = observed.reading.answers.get(&member.id);
    let status = answer.and_then(|answer| answer.status.clone());
    let missing = observed.evidence.doubts(member.id).iter().map(ToString::to_string).collect();
    let leader = observed.reading.leader().map(|(id, _)| id);
    let metrics = observed.beside.metrics.get(&member.id);
    let quota = status.as_ref().map(|s| s.quota).filter(|quota| *quota > 0);
    let told = metrics.and_then(|metrics| i64::try_from(metrics.quota?).ok());
    ViewMember {
        id: member.id.to_string(),
        id_dec: member.id.decimal(),
        name: member.name.clone(),
        role: member.role.to_string(),
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        is_leader: leader == Some(member.id),
        proven: observed.evidence.is_proven(member.id),
        missing,
        raft_term: status.as_ref().map(|s| s.term),
        raft_index: status.as_ref().map(|s| s.raft_index),
        raft_applied_index: status.as_ref().map(|s| s.applied_index),
        raft_lag: observed.lags(member.id),
        revision: status.as_ref().map(|s| s.revision),
        db_size: status.as_ref().map(|s| s.db_size),
        db_size_in_use: status.as_ref().map(|s| s.db_in_use),
        db_quota: quota.or(told),
        fsync_p99_ms: metrics.and_then(|metrics| metrics.fsync?.p99_ms),
        commit_p99_ms: metrics.and_then(|metrics| metrics.commit?.p99_ms),
        clock_ahead_s: metrics.and_then(|metrics| metrics.ahead_s),
        version: status.map(|s| s.version),
        latency_ms: answer.and_then(|answer| answer.latency_ms),
        hash: answer.and_then(|answer| answer.hash).map(|hash| hash.hash),
    }
}
