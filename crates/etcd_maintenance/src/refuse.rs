//! Every reason to say no, beside those of the gate.

use ansible_module::Refusal;
use std::fmt;

/// Names the bad state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// A member is not proven healthy.
    Unhealthy { members: Vec<String>, passing: bool },
    /// Defragmenting this etcd can corrupt its data.
    AffectedVersion { members: Vec<String> },
    /// Nobody knows whether the copy fits.
    DiskUnknown { member: String, needed: u64 },
    /// It does not.
    DiskFull { member: String, free: u64, needed: u64 },
    /// Nobody could lead in place of the leader.
    NoSuccessor { member: String },
    /// One or two voters.
    Downtime { member: String },
    /// Nothing that is done here would end NOSPACE.
    NothingToWin { members: Vec<String> },
    /// The age of revisions is not known.
    AgeUnknown { why: String },
    /// There is no such revision yet.
    Future { revision: i64, newest: i64 },
    /// A CORRUPT alarm of somebody who left, and the data of those who stayed is not known to be equal.
    HashesUnknown,
    /// It is not.
    HashesDiffer,
    /// No alarm can be told.
    AlarmsUnknown,
}

impl Why {
    fn code(&self) -> &'static str {
        match self {
            Self::Unhealthy { .. } => "unhealthy_member",
            Self::AffectedVersion { .. } => "affected_version",
            Self::DiskUnknown { .. } => "disk_unknown",
            Self::DiskFull { .. } => "disk_full",
            Self::NoSuccessor { .. } => "no_successor",
            Self::Downtime { .. } => "downtime",
            Self::NothingToWin { .. } => "nothing_to_win",
            Self::AgeUnknown { .. } => "age_unknown",
            Self::Future { .. } => "future_revision",
            Self::HashesUnknown => "hashes_unknown",
            Self::HashesDiffer => "hashes_differ",
            Self::AlarmsUnknown => "alarms_unknown",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unhealthy { members, .. } => write!(
                f,
                "every member must be healthy while one is defragmented: {}; repair or remove it first",
                members.join("; ")
            ),
            Self::AffectedVersion { members } => write!(
                f,
                "a snapshot that arrives during a defragmentation corrupts the data of etcd before 3.5.23 and 3.6.0 to 3.6.4: {}; upgrade first, or set allow_affected_version",
                members.join(", ")
            ),
            Self::DiskUnknown { member, needed } => write!(
                f,
                "nobody knows whether the disk of {member} has room for the copy, {} are needed; give free_disk for it, run on its host with data_dir, or set allow_unknown_disk",
                mib(*needed)
            ),
            Self::DiskFull { member, free, needed } => write!(
                f,
                "the disk of {member} has {} free, {} are needed for the copy; make room first",
                mib(*free),
                mib(*needed)
            ),
            Self::NoSuccessor { member } => write!(
                f,
                "cannot move leadership away from {member}: no other voter answers a linearizable read, one is needed to lead; repair one first"
            ),
            Self::Downtime { member } => write!(
                f,
                "defragmenting {member} stops every read and write meanwhile, for without it there is no quorum; set allow_downtime if that is meant"
            ),
            Self::NothingToWin { members } => write!(
                f,
                "NOSPACE stands, and defragmenting would leave the database above 90 percent of its quota: {}; compact (compact_age), delete keys, or raise the quota first",
                members.join("; ")
            ),
            Self::AgeUnknown { why } => {
                write!(f, "the age of revisions is not known: {why}; give compact_revision instead")
            }
            Self::Future { revision, newest } => {
                write!(f, "cannot compact to revision {revision}: the newest is {newest}")
            }
            Self::HashesUnknown => f.write_str(
                "a CORRUPT alarm of a member that left stands, and HashKV of the members could not be compared; at least two must answer before it is disarmed",
            ),
            Self::HashesDiffer => f.write_str(
                "a CORRUPT alarm of a member that left stands, and the members differ in HashKV at one revision; find out which of them holds the good data first",
            ),
            Self::AlarmsUnknown => {
                f.write_str("nobody could tell the alarms; let the cluster come to rest first")
            }
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

impl From<Why> for Refusal {
    fn from(why: Why) -> Self {
        let passing = matches!(
            why,
            Why::Unhealthy { passing: true, .. } | Why::AlarmsUnknown | Why::HashesUnknown
        );
        let make = if passing { Self::passing } else { Self::finally };
        make(why.code(), why.to_string())
    }
}
