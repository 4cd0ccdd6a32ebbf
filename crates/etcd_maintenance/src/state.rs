//! What is observed, what a step does to it, and what is shown of it.

use ansible_module::{Kind, Returns};
use etcd_cluster::{
    Member, MemberId, Reading, Which,
    evidence::{ProvenFor, SETTLE, all_settled, is_settled},
    reading::{Alarm, AlarmKind, Status},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// One reading, and what only this run knows.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The cluster.
    pub reading: Reading,
    /// Milliseconds since the first sample of an unbroken row in which the member was proven.
    #[serde(default)]
    pub proven_for_ms: ProvenFor,
    /// Free bytes beside the data of a member on this host.
    #[serde(default)]
    pub free: BTreeMap<MemberId, u64>,
    /// How the compaction stands, where one was asked for.
    #[serde(default)]
    pub compaction: Option<Compaction>,
    /// Why the age of revisions cannot be told, where it was asked for.
    #[serde(default)]
    pub age_unknown: Option<String>,
    /// Members that were not worth it at the first look. What they become meanwhile is for the next run.
    #[serde(default)]
    pub left_alone: BTreeSet<MemberId>,
    /// Members that this run has defragmented.
    #[serde(default)]
    pub done: BTreeMap<MemberId, Record>,
}

impl Observed {
    /// Tells whether the evidence of every member has held long enough.
    pub fn is_settled(&self) -> bool {
        let settled = |member: &Member| is_settled(&self.proven_for_ms, member.id);
        self.reading.members.iter().all(settled)
    }

    /// What of a file is in use; none while a compaction is still freeing pages, or when it is not known.
    pub fn in_use(&self, status: &Status) -> Option<i64> {
        let freeing = self.compaction.as_ref().is_some_and(Compaction::is_under_way);
        (status.db_in_use >= 0 && !freeing).then_some(status.db_in_use)
    }
}

/// How a compaction stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Compaction {
    /// Up to here.
    pub revision: i64,
    /// The store's own revision.
    pub newest: i64,
    /// What is older cannot be read any more.
    #[serde(default)]
    pub compacted: bool,
    /// This run has sent it.
    #[serde(default)]
    pub ours: bool,
    /// What is in use of each file has come to rest since.
    #[serde(default)]
    pub settled: bool,
}

impl Compaction {
    /// Pages are still being freed, or will be.
    pub fn is_under_way(&self) -> bool {
        !self.compacted || (self.ours && !self.settled)
    }
}

/// What a defragmentation did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The member's name.
    pub name: String,
    /// Size of its file before.
    pub before: i64,
    /// And after; none while it is not known.
    pub after: Option<i64>,
    /// How long it took.
    pub took_ms: u64,
    /// The longest time that no linearizable read came through another member; none where there is no other.
    pub stall_ms: Option<u64>,
    /// How many of these reads there were.
    pub reads: u64,
    /// How many of them failed.
    pub failed_reads: u64,
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// History up to a revision is dropped.
    Compact(i64),
    /// The pages it frees are known.
    AwaitFreed,
    /// Two samples of the evidence of every member, some seconds apart.
    AwaitHealthy,
    /// A defragmented voter takes over, so that the stall is no stall of the cluster.
    MoveLeader(Which),
    /// The member's file is written anew, without its free pages.
    Defragment(Which),
    /// An alarm whose cause is gone is taken back.
    Disarm(Alarm),
}

impl Step {
    /// What kind of thing it does.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Compact(_) | Self::Defragment(_) | Self::Disarm(_) => Kind::Change,
            Self::MoveLeader(_) => Kind::Upkeep,
            Self::AwaitFreed | Self::AwaitHealthy => Kind::Wait,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compact(revision) => write!(f, "compact the history up to revision {revision}"),
            Self::AwaitFreed => f.write_str("wait until the compaction has freed its pages"),
            Self::AwaitHealthy => {
                write!(f, "wait until every member has been healthy for {} s", SETTLE.as_secs())
            }
            Self::MoveLeader(which) => write!(f, "move leadership away from {}", which.label),
            Self::Defragment(which) => write!(f, "defragment {}", which.label),
            Self::Disarm(alarm) => write!(f, "disarm alarm {} of {}", alarm.kind, alarm.member),
        }
    }
}

/// The state expected after a step.
pub fn project(observed: &Observed, step: &Step) -> Observed {
    let mut next = observed.clone();
    match step {
        Step::Compact(_) => {
            if let Some(compaction) = &mut next.compaction {
                (compaction.compacted, compaction.ours, compaction.settled) = (true, true, false);
            }
        }
        Step::AwaitFreed => {
            if let Some(compaction) = &mut next.compaction {
                compaction.settled = true;
            }
            // nobody knows beforehand how much: the worst case is that every member is worth its stall
            for status in next.reading.statuses_mut() {
                status.db_in_use = -1;
            }
        }
        Step::AwaitHealthy => next.proven_for_ms = all_settled(&next.reading.members),
        Step::MoveLeader(which) => {
            if let Some(heir) = successors(&next, which.id).first() {
                next.reading.follow(*heir);
            }
        }
        Step::Defragment(which) => defragmented(&mut next, which.id),
        Step::Disarm(alarm) => {
            if let Some(alarms) = &mut next.reading.alarms {
                alarms.retain(|other| other != alarm);
            }
        }
    }
    next
}

