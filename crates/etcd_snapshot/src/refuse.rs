//! Every reason to say no.

use ansible_module::Refusal;

/// Names the bad state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsafe {
    /// There is nothing to decide from.
    NoReading,
    /// etcd found corruption and does not know whose.
    CorruptSomewhere,
    /// No member showed that its data is the cluster's.
    NoProvenMember { members: Vec<String>, passing: bool },
    /// No two voters hold the same.
    HashesDiffer { revision: i64, members: Vec<String>, passing: bool },
    /// The disk is too small.
    NoRoom { dest: String, free: u64, needed: u64 },
    /// The file is there and is no snapshot.
    Invalid { path: String, why: String },
    /// There is no file.
    Missing { path: String },
}

impl Unsafe {
    fn code(&self) -> &'static str {
        match self {
            Self::NoReading => "no_reading",
            Self::CorruptSomewhere => "corrupt",
            Self::NoProvenMember { .. } => "no_proven_member",
            Self::HashesDiffer { .. } => "hashes_differ",
            Self::NoRoom { .. } => "no_room",
            Self::Invalid { .. } => "invalid",
            Self::Missing { .. } => "missing",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::NoReading => "the cluster was not read".to_owned(),
            Self::CorruptSomewhere => {
                "etcd raised CORRUPT without naming a member: a snapshot may hold the bad data; find the member whose hash differs (etcd_info), and remove it first".to_owned()
            }
            Self::NoProvenMember { members, .. } => {
                format!("no voter is proven healthy, one is needed to take a snapshot from ({}); repair one first", members.join("; "))
            }
            Self::HashesDiffer { revision, members, .. } => {
                let members = members.join("; ");
                format!("no healthy voter holds the same keys as another at revision {revision} ({members}); find out whose data is right (etcd_info) first, or set compare_hashes to false")
            }
            Self::NoRoom { dest, free, needed } => {
                format!("{dest} has {} free, {} are needed for a snapshot; make room, or give another dest", mib(*free), mib(*needed))
            }
            Self::Invalid { path, why } => format!("{path} is no valid snapshot: {why}"),
            Self::Missing { path } => format!("there is no file {path}"),
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

impl From<Unsafe> for Refusal {
    fn from(reason: Unsafe) -> Self {
        let passing = matches!(
            reason,
            Unsafe::NoProvenMember { passing: true, .. }
                | Unsafe::HashesDiffer { passing: true, .. }
        );
        let make = if passing { Refusal::passing } else { Refusal::finally };
        make(reason.code(), reason.text())
    }
}
