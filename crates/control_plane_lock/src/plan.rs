//! The decision.

use crate::{
    args::{Goal, Wanted},
    refuse::{Other, Unsafe, Way},
    state::{Lease, Observed, Operation, Step},
};
use ansible_module::Refusal;
use kube_cluster::{Claim, Holder};
use std::collections::BTreeMap;

/// The lock is renewed when this part of its duration has passed, so that a run that asks for it leaves it fresh and does not write for nothing. What
/// counts on it by time alone has nearly all of the duration before it then.
const RENEW_AT: u64 = 20;
/// Seconds that have to have passed at least, and the part of a short duration: a renewal that is read late must not look due again.
const RENEW_NOT_BEFORE: u64 = 10;
const RENEW_SHORT_AT: u64 = 4;

/// Decides.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let lease = observed.lease.as_ref();
    let taken = lease.filter(|lease| lease.holder.is_some() || lease.operation.is_some());
    let steps = match (&wanted.goal, taken) {
        (Goal::Held(_) | Goal::Recorded, _)
            if lease.is_some_and(|lease| is_ousted(wanted, lease)) =>
        {
            Err(Unsafe::Ousted)
        }
        (Goal::Held(claim), None) => Ok(vec![acquire(wanted, claim)]),
        (Goal::Held(claim), Some(lease)) if is_own(wanted, lease) => keep(wanted, claim, lease),
        (Goal::Held(claim), Some(lease)) => take(wanted, claim, observed, lease),
        (Goal::Recorded, None) => Err(Unsafe::NotHeld),
        (Goal::Recorded, Some(lease)) if !is_own(wanted, lease) => Err(Unsafe::Lost(other(lease))),
        (Goal::Recorded, Some(lease)) if lease.is_expired() => {
            Err(Unsafe::Expired { age: lease.age, duration: lease.duration })
        }
        (Goal::Recorded, Some(lease)) => Ok(record(wanted, lease)),
        (Goal::Released { .. }, None) => Ok(vec![]),
        (Goal::Released { abandon, target }, Some(lease)) => {
            release(wanted, observed, lease, *abandon, target.as_ref())
        }
    };
    steps.map_err(|reason| reason.refusal(&wanted.lock))
}

/// What a user should know beforehand.
pub fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
    let Some(lease) = &observed.lease else { return vec![] };
    let Goal::Held(claim) = &wanted.goal else { return vec![] };
    let resumed =
        lease.operation.as_ref().filter(|open| is_for(open, claim) && !is_own(wanted, lease));
    let said = |open: &Operation| {
        format!(
            "{} of {}, begun {}, is resumed; it was left behind by {}",
            open.name,
            open.target,
            open.acquired,
            who(lease)
        )
    };
    resumed.map(said).into_iter().collect()
}

fn is_own(wanted: &Wanted, lease: &Lease) -> bool {
    lease.holder.as_deref() == Some(wanted.holder.as_str())
}

/// This run had the lock and another has taken it over since: this one was paused, and what it saw is not so any more.
fn is_ousted(wanted: &Wanted, lease: &Lease) -> bool {
    lease.ousted.iter().any(|ousted| ousted == wanted.holder.as_str())
}

fn is_for(open: &Operation, claim: &Claim) -> bool {
    open.name == claim.operation && open.target == claim.target
}

fn acquire(wanted: &Wanted, claim: &Claim) -> Step {
    let Claim { operation, target, duration, .. } = claim.clone();
    Step::Acquire { operation, target, record: wanted.record.clone(), duration: duration.as_secs() }
}

/// It is this run's own already.
fn keep(wanted: &Wanted, claim: &Claim, lease: &Lease) -> Result<Vec<Step>, Unsafe> {
    match &lease.operation {
        Some(open) if !is_for(open, claim) => Err(Unsafe::Open(other(lease))),
        // Nobody took it meanwhile, and nothing of this run that is destructive comes before it has been acquired anew.
        Some(_) if lease.is_expired() => Ok(vec![acquire(wanted, claim)]),
        Some(_) => Ok(record(wanted, lease)),
        None => Ok(vec![acquire(wanted, claim)]),
    }
}

/// It is another run's, or nobody's with an operation that was not finished.
fn take(
    wanted: &Wanted,
    claim: &Claim,
    observed: &Observed,
    lease: &Lease,
) -> Result<Vec<Step>, Unsafe> {
    let same = lease.operation.as_ref().is_none_or(|open| is_for(open, claim));
    match (observed.is_left_behind(lease), same) {
        (true, true) => Ok(vec![acquire(wanted, claim)]),
        (true, false) => Err(Unsafe::Open(other(lease))),
        (false, true) => wait(wanted, observed, lease, Way::TakeOver)
            .map(|wait| vec![wait, acquire(wanted, claim)]),
        (false, false) => wait(wanted, observed, lease, Way::Finish)
            .map(|wait| vec![wait, acquire(wanted, claim)]),
    }
}

fn wait(wanted: &Wanted, observed: &Observed, lease: &Lease, way: Way) -> Result<Step, Unsafe> {
    let holder = lease.holder.clone().unwrap_or_default();
    if observed.waited >= wanted.wait.as_secs() {
        return Err(Unsafe::Held { by: other(lease), waited: wanted.wait.as_secs(), way });
    }
    Ok(if way == Way::Finish {
        Step::AwaitRelease { holder }
    } else {
        Step::AwaitExpiry { holder }
    })
}

fn record(wanted: &Wanted, lease: &Lease) -> Vec<Step> {
    let known = lease.operation.as_ref().map(|open| &open.record);
    let is_known =
        |name: &String, text: &String| known.and_then(|known| known.get(name)) == Some(text);
    let facts: BTreeMap<_, _> =
        wanted.record.clone().into_iter().filter(|(name, text)| !is_known(name, text)).collect();
    if !facts.is_empty() {
        vec![Step::Record { facts }]
    } else if lease.age > renew_after(lease.duration) {
        vec![Step::Renew]
    } else {
        vec![]
    }
}

fn renew_after(duration: u64) -> u64 {
    (duration / RENEW_AT).max(RENEW_NOT_BEFORE).min(duration / RENEW_SHORT_AT)
}

fn release(
    wanted: &Wanted,
    observed: &Observed,
    lease: &Lease,
    abandon: bool,
    target: Option<&String>,
) -> Result<Vec<Step>, Unsafe> {
    let meant = target
        .is_none_or(|target| lease.operation.as_ref().is_none_or(|open| open.target == *target));
    match () {
        () if !meant => Err(Unsafe::Open(other(lease))),
        () if is_own(wanted, lease) => Ok(vec![Step::Release]),
        () if abandon && observed.is_left_behind(lease) => Ok(vec![Step::Release]),
        () if abandon => {
            wait(wanted, observed, lease, Way::TakeOver).map(|wait| vec![wait, Step::Release])
        }
        () => Err(Unsafe::Held { by: other(lease), waited: 0, way: Way::Abandon }),
    }
}

fn who(lease: &Lease) -> String {
    lease.holder.as_ref().map_or_else(|| "nobody".into(), |holder| Holder::new(holder).to_string())
}

fn other(lease: &Lease) -> Other {
    let open = lease.operation.clone().unwrap_or_default();
    let Operation { name, target, acquired, .. } = open;
    Other {
        who: who(lease),
        operation: name,
        target,
        acquired,
        age: lease.age,
        duration: lease.duration,
    }
}
