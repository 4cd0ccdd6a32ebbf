//! The reasons against an operation, in types and in words: observed, needed, way out.

use super::{Fact, Facts, SubStep};
use crate::{
    member::{MemberId, Role},
    reading::AlarmKind,
};
use serde::Serialize;
use std::fmt;

/// Why an operation may not begin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsafe {
    /// No quorum confirmed the member list.
    StaleList,
    /// The member is not listed.
    UnknownMember {
        /// Its id.
        member: String,
    },
    /// Somebody else's join is not finished.
    JoinInFlight {
        /// The joining members.
        members: Vec<String>,
    },
    /// A member that stays has differing data, or nobody knows which has.
    Corrupt {
        /// Whose alarm it is.
        member: String,
    },
    /// The cluster takes no writes.
    NoSpace {
        /// Whose alarms they are.
        members: Vec<String>,
    },
    /// The only voter cannot go.
    LastVoter {
        /// It.
        member: String,
    },
    /// One voter would be left.
    SingleMember {
        /// The one to go.
        member: String,
    },
    /// Fewer voters would be alive than a quorum.
    NoQuorum {
        /// The sub-step after which that is so.
        step: String,
        /// Voters listed then.
        voters: usize,
        /// Of them proven and alive then.
        alive: usize,
        /// The quorum then.
        needed: usize,
        /// Who is not alive then, and why.
        missing: Vec<String>,
    },
    /// The servers themselves would refuse the addition.
    AddRefused {
        /// Voters seen alive then.
        connected: usize,
        /// What the servers ask for.
        needed: usize,
        /// Who is not alive then, and why.
        missing: Vec<String>,
    },
    /// Only a learner can be promoted.
    NotALearner {
        /// The member.
        member: String,
    },
    /// The learner is not proven.
    NotInSync {
        /// The learner.
        member: String,
        /// What is missing.
        missing: String,
    },
}

impl Unsafe {
    /// Names the reason for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::StaleList => "stale_list",
            Self::UnknownMember { .. } => "unknown_member",
            Self::JoinInFlight { .. } => "join_in_flight",
            Self::Corrupt { .. } => "corrupt",
            Self::NoSpace { .. } => "no_space",
            Self::LastVoter { .. } => "last_voter",
            Self::SingleMember { .. } => "single_member",
            Self::NoQuorum { .. } => "quorum",
            Self::AddRefused { .. } => "add_refused",
            Self::NotALearner { .. } => "not_a_learner",
            Self::NotInSync { .. } => "not_in_sync",
        }
    }
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StaleList => f.write_str("no quorum confirmed the member list, so what it says may be old; bring back enough members, or give endpoints that reach them"),
            Self::UnknownMember { member } => write!(f, "member {member} is not listed; read the member list again"),
            Self::JoinInFlight { members } => {
                write!(f, "another join is in flight: {}; one change of membership at a time: let it become a voter, or remove it first", members.join(", "))
            }
            Self::Corrupt { member } => write!(f, "CORRUPT alarm of {member}: its data differs from the others'; compare HashKV, and replace that member first"),
            Self::NoSpace { members } => {
                write!(f, "NOSPACE alarm of {}: the cluster takes no writes; compact, defragment and disarm first (etcd_maintenance)", members.join(", "))
            }
            Self::LastVoter { member } => write!(f, "cannot remove {member}: it is the only voter, and its data is the cluster; join another member first"),
            Self::SingleMember { member } => {
                write!(f, "cannot remove {member}: one voter of two would be left, and its loss would be the loss of the cluster; set allow_single_member if that is meant")
            }
            Self::NoQuorum { step, voters, alive, needed, missing } => {
                let be = if *needed == 1 { "is" } else { "are" };
                write!(f, "cannot {step}: {alive} of {voters} voters would be healthy, {needed} {be} needed")?;
                way_out(f, missing)
            }
            Self::AddRefused { connected, needed, missing } => {
                write!(f, "cannot add a member on this path: {connected} voters would be connected, etcd asks for {needed}")?;
                way_out(f, missing)
            }
            Self::NotALearner { member } => write!(f, "cannot promote {member}: it is not a learner; read the member list again"),
            Self::NotInSync { member, missing } => write!(f, "cannot promote {member}: {missing}; wait until it has caught up"),
        }
    }
}

