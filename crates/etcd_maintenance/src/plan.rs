//! What is to be done, or why nothing may be.

use crate::{
    args::{Compact, Wanted},
    refuse::Why,
    state::{Observed, Step, successors, without_no_space},
};
use ansible_module::{Limit, Refusal};
use etcd_cluster::{
    Doubt, Evidence, Facts, Member, MemberId, Operation, Reading, Unsafe,
    fault::Kind,
    gate::{Permit, decide, quorum},
    reading::{Alarm, AlarmKind, Status},
    version,
};
use std::{collections::BTreeSet, time::Duration};

/// What may be used of a quota when NOSPACE is disarmed: less room would be full again at once.
const ROOM: (i64, i64) = (9, 10);
/// From here on a file is large for its quota, whatever its size.
const LARGE: (i64, i64) = (6, 10);

fn part(quota: i64, (of, parts): (i64, i64)) -> i64 {
    quota / parts * of
}

/// Decides.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let mut steps = compaction(wanted, observed)?;
    let targets = if wanted.defragment { targets(wanted, observed) } else { vec![] };
    let disarm = alarms(wanted, observed, &targets)?;
    if !targets.is_empty() || !disarm.is_empty() {
        healthy(wanted, observed, &targets)?;
    }
    let leader = observed.reading.leader().map(|(leader, _)| leader);
    let mut settled = observed.is_settled();
    for member in &targets {
        if !settled {
            steps.push(Step::AwaitHealthy);
        }
        if Some(member.id) == leader && voters(&observed.reading) > 1 {
            if successors(observed, member.id).is_empty() {
                return Err(Why::NoSuccessor { member: member.label() }.into());
            }
            steps.push(Step::MoveLeader((*member).into()));
        }
        steps.push(Step::Defragment((*member).into()));
        settled = false;
    }
    // also after the last: what was done is seen to be well
    if !(settled || targets.is_empty() && observed.done.is_empty()) {
        steps.push(Step::AwaitHealthy);
    }
    steps.extend(disarm.into_iter().map(Step::Disarm));
    Ok(steps)
}

fn compaction(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    if wanted.compact.is_none() {
        return Ok(vec![]);
    }
    if let (Some(why), Some(Compact::Age(_))) = (&observed.age_unknown, &wanted.compact) {
        return Err(Why::AgeUnknown { why: why.clone() }.into());
    }
    let Some(compaction) = &observed.compaction else { return Ok(vec![]) };
    let (revision, newest) = (compaction.revision, compaction.newest);
    if !compaction.compacted {
        if revision > newest {
            return Err(Why::Future { revision, newest }.into());
        }
        writable(&observed.reading)?;
        return Ok(vec![Step::Compact(revision), Step::AwaitFreed]);
    }
    Ok(if compaction.is_under_way() { vec![Step::AwaitFreed] } else { vec![] })
}

/// A compaction is a write that NOSPACE allows and CORRUPT does not.
fn writable(reading: &Reading) -> Result<(), Refusal> {
    if !reading.linearizable {
        return Err(Refusal::passing(Unsafe::StaleList.code(), Unsafe::StaleList.to_string()));
    }
    let corrupt = |alarm: &&Alarm| alarm.kind == AlarmKind::Corrupt;
    let Some(alarm) = reading.alarms.iter().flatten().find(corrupt) else { return Ok(()) };
    let label =
        reading.member(alarm.member).map_or_else(|| alarm.member.to_string(), Member::label);
    let why = Unsafe::Corrupt { member: label };
    Err(Refusal::finally(why.code(), why.to_string()))
}

/// The members that are worth their stall: the smallest follower first, the leader last. Who does not answer is the worst case.
fn targets<'a>(wanted: &Wanted, observed: &'a Observed) -> Vec<&'a Member> {
    let reading = &observed.reading;
    let leader = reading.leader().map(|(leader, _)| leader);
    let worth = |member: &&Member| {
        let status = reading.status(member.id);
        let fragmented = status.is_none_or(|status| is_fragmented(wanted, observed, status));
        let open =
            !observed.done.contains_key(&member.id) && !observed.left_alone.contains(&member.id);
        member.is_voter() && open && fragmented
    };
    let mut all: Vec<&Member> = reading.members.iter().filter(worth).collect();
    let size = |id: MemberId| reading.status(id).map(|status| status.db_size);
    all.sort_by_key(|member| (Some(member.id) == leader, size(member.id), member.name.clone()));
    all
}

/// The members that answer and are not worth their stall.
pub fn not_worth(wanted: &Wanted, observed: &Observed) -> BTreeSet<MemberId> {
    let worth: Vec<MemberId> = targets(wanted, observed).iter().map(|member| member.id).collect();
    let ids = observed.reading.members.iter().map(|member| member.id);
    ids.filter(|id| !worth.contains(id)).collect()
}

