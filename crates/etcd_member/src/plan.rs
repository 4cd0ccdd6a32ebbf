//! What is to be done, or why nothing may be.

use crate::{
    args::{State, Wanted},
    state::{Observed, Step, Which, successors},
};
use ansible_module::{Limit, Refusal};
use etcd_cluster::{
    Evidence, Facts, Member, MemberId, Mismatch, Operation, Order, Reading, Unsafe,
    gate::decide,
    reading::{Alarm, AlarmKind},
};
use std::{fmt, time::Duration};

/// Decides.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let target = wanted.find(&observed.reading.members).map_err(|no| mismatch(&no))?;
    match (wanted.state, target) {
        (State::Voter, target) => Ok(to_voter(wanted, &observed.reading, target)),
        (State::Absent, Some(target)) => removal(wanted, observed, target),
        (State::Absent, None) => leftovers(wanted, observed),
        (State::Follower, Some(target)) => follower(&observed.reading, target),
        // who is not listed does not lead
        (State::Follower, None) => Ok(vec![]),
    }
}

fn mismatch(no: &Mismatch) -> Refusal {
    Refusal::finally(no.code(), no.to_string())
}

/// Only etcd is asked here: the Node of a member that joins comes up later, and is awaited by others.
fn to_voter(wanted: &Wanted, reading: &Reading, target: Option<&Member>) -> Vec<Step> {
    let proven = |member: &Member| Evidence::weigh(reading, None).is_proven(member.id);
    let healthy = Step::AwaitHealthy(wanted.target.clone());
    match target {
        Some(member) if member.is_joining() => {
            vec![Step::AwaitVoter(wanted.target.clone()), healthy]
        }
        None => vec![Step::AwaitVoter(wanted.target.clone()), healthy],
        Some(member) if !proven(member) => vec![healthy],
        Some(_) => vec![],
    }
}

fn follower(reading: &Reading, target: &Member) -> Result<Vec<Step>, Refusal> {
    if reading.leader().is_none_or(|(leader, _)| leader != target.id) {
        return Ok(vec![]);
    }
    if successors(reading, target.id).is_empty() {
        let label = target.label();
        return Err(Refusal::passing(
            "no_successor",
            format!(
                "cannot move leadership away from {label}: no other voter answers a linearizable read, one is needed to lead; repair one first"
            ),
        ));
    }
    Ok(vec![Step::HandOver(target.into())])
}

fn evidence(wanted: &Wanted, reading: &Reading) -> Evidence {
    Evidence::weigh(reading, wanted.kubernetes.as_ref())
}

/// Why a member is not removed, beside what the gate says.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Why {
    /// It does not answer and may be running.
    TargetUnreachable { label: String, fault: String },
    /// It answers and was said to be stopped.
    TargetRuns { label: String, url: String },
    /// With a CORRUPT alarm about, the data of those that stay must be shown to be equal.
    HashesUnknown { label: String },
    /// It is not.
    HashesDiffer { label: String },
}

impl Why {
    fn code(&self) -> &'static str {
        match self {
            Self::TargetUnreachable { .. } => "target_unreachable",
            Self::TargetRuns { .. } => "target_runs",
            Self::HashesUnknown { .. } => "hashes_unknown",
            Self::HashesDiffer { .. } => "hashes_differ",
        }
    }

    fn refusal(&self) -> Refusal {
        match self {
            // the task that stops it has only said that it would
            Self::TargetRuns { .. } => Refusal::unmet(self.code(), self.to_string()),
            _ => Refusal::finally(self.code(), self.to_string()),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TargetUnreachable { label, fault } => write!(
                f,
                "cannot remove {label}: it does not answer ({fault}), and may be running behind a cut network, from where it would come back; prove that its host is powered off and set target_stopped"
            ),
            Self::TargetRuns { label, url } => write!(
                f,
                "cannot remove {label} as stopped: it answers at {url}; stop it first, or leave target_stopped out"
            ),
            Self::HashesUnknown { label } => write!(
                f,
                "a CORRUPT alarm stands, and HashKV of the members other than {label} could not be compared; at least two of them must answer, so that the data that stays is known to be good"
            ),
            Self::HashesDiffer { label } => write!(
                f,
                "a CORRUPT alarm stands, and the members other than {label} differ in HashKV at one revision; find out which of them holds the good data first"
            ),
        }
    }
}

fn removal(wanted: &Wanted, observed: &Observed, target: &Member) -> Result<Vec<Step>, Refusal> {
    let reading = &observed.reading;
    liveness(wanted, reading, target).map_err(|why| why.refusal())?;
    gate(wanted, reading, target)?;
    compare_hashes(reading, target).map_err(|why| why.refusal())?;
    let stays = |member: &&Member| member.id != target.id && member.is_voter();
    let proven = evidence(wanted, reading);
    let unsettled = |member: &Member| {
        // who is not proven does not count as alive, so there is nothing to be confirmed
        proven.is_proven(member.id) && !observed.is_settled(member.id)
    };
    let mut steps = vec![];
    // a learner takes no vote with it
    if target.is_voter() && reading.members.iter().filter(stays).any(unsettled) {
        steps.push(Step::AwaitProven);
    }
    if reading.leader().is_some_and(|(leader, _)| leader == target.id) {
        steps.push(Step::MoveLeader(target.into()));
    }
    steps.push(Step::Remove(target.into()));
    steps.extend(await_gone(observed, target));
    let left = |alarm: &&Alarm| alarm.member == target.id || is_stale(reading, alarm);
    steps.extend(reading.alarms.iter().flatten().filter(left).copied().map(Step::Disarm));
    Ok(steps)
}

