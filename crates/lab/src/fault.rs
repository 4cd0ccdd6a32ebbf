//! Damage to a disk, as a dying one has it: the blocks beneath etcd's database can no longer be read.
//!
//! The disk is a file on btrfs, which knows the checksum of every block. Bytes of the database's blocks are changed
//! in the image beneath btrfs; from then on a read of them is an I/O error that the kernel logs, in the host as on
//! any machine. Only a write of the block, or another disk, ends it.

use crate::command::{command, output, run};
use crate::plan::Host;
use crate::{cgroup, paths, vm};
use anyhow::{Context, bail};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BLOCK: u64 = 4096;

/// A run of blocks of a file: where it is in the file and where beneath, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Extent {
    at: u64,
    beneath: u64,
    length: u64,
}

/// A chunk of btrfs's address space and where it lies in the image.
#[derive(Debug, PartialEq, Eq)]
struct Chunk {
    logical: u64,
    length: u64,
    physical: u64,
}

/// Damages the etcd database below `path`, or the file `path`, on a running host, and returns how many blocks.
///
/// # Errors
/// When the damage cannot be done or, afterwards, cannot be seen by reading.
pub fn disk(host: Host, path: &Path) -> anyhow::Result<usize> {
    let root = vm::files(host)?;
    let file = database(&root, path)?;
    let blocks = damage(host, &root, &file)?;
    show(host, &file)?;
    Ok(blocks)
}

fn database(root: &Path, path: &Path) -> anyhow::Result<PathBuf> {
    let place = root.join(path.strip_prefix("/").unwrap_or(path));
    let candidates = [place.join("member/snap/db"), place.join("db/etcd/member/snap/db"), place];
    let found = candidates.into_iter().find(|candidate| candidate.is_file());
    found.with_context(|| {
        format!("there is no etcd database below {} and it is no file", path.display())
    })
}

fn damage(host: Host, root: &Path, file: &Path) -> anyhow::Result<usize> {
    let disk = vm::last_disk(host)?;
    // Nothing may move while its place is looked up.
    let frozen = Frozen::new(root)?;
    let ranges: Vec<Range<u64>> = extents(file)?
        .iter()
        .map(|extent| extent.beneath..extent.beneath + extent.length)
        .collect();
    own(&disk, &ranges)?;
    run(command("btrfs", ["filesystem", "sync"]).arg(paths::storage()?))?;
    let image = paths::storage_image()?;
    let blocks = places(&ranges, &extents(&disk)?, &chunks(&image)?)?;
    flip(&image, &blocks)?;
    forget(&disk)?;
    drop(frozen);
    Ok(blocks.len())
}

/// A file system that takes no writes until this is dropped.
struct Frozen<'a>(&'a Path);

impl<'a> Frozen<'a> {
    fn new(root: &'a Path) -> anyhow::Result<Self> {
        run(command("fsfreeze", ["--freeze"]).arg(root))?;
        Ok(Self(root))
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if let Err(error) = run(command("fsfreeze", ["--unfreeze"]).arg(self.0)) {
            crate::say(&format!("{error:#}"));
        }
    }
}

/// Makes the blocks the disk's own: a copy of it, such as the cached cluster, shares those that were never written.
fn own(disk: &Path, ranges: &[Range<u64>]) -> anyhow::Result<()> {
    let name = || format!("cannot rewrite blocks of {}", disk.display());
    let file = OpenOptions::new().read(true).write(true).open(disk).with_context(name)?;
    for range in ranges {
        let mut buffer =
            vec![0; usize::try_from(range.end - range.start).context("an extent is too long")?];
        file.read_exact_at(&mut buffer, range.start).with_context(name)?;
        file.write_all_at(&buffer, range.start).with_context(name)?;
    }
    file.sync_all().with_context(name)
}

/// Asks for the blocks of a file that were written.
fn extents(file: &Path) -> anyhow::Result<Vec<Extent>> {
    let said = output(command("filefrag", [format!("-b{BLOCK}"), "-v".to_owned()]).arg(file))?;
    let found = parse_extents(&said);
    if found.is_empty() {
        bail!("the file {} has no blocks on its disk", file.display());
    }
    Ok(found)
}

fn parse_extents(said: &str) -> Vec<Extent> {
    said.lines().filter_map(parse_extent).collect()
}