fn quota(wanted: &Wanted, status: &Status) -> i64 {
    if status.quota > 0 { status.quota } else { wanted.quota }
}

#[expect(clippy::cast_precision_loss, reason = "sizes of files, compared with a rough part")]
fn is_fragmented(wanted: &Wanted, observed: &Observed, status: &Status) -> bool {
    let (size, quota) = (status.db_size, quota(wanted, status));
    if size < wanted.min_size && size <= part(quota, LARGE) {
        return false;
    }
    let Some(in_use) = observed.in_use(status) else { return true };
    let enough = (size - in_use) as f64 >= size as f64 * wanted.when_fragmented;
    enough || (has_no_space(observed) && size > part(quota, ROOM) && in_use <= part(quota, ROOM))
}

fn has_no_space(observed: &Observed) -> bool {
    observed.reading.alarms.iter().flatten().any(|alarm| alarm.kind == AlarmKind::NoSpace)
}

/// The alarms whose cause is gone, or will be once the targets are defragmented.
fn alarms(
    wanted: &Wanted,
    observed: &Observed,
    targets: &[&Member],
) -> Result<Vec<Alarm>, Refusal> {
    let reading = &observed.reading;
    if !wanted.disarm {
        return Ok(vec![]);
    }
    let all = reading.alarms.as_ref().ok_or(Why::AlarmsUnknown)?;
    let stale = reading.stale_alarms();
    if stale.iter().any(|alarm| alarm.kind == AlarmKind::Corrupt) {
        reading
            .hashes_agree(None)
            .ok_or(Why::HashesUnknown)?
            .then_some(())
            .ok_or(Why::HashesDiffer)?;
    }
    let mut gone = stale;
    let listed = |alarm: &&Alarm| alarm.kind == AlarmKind::NoSpace && !gone.contains(alarm);
    let no_space: Vec<Alarm> = all.iter().filter(listed).copied().collect();
    if !no_space.is_empty() {
        let full = full(wanted, observed, targets);
        if !full.is_empty() {
            return Err(Why::NothingToWin { members: full }.into());
        }
        gone.extend(no_space);
    }
    Ok(gone)
}

/// Members that would be near their quota even after all that is planned. Who does not answer is found by the evidence.
fn full(wanted: &Wanted, observed: &Observed, targets: &[&Member]) -> Vec<String> {
    let near = |member: &Member| {
        let status = observed.reading.status(member.id)?;
        let defragmented = targets.iter().any(|target| target.id == member.id);
        let size = if defragmented { observed.in_use(status)? } else { status.db_size };
        let quota = quota(wanted, status);
        let mib = |bytes: i64| bytes >> 20;
        (size > part(quota, ROOM))
            .then(|| format!("{} holds {} of {} MiB", member.label(), mib(size), mib(quota)))
    };
    observed.reading.members.iter().filter_map(near).collect()
}

/// The gate over every member that is to be away for a while, and all that must hold beside it.
fn healthy(wanted: &Wanted, observed: &Observed, targets: &[&Member]) -> Result<(), Refusal> {
    let reading = without_no_space(&observed.reading);
    let evidence = Evidence::weigh(&reading, None);
    let facts = Facts::new(&reading, &evidence);
    let busy = |id: MemberId| is_busy(observed, evidence.doubts(id));
    // one that a killed run left defragmenting is waited for; the gate is asked again, without this, before anything is sent
    let mut hoped = facts.clone();
    for fact in &mut hoped.members {
        fact.proven |= busy(fact.id);
    }
    for member in targets {
        gate(wanted, &hoped, member).map_err(|no| {
            let passes =
                matches!(no, Unsafe::StaleList) || gate(wanted, &hoped.settled(), member).is_ok();
            let refuse = if passes { Refusal::passing } else { Refusal::finally };
            refuse_gate(&no, &reading, member, refuse)
        })?;
    }
    let open = facts.members.iter().filter(|fact| !fact.proven && !busy(fact.id));
    let (mut members, mut passing) = (vec![], true);
    for fact in open {
        members.push(format!("{}: {}", fact.label, fact.missing.join(", ")));
        passing &= fact.may_pass;
    }
    if !members.is_empty() {
        return Err(Why::Unhealthy { members, passing }.into());
    }
    if !targets.is_empty() && !wanted.affected_version {
        affected(&reading)?;
    }
    targets.iter().try_for_each(|member| disk(wanted, observed, member))
}

