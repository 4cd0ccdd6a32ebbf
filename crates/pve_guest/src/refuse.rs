//! The reasons for a no.

use ansible_module::Refusal;
use proxmox_api::{Guest, Label};
use std::fmt;

/// What keeps a machine from being switched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsafe {
    /// No guest has the id or name.
    NotFound(String),
    /// Several guests have the name.
    Ambiguous(String, Vec<u32>),
    /// Id and name belong to different machines.
    NameDiffers { found: Label, wanted: String },
    /// It is not where it should be.
    NodeDiffers { found: Label, node: String, wanted: String },
    /// It is a container.
    NotAVm(Guest),
    /// It is a template.
    Template(Label),
    /// It is paused, and may not be powered off.
    Paused { found: Label, start: bool },
    /// The HA stack has given up on it.
    HaError(Label),
    /// What was asked for has failed.
    TaskFailed { found: Label, why: String, stopping: bool },
}

impl Unsafe {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Ambiguous(..) => "ambiguous",
            Self::NameDiffers { .. } => "name_differs",
            Self::NodeDiffers { .. } => "node_differs",
            Self::NotAVm(_) => "not_a_vm",
            Self::Template(_) => "template",
            Self::Paused { .. } => "paused",
            Self::HaError(_) => "ha_error",
            Self::TaskFailed { .. } => "task_failed",
        }
    }
}

impl From<Unsafe> for Refusal {
    fn from(reason: Unsafe) -> Self {
        Refusal::finally(reason.code(), reason.to_string())
    }
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.about_machine().unwrap_or_else(|| self.about_power()))
    }
}

impl Unsafe {
    /// There is no one machine that is meant.
    fn about_machine(&self) -> Option<String> {
        Some(match self {
            Self::NotFound(wanted) => format!(
                "found no guest with {wanted} among those the token may see; check it, and that the token has VM.Audit on it"
            ),
            Self::Ambiguous(name, ids) => {
                let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
                format!("{} guests are named {name:?} ({}); give vmid", ids.len(), ids.join(", "))
            }
            Self::NameDiffers { found, wanted } => format!(
                "VM {} is named {:?}, not {wanted:?}: nothing is done to it; correct vmid or name",
                found.vmid, found.name
            ),
            Self::NodeDiffers { found, node, wanted } => {
                format!("{found} is on node {node:?}, not {wanted:?}; correct node or leave it out")
            }
            Self::NotAVm(guest) => {
                format!(
                    "guest {} ({}) is a container, not a VM; this module is for VMs",
                    guest.vmid, guest.name
                )
            }
            _ => return None,
        })
    }

    /// The machine cannot be switched.
    fn about_power(&self) -> String {
        match self {
            Self::Template(vm) => {
                format!("{vm} is a template and cannot run; name a machine made from it")
            }
            Self::Paused { found, start: true } => {
                format!("{found} is paused; resume it (qm resume {}) or stop it first", found.vmid)
            }
            Self::Paused { found, start: false } => format!(
                "{found} is paused and cannot shut down; resume it (qm resume {}), or give force: true to power it off",
                found.vmid
            ),
            Self::HaError(vm) => format!(
                "HA service of {vm} is in state \"error\" and takes no requests; repair it, then: ha-manager set vm:{} --state disabled",
                vm.vmid
            ),
            Self::TaskFailed { found, why, stopping: true } => format!(
                "{found} was asked to shut down, and it failed: {why}; it may still run; force: true powers it off"
            ),
            Self::TaskFailed { found, why, stopping: false } => {
                format!("request for {found} failed: {why}; mend that and run again")
            }
            _ => self.code().to_owned(),
        }
    }
}
