//! What is observed, what a step does to it, and what is shown of it.

use ansible_module::{Kind, Returns};
use etcd_cluster::{
    Member, MemberId, Reading, Role, Target, Which,
    evidence::{ProvenFor, SETTLE, all_settled, is_settled},
    gate::quorum,
    reading::{Alarm, Answer},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One reading, and for how long each proven member has been proven.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The cluster.
    pub reading: Reading,
    /// Milliseconds since the first sample of an unbroken row in which the member was proven.
    #[serde(default)]
    pub proven_for_ms: ProvenFor,
}

impl Observed {
    /// Tells whether the evidence of a member has held long enough.
    pub fn is_settled(&self, id: MemberId) -> bool {
        is_settled(&self.proven_for_ms, id)
    }

    /// Tells which members still list somebody that the cluster lists no more.
    pub fn lists_of_peers(&self) -> impl Iterator<Item = &[Member]> {
        self.reading.answers.values().filter_map(|answer| answer.list.as_deref())
    }
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Two samples of the evidence, some seconds apart.
    AwaitProven,
    /// Any proven voter that stays takes over, so that a removal costs no election.
    MoveLeader(Which),
    /// The same, where it is what was asked for.
    HandOver(Which),
    /// This member takes over.
    Lead(Which),
    /// The learner has a name and the leader's log.
    AwaitSync(Target),
    /// The learner gets its vote.
    Promote(Target),
    /// The member leaves the list.
    Remove(Which),
    /// Every member that answers has seen it leave.
    AwaitGone(Which),
    /// An alarm of somebody who is listed no more is taken back.
    Disarm(Alarm),
    /// The member has joined: it has a name and a vote.
    AwaitVoter(Target),
    /// The member shows all evidence.
    AwaitHealthy(Target),
}

impl Step {
    /// What kind of thing it does.
    pub fn kind(&self) -> Kind {
        match self {
            Self::HandOver(_)
            | Self::Lead(_)
            | Self::Promote(_)
            | Self::Remove(_)
            | Self::Disarm(_) => Kind::Change,
            Self::MoveLeader(_) => Kind::Upkeep,
            Self::AwaitProven
            | Self::AwaitSync(_)
            | Self::AwaitGone(_)
            | Self::AwaitVoter(_)
            | Self::AwaitHealthy(_) => Kind::Wait,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AwaitProven => {
                write!(
                    f,
                    "wait until the members that stay have been healthy for {} s",
                    SETTLE.as_secs()
                )
            }
            Self::MoveLeader(which) | Self::HandOver(which) => {
                write!(f, "move leadership away from {}", which.label)
            }
            Self::Lead(which) => write!(f, "move leadership to {}", which.label),
            Self::AwaitSync(target) => write!(f, "wait until {target} has caught up as a learner"),
            Self::Promote(target) => write!(f, "promote {target}"),
            Self::Remove(which) => write!(f, "remove member {}", which.label),
            Self::AwaitGone(which) => {
                write!(f, "wait until no member lists {} any more", which.label)
            }
            Self::Disarm(alarm) => {
                write!(f, "disarm alarm {} of {}, which is not listed", alarm.kind, alarm.member)
            }
            Self::AwaitVoter(target) => write!(f, "wait until {target} has joined as a voter"),
            Self::AwaitHealthy(target) => write!(f, "wait until {target} is healthy"),
        }
    }
}

/// The state expected after a step.
pub fn project(observed: &Observed, step: &Step) -> Observed {
    let mut next = observed.clone();
    match step {
        Step::AwaitProven => next.proven_for_ms = all_settled(&next.reading.members),
        Step::MoveLeader(which) | Step::HandOver(which) => {
            if let Some(heir) = next.reading.successors(which.id).first() {
                next.reading.follow(*heir);
            }
        }
        Step::Lead(which) => next.reading.follow(which.id),
        Step::AwaitSync(target) => catch_up(&mut next.reading, target),
        Step::Promote(target) => promote(&mut next.reading, target),
        Step::Remove(which) => {
            next.reading.members.retain(|member| member.id != which.id);
            next.reading.answers.remove(&which.id);
        }
        Step::AwaitGone(which) => {
            for answer in next.reading.answers.values_mut() {
                if let Some(list) = &mut answer.list {
                    list.retain(|member| member.id != which.id);
                }
            }
        }
        Step::Disarm(alarm) => {
            if let Some(alarms) = &mut next.reading.alarms {
                alarms.retain(|other| other != alarm);
            }
        }
        Step::AwaitVoter(target) => join(&mut next.reading, target),
        Step::AwaitHealthy(target) => heal(&mut next.reading, target),
    }
    next
}

