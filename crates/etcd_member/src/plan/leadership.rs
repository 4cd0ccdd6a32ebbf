//! Who leads.

use super::{evidence, mismatch};
use crate::{args::Wanted, state::Step};
use ansible_module::Refusal;
use etcd_cluster::{
    Doubt, Evidence, Facts, Member, Operation, Reading, Target, Unsafe, gate::decide,
};

/// Anybody else takes over.
pub(super) fn follow(
    wanted: &Wanted,
    reading: &Reading,
    target: &Member,
) -> Result<Vec<Step>, Refusal> {
    if !leads(reading, target) {
        return Ok(vec![]);
    }
    if reading.successors(target.id).is_empty() {
        if exception(wanted, reading, target).is_some() {
            return Ok(vec![]);
        }
        let label = target.label();
        return Err(Refusal::passing(
            "no_successor",
            format!(
                "cannot move leadership away from {label}: no other voter answers a linearizable read, one is needed to lead; repair one first, or set allow_downtime where there are no more than two voters"
            ),
        ));
    }
    Ok(vec![Step::HandOver(target.into())])
}

/// What stopping the member costs, where the user has allowed that explicitly: nobody could lead instead.
pub(super) fn exception(wanted: &Wanted, reading: &Reading, target: &Member) -> Option<String> {
    if !wanted.permit.downtime
        || !leads(reading, target)
        || !reading.successors(target.id).is_empty()
    {
        return None;
    }
    // of a lone voter its own evidence is enough; the other one of two may have what it likes
    let facts = Facts::new(reading, &Evidence::weigh(reading, None));
    let verdict = decide(&facts, Operation::Restart(target.id), wanted.permit).ok()?;
    let reason = verdict.exception?;
    Some(format!(
        "allowed by allow_downtime: {} keeps leading, and its stop stops every write ({reason})",
        target.label()
    ))
}

fn leads(reading: &Reading, target: &Member) -> bool {
    reading.leader().is_some_and(|(leader, _)| leader == target.id)
}

/// This member takes over: a voter with all evidence, for whoever leads must serve.
pub(super) fn lead(wanted: &Wanted, reading: &Reading, word: &str) -> Result<Vec<Step>, Refusal> {
    let found = Target::find_word(word, &reading.members).map_err(|no| mismatch(&no))?;
    let Some(heir) = found else {
        let unknown = Unsafe::UnknownMember { member: format!("{word:?}") };
        return Err(Refusal::finally(unknown.code(), unknown.to_string()));
    };
    if leads(reading, heir) {
        return Ok(vec![]);
    }
    let label = heir.label();
    if !heir.is_voter() {
        let text = format!(
            "cannot move leadership to {label}: it is a learner, and has no vote; wait for it with state voter"
        );
        return Err(Refusal::finally("not_a_voter", text));
    }
    let weighed = evidence(wanted, reading);
    let doubts = weighed.doubts(heir.id);
    if !doubts.is_empty() {
        let missing: Vec<String> = doubts.iter().map(ToString::to_string).collect();
        let text = format!(
            "cannot move leadership to {label}: it is not proven healthy ({}); repair it first, or choose another",
            missing.join(", ")
        );
        let passes = doubts.iter().all(Doubt::may_pass);
        let make = if passes { Refusal::passing } else { Refusal::finally };
        return Err(make("unproven_heir", text));
    }
    Ok(vec![Step::Lead(heir.into())])
}
