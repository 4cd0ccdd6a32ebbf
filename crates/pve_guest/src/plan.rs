//! The decision.

use crate::{
    args::{State, Wanted},
    refuse::Unsafe,
    state::{Observed, Power, Step, Switch, Vm, after_task},
};
use ansible_module::{Kind, Limit, Refusal};
use std::time::Duration;

/// A start is seen late on a busy node, a stop behind the HA stack.
const SLACK: Duration = Duration::from_secs(90);

/// The steps to what is wanted.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let vm = the_vm(wanted, observed)?;
    let onboot = wanted.onboot.filter(|on| *on != vm.onboot);
    let goal = match wanted.state {
        State::Current => None,
        State::Started => Some(Switch::On),
        State::Stopped => Some(Switch::Off),
    };
    let power = goal.map_or(Ok(vec![]), |goal| switch(wanted, vm, goal))?;
    if onboot.is_none() && power.is_empty() {
        return Ok(vec![]);
    }
    // Asked after the plan: a start that failed because the machine runs already is no failure.
    if let Some(why) = &vm.failure {
        let stopping = goal == Some(Switch::Off);
        return Err(
            Unsafe::TaskFailed { found: vm.label.clone(), why: why.clone(), stopping }.into()
        );
    }
    let mut steps = waits(vm, onboot.is_some(), &power);
    steps.extend(onboot.map(|on| Step::SetOnboot(vm.label.clone(), on)));
    steps.extend(power);
    Ok(steps)
}

/// The one machine that is meant, or why there is none.
fn the_vm<'o>(wanted: &Wanted, observed: &'o Observed) -> Result<&'o Vm, Unsafe> {
    let name = wanted.name.as_deref();
    let meant: Vec<_> = match wanted.vmid {
        Some(vmid) => observed.matches.iter().filter(|guest| guest.vmid == vmid).collect(),
        None => observed.matches.iter().filter(|guest| Some(guest.name.as_str()) == name).collect(),
    };
    let guest = match meant.as_slice() {
        [guest] => *guest,
        [] => {
            return Err(Unsafe::NotFound(wanted.vmid.map_or_else(
                || format!("name {:?}", name.unwrap_or_default()),
                |vmid| format!("vmid {vmid}"),
            )));
        }
        all => {
            return Err(Unsafe::Ambiguous(
                name.unwrap_or_default().to_owned(),
                all.iter().map(|guest| guest.vmid).collect(),
            ));
        }
    };
    if guest.kind != "qemu" {
        return Err(Unsafe::NotAVm(guest.clone()));
    }
    let vm = observed.vm.as_ref().filter(|vm| vm.label.vmid == guest.vmid);
    let vm = vm.ok_or_else(|| Unsafe::NotFound(format!("vmid {}", guest.vmid)))?;
    if let Some(wanted) = name.filter(|name| *name != vm.label.name) {
        return Err(Unsafe::NameDiffers { found: vm.label.clone(), wanted: wanted.to_owned() });
    }
    if let Some(wanted) = wanted.node.as_deref().filter(|node| *node != vm.node) {
        return Err(Unsafe::NodeDiffers {
            found: vm.label.clone(),
            node: vm.node.clone(),
            wanted: wanted.to_owned(),
        });
    }
    Ok(vm)
}

/// The steps that switch it, the worst case: a task that runs may turn the machine the other way before it ends.
fn switch(wanted: &Wanted, vm: &Vm, goal: Switch) -> Result<Vec<Step>, Unsafe> {
    let (target, state) = match goal {
        Switch::On => (Power::Running, "started"),
        Switch::Off => (Power::Stopped, "stopped"),
    };
    let later = vm.task.as_deref().map_or(vm.power, |kind| after_task(vm.power, kind));
    let ha_agrees = vm.ha.as_deref().is_none_or(|ha| ha == state);
    if vm.power == target && later == target && ha_agrees {
        return Ok(vec![]);
    }
    if vm.template {
        return Err(Unsafe::Template(vm.label.clone()));
    }
    if vm.ha.as_deref() == Some("error") {
        return Err(Unsafe::HaError(vm.label.clone()));
    }
    let label = || vm.label.clone();
    let seen = if goal == Switch::On { Step::AwaitOn(label()) } else { Step::AwaitOff(label()) };
    if vm.switching == Some(goal) {
        return Ok(vec![seen]);
    }
    if vm.power == Power::Paused && (goal == Switch::On || !wanted.force) {
        return Err(Unsafe::Paused { found: label(), start: goal == Switch::On });
    }
    let seconds = wanted.timeout.as_secs();
    let change = match goal {
        _ if vm.ha.is_some() => Step::AskHa(label(), goal, seconds),
        Switch::On => Step::Start(label()),
        Switch::Off if wanted.force && seconds == 0 => Step::Stop(label()),
        Switch::Off => Step::Shutdown(label(), seconds, wanted.force),
    };
    Ok(vec![change, seen])
}

/// What has to end before anything can be asked for.
fn waits(vm: &Vm, writes: bool, power: &[Step]) -> Vec<Step> {
    let label = || vm.label.clone();
    let mut waits = vec![];
    if vm.switching.is_some() && !writes {
        return waits;
    }
    waits.extend(vm.task.clone().map(|kind| Step::AwaitTask(label(), kind)));
    // A machine that was suspended to disk is locked until it is started again.
    let resumes = power.contains(&Step::AwaitOn(label()))
        && vm.lock.as_deref() == Some("suspended")
        && !writes;
    waits.extend(vm.lock.clone().filter(|_| !resumes).map(|lock| Step::AwaitLock(label(), lock)));
    let moving = vm.ha.clone().filter(|state| !["started", "stopped"].contains(&state.as_str()));
    if !power.is_empty() && vm.switching.is_none() {
        waits.extend(moving.map(|state| Step::AwaitHa(label(), state)));
    }
    waits
}

/// What kind of thing a step does.
pub fn kind(step: &Step) -> Kind {
    match step {
        Step::SetOnboot(..)
        | Step::Start(_)
        | Step::Shutdown(..)
        | Step::Stop(_)
        | Step::AskHa(..) => Kind::Change,
        Step::AwaitTask(..)
        | Step::AwaitLock(..)
        | Step::AwaitHa(..)
        | Step::AwaitOn(_)
        | Step::AwaitOff(_) => Kind::Wait,
    }
}

/// How long a step may take.
pub fn limit(wanted: &Wanted, step: &Step) -> Limit {
    Limit::fail(match step {
        // A request that meets a lock of the config is sent again.
        Step::AwaitTask(..)
        | Step::AwaitLock(..)
        | Step::AwaitHa(..)
        | Step::SetOnboot(..)
        | Step::Start(_)
        | Step::Shutdown(..)
        | Step::Stop(_)
        | Step::AskHa(..) => wanted.lock_timeout,
        Step::AwaitOn(_) | Step::AwaitOff(_) => wanted.timeout + SLACK,
    })
}

/// How long the whole may take.
pub fn deadline(wanted: &Wanted) -> Duration {
    wanted.timeout * 2 + wanted.lock_timeout * 2 + SLACK * 2
}
