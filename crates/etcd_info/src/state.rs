//! What is observed, and how it is shown.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use crate::args::{Question, Wanted};
use ansible_module::Returns;
use etcd_cluster::{
    Evidence, Facts, Member, Reading, Unsafe,
    gate::{Order, decide, phrase, quorum},
};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// One reading, and what was made of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The cluster.
    pub reading: Reading,
    /// What is missing, member by member.
    #[serde(default)]
    pub evidence: Evidence,
    /// What the gate said, where it was asked.
    #[serde(default)]
    pub gate: Option<ViewGate>,
    /// Seconds since 1970 when it was taken.
    #[serde(default)]
    pub taken_at: u64,
}

impl Observed {
    /// Weighs a reading and asks the gate.
    pub fn of(wanted: &Wanted, reading: Reading, now: SystemTime) -> Self {
        let evidence = Evidence::weigh(&reading, wanted.kubernetes.as_ref());
        let gate = wanted.question.as_ref().map(|question| ask(question, &reading, &evidence));
        let taken_at = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
        Self { reading, evidence, gate, taken_at }
    }
}

fn ask(question: &Question, reading: &Reading, evidence: &Evidence) -> ViewGate {
    let no = |code: &str, text: String| ViewGate {
        safe: false,
        code: Some(code.to_owned()),
        text: Some(text),
        order: None,
        path: vec![],
    };
    let operation = match question.about(&reading.members) {
        Ok(Some(operation)) => operation,
        Ok(None) => {
            let word = question.word.clone().unwrap_or_default();
            let unknown = Unsafe::UnknownMember { member: format!("{word:?}") };
            return no(unknown.code(), unknown.to_string());
        }
        Err(mismatch) => return no(mismatch.code(), mismatch.to_string()),
    };
    let facts = Facts::new(reading, evidence);
    match decide(&facts, operation, question.permit) {
        Err(reason) => no(reason.code(), reason.to_string()),
        Ok(verdict) => ViewGate {
            safe: true,
            code: None,
            text: None,
            order: verdict.order.map(|order| match order {
                Order::StopFirst => "stop_first".to_owned(),
                Order::RemoveFirst => "remove_first".to_owned(),
            }),
            path: verdict.path.iter().map(|step| phrase(&facts, *step)).collect(),
        },
    }
}

/// What is returned.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct View {
    /// Id of the cluster, hexadecimal.
    pub cluster_id: String,
    /// The same in decimal; a string, because it needs 64 bits.
    pub cluster_id_dec: String,
    /// Whether a quorum confirmed the member list right before it was read.
    pub linearizable: bool,
    /// The members, by name.
    pub members: Vec<ViewMember>,
    /// The leader that the voters agree on most.
    pub leader: Option<ViewLeader>,
    /// How far the cluster is from losing its quorum.
    pub quorum: ViewQuorum,
    /// Alarms, each with the member it is about. Any one stops every write to the cluster.
    pub alarms: Vec<ViewAlarm>,
    /// The comparison of hashes, where it was asked for.
    pub hashkv: Option<ViewHashes>,
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
    /// Revision of its store.
    pub revision: Option<i64>,
    /// Size of its database file in bytes.
    pub db_size: Option<i64>,
    /// Bytes of it that are in use.
    pub db_size_in_use: Option<i64>,
    /// Its quota in bytes; etcd tells it since 3.6.
    pub db_quota: Option<i64>,
    /// How long a linearizable read through it took, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Its hash, where it was asked for.
    pub hash: Option<u32>,
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
    let reading = &observed.reading;
    let leader = reading.leader();
    let voters = || reading.members.iter().filter(|member| member.is_voter());
    let proven = |member: &&Member| observed.evidence.is_proven(member.id);
    let (count, well) = (voters().count(), voters().filter(proven).count());
    let needed = quorum(count);
    View {
        cluster_id: reading.cluster_id.to_string(),
        cluster_id_dec: reading.cluster_id.decimal(),
        linearizable: reading.linearizable,
        members: reading.members.iter().map(|member| member_view(observed, member)).collect(),
        leader: leader.map(|(id, raft_term)| ViewLeader {
            id: id.to_string(),
            name: reading.member(id).map(|member| member.name.clone()).unwrap_or_default(),
            raft_term,
        }),
        quorum: ViewQuorum {
            voters: count,
            proven: well,
            needed,
            tolerates: well.saturating_sub(needed),
        },
        alarms: alarms(reading),
        hashkv: hashes(reading),
        gate: observed.gate.clone(),
        sample: ViewSample {
            taken_at: observed.taken_at,
            cluster_id: reading.cluster_id.to_string(),
            proven: reading.members.iter().filter(proven).map(|m| m.id.to_string()).collect(),
        },
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
    ViewMember {
        id: member.id.to_string(),
        id_dec: member.id.decimal(),
        name: member.name.clone(),
        role: if member.is_voter() { "voter" } else { "learner" }.to_owned(),
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        is_leader: leader == Some(member.id),
        proven: observed.evidence.is_proven(member.id),
        missing,
        raft_term: status.as_ref().map(|s| s.term),
        raft_index: status.as_ref().map(|s| s.raft_index),
        raft_applied_index: status.as_ref().map(|s| s.applied_index),
        revision: status.as_ref().map(|s| s.revision),
        db_size: status.as_ref().map(|s| s.db_size),
        db_size_in_use: status.as_ref().map(|s| s.db_in_use),
        db_quota: status.as_ref().map(|s| s.quota).filter(|quota| *quota > 0),
        version: status.map(|s| s.version),
        latency_ms: answer.and_then(|answer| answer.latency_ms),
        hash: answer.and_then(|answer| answer.hash).map(|hash| hash.hash),
    }
}
