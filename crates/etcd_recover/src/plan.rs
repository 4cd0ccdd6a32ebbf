//! What is to be done, or why nothing may be.

use crate::{
    args::{State, Wanted},
    refuse::Unsafe,
    state::{Observed, Step, Survey, rank},
};
use ansible_module::{Limit, Refusal};
use std::{collections::BTreeSet, time::Duration};

/// Decides.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    match wanted.state {
        State::Surveyed => Ok(vec![]),
        State::Fenced => fence(wanted, observed),
        State::Recovered => recover(wanted, observed),
    }
}

fn fence(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let local = &observed.local;
    confirmed(wanted, observed)?;
    if local.fenced {
        return Ok(vec![]);
    }
    if observed.serves {
        return Err(Unsafe::HasQuorum { name: local.name.clone() }.into());
    }
    let mut steps = stop(observed)?;
    if local.has_data && !observed.aside {
        steps.push(Step::SetAside);
    }
    Ok(steps)
}

/// The cluster can only be held against data that is there.
fn confirmed(wanted: &Wanted, observed: &Observed) -> Result<(), Refusal> {
    let local = &observed.local;
    let expected = format!("{} {}", local.cluster_id, local.name);
    let given = &wanted.confirm;
    let (cluster, name) = given.split_once(' ').unwrap_or_default();
    // a cluster can only be held against data; that of a snapshot took the place of the one that was confirmed
    let gone = !local.has_data && (wanted.state == State::Fenced || wanted.restore.is_some());
    let restored = local.is_alone() && observed.replaced.iter().any(|id| id == cluster);
    if *given == expected || (name == local.name && !cluster.is_empty() && (gone || restored)) {
        return Ok(());
    }
    Err(Unsafe::NotConfirmed { given: given.clone(), expected }.into())
}

fn stop(observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let mut steps = vec![];
    if observed.remainder {
        steps.push(Step::EndRemainder);
    }
    if !observed.manifests.is_empty() {
        steps.push(Step::Park(observed.manifests.clone()));
    }
    if observed.has_unit && !observed.unit_idle {
        steps.push(Step::StopUnit);
    }
    if observed.local.running && !observed.remainder {
        if !observed.by_kubelet && !observed.has_unit {
            return Err(Unsafe::Running { name: observed.local.name.clone() }.into());
        }
        steps.push(Step::AwaitStopped);
    }
    Ok(steps)
}

fn recover(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let local = &observed.local;
    if !local.has_data && wanted.restore.is_none() {
        return Err(Unsafe::NoData { name: local.name.clone() }.into());
    }
    confirmed(wanted, observed)?;
    if local.is_alone() {
        return Ok(finish(observed));
    }
    may_recover(wanted, observed)?;
    let mut steps = stop(observed)?;
    if observed.aside && wanted.restore.is_none() {
        steps.push(Step::TakeBack);
    }
    if !observed.backed_up {
        steps.push(Step::Backup(observed.backup.clone()));
    }
    if let Some(restore) = &wanted.restore {
        steps.push(Step::Restore(restore.snapshot.to_string_lossy().into_owned()));
    } else {
        if local.commit < local.last_index {
            steps.push(Step::KeepTail(local.last_index));
        }
        steps.push(Step::Force(format!("\"{}\" ({})", local.name, local.member_id)));
    }
    let parked: Vec<String> = observed.parked.iter().chain(&observed.manifests).cloned().collect();
    steps.extend(start(observed, parked));
    Ok(steps)
}

/// It is the only voter: what is left is to let it run.
fn finish(observed: &Observed) -> Vec<Step> {
    let mut steps = vec![];
    if observed.remainder {
        steps.push(Step::EndRemainder);
    }
    let mut rest = start(observed, observed.parked.clone());
    if observed.serves {
        rest.retain(|step| !matches!(step, Step::AwaitServing));
    }
    steps.extend(rest);
    steps
}

fn start(observed: &Observed, parked: Vec<String>) -> Vec<Step> {
    let mut steps = vec![];
    if !parked.is_empty() {
        steps.push(Step::Unpark(parked));
    }
    let alone = observed.local.is_alone();
    if observed.has_unit && (observed.unit_idle || !alone) {
        steps.push(Step::StartUnit);
    }
    if observed.by_kubelet || observed.has_unit {
        steps.push(Step::AwaitServing);
    }
    steps
}