impl std::error::Error for Unsafe {}

fn way_out(f: &mut fmt::Formatter<'_>, missing: &[String]) -> fmt::Result {
    if missing.is_empty() {
        return f.write_str("; add a voter first");
    }
    write!(f, "; not healthy then: {}; repair what else is broken first", missing.join(", "))
}

/// A member that is not alive, and why.
pub(super) fn missing(fact: &Fact) -> String {
    let why = if fact.proven && fact.named {
        "stopped by this operation".to_owned()
    } else {
        fact.missing.join(", ")
    };
    if why.is_empty() { fact.label.clone() } else { format!("{}: {why}", fact.label) }
}

/// Words a sub-step as an infinitive.
pub fn phrase(facts: &Facts, step: SubStep) -> String {
    let name =
        |id: MemberId| facts.get(id).map_or_else(|| id.to_string(), |fact| fact.label.clone());
    match step {
        SubStep::Stop(id) => format!("stop {}", name(id)),
        SubStep::Remove(id) => format!("remove {}", name(id)),
        SubStep::Add => "add a member".to_owned(),
        SubStep::Promote(None) => "promote the member that joins".to_owned(),
        SubStep::Promote(Some(id)) => format!("promote {}", name(id)),
        SubStep::Start(id) => format!("start {}", name(id)),
        SubStep::Restart(id) => format!("restart {}", name(id)),
        SubStep::Defragment(id) => format!("defragment {}", name(id)),
    }
}

/// What must hold whatever the path is.
pub(super) fn always(facts: &Facts, path: &[SubStep]) -> Result<(), Unsafe> {
    let subjects: Vec<MemberId> = path.iter().filter_map(|step| subject(*step)).collect();
    if let Some(unknown) = subjects.iter().find(|id| facts.get(**id).is_none()) {
        return Err(Unsafe::UnknownMember { member: unknown.to_string() });
    }
    if !facts.linearizable {
        return Err(Unsafe::StaleList);
    }
    let labels = |these: &dyn Fn(&&Fact) -> bool| {
        facts.members.iter().filter(these).map(|fact| fact.label.clone()).collect::<Vec<_>>()
    };
    // an addition has no member of its own yet: whoever joins is somebody else's
    let adds = path.first() == Some(&SubStep::Add);
    let joining = |fact: &&Fact| {
        (!fact.named || fact.role == Role::Learner) && (adds || !subjects.contains(&fact.id))
    };
    let members = labels(&joining);
    if !members.is_empty() {
        return Err(Unsafe::JoinInFlight { members });
    }
    corruption(facts, path)?;
    let members = labels(&|fact: &&Fact| fact.alarms.contains(&AlarmKind::NoSpace));
    // defragmenting is the way out of it
    let mends = path.iter().all(|step| matches!(step, SubStep::Defragment(_)));
    if members.is_empty() || mends { Ok(()) } else { Err(Unsafe::NoSpace { members }) }
}

fn corruption(facts: &Facts, path: &[SubStep]) -> Result<(), Unsafe> {
    if facts.corrupt_unknown {
        return Err(Unsafe::Corrupt { member: "a member that etcd cannot name".to_owned() });
    }
    let stays = |fact: &&Fact| !path.contains(&SubStep::Remove(fact.id));
    let corrupt =
        facts.members.iter().filter(stays).find(|fact| fact.alarms.contains(&AlarmKind::Corrupt));
    corrupt.map_or(Ok(()), |fact| Err(Unsafe::Corrupt { member: fact.label.clone() }))
}

fn subject(step: SubStep) -> Option<MemberId> {
    match step {
        SubStep::Stop(id)
        | SubStep::Remove(id)
        | SubStep::Start(id)
        | SubStep::Restart(id)
        | SubStep::Defragment(id) => Some(id),
        SubStep::Promote(id) => id,
        SubStep::Add => None,
    }
}
