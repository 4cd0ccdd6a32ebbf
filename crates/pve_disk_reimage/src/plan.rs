//! The decision.

use crate::{
    args::{State, Wanted},
    record::Record,
    refuse::Unsafe,
    state::{Observed, Step, Vm},
};
use ansible_module::{Kind, Limit, Refusal};
use proxmox_api::Drive;
use std::time::Duration;

/// The steps to what is wanted.
pub fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
    let vm = the_vm(wanted, observed)?;
    let drive = vm.drive(&wanted.disk).ok_or_else(|| Unsafe::NoDisk {
        found: vm.label.clone(),
        disk: wanted.disk.clone(),
        disks: vm.disks.keys().cloned().collect(),
    })?;
    let changes = match wanted.state {
        State::Reimaged => reimage(wanted, vm, &drive)?,
        State::Committed => commit(wanted, vm, &drive)?,
    };
    if changes.is_empty() {
        return Ok(vec![]);
    }
    if let Some(why) = &vm.failure {
        return Err(Unsafe::TaskFailed {
            found: vm.label.clone(),
            why: why.clone(),
            way_back: way_back(wanted, vm, &drive),
        }
        .into());
    }
    let task = vm.task.clone().map(|kind| Step::AwaitTask(vm.label.clone(), kind));
    let lock = vm.lock.clone().map(|lock| Step::AwaitLock(vm.label.clone(), lock));
    Ok(task.into_iter().chain(lock).chain(changes).collect())
}

/// The machine, if it is the one that is meant in every respect. No step exists before this.
fn the_vm<'o>(wanted: &Wanted, observed: &'o Observed) -> Result<&'o Vm, Unsafe> {
    let vm = observed
        .vm
        .as_ref()
        .filter(|vm| vm.label.vmid == wanted.vmid)
        .ok_or(Unsafe::NotFound(wanted.vmid))?;
    let found = || vm.label.clone();
    if vm.label.name != wanted.name {
        return Err(Unsafe::NameDiffers { found: found(), wanted: wanted.name.clone() });
    }
    if let Some(node) = wanted.node.as_ref().filter(|node| **node != vm.node) {
        return Err(Unsafe::NodeDiffers {
            found: found(),
            node: vm.node.clone(),
            wanted: node.clone(),
        });
    }
    if let Some(uuid) =
        wanted.smbios_uuid.as_ref().filter(|uuid| vm.smbios_uuid.as_ref() != Some(uuid))
    {
        return Err(Unsafe::UuidDiffers {
            found: found(),
            uuid: vm.smbios_uuid.clone(),
            wanted: uuid.clone(),
        });
    }
    if vm.template {
        return Err(Unsafe::Template(found()));
    }
    Ok(vm)
}

/// Swap and resize, whichever is owed.
fn reimage(wanted: &Wanted, vm: &Vm, drive: &Drive) -> Result<Vec<Step>, Unsafe> {
    if let Some(record) = vm.replaced(&wanted.disk, &wanted.condemned) {
        let owed = vm.owes(&wanted.disk, &record);
        return Ok(if owed { vec![Step::Resize { vm: vm.label.clone(), record }] } else { vec![] });
    }
    let found = || vm.label.clone();
    if drive.volume != wanted.condemned {
        let (disk, volume, condemned) =
            (wanted.disk.clone(), drive.volume.clone(), wanted.condemned.clone());
        return Err(Unsafe::DiskDiffers { found: found(), disk, volume, condemned });
    }
    if let Some(digest) = wanted.digest.as_ref().filter(|digest| **digest != vm.digest) {
        return Err(Unsafe::DigestDiffers {
            found: found(),
            digest: vm.digest.clone(),
            wanted: digest.clone(),
        });
    }
    replaceable(wanted, vm)?;
    let image = wanted.image.clone().unwrap_or_default();
    let fresh = vm
        .image
        .ok_or_else(|| Unsafe::ImageMissing { image: image.clone(), node: vm.node.clone() })?;
    let size = vm
        .size(&wanted.disk)
        .ok_or_else(|| Unsafe::SizeUnknown { found: found(), disk: wanted.disk.clone() })?;
    // The last: an earlier task stops the machine, and a look ahead of that (in check mode) has to find everything else.
    at_rest(vm)?;
    let record =
        Record { disk: wanted.disk.clone(), condemned: wanted.condemned.clone(), size, image };
    let swap = Step::Swap { vm: found(), record: record.clone(), storage: wanted.storage.clone() };
    let resize = (fresh < size.0).then(|| Step::Resize { vm: found(), record });
    Ok(std::iter::once(swap).chain(resize).collect())
}

/// Whether Proxmox VE would keep the old volume, and do nothing else along the way.
fn replaceable(wanted: &Wanted, vm: &Vm) -> Result<(), Unsafe> {
    let found = || vm.label.clone();
    if !owned(&wanted.condemned, vm.label.vmid) {
        return Err(Unsafe::NotOwned { found: found(), volume: wanted.condemned.clone() });
    }
    if !vm.pins.is_empty() {
        return Err(Unsafe::Pinned {
            found: found(),
            volume: wanted.condemned.clone(),
            snapshots: vm.pins.clone(),
        });
    }
    // A description that waits is what a failed import leaves behind, and is written anew.
    let keys: Vec<_> =
        vm.pending.iter().filter(|key| **key == wanted.disk || *key == "boot").cloned().collect();
    if keys.is_empty() { Ok(()) } else { Err(Unsafe::Pending { found: found(), keys }) }
}