fn may_recover(wanted: &Wanted, observed: &Observed) -> Result<(), Unsafe> {
    let local = &observed.local;
    let name = || local.name.clone();
    if let Some(why) = local.damage.as_ref().filter(|_| wanted.restore.is_none()) {
        return Err(Unsafe::Damaged { name: name(), why: why.clone() });
    }
    if observed.serves {
        return Err(Unsafe::HasQuorum { name: name() });
    }
    let with_data = observed.others.iter().filter(|survey| survey.has_data);
    let foreign = |survey: &&&Survey| local.has_data && survey.cluster_id != local.cluster_id;
    if let Some(other) = with_data.clone().find(|survey| foreign(&survey)) {
        let (theirs, cluster) = (other.name.clone(), other.cluster_id.clone());
        return Err(Unsafe::OtherCluster {
            name: theirs,
            cluster,
            local: local.cluster_id.clone(),
        });
    }
    if let Some(other) = with_data.clone().find(|survey| survey.is_alone()) {
        return Err(Unsafe::RecoveredElsewhere { name: other.name.clone() });
    }
    fenced(wanted, observed)?;
    let best = rank(local, &observed.others).into_iter().next();
    match best
        .filter(|best| (best.last_term, best.last_index) > (local.last_term, local.last_index))
    {
        Some(best) if best.damage.is_none() && !wanted.accept_older && wanted.restore.is_none() => {
            Err(Unsafe::OlderSurvivor {
                name: name(),
                has: (local.last_term, local.last_index),
                best: best.name,
                holds: (best.last_term, best.last_index),
            })
        }
        _ => room(observed),
    }
}

/// Everybody else is stopped for good: as many as the log has voters beside this one, and every one that was surveyed.
fn fenced(wanted: &Wanted, observed: &Observed) -> Result<(), Unsafe> {
    let local = &observed.local;
    let open = observed
        .others
        .iter()
        .filter(|survey| !survey.fenced && !wanted.stopped.contains(&survey.name))
        .map(|survey| survey.name.clone())
        .collect::<Vec<_>>();
    let surveyed = observed.others.iter().map(|survey| survey.name.clone());
    let mut proven: BTreeSet<String> = surveyed.chain(wanted.stopped.iter().cloned()).collect();
    proven.remove(&local.name);
    let voters = observed.others.iter().chain([local]).map(|survey| survey.voters.len());
    let needed = voters.max().unwrap_or_default().saturating_sub(1).max(1);
    if open.is_empty() && proven.len() >= needed {
        return Ok(());
    }
    let proven = proven.into_iter().filter(|name| !open.contains(name)).collect();
    Err(Unsafe::NotFenced { open, proven, needed })
}

fn room(observed: &Observed) -> Result<(), Unsafe> {
    let needed = observed.size + observed.size / 10;
    if observed.backed_up || observed.free >= needed {
        return Ok(());
    }
    Err(Unsafe::NoRoom { to: observed.backup.clone(), free: observed.free, needed })
}

/// How long a step may take.
pub fn limit(wanted: &Wanted, step: &Step) -> Limit {
    Limit::fail(match step {
        Step::AwaitStopped | Step::AwaitServing => Duration::from_mins(3),
        Step::Backup(_) | Step::Restore(_) | Step::Force(_) | Step::KeepTail(_) => wanted.timeout,
        _ => Duration::from_mins(2),
    })
}

/// What a user should know although it is no reason to stop.
pub fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
    if wanted.state != State::Recovered {
        return vec![];
    }
    let older = wanted
        .accept_older
        .then(|| "accept_older: entries that only another survivor holds are lost".to_owned());
    let restored = wanted
        .restore
        .is_some()
        .then(|| "restored from a snapshot: what was written after it is lost".to_owned());
    let survivor = wanted.restore.is_none() && observed.others.is_empty();
    let unsurveyed = survivor.then(|| {
        "no other host was surveyed: whether another survivor holds more is not known".to_owned()
    });
    older.into_iter().chain(restored).chain(unsurveyed).collect()
}
