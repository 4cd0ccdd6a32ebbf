//! What is observed of a machine and its disk, the steps, and what each step makes of the observation.

use crate::record::Record;
use ansible_module::Returns;
use proxmox_api::{Drive, Label, Size};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// One reading.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Key of the disk that is looked at.
    pub disk: String,
    /// The volume that was asked for by name.
    pub condemned: String,
    /// The machine of the wanted id, where there is one.
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
    /// Whether its node says that it is off.
    pub stopped: bool,
    /// The config lock.
    #[serde(default)]
    pub lock: Option<String>,
    /// State of its HA service, where HA manages it.
    #[serde(default)]
    pub ha: Option<String>,
    /// Whether it is a template.
    #[serde(default)]
    pub template: bool,
    /// Whether its disks are protected from removal.
    #[serde(default)]
    pub protected: bool,
    /// What the guest sees as its product UUID.
    #[serde(default)]
    pub smbios_uuid: Option<String>,
    /// Version of the config.
    pub digest: String,
    /// Disks by key, as the config has them.
    pub disks: BTreeMap<String, String>,
    /// Volumes that are kept and not used, by key.
    #[serde(default)]
    pub unused: BTreeMap<String, String>,
    /// Boot order.
    #[serde(default)]
    pub boot: Option<String>,
    /// Description.
    #[serde(default)]
    pub description: String,
    /// Keys with changes that wait for the next write.
    #[serde(default)]
    pub pending: Vec<String>,
    /// Snapshots that hold the disk's volume or the condemned one.
    #[serde(default)]
    pub pins: Vec<String>,
    /// Size of the image, where its storage lists it.
    #[serde(default)]
    pub image: Option<u64>,
    /// Size of the condemned volume, where its storage lists it.
    #[serde(default)]
    pub condemned: Option<u64>,
    /// Kind of the task that runs on it.
    #[serde(default)]
    pub task: Option<String>,
    /// What this run asked for has failed, and why.
    #[serde(default)]
    pub failure: Option<String>,
}

impl Vm {
    /// The drive of a key.
    pub fn drive(&self, key: &str) -> Option<Drive> {
        self.disks.get(key).and_then(|text| text.parse().ok())
    }

    /// The note that this disk replaced that volume; a claim only where the disk is another volume.
    pub fn replaced(&self, disk: &str, condemned: &str) -> Option<Record> {
        let record =
            Record::find(&self.description, disk).filter(|record| record.condemned == condemned)?;
        self.drive(disk).is_some_and(|drive| drive.volume != condemned).then_some(record)
    }

    /// Size of the disk that has to be kept: the config's note, else the storage's.
    pub fn size(&self, disk: &str) -> Option<Size> {
        self.drive(disk).and_then(|drive| drive.size()).or(self.condemned.map(Size))
    }

    /// Whether the disk is smaller than the one it replaced.
    pub fn owes(&self, disk: &str, record: &Record) -> bool {
        self.drive(disk).and_then(|drive| drive.size()).is_none_or(|size| size < record.size)
    }
}

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// A task that runs on the machine ends.
    AwaitTask(Label, String),
    /// A lock goes.
    AwaitLock(Label, String),
    /// Puts a copy of the image in the place of the condemned volume, which becomes unused.
    Swap {
        /// The machine.
        vm: Label,
        /// The note that is written with it.
        record: Record,
        /// Storage of the copy.
        storage: String,
    },
    /// Extends the new disk to the size of the old one.
    Resize {
        /// The machine.
        vm: Label,
        /// The note that is there.
        record: Record,
    },
    /// Removes the condemned volume for good.
    Remove {
        /// The machine.
        vm: Label,
        /// The volume.
        condemned: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::AwaitTask(vm, kind) => write!(f, "wait for task {kind} of {vm} to end"),
            Self::AwaitLock(vm, lock) => write!(f, "wait for lock {lock:?} of {vm} to go"),
            Self::Swap { vm, record: Record { disk, condemned, image, .. }, storage } => {
                write!(
                    f,
                    "replace {disk} of {vm} by a copy of {image} on {storage}, keeping {condemned} as an unused disk to go back to"
                )
            }
            Self::Resize { vm, record: Record { disk, condemned, size, .. } } => {
                write!(
                    f,
                    "extend {disk} of {vm} to {size} (until then {condemned} is what to go back to)"
                )
            }
            Self::Remove { vm, condemned } => {
                write!(f, "remove unused volume {condemned} of {vm} for good")
            }
        }
    }
}