/// `   0:        0..     255:      34816..     35071:    256:             last,eof`
fn parse_extent(line: &str) -> Option<Extent> {
    let mut fields = line.split(':').map(str::trim);
    fields.next()?.parse::<u64>().ok()?;
    let first = |field: &str| field.split("..").next()?.trim().parse::<u64>().ok();
    let (at, beneath) = (first(fields.next()?)?, first(fields.next()?)?);
    let length = fields.next()?.parse::<u64>().ok()?;
    let flags = fields.next_back().unwrap_or_default();
    // Reserved blocks read as zeroes without touching the disk.
    let real =
        !["unwritten", "inline", "delalloc", "unknown"].iter().any(|flag| flags.contains(flag));
    real.then_some(Extent { at: at * BLOCK, beneath: beneath * BLOCK, length: length * BLOCK })
}

fn chunks(image: &Path) -> anyhow::Result<Vec<Chunk>> {
    // The image rather than its loop device, whose own cache may be older than the file.
    let said =
        output(command("btrfs", ["inspect-internal", "dump-tree", "-t", "chunk"]).arg(image))?;
    Ok(parse_chunks(&said))
}

fn parse_chunks(said: &str) -> Vec<Chunk> {
    let mut found = Vec::new();
    let mut logical = None;
    let mut length = None;
    for line in said.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| {
            words.get(at).and_then(|word| word.trim_end_matches(')').parse::<u64>().ok())
        };
        if line.contains(" CHUNK_ITEM ") {
            logical = number(5);
        } else if line.starts_with("length ") {
            length = number(1);
        } else if line.starts_with("stripe 0 ")
            && let (Some(logical), Some(length), Some(physical)) =
                (logical.take(), length.take(), number(5))
        {
            found.push(Chunk { logical, length, physical });
        }
    }
    found
}

/// Returns where in the image each block of the ranges of the disk lies.
fn places(ranges: &[Range<u64>], disk: &[Extent], chunks: &[Chunk]) -> anyhow::Result<Vec<u64>> {
    let blocks = ranges.iter().flat_map(|range| (range.start..range.end).step_by(4096));
    blocks
        .map(|block| {
            let extent =
                disk.iter().find(|extent| (extent.at..extent.at + extent.length).contains(&block));
            let logical = extent.map(|extent| extent.beneath + (block - extent.at));
            let logical =
                logical.with_context(|| format!("block {block} of the disk has no place"))?;
            let chunk = chunks
                .iter()
                .find(|chunk| (chunk.logical..chunk.logical + chunk.length).contains(&logical));
            let chunk =
                chunk.with_context(|| format!("address {logical} of the storage has no chunk"))?;
            Ok(chunk.physical + (logical - chunk.logical))
        })
        .collect()
}

fn flip(image: &Path, places: &[u64]) -> anyhow::Result<()> {
    let name = || format!("cannot damage {}", image.display());
    let file = OpenOptions::new().read(true).write(true).open(image).with_context(name)?;
    for place in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, *place).with_context(name)?;
        file.write_all_at(&byte.map(|bits| !bits), *place).with_context(name)?;
    }
    file.sync_all().with_context(name)
}

/// Makes the next read of a file go to its disk, as far as nobody maps it.
fn forget(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
        .with_context(|| format!("cannot drop {} from memory", path.display()))
}

/// Reads the file until the damage shows, pushing out what the host still has of it in memory.
fn show(host: Host, file: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let inode =
        fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.ino();
    loop {
        forget(file)?;
        for pid in cgroup::processes(host.name)?.into_iter().filter(|pid| maps(*pid, inode)) {
            cgroup::reclaim(pid)?;
        }
        match read(file) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => return Ok(()),
            outcome if Instant::now() > deadline => {
                outcome.with_context(|| format!("cannot read {}", file.display()))?;
                bail!(
                    "the damage to {} cannot be seen: its blocks are still in memory",
                    file.display()
                );
            }
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Tells whether a process has a file in its address space; only pages that nobody has there can be forgotten.
fn maps(pid: i32, inode: u64) -> bool {
    let inode = inode.to_string();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines().any(|line| line.split_whitespace().nth(4) == Some(&inode))
}

fn read(file: &Path) -> std::io::Result<()> {
    let mut file = fs::File::open(file)?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests;
