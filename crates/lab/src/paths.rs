//! Where things lie.

use crate::plan::{self, Host};
use anyhow::Context;
use std::path::PathBuf;

/// State of the running lab; gone after `lab down`.
pub const RUN: &str = "/run/quorate-lab";

pub fn run(name: &str) -> PathBuf {
    PathBuf::from(RUN).join(name)
}

/// The directory of one host's power: console, seed, mount point.
pub fn vm(host: Host) -> PathBuf {
    run("vm").join(host.name)
}

/// The mount point of a host's disk; the mount itself is visible to that host's processes only.
pub fn root(host: Host) -> PathBuf {
    vm(host).join("root")
}

/// The file that names the disk a host was last booted from.
pub fn disk_record(host: Host) -> PathBuf {
    vm(host).join("disk")
}

pub fn network_namespace(name: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(name)
}

/// What outlives the lab and can be made again.
pub fn cache() -> anyhow::Result<PathBuf> {
    let dir = artefacts::cache()?.join("lab");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// The image file beneath the storage.
pub fn storage_image() -> anyhow::Result<PathBuf> {
    Ok(cache()?.join("storage.btrfs"))
}

pub fn storage() -> anyhow::Result<PathBuf> {
    Ok(cache()?.join("storage"))
}

/// The disks in use, and what the PVE program knows of them.
pub fn live() -> anyhow::Result<PathBuf> {
    Ok(storage()?.join("live"))
}

/// The disk of a host as the lab first boots it.
pub fn first_disk(host: Host) -> anyhow::Result<PathBuf> {
    let name = host.vmid.map_or_else(|| format!("{}.raw", host.name), plan::first_disk);
    Ok(live()?.join(name))
}