/// Whether the machine is off and stays off.
fn at_rest(vm: &Vm) -> Result<(), Unsafe> {
    let found = || vm.label.clone();
    if !vm.stopped {
        return Err(Unsafe::Running { found: found(), task: None });
    }
    let starts = ["qmstart", "qmresume", "qmreboot", "qmrollback", "qmrestore", "hastart"];
    if let Some(task) = vm.task.as_ref().filter(|task| starts.contains(&task.as_str())) {
        return Err(Unsafe::Running { found: found(), task: Some(task.clone()) });
    }
    match vm.ha.as_deref() {
        None | Some("stopped") => Ok(()),
        Some(state) => Err(Unsafe::HaActive { found: found(), state: state.to_owned() }),
    }
}

/// `vm-102-disk-0`, `102/vm-102-disk-0.qcow2`, `base-9-disk-0/vm-102-disk-0`: as `vm_is_volid_owner` has it, by the owner in the name.
fn owned(volume: &str, vmid: u32) -> bool {
    let name = volume.split_once(':').map(|(_, name)| name).unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.starts_with(&format!("vm-{vmid}-"))
        || name.split_once('/').is_some_and(|(dir, _)| dir == vmid.to_string())
}

/// The removal of the old volume, if it is owed.
fn commit(wanted: &Wanted, vm: &Vm, drive: &Drive) -> Result<Vec<Step>, Unsafe> {
    let (found, condemned) = (|| vm.label.clone(), &wanted.condemned);
    let used = vm
        .disks
        .iter()
        .find(|(key, _)| vm.drive(key).is_some_and(|drive| drive.volume == *condemned));
    if let Some((key, _)) = used {
        return Err(Unsafe::NotReplaced {
            found: found(),
            disk: key.clone(),
            condemned: condemned.clone(),
        });
    }
    let listed = vm.unused.values().any(|volume| volume == condemned);
    if !listed && vm.condemned.is_none() {
        return Ok(vec![]);
    }
    let Some(record) = vm.replaced(&wanted.disk, condemned) else {
        let (disk, volume) = (wanted.disk.clone(), drive.volume.clone());
        return Err(Unsafe::DiskDiffers {
            found: found(),
            disk,
            volume,
            condemned: condemned.clone(),
        });
    };
    if vm.owes(&wanted.disk, &record) {
        return Err(Unsafe::ResizeOwed { found: found(), disk: wanted.disk.clone() });
    }
    if !vm.pins.is_empty() {
        return Err(Unsafe::Pinned {
            found: found(),
            volume: condemned.clone(),
            snapshots: vm.pins.clone(),
        });
    }
    if !listed {
        return Err(Unsafe::Orphaned { found: found(), volume: condemned.clone() });
    }
    if vm.protected {
        return Err(Unsafe::Protected(found()));
    }
    Ok(vec![Step::Remove { vm: found(), condemned: condemned.clone() }])
}

/// How to undo what has been done so far.
fn way_back(wanted: &Wanted, vm: &Vm, drive: &Drive) -> String {
    let Wanted { disk, condemned, .. } = wanted;
    let vmid = vm.label.vmid;
    if drive.volume == *condemned {
        return format!(
            "{disk} still is {condemned} and nothing else was changed; to go back, start the machine (qm start {vmid}); to go on, mend that and run again"
        );
    }
    let kept = drive
        .options
        .iter()
        .filter(|(key, _)| key != "size")
        .map(|(key, value)| format!(",{key}={value}"));
    format!(
        "{condemned} is kept; to go back: qm stop {vmid}; qm set {vmid} --{disk} {condemned}{}; qm start {vmid}; to go on, mend that and run again",
        kept.collect::<String>()
    )
}

/// What is no reason to stop, and will be one later.
pub fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
    let protected = observed.vm.iter().filter(|vm| vm.protected && wanted.state == State::Reimaged);
    protected
        .map(|vm| format!("{} is protected: its old disk cannot be removed (state: committed) before that is lifted", vm.label))
        .collect()
}

/// What kind of thing a step does.
pub fn kind(step: &Step) -> Kind {
    match step {
        Step::AwaitTask(..) | Step::AwaitLock(..) => Kind::Wait,
        Step::Swap { .. } | Step::Resize { .. } | Step::Remove { .. } => Kind::Change,
    }
}

/// How long a step may take.
pub fn limit(wanted: &Wanted, step: &Step) -> Limit {
    Limit::fail(if matches!(step, Step::AwaitLock(..)) {
        wanted.lock_timeout
    } else {
        wanted.timeout
    })
}

/// How long the whole may take.
pub fn deadline(wanted: &Wanted) -> Duration {
    wanted.timeout * 2 + wanted.lock_timeout + Duration::from_mins(2)
}