/// Makes the member that is waited for a voter with a name, as the join will have left it.
fn join(reading: &mut Reading, target: &Target) {
    let found = target.find(&reading.members).ok().flatten().map(|member| member.id);
    // etcd gives the id when the member is added; until then nobody knows it
    let id = found.unwrap_or_default();
    if found.is_none() {
        let peer_urls = target.peer.iter().cloned().collect();
        reading.members.push(Member { peer_urls, ..Member::default() });
    }
    if let Some(member) = reading.members.iter_mut().find(|member| member.id == id) {
        member.role = Role::Voter;
        if member.is_nameless() {
            member.name = target.name.clone().unwrap_or_else(|| "unnamed".to_owned());
        }
    }
    // the order of a reading, in which a nameless one comes first
    reading.members.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
}

/// Makes the member that is waited for a learner with a name and all of the leader's log, whom everybody lists.
fn catch_up(reading: &mut Reading, target: &Target) {
    join(reading, target);
    heal(reading, target);
    set_role(reading, target, Role::Learner);
    let Some(id) = target.find(&reading.members).ok().flatten().map(|member| member.id) else {
        return;
    };
    if let Some(answer) = reading.answers.get_mut(&id) {
        (answer.linearizable, answer.list) = (false, None);
    }
}

/// Gives the learner its vote; everybody lists it so.
fn promote(reading: &mut Reading, target: &Target) {
    set_role(reading, target, Role::Voter);
}

fn set_role(reading: &mut Reading, target: &Target, role: Role) {
    let Some(id) = target.find(&reading.members).ok().flatten().map(|member| member.id) else {
        return;
    };
    let lists = reading.answers.values_mut().filter_map(|answer| answer.list.as_mut());
    for list in lists.chain([&mut reading.members]) {
        list.iter_mut().filter(|member| member.id == id).for_each(|member| member.role = role);
    }
    let status = reading.answers.get_mut(&id).and_then(|answer| answer.status.as_mut());
    if let Some(status) = status {
        status.learner = role == Role::Learner;
    }
}

/// Gives the member all evidence: it answers as one of the others does, and all agree on the list.
fn heal(reading: &mut Reading, target: &Target) {
    let Some(id) = target.find(&reading.members).ok().flatten().map(|member| member.id) else {
        return;
    };
    let model = reading.answers.values().find(|answer| answer.linearizable).cloned();
    let mut answer = Answer { linearizable: true, ..model.unwrap_or_default() };
    answer.list.get_or_insert_default();
    // the id that nobody knows yet cannot lead
    let known = reading.members.iter().map(|member| member.id).find(|id| *id != MemberId(0));
    let (leader, term) = reading.leader().unwrap_or((known.unwrap_or(id), 1));
    let status = answer.status.get_or_insert_default();
    (status.member_id, status.learner, status.cluster_id) = (id, false, reading.cluster_id);
    (status.leader, status.term) = (leader, term);
    reading.answers.insert(id, answer);
    for answer in reading.answers.values_mut().filter(|answer| answer.list.is_some()) {
        answer.list = Some(reading.members.clone());
    }
    reading.alarms.get_or_insert_default().retain(|alarm| alarm.member != id);
}

/// What is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct View {
    /// The members, by name.
    pub members: Vec<ViewMember>,
    /// How many voters must agree.
    pub quorum: usize,
    /// Alarms, each with the member it is about.
    pub alarms: Vec<ViewAlarm>,
}

/// One listed member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
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
}

/// One alarm.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct ViewAlarm {
    /// Id of the member, hexadecimal.
    pub member_id: String,
    /// V(NOSPACE) or V(CORRUPT).
    pub alarm: String,
}

/// What of an observation is shown.
pub fn view(observed: &Observed) -> View {
    let member = |member: &Member| ViewMember {
        id: member.id.to_string(),
        id_dec: member.id.decimal(),
        name: member.name.clone(),
        role: member.role.to_string(),
        peer_urls: member.peer_urls.clone(),
    };
    let alarm = |alarm: &Alarm| ViewAlarm {
        member_id: alarm.member.to_string(),
        alarm: alarm.kind.to_string(),
    };
    let members = &observed.reading.members;
    View {
        members: members.iter().map(member).collect(),
        quorum: quorum(members.iter().filter(|member| member.is_voter()).count()),
        alarms: observed.reading.alarms.iter().flatten().map(alarm).collect(),
    }
}
