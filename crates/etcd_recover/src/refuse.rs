//! Every reason to say no.

use ansible_module::Refusal;
use std::fmt;

/// Names the bad state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsafe {
    /// There is nothing to recover from.
    NoData { name: String },
    /// Cluster or node are not those of this host.
    NotConfirmed { given: String, expected: String },
    /// The log is not what etcd wrote.
    Damaged { name: String, why: String },
    /// Nothing is lost yet.
    HasQuorum { name: String },
    /// A survey of somebody else.
    OtherCluster { name: String, cluster: String, local: String },
    /// Another host was made the only voter already.
    RecoveredElsewhere { name: String },
    /// Others may run or start.
    NotFenced { open: Vec<String>, proven: Vec<String>, needed: usize },
    /// Another holds more.
    OlderSurvivor { name: String, has: (u64, u64), best: String, holds: (u64, u64) },
    /// The member runs, and nobody knows how to stop it.
    Running { name: String },
    /// The copy does not fit.
    NoRoom { to: String, free: u64, needed: u64 },
}

impl Unsafe {
    fn code(&self) -> &'static str {
        match self {
            Self::NoData { .. } => "no_data",
            Self::NotConfirmed { .. } => "not_confirmed",
            Self::Damaged { .. } => "damaged",
            Self::HasQuorum { .. } => "has_quorum",
            Self::OtherCluster { .. } => "other_cluster",
            Self::RecoveredElsewhere { .. } => "recovered_elsewhere",
            Self::NotFenced { .. } => "not_fenced",
            Self::OlderSurvivor { .. } => "older_survivor",
            Self::Running { .. } => "running",
            Self::NoRoom { .. } => "no_room",
        }
    }
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoData { name } => write!(
                f,
                "{name:?} holds no log of etcd; recover from a host that does, or restore a snapshot"
            ),
            Self::NotConfirmed { given, expected } => write!(
                f,
                "confirm is {given:?}; for the member on this host it must be {expected:?}"
            ),
            Self::Damaged { name, why } => write!(
                f,
                "the log of {name:?} is damaged ({why}), and etcd would not start on it; choose another survivor, or restore a snapshot"
            ),
            Self::HasQuorum { name } => write!(
                f,
                "{name:?} answers a linearizable read: the cluster has its quorum; use etcd_member, nothing is to be recovered"
            ),
            Self::OtherCluster { name, cluster, local } => write!(
                f,
                "the survey of {name:?} is of cluster {cluster}, this host holds {local}; hand in surveys of this cluster alone"
            ),
            Self::RecoveredElsewhere { name } => write!(
                f,
                "{name:?} is the only voter of this cluster already; join this host to it with empty data"
            ),
            Self::NotFenced { open, proven, needed } => {
                let proven = if proven.is_empty() { "none".to_owned() } else { proven.join(", ") };
                write!(
                    f,
                    "{needed} other members must be proven stopped for good, proven are: {proven}"
                )?;
                if !open.is_empty() {
                    write!(f, "; may run or start: {}", open.join(", "))?;
                }
                f.write_str("; run state fenced on their hosts and hand in the surveys, or power them off and name them in others_stopped: on their old data they hold the old quorum")
            }
            Self::OlderSurvivor { name, has, best, holds } => write!(
                f,
                "{name:?} holds the log up to entry {} of term {}, {best:?} up to entry {} of term {}: acknowledged writes would be lost; recover on {best:?}, or set accept_older",
                has.1, has.0, holds.1, holds.0
            ),
            Self::Running { name } => write!(
                f,
                "etcd runs on the data of {name:?}, and neither its manifest nor its unit is known; stop it, or name its unit"
            ),
            Self::NoRoom { to, free, needed } => write!(
                f,
                "{to} has {} MiB free, {} MiB are needed for the copy; give another backup_dir",
                free >> 20,
                needed.div_ceil(1 << 20)
            ),
        }
    }
}

impl From<Unsafe> for Refusal {
    fn from(reason: Unsafe) -> Self {
        let text = reason.to_string();
        // the task that fences them has only said that it would
        let unmet = matches!(reason, Unsafe::NotFenced { .. } | Unsafe::Running { .. });
        let make = if unmet { Self::unmet } else { Self::finally };
        make(reason.code(), text)
    }
}
