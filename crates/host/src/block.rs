//! Block devices, and the one a path lies on.

use crate::file;
use anyhow::{Context, Result};
use nix::sys::stat::{major, minor, stat};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The unit of `/sys/class/block/*/size`, whatever the device's own sectors are.
const SECTOR: u64 = 512;

/// A block device of this host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlockDevice {
    /// Its name, as under `/sys/class/block`: `sda1`, `loop3`, `dm-0`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it may only be read.
    pub read_only: bool,
    /// The disk it is a partition of.
    pub disk: Option<String>,
}

/// The block device that the file system of this path lies on; none for one without a device, as tmpfs, overlay and btrfs.
pub fn holding(path: impl AsRef<Path>) -> Result<Option<BlockDevice>> {
    let path = path.as_ref();
    let device = stat(path).with_context(|| format!("look at {}", path.display()))?.st_dev;
    at(Path::new("/sys/dev/block").join(format!("{}:{}", major(device), minor(device))).as_path())
}

/// The block device of this name, with or without `/dev/`; none when there is none.
pub fn named(name: &str) -> Result<Option<BlockDevice>> {
    at(Path::new("/sys/class/block").join(name.trim_start_matches("/dev/")).as_path())
}

/// Every block device of this host, by name.
pub fn all() -> Result<Vec<BlockDevice>> {
    let found: Result<Vec<_>> =
        file::list("/sys/class/block")?.iter().map(|name| named(name)).collect();
    Ok(found?.into_iter().flatten().collect())
}

fn at(entry: &Path) -> Result<Option<BlockDevice>> {
    let Ok(real) = entry.canonicalize() else { return Ok(None) };
    let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let number = |file: &str| -> Result<Option<u64>> {
        Ok(file::read_text(real.join(file))?.and_then(|text| text.trim().parse().ok()))
    };
    let size = number("size")?.unwrap_or(0).saturating_mul(SECTOR);
    let partition = number("partition")?.is_some();
    let parent =
        real.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    Ok(Some(BlockDevice {
        name,
        size,
        read_only: number("ro")? == Some(1),
        disk: parent.filter(|_| partition),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_device_is_none() {
        assert_eq!(holding("/proc").unwrap(), None);
        assert_eq!(named("no-such-disk").unwrap(), None);
    }

    #[test]
    fn every_device_is_found_under_its_own_name() {
        for device in all().unwrap() {
            assert_eq!(named(&device.name).unwrap().as_ref(), Some(&device));
        }
    }
}