fn is_stale(reading: &Reading, alarm: &Alarm) -> bool {
    reading.stale_alarms().contains(alarm)
}

fn liveness(wanted: &Wanted, reading: &Reading, target: &Member) -> Result<(), Why> {
    let (label, answer) = (target.label(), reading.answers.get(&target.id));
    match (wanted.target_stopped, reading.answers_at(target.id)) {
        (true, true) => {
            let url = answer.map(|answer| answer.url.clone()).unwrap_or_default();
            Err(Why::TargetRuns { label, url })
        }
        // who has never started has nothing that could come back
        (false, false) if !target.is_nameless() => {
            let fault = answer.and_then(|answer| answer.fault.as_ref()).map(ToString::to_string);
            let fault = fault.unwrap_or_else(|| "it was not asked".to_owned());
            Err(Why::TargetUnreachable { label, fault })
        }
        _ => Ok(()),
    }
}

fn gate(wanted: &Wanted, reading: &Reading, target: &Member) -> Result<Option<Order>, Refusal> {
    let operation = Operation::Remove {
        target: target.id,
        runs: !wanted.target_stopped,
        then_rejoin: wanted.then_rejoin,
    };
    let facts = Facts::new(reading, &evidence(wanted, reading));
    let verdict = decide(&facts, operation, wanted.permit);
    verdict.map(|verdict| verdict.order).map_err(|no| {
        // what stands even when elections and the like are over will not go away by waiting
        let may_pass = matches!(no, Unsafe::StaleList)
            || decide(&facts.settled(), operation, wanted.permit).is_ok();
        let make = if may_pass { Refusal::passing } else { Refusal::finally };
        make(no.code(), no.to_string())
    })
}

/// CORRUPT on the target: what stays must be shown to be of one mind before its odd one is thrown away.
fn compare_hashes(reading: &Reading, target: &Member) -> Result<(), Why> {
    let corrupt = |alarm: &Alarm| alarm.member == target.id && alarm.kind == AlarmKind::Corrupt;
    if !reading.alarms.iter().flatten().any(corrupt) {
        return Ok(());
    }
    agreed(reading, Some(target.id), &target.label())
}

fn agreed(reading: &Reading, except: Option<MemberId>, label: &str) -> Result<(), Why> {
    let label = label.to_owned();
    match reading.hashes_agree(except) {
        Some(true) => Ok(()),
        Some(false) => Err(Why::HashesDiffer { label }),
        None => Err(Why::HashesUnknown { label }),
    }
}

/// Who answers and is somebody else has to see it go.
fn await_gone(observed: &Observed, target: &Member) -> Option<Step> {
    let others = observed.reading.answers.iter().filter(|(id, _)| **id != target.id);
    let mut lists = others.filter_map(|(_, answer)| answer.list.as_ref());
    let listed = lists.any(|list| list.iter().any(|member| member.id == target.id));
    listed.then(|| Step::AwaitGone(target.into()))
}

/// It is not listed: what an interrupted run may have left is finished.
fn leftovers(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let reading = &observed.reading;
    if !reading.linearizable {
        return Err(Refusal::passing(Unsafe::StaleList.code(), Unsafe::StaleList.to_string()));
    }
    let mut steps: Vec<Step> = vec![];
    for list in observed.lists_of_peers() {
        if let Some(member) = wanted.find(list).map_err(|no| mismatch(&no))? {
            steps.push(Step::AwaitGone(Which::from(member)));
            break;
        }
    }
    let stale = reading.stale_alarms();
    if stale.iter().any(|alarm| alarm.kind == AlarmKind::Corrupt) {
        agreed(reading, None, &wanted.target.to_string()).map_err(|why| why.refusal())?;
    }
    steps.extend(stale.into_iter().map(Step::Disarm));
    Ok(steps)
}

/// How long a step may take.
pub fn limit(wanted: &Wanted, step: &Step) -> Limit {
    Limit::fail(match step {
        Step::AwaitVoter(_) | Step::AwaitHealthy(_) => wanted.timeout,
        Step::AwaitProven => Duration::from_mins(1),
        Step::MoveLeader(_)
        | Step::HandOver(_)
        | Step::Remove(_)
        | Step::AwaitGone(_)
        | Step::Disarm(_) => Duration::from_secs(30),
    })
}

/// What a user should know although it is no reason to stop.
pub fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
    let Ok(Some(target)) = wanted.find(&observed.reading.members) else { return vec![] };
    if wanted.state != State::Absent {
        return vec![];
    }
    let order = gate(wanted, &observed.reading, target).ok().flatten();
    let running = order.is_some().then(|| {
        format!(
            "{} still ran when it was removed: stop it and its service right after, or it may join again by itself",
            target.label()
        )
    });
    let voters = observed.reading.members.iter().filter(|member| member.is_voter()).count();
    let single = (target.is_voter() && voters == 2)
        .then(|| "one voter is left: its loss is the loss of the cluster".to_owned());
    running.into_iter().chain(single).collect()
}
