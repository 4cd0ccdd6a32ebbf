//! What is to be done, or why nothing may be.

use crate::{
    args::{Goal, Wanted},
    state::{Observed, Step, project},
};
use ansible_module::{Limit, Refusal};
use etcd_cluster::{
    Evidence, Facts, Member, MemberId, Mismatch, Operation, Reading, Unsafe, Verdict, Which,
    gate::decide,
    reading::{Alarm, AlarmKind},
};
use std::{fmt, time::Duration};

mod leadership;

/// Decides.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let reading = &observed.reading;
    if let Goal::Leads(word) = &wanted.goal {
        return leadership::lead(wanted, reading, word);
    }
    let target = wanted.find(&reading.members).map_err(|no| mismatch(&no))?;
    match (&wanted.goal, target) {
        (Goal::Voter { force: true }, target) => promotion(wanted, observed, target),
        (Goal::Voter { force: false }, target) => Ok(to_voter(wanted, reading, target)),
        (Goal::Absent, Some(target)) => removal(wanted, observed, target),
        (Goal::Absent, None) => leftovers(wanted, observed),
        (Goal::Follower, Some(target)) => leadership::follow(wanted, reading, target),
        // who is not listed does not lead
        (Goal::Follower | Goal::Leads(_), None) | (Goal::Leads(_), _) => Ok(vec![]),
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

/// By us, where nobody else does it: as soon as the learner is in sync. The gate is asked about its vote before anything is waited for.
fn promotion(
    wanted: &Wanted,
    observed: &Observed,
    target: Option<&Member>,
) -> Result<Vec<Step>, Refusal> {
    if target.is_some_and(Member::is_voter) {
        return Ok(to_voter(wanted, &observed.reading, target));
    }
    let of = || wanted.target.clone();
    let wait = Step::AwaitSync(of());
    // the Node of a member that joins comes up later
    let facts = |reading: &Reading| Facts::new(reading, &Evidence::weigh(reading, None));
    let now = facts(&observed.reading);
    let in_sync = target.is_some_and(|learner| {
        now.members.iter().any(|fact| fact.id == learner.id && fact.named && fact.proven)
    });
    let then = if in_sync { observed.clone() } else { project(observed, &wait) };
    let learner = wanted.find(&then.reading.members).map_err(|no| mismatch(&no))?;
    if let Some(learner) = learner {
        ask(&facts(&then.reading), Operation::Promote(learner.id), wanted)?;
    }
    let waits = if in_sync { vec![] } else { vec![wait] };
    Ok([waits, vec![Step::Promote(of()), Step::AwaitHealthy(of())]].concat())
}

/// Asks the gate. What stands even when elections and the like are over will not go away by waiting.
fn ask(facts: &Facts, operation: Operation, wanted: &Wanted) -> Result<Verdict, Refusal> {
    decide(facts, operation, wanted.permit).map_err(|no| {
        let may_pass = matches!(no, Unsafe::StaleList)
            || decide(&facts.settled(), operation, wanted.permit).is_ok();
        let make = if may_pass { Refusal::passing } else { Refusal::finally };
        make(no.code(), no.to_string())
    })
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

fn gate(wanted: &Wanted, reading: &Reading, target: &Member) -> Result<Verdict, Refusal> {
    let operation = Operation::Remove {
        target: target.id,
        runs: !wanted.target_stopped,
        then_rejoin: wanted.then_rejoin,
    };
    ask(&Facts::new(reading, &evidence(wanted, reading)), operation, wanted)
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
        Step::AwaitVoter(_) | Step::AwaitSync(_) | Step::AwaitHealthy(_) => wanted.timeout,
        Step::AwaitProven => Duration::from_mins(1),
        Step::MoveLeader(_)
        | Step::HandOver(_)
        | Step::Lead(_)
        | Step::Promote(_)
        | Step::Remove(_)
        | Step::AwaitGone(_)
        | Step::Disarm(_) => Duration::from_secs(30),
    })
}

/// What a user should know although it is no reason to stop.
pub fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
    let Ok(Some(target)) = wanted.find(&observed.reading.members) else { return vec![] };
    let reading = &observed.reading;
    match wanted.goal {
        Goal::Absent => of_removal(wanted, reading, target),
        Goal::Follower => leadership::exception(wanted, reading, target).into_iter().collect(),
        Goal::Voter { .. } | Goal::Leads(_) => vec![],
    }
}

fn of_removal(wanted: &Wanted, reading: &Reading, target: &Member) -> Vec<String> {
    let verdict = gate(wanted, reading, target).ok();
    let order = verdict.as_ref().and_then(|verdict| verdict.order);
    let running = order.is_some().then(|| {
        format!(
            "{} still ran when it was removed: stop it and its service right after, or it may join again by itself",
            target.label()
        )
    });
    let voters = reading.members.iter().filter(|member| member.is_voter()).count();
    let single = (target.is_voter() && voters == 2)
        .then(|| "one voter is left: its loss is the loss of the cluster".to_owned());
    running.into_iter().chain(single).collect()
}