/// What is shown of a disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Returns)]
pub struct View {
    /// Id of the machine.
    pub vmid: Option<u32>,
    /// Name of the machine.
    pub name: Option<String>,
    /// The node it is on.
    pub node: Option<String>,
    /// Key of the disk.
    pub disk: String,
    /// Whether the disk has replaced the condemned volume.
    pub replaced: bool,
    /// What it was copied from, where it has been replaced.
    pub image: Option<String>,
    /// Size of the disk.
    pub size: Option<String>,
    /// Options of the disk, but for its size.
    pub options: String,
    /// Boot order of the machine.
    pub boot: Option<String>,
    /// The volume that was to be replaced.
    pub condemned: String,
    /// What has become of it.
    pub condemned_is: Fate,
}

/// What has become of the condemned volume.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Returns)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is the machine's disk.
    InUse,
    /// It is kept as an unused disk.
    Unused,
    /// The machine has it no more.
    Removed,
}

/// What is shown.
pub fn view(observed: &Observed) -> View {
    let Observed { disk, condemned, vm } = observed;
    let drive = vm.as_ref().and_then(|vm| vm.drive(disk));
    let record = vm.as_ref().and_then(|vm| vm.replaced(disk, condemned));
    let options = drive.iter().flat_map(|drive| &drive.options).filter(|(key, _)| key != "size");
    // PVE writes them sorted by name.
    let mut options: Vec<_> = options.map(|(key, value)| format!("{key}={value}")).collect();
    options.sort();
    View {
        vmid: vm.as_ref().map(|vm| vm.label.vmid),
        name: vm.as_ref().map(|vm| vm.label.name.clone()),
        node: vm.as_ref().map(|vm| vm.node.clone()),
        disk: disk.clone(),
        replaced: record.is_some(),
        image: record.map(|record| record.image),
        size: drive.as_ref().and_then(|drive| drive.size().map(|size| size.to_string())),
        options: options.join(","),
        boot: vm.as_ref().and_then(|vm| vm.boot.clone()),
        condemned: condemned.clone(),
        condemned_is: vm.as_ref().map_or(Fate::Removed, |vm| fate(vm, condemned)),
    }
}

fn fate(vm: &Vm, volume: &str) -> Fate {
    if vm.disks.keys().any(|key| vm.drive(key).is_some_and(|drive| drive.volume == volume)) {
        Fate::InUse
    } else if vm.unused.values().any(|unused| unused == volume) {
        Fate::Unused
    } else {
        Fate::Removed
    }
}

/// The state expected after a step.
pub fn project(observed: &Observed, step: &Step) -> Observed {
    let mut next = observed.clone();
    let Some(vm) = next.vm.as_mut() else { return next };
    match step {
        Step::AwaitTask(..) => vm.task = None,
        Step::AwaitLock(..) => vm.lock = None,
        Step::Swap { record, storage, .. } => swap(vm, record, storage),
        Step::Resize { record, .. } => {
            if let Some(drive) = vm.drive(&record.disk) {
                vm.disks.insert(record.disk.clone(), drive.with_size(record.size).to_string());
            }
        }
        Step::Remove { condemned, .. } => {
            vm.unused.retain(|_, volume| volume != condemned);
            vm.condemned = None;
        }
    }
    next
}

fn swap(vm: &mut Vm, record: &Record, storage: &str) {
    let Some(drive) = vm.drive(&record.disk) else { return };
    let size = Size(vm.image.unwrap_or(0));
    // The name is known when it has been made.
    let fresh =
        Drive { volume: format!("{storage}:(new)"), options: drive.options }.with_size(size);
    vm.disks.insert(record.disk.clone(), fresh.to_string());
    // Proxmox VE has 256 of them.
    let free =
        (0..256).map(|number| format!("unused{number}")).find(|key| !vm.unused.contains_key(key));
    vm.unused.extend(free.map(|key| (key, record.condemned.clone())));
    vm.description = record.write_into(&vm.description);
    vm.pending.clear();
}
