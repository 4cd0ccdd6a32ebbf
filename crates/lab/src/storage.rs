//! The storage beneath the disks: btrfs on a loop device, so that copies cost nothing and damage is noticed.

use crate::command::{command, make_dir, output, remove_tree, run};
use crate::paths;
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Sparse: takes what the disks hold, not this.
const IMAGE_BYTES: u64 = 48 << 30;
/// Nothing here has to survive a crash of this machine, and waiting for its disk at every fsync of three etcds
/// would make the lab ten times slower. `discard` gives back what deleted disks took.
const OPTIONS: &str = "loop,noatime,nobarrier,discard=async";

/// Mounts the storage, making it first if it is not there or cannot be mounted.
pub fn up() -> anyhow::Result<()> {
    let (image, dir) = (paths::storage_image()?, paths::storage()?);
    if is_mounted(&dir) {
        return Ok(());
    }
    make_dir(&dir)?;
    if image.exists() && mount(&image, &dir).is_ok() {
        return Ok(());
    }
    let _ = fs::remove_file(&image);
    let file =
        fs::File::create(&image).with_context(|| format!("cannot make {}", image.display()))?;
    file.set_len(IMAGE_BYTES).with_context(|| format!("cannot make {}", image.display()))?;
    run(command("mkfs.btrfs", ["-q", "-d", "single", "-m", "single", "-L", "quorate-lab"])
        .arg(&image))?;
    mount(&image, &dir).context("cannot mount the storage: the kernel needs btrfs and loop devices")
}

fn mount(image: &Path, dir: &Path) -> anyhow::Result<()> {
    run(command("mount", ["-t", "btrfs", "-o", OPTIONS]).args([image, dir]))
}

/// Unmounts the storage and waits until its loop device is gone.
pub fn down() -> anyhow::Result<()> {
    let (image, dir) = (paths::storage_image()?, paths::storage()?);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let unmounted = !is_mounted(&dir) || run(command("umount", [&dir]).arg("--")).is_ok();
        if unmounted && !is_mounted(&dir) && loop_devices(&image).is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "cannot release the storage {}: a process has a file open in it, or has a copy of its mount \
                 (started by `ip netns exec` while the lab was up, perhaps)",
                dir.display()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Tells whether something is mounted there, as this process sees it.
pub fn is_mounted(dir: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().filter_map(|line| line.split(' ').nth(1)).any(|place| Path::new(place) == dir)
}

/// Returns the loop devices over a file, wherever they are mounted.
pub fn loop_devices(file: &Path) -> Vec<PathBuf> {
    let wanted = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let Ok(devices) = fs::read_dir("/sys/block") else { return Vec::new() };
    devices
        .flatten()
        .filter(|device| {
            fs::read_to_string(device.path().join("loop/backing_file")).is_ok_and(|text| {
                Path::new(text.trim_end().trim_end_matches(" (deleted)")) == wanted
            })
        })
        .map(|device| Path::new("/dev").join(device.file_name()))
        .collect()
}

/// Copies a file or a tree of files by sharing their blocks; the target must not be there.
pub fn clone(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(parent) = to.parent() {
        make_dir(parent)?;
    }
    run(command("cp", ["-a", "--reflink=always", "--"]).args([from, to]))
}

/// Replaces a tree by a copy of another; a killed copy is never taken for a whole one.
pub fn replace(from: &Path, to: &Path) -> anyhow::Result<()> {
    let part = to.with_extension("part");
    remove_tree(&part)?;
    clone(from, &part)?;
    remove_tree(to)?;
    fs::rename(&part, to)
        .with_context(|| format!("cannot rename {} to {}", part.display(), to.display()))
}

/// Brings a file of another file system into the storage, with its holes, unless the same one is there.
pub fn bring(from: &Path, to: &Path) -> anyhow::Result<()> {
    let mark = to.with_extension("origin");
    let origin = from.display().to_string();
    if to.is_file() && fs::read_to_string(&mark).is_ok_and(|text| text == origin) {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        make_dir(parent)?;
    }
    let _ = fs::remove_file(&mark);
    run(command("cp", ["--sparse=always", "--"]).args([from, to]))?;
    fs::write(&mark, origin).with_context(|| format!("cannot write {}", mark.display()))
}

/// Returns how much of the machine's disk the storage takes.
pub fn used() -> Option<String> {
    let image = paths::storage_image().ok()?;
    let said = output(command("du", ["-h"]).arg(image)).ok()?;
    said.split_whitespace().next().map(str::to_owned)
}

/// Returns the mounts below a directory, as this process sees them.
pub fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    places.filter(|place| place.starts_with(dir)).collect()
}
