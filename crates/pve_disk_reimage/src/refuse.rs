//! The reasons for a no.

use ansible_module::Refusal;
use proxmox_api::Label;
use std::fmt;

/// What keeps a disk from being replaced, or an old one from being removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsafe {
    /// No VM has the id.
    NotFound(u32),
    /// Id and name belong to different machines.
    NameDiffers { found: Label, wanted: String },
    /// It is not where it should be.
    NodeDiffers { found: Label, node: String, wanted: String },
    /// It is another machine of the same id and name.
    UuidDiffers { found: Label, uuid: Option<String>, wanted: String },
    /// Its config has been changed since it was looked at.
    DigestDiffers { found: Label, digest: String, wanted: String },
    /// It has no such disk.
    NoDisk { found: Label, disk: String, disks: Vec<String> },
    /// The disk is neither the condemned volume nor what replaced it.
    DiskDiffers { found: Label, disk: String, volume: String, condemned: String },
    /// The volume belongs to another machine: Proxmox VE would not keep it.
    NotOwned { found: Label, volume: String },
    /// It is a template.
    Template(Label),
    /// It runs, or a task is about to start it.
    Running { found: Label, task: Option<String> },
    /// The HA stack would start it.
    HaActive { found: Label, state: String },
    /// Changes wait that the next write would carry out.
    Pending { found: Label, keys: Vec<String> },
    /// Snapshots hold a volume.
    Pinned { found: Label, volume: String, snapshots: Vec<String> },
    /// The image is not there.
    ImageMissing { image: String, node: String },
    /// Nobody knows how large the disk is.
    SizeUnknown { found: Label, disk: String },
    /// The disk still is the old one.
    NotReplaced { found: Label, disk: String, condemned: String },
    /// The new disk is smaller than the old one.
    ResizeOwed { found: Label, disk: String },
    /// The volume is there, and the machine does not list it.
    Orphaned { found: Label, volume: String },
    /// Its disks are protected.
    Protected(Label),
    /// What was asked for has failed.
    TaskFailed { found: Label, why: String, way_back: String },
}

impl Unsafe {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::NameDiffers { .. } => "name_differs",
            Self::NodeDiffers { .. } => "node_differs",
            Self::UuidDiffers { .. } => "uuid_differs",
            Self::DigestDiffers { .. } => "digest_differs",
            Self::NoDisk { .. } => "no_disk",
            Self::DiskDiffers { .. } => "disk_differs",
            Self::NotOwned { .. } => "not_owned",
            Self::Template(_) => "template",
            Self::Running { .. } => "running",
            Self::HaActive { .. } => "ha_active",
            Self::Pending { .. } => "pending",
            Self::Pinned { .. } => "pinned",
            Self::ImageMissing { .. } => "image_missing",
            Self::SizeUnknown { .. } => "size_unknown",
            Self::NotReplaced { .. } => "not_replaced",
            Self::ResizeOwed { .. } => "resize_owed",
            Self::Orphaned { .. } => "orphaned",
            Self::Protected(_) => "protected",
            Self::TaskFailed { .. } => "task_failed",
        }
    }
}

impl From<Unsafe> for Refusal {
    fn from(reason: Unsafe) -> Self {
        let (code, text) = (reason.code(), reason.to_string());
        match reason {
            // An earlier task of the same play stops the machine, or replaces the disk.
            Unsafe::Running { .. }
            | Unsafe::HaActive { .. }
            | Unsafe::NotReplaced { .. }
            | Unsafe::ResizeOwed { .. } => Refusal::unmet(code, text),
            _ => Refusal::finally(code, text),
        }
    }
}

impl fmt::Display for Unsafe {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let said = self.about_machine().or_else(|| self.about_rest()).or_else(|| self.about_disk());
        f.write_str(&said.unwrap_or_else(|| self.about_old_disk()))
    }
}