fn defragmented(next: &mut Observed, id: MemberId) {
    let name = next.reading.member(id).map(|member| member.name.clone()).unwrap_or_default();
    let answer = next.reading.answers.get_mut(&id);
    let mut record = Record { name, ..Record::default() };
    if let Some(status) = answer.and_then(|answer| answer.status.as_mut()) {
        record.before = status.db_size;
        status.db_size = status.db_in_use;
        record.after = Some(status.db_size).filter(|size| *size >= 0);
    }
    next.done.insert(id, record);
    // it was away, and nobody has seen it since
    next.proven_for_ms.clear();
}

/// Voters that can lead in place of one: those that this run has defragmented first, then the nearest to the leader's log.
pub fn successors(observed: &Observed, from: MemberId) -> Vec<MemberId> {
    let mut all = observed.reading.successors(from);
    all.sort_by_key(|id| !observed.done.contains_key(id));
    all
}

/// What is shown.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct View {
    /// The members, by name.
    pub members: Vec<ViewMember>,
    /// Alarms, each with the member it is about.
    pub alarms: Vec<ViewAlarm>,
    /// Revision up to which the history is compacted, where that was asked for and is so.
    pub compacted_revision: Option<i64>,
    /// Members that this run has defragmented, or would.
    pub defragmented: Vec<ViewRecord>,
    /// Bytes that the files have become smaller by, all members together, as far as that is known.
    pub bytes_won: i64,
    /// The longest time in milliseconds that no linearizable read came through another member while one was defragmented.
    pub longest_stall_ms: Option<u64>,
}

/// One listed member.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct ViewMember {
    /// Hexadecimal, as etcdctl shows it.
    pub id: String,
    /// Decimal, as etcd's JSON has it; a string, because it needs 64 bits.
    pub id_dec: String,
    /// Its name.
    pub name: String,
    /// Size of its file in bytes; none when it is not known.
    pub db_size: Option<i64>,
    /// Bytes of it that are in use; none when it is not known, as before a compaction.
    pub db_in_use: Option<i64>,
    /// Its quota in bytes, where it tells it.
    pub quota: Option<i64>,
    /// Percent of its file that is free.
    pub free_percent: Option<i64>,
}

/// One alarm.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct ViewAlarm {
    /// Id of the member, hexadecimal.
    pub member_id: String,
    /// V(NOSPACE) or V(CORRUPT).
    pub alarm: String,
}

/// One defragmentation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct ViewRecord {
    /// Id of the member, hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Size of its file before, in bytes.
    pub size_before: i64,
    /// Size of its file after, in bytes.
    pub size_after: Option<i64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The longest time that no linearizable read came through another member meanwhile; none where there is no other.
    pub longest_stall_ms: Option<u64>,
    /// How many of these reads were tried, one every 50 ms.
    pub reads: u64,
    /// How many of them failed.
    pub failed_reads: u64,
}

/// What of an observation is shown.
pub fn view(observed: &Observed) -> View {
    let known = |bytes: i64| Some(bytes).filter(|bytes| *bytes >= 0);
    let member = |member: &Member| {
        let status = observed.reading.status(member.id);
        let size = status.and_then(|status| known(status.db_size));
        let in_use = status.and_then(|status| observed.in_use(status));
        let free = size.zip(in_use).filter(|(size, _)| *size > 0);
        ViewMember {
            id: member.id.to_string(),
            id_dec: member.id.decimal(),
            name: member.name.clone(),
            db_size: size,
            db_in_use: in_use,
            quota: status.map(|status| status.quota).filter(|quota| *quota > 0),
            free_percent: free.map(|(size, in_use)| (size - in_use) * 100 / size),
        }
    };
    let alarm = |alarm: &Alarm| ViewAlarm {
        member_id: alarm.member.to_string(),
        alarm: alarm.kind.to_string(),
    };
    let record = |(id, record): (&MemberId, &Record)| ViewRecord {
        id: id.to_string(),
        name: record.name.clone(),
        size_before: record.before,
        size_after: record.after,
        took_ms: record.took_ms,
        longest_stall_ms: record.stall_ms,
        reads: record.reads,
        failed_reads: record.failed_reads,
    };
    let won = |record: &Record| record.after.map_or(0, |after| record.before - after);
    let compacted = observed.compaction.as_ref().filter(|compaction| compaction.compacted);
    View {
        members: observed.reading.members.iter().map(member).collect(),
        alarms: observed.reading.alarms.iter().flatten().map(alarm).collect(),
        compacted_revision: compacted.map(|compaction| compaction.revision),
        defragmented: observed.done.iter().map(record).collect(),
        bytes_won: observed.done.values().map(won).sum(),
        longest_stall_ms: observed.done.values().filter_map(|record| record.stall_ms).max(),
    }
}

/// The reading without NOSPACE: it stops writes and says nothing about the member's health, and what is done here is the way out of it.
pub fn without_no_space(reading: &Reading) -> Reading {
    let mut reading = reading.clone();
    if let Some(alarms) = &mut reading.alarms {
        alarms.retain(|alarm| alarm.kind != AlarmKind::NoSpace);
    }
    reading
}
