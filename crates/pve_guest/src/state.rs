//! What is observed of a machine, the steps, and what each step makes of the observation.

use ansible_module::Returns;
use proxmox_api::{Guest, Label};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// One reading.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Guests of the cluster that have the wanted id or name.
    pub matches: Vec<Guest>,
    /// The one of them that was read closely.
    #[serde(default)]
    pub vm: Option<Vm>,
}

/// A machine.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vm {
    /// Its id and name.
    pub label: Label,
    /// Where it is.
    pub node: String,
    /// Whether it runs.
    pub power: Power,
    /// The config lock.
    #[serde(default)]
    pub lock: Option<String>,
    /// State of its HA service, where HA manages it.
    #[serde(default)]
    pub ha: Option<String>,
    /// Whether it is a template.
    #[serde(default)]
    pub template: bool,
    /// Whether it starts with its node.
    pub onboot: bool,
    /// What the guest sees as its product UUID.
    #[serde(default)]
    pub smbios_uuid: Option<String>,
    /// Its disks' volumes, by key.
    #[serde(default)]
    pub disks: BTreeMap<String, String>,
    /// Kind of the task that runs on it, where one does that this run has not started to switch it.
    #[serde(default)]
    pub task: Option<String>,
    /// This run has asked for it, and it has not come to pass.
    #[serde(default)]
    pub switching: Option<Switch>,
    /// What this run asked for has failed, and why.
    #[serde(default)]
    pub failure: Option<String>,
}

/// Power, as its node says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize, ansible_module::Returns)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// It runs.
    Running,
    /// It runs and is paused.
    Paused,
    /// It is off.
    Stopped,
}

/// A direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// To running.
    On,
    /// To stopped.
    Off,
}

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A task of somebody else's ends.
    AwaitTask(Label, String),
    /// A lock goes.
    AwaitLock(Label, String),
    /// The HA stack comes to rest.
    AwaitHa(Label, String),
    /// Sets whether it starts with its node.
    SetOnboot(Label, bool),
    /// Starts it.
    Start(Label),
    /// Asks it to shut down, within so many seconds; then pulls the plug or does not.
    Shutdown(Label, u64, bool),
    /// Pulls the plug.
    Stop(Label),
    /// Asks the HA stack to start it, or to stop it: within so many seconds, by force after that.
    AskHa(Label, Switch, u64),
    /// It is seen to run.
    AwaitOn(Label),
    /// It is seen to be off.
    AwaitOff(Label),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::AwaitTask(vm, kind) => write!(f, "wait for task {kind} of {vm} to end"),
            Self::AwaitLock(vm, lock) => write!(f, "wait for lock {lock:?} of {vm} to go"),
            Self::AwaitHa(vm, state) => {
                write!(f, "wait for HA service of {vm} to leave state {state:?}")
            }
            Self::SetOnboot(vm, true) => write!(f, "let {vm} start with its node"),
            Self::SetOnboot(vm, false) => write!(f, "keep {vm} from starting with its node"),
            Self::Start(vm) => write!(f, "start {vm}"),
            Self::Shutdown(vm, seconds, false) => write!(f, "shut down {vm} within {seconds} s"),
            Self::Shutdown(vm, seconds, true) => {
                write!(f, "shut down {vm}, and power it off after {seconds} s")
            }
            Self::Stop(vm) => write!(f, "power off {vm}"),
            Self::AskHa(vm, Switch::On, _) => write!(f, "ask the HA stack to start {vm}"),
            Self::AskHa(vm, Switch::Off, seconds) => {
                write!(f, "ask the HA stack to stop {vm}, by force after {seconds} s")
            }
            Self::AwaitOn(vm) => write!(f, "wait for {vm} to run"),
            Self::AwaitOff(vm) => write!(f, "wait for {vm} to be off"),
        }
    }
}

/// What is shown of a machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct View {
    /// Its id.
    pub vmid: Option<u32>,
    /// Its name.
    pub name: Option<String>,
    /// The node it is on.
    pub node: Option<String>,
    /// Its power, as the node says.
    pub status: Option<Power>,
    /// Whether it starts with its node.
    pub onboot: Option<bool>,
    /// State of its HA service, where the HA stack manages it.
    pub ha_state: Option<String>,
    /// What the guest sees as its product UUID, in lower case.
    pub smbios_uuid: Option<String>,
    /// Volume of each disk: C(scsi0) and its C(storage:name).
    pub disks: BTreeMap<String, String>,
}

/// What is shown.
pub fn view(observed: &Observed) -> View {
    let vm = observed.vm.as_ref();
    View {
        vmid: vm.map(|vm| vm.label.vmid),
        name: vm.map(|vm| vm.label.name.clone()),
        node: vm.map(|vm| vm.node.clone()),
        status: vm.map(|vm| vm.power),
        onboot: vm.map(|vm| vm.onboot),
        ha_state: vm.and_then(|vm| vm.ha.clone()),
        smbios_uuid: vm.and_then(|vm| vm.smbios_uuid.clone()),
        disks: vm.map(|vm| vm.disks.clone()).unwrap_or_default(),
    }
}

/// The power a machine may have when a task of this kind has ended.
pub fn after_task(power: Power, kind: &str) -> Power {
    match kind {
        "qmstart" | "qmresume" | "qmreboot" | "qmrollback" | "qmrestore" | "hastart" => {
            Power::Running
        }
        "qmstop" | "qmshutdown" | "qmsuspend" | "hastop" => Power::Stopped,
        _ => power,
    }
}

/// The HA state of a machine that is left alone at this power.
fn at_rest(power: Power) -> String {
    if power == Power::Stopped { "stopped".into() } else { "started".into() }
}

/// The state expected after a step.
pub fn project(observed: &Observed, step: &Step) -> Observed {
    let mut next = observed.clone();
    let Some(vm) = next.vm.as_mut() else { return next };
    match step {
        Step::AwaitTask(_, kind) => {
            vm.task = None;
            vm.power = after_task(vm.power, kind);
        }
        Step::AwaitLock(..) => vm.lock = None,
        Step::AwaitHa(..) => vm.ha = Some(at_rest(vm.power)),
        Step::SetOnboot(_, on) => vm.onboot = *on,
        Step::Start(_) => vm.switching = Some(Switch::On),
        Step::Shutdown(..) | Step::Stop(_) => vm.switching = Some(Switch::Off),
        Step::AskHa(_, switch, _) => vm.switching = Some(*switch),
        Step::AwaitOn(_) => settle(vm, Power::Running),
        Step::AwaitOff(_) => settle(vm, Power::Stopped),
    }
    next
}

fn settle(vm: &mut Vm, power: Power) {
    vm.power = power;
    // A task that could turn it the other way has to be over, too.
    vm.task = None;
    vm.switching = None;
    vm.ha = vm.ha.as_ref().map(|_| at_rest(power));
}