impl Unsafe {
    /// It is not the machine that is meant.
    fn about_machine(&self) -> Option<String> {
        Some(match self {
            Self::NotFound(vmid) => format!(
                "found no VM with vmid {vmid} among the guests the token may see; check it, and that the token has VM.Audit on it"
            ),
            Self::NameDiffers { found, wanted } => format!(
                "VM {} is named {:?}, not {wanted:?}: nothing is done to it; correct vmid or name",
                found.vmid, found.name
            ),
            Self::NodeDiffers { found, node, wanted } => {
                format!("{found} is on node {node:?}, not {wanted:?}; correct node or leave it out")
            }
            Self::UuidDiffers { found, uuid, wanted } => format!(
                "{found} has UUID {}, not {wanted}: it is another machine, and nothing is done to it; look it up again with pve_guest",
                uuid.as_deref().unwrap_or("none")
            ),
            Self::DigestDiffers { found, digest, wanted } => format!(
                "config of {found} has digest {digest}, not {wanted}: it was changed since it was looked at; look at it again"
            ),
            Self::Template(vm) => format!("{vm} is a template; its disks are the base of others"),
            _ => return None,
        })
    }

    /// It is the machine, and it is not left in peace.
    fn about_rest(&self) -> Option<String> {
        Some(match self {
            Self::Running { found, task: None } => {
                format!(
                    "{found} is not stopped, and a disk in use is not replaced; stop it with pve_guest first"
                )
            }
            Self::Running { found, task: Some(task) } => format!(
                "task {task} is about to start {found}, and a disk in use is not replaced; stop it with pve_guest first"
            ),
            Self::HaActive { found, state } => format!(
                "HA service of {found} is in state {state:?} and may start it at any time; stop it with pve_guest, which asks the HA stack"
            ),
            Self::Pending { found, keys } => format!(
                "changes of {} wait to be applied to {found}, and any write would carry them out; revert them (qm set {} --revert {}) or apply them",
                keys.join(", "),
                found.vmid,
                keys.join(",")
            ),
            Self::TaskFailed { found, why, way_back } => {
                format!("request for {found} failed: {why}; {way_back}")
            }
            _ => return None,
        })
    }

    /// The disk cannot be replaced.
    fn about_disk(&self) -> Option<String> {
        Some(match self {
            Self::NoDisk { found, disk, disks } => {
                format!("{found} has no disk {disk}; it has {}", disks.join(", "))
            }
            Self::DiskDiffers { found, disk, volume, condemned } => format!(
                "{disk} of {found} is {volume}, not {condemned}, and its description does not say that it replaced that; look it up again with pve_guest"
            ),
            Self::NotOwned { found, volume } => format!(
                "volume {volume} does not belong to {found} by its name, and Proxmox VE would drop it instead of keeping it; rename or move it first"
            ),
            Self::ImageMissing { image, node } => {
                format!(
                    "found no image {image} on node {node:?}; download or upload it as content type import"
                )
            }
            Self::SizeUnknown { found, disk } => format!(
                "size of {disk} of {found} is noted neither in its config nor by its storage; run: qm rescan --vmid {}",
                found.vmid
            ),
            _ => return None,
        })
    }

    /// The old disk cannot be detached, or cannot be removed.
    fn about_old_disk(&self) -> String {
        match self {
            Self::Pinned { found, volume, snapshots } => format!(
                "volume {volume} of {found} is held by {} ({}); remove the snapshot first",
                if snapshots.len() == 1 { "a snapshot" } else { "snapshots" },
                snapshots.join(", ")
            ),
            Self::NotReplaced { found, disk, condemned } => format!(
                "{disk} of {found} still is {condemned}, which is therefore not removed; run state: reimaged for that disk first"
            ),
            Self::ResizeOwed { found, disk } => {
                format!(
                    "{disk} of {found} is smaller than the disk it replaced; run state: reimaged again first"
                )
            }
            Self::Orphaned { found, volume } => format!(
                "volume {volume} exists, and {found} does not list it as unused; see who uses it, then: pvesm free {volume}"
            ),
            Self::Protected(vm) => format!(
                "{vm} is protected, and its unused disks cannot be removed; lift that first (qm set {} --protection 0)",
                vm.vmid
            ),
            _ => self.code().to_owned(),
        }
    }
}
