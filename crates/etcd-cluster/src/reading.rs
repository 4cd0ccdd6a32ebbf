//! One reading of the whole cluster, as a plain value.

use crate::{
    fault::Fault,
    member::{Member, MemberId},
};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeMap, fmt};

/// Everything that was seen at one time. What is missing was not seen, and unknown health is unhealthy.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Reading {
    /// Told by the members; all that answer agree on it.
    #[serde(default)]
    pub cluster_id: MemberId,
    /// The member list, in the order of names and ids.
    pub members: Vec<Member>,
    /// Whether the list was confirmed by a quorum right before it was read.
    #[serde(default)]
    pub linearizable: bool,
    /// What each listed member answered at its own client URL.
    #[serde(default)]
    pub answers: BTreeMap<MemberId, Answer>,
    /// All alarms; `None` when nobody could tell.
    #[serde(default)]
    pub alarms: Option<Vec<Alarm>>,
    /// The revision at which the hashes were asked for.
    #[serde(default)]
    pub hashed_at: Option<i64>,
}

impl Reading {
    /// Finds a listed member.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Tells the leader that the reachable voters agree on most, with its term.
    pub fn leader(&self) -> Option<(MemberId, u64)> {
        let mut votes: BTreeMap<(u64, MemberId), usize> = BTreeMap::new();
        for member in self.members.iter().filter(|member| member.is_voter()) {
            if let Some(status) =
                self.status(member.id).filter(|status| status.leader != MemberId(0))
            {
                *votes.entry((status.term, status.leader)).or_default() += 1;
            }
        }
        // on a tie the higher term is the younger truth
        votes
            .into_iter()
            .max_by_key(|(view, count)| (*count, *view))
            .map(|((term, leader), _)| (leader, term))
    }

    /// Tells what a member said of itself.
    pub fn status(&self, id: MemberId) -> Option<&Status> {
        self.answers.get(&id).and_then(|answer| answer.status.as_ref())
    }

    /// Tells whether anything answers at the client URL of a member.
    pub fn answers_at(&self, id: MemberId) -> bool {
        self.status(id).is_some()
    }

    /// Lists the voters that can lead in place of one, the nearest to the leader's log first.
    pub fn successors(&self, from: MemberId) -> Vec<MemberId> {
        let can = |member: &&Member| {
            let answer = self.answers.get(&member.id);
            member.id != from
                && member.is_voter()
                && answer.is_some_and(|answer| answer.linearizable)
        };
        let applied = |member: &Member| self.status(member.id).map_or(0, |s| s.applied_index);
        let mut all: Vec<&Member> = self.members.iter().filter(can).collect();
        all.sort_by_key(|member| (Reverse(applied(member)), member.name.clone()));
        all.into_iter().map(|member| member.id).collect()
    }

    /// Makes it the reading of a cluster in which everybody who answers follows this leader, in a new term.
    pub fn follow(&mut self, leader: MemberId) {
        for status in self.statuses_mut() {
            (status.leader, status.term) = (leader, status.term + 1);
        }
    }

    /// What members said of themselves.
    pub fn statuses_mut(&mut self) -> impl Iterator<Item = &mut Status> {
        self.answers.values_mut().filter_map(|answer| answer.status.as_mut())
    }

    /// Lists the alarms of ids that are listed no more: etcd keeps them after the removal, and they stop every write.
    pub fn stale_alarms(&self) -> Vec<Alarm> {
        let stale =
            |alarm: &&Alarm| alarm.member != MemberId(0) && self.member(alarm.member).is_none();
        self.alarms.iter().flatten().filter(stale).copied().collect()
    }

    /// Compares the hashes of the members that gave one; `None` when fewer than two did.
    pub fn hashes_agree(&self, except: Option<MemberId>) -> Option<bool> {
        let of = |member: &Member| self.answers.get(&member.id).and_then(|answer| answer.hash);
        let hashes: Vec<Hash> =
            self.members.iter().filter(|m| Some(m.id) != except).filter_map(of).collect();
        let (first, rest) = hashes.split_first()?;
        (!rest.is_empty()).then(|| rest.iter().all(|hash| hash == first))
    }
}

/// What one member answered.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Where it was asked; empty when it lists no client URL.
    #[serde(default)]
    pub url: String,
    /// What it said of itself.
    #[serde(default)]
    pub status: Option<Status>,
    /// Whether a linearizable read through it worked.
    #[serde(default)]
    pub linearizable: bool,
    /// How long that read took.
    #[serde(default)]
    pub latency_ms: Option<u64>,
    /// Its member list, read right after that.
    #[serde(default)]
    pub list: Option<Vec<Member>>,
    /// Its hash, when it was asked for.
    #[serde(default)]
    pub hash: Option<Hash>,
    /// The first call that failed.
    #[serde(default)]
    pub fault: Option<Fault>,
}

/// What a member says of itself (`StatusResponse`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Its own id.
    pub member_id: MemberId,
    /// Its cluster.
    pub cluster_id: MemberId,
    /// Its version, such as `3.6.16`.
    #[serde(default)]
    pub version: String,
    /// Whether it has no vote.
    #[serde(default)]
    pub learner: bool,
    /// Zero while it knows none.
    #[serde(default)]
    pub leader: MemberId,
    /// The raft term.
    #[serde(default)]
    pub term: u64,
    /// The revision of the store.
    #[serde(default)]
    pub revision: i64,
    /// What is committed, as far as it knows.
    #[serde(default)]
    pub raft_index: u64,
    /// What it has applied.
    #[serde(default)]
    pub applied_index: u64,
    /// Size of the database file in bytes.
    #[serde(default)]
    pub db_size: i64,
    /// Bytes of it that are in use.
    #[serde(default)]
    pub db_in_use: i64,
    /// The quota in bytes; zero before etcd 3.6, which does not tell.
    #[serde(default)]
    pub quota: i64,
}

/// The hash of all keys up to one revision; comparable when both fields are equal revisions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Hash {
    /// CRC-32 over keys and values.
    pub hash: u32,
    /// The last compaction; hashes of different compactions tell nothing.
    pub compact_revision: i64,
}

/// An alarm, attributed to a member by etcd; id zero means that etcd does not know whose it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// Whose it is.
    pub member: MemberId,
    /// What it is about.
    pub kind: AlarmKind,
}

/// The alarms of etcd. Either stops every write to the whole cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AlarmKind {
    /// A database over its quota.
    NoSpace,
    /// Data that differs from the other members'.
    Corrupt,
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSpace => "NOSPACE",
            Self::Corrupt => "CORRUPT",
        })
    }
}