/// On one or two voters there is no way without downtime: it counts as a restart there, which the user can permit.
fn gate(wanted: &Wanted, facts: &Facts, member: &Member) -> Result<(), Unsafe> {
    let operation = if wanted.downtime {
        Operation::Restart(member.id)
    } else {
        Operation::Defragment(member.id)
    };
    let permit = Permit { single_member: false, downtime: wanted.downtime };
    decide(facts, operation, permit).map(|_| ())
}

fn refuse_gate(
    no: &Unsafe,
    reading: &Reading,
    member: &Member,
    refuse: fn(&'static str, String) -> Refusal,
) -> Refusal {
    let few = voters(reading) - 1 < quorum(voters(reading));
    match no {
        Unsafe::NoQuorum { .. } if few => Why::Downtime { member: member.label() }.into(),
        _ => refuse(no.code(), no.to_string()),
    }
}

fn voters(reading: &Reading) -> usize {
    reading.members.iter().filter(|member| member.is_voter()).count()
}

/// It took the connection and does not answer in time, as a member does that is being defragmented. Only before this run has begun one itself.
fn is_busy(observed: &Observed, doubts: &[Doubt]) -> bool {
    let late = |doubt: &Doubt| match doubt {
        Doubt::Silent(fault) | Doubt::NotLinearizable(Some(fault)) => fault.kind == Kind::Deadline,
        _ => false,
    };
    observed.done.is_empty() && !doubts.is_empty() && doubts.iter().all(late)
}

fn affected(reading: &Reading) -> Result<(), Refusal> {
    let bad = |text: &str| {
        version::parse(text).is_none_or(|v| v < (3, 5, 23) || ((3, 6, 0)..(3, 6, 5)).contains(&v))
    };
    let one = |member: &Member| {
        let version = &reading.status(member.id)?.version;
        bad(version).then(|| format!("{} has {version}", member.label()))
    };
    let members: Vec<String> = reading.members.iter().filter_map(one).collect();
    if members.is_empty() { Ok(()) } else { Err(Why::AffectedVersion { members }.into()) }
}

/// The copy takes what is in use; a tenth and 16 MiB more are for what is written meanwhile.
fn disk(wanted: &Wanted, observed: &Observed, member: &Member) -> Result<(), Refusal> {
    let Some(status) = observed.reading.status(member.id) else { return Ok(()) };
    let in_use = observed.in_use(status).unwrap_or(status.db_size);
    let in_use = u64::try_from(in_use).unwrap_or_default();
    let needed = in_use + in_use / 10 + (16 << 20);
    let measured = observed.free.get(&member.id);
    let free = measured.or_else(|| wanted.free_disk.get(&member.name)).copied();
    match free {
        Some(free) if free < needed => {
            Err(Why::DiskFull { member: member.label(), free, needed }.into())
        }
        None if !wanted.unknown_disk => {
            Err(Why::DiskUnknown { member: member.label(), needed }.into())
        }
        _ => Ok(()),
    }
}

/// How long one call may take: a slow disk copies a GiB in a minute.
pub fn patience(size: i64) -> Duration {
    let gib = u64::try_from(size).unwrap_or_default().div_ceil(1 << 30);
    Duration::from_secs(120.max(gib.saturating_mul(60)))
}

/// How long a step may take.
pub fn limit(_: &Wanted, observed: &Observed, step: &Step) -> Limit {
    let size = |id: MemberId| observed.reading.status(id).map_or(0, |status| status.db_size);
    let largest = observed.reading.members.iter().map(|member| size(member.id)).max();
    match step {
        // the rest of the plan was made for pages that nobody has counted
        Step::AwaitFreed => Limit::go_on(Duration::from_mins(1)),
        // one that a killed run left defragmenting comes back
        Step::AwaitHealthy => Limit::fail(patience(largest.unwrap_or_default())),
        // a call that ran into its deadline goes on in the server
        Step::Defragment(which) => Limit::fail(patience(size(which.id)) * 2),
        Step::Compact(_) => Limit::fail(Duration::from_mins(5)),
        Step::MoveLeader(_) | Step::Disarm(_) => Limit::fail(Duration::from_secs(30)),
    }
}

/// What a user should know although it is no reason to stop.
pub fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
    let unknown = |status: &Status| status.quota == 0;
    let guess = has_no_space(observed)
        && observed.reading.answers.values().filter_map(|a| a.status.as_ref()).any(unknown);
    let downtime = wanted.downtime && voters(&observed.reading) <= 2 && !observed.done.is_empty();
    let quota = guess.then(|| {
        format!(
            "a member does not tell its quota; {} MiB were taken for it (option quota)",
            wanted.quota >> 20
        )
    });
    let stopped = downtime.then(|| {
        "allow_downtime: nothing could be read or written while a member was defragmented"
            .to_owned()
    });
    quota.into_iter().chain(stopped).collect()
}
