//! The directory of snapshots.
//!
//! A file has its name only when all of it is on the disk. Until then it is called `.part` and is locked by the run that writes it, so
//! that another run can tell a file in the making from what a killed run left.

use std::fs::{self, DirBuilder, File as StdFile, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use etcd_cluster::MemberId;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::O_NOFOLLOW;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::name::{self, ABOUT, PART};
use crate::state::{About, File, Validity};
use crate::trailer::Verifier;

/// Bytes read or written at once.
const PIECE: usize = 256 << 10;

/// Holds what lies in the directory.
#[derive(Debug, Default)]
pub struct Listing {
    /// Files with our names for the cluster, unread.
    pub files: Vec<File>,
    /// What interrupted runs left.
    pub remains: Vec<String>,
    /// Whether others may replace files.
    pub exposed: bool,
}

/// Lists the directory, of one cluster or of all; one that is missing is empty.
pub fn list(dest: &Path, cluster: Option<MemberId>) -> Result<Listing> {
    let about = match fs::metadata(dest) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Listing::default()),
        Err(error) => return Err(error).with_context(|| format!("look at {}", dest.display())),
    };
    if !about.is_dir() {
        bail!("list {}: it is no directory", dest.display());
    }
    // In a sticky directory such as /tmp nobody replaces another's file.
    let exposed = about.mode() & 0o022 != 0 && about.mode() & 0o1000 == 0;
    let mut listing = Listing { exposed, ..Listing::default() };
    let entries = fs::read_dir(dest).with_context(|| format!("list {}", dest.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", dest.display()))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // Never through a link: what it leads to is not ours.
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        match name::read(&name) {
            Some((of, taken_at)) if cluster.is_none_or(|cluster| of == cluster) => {
                let size = entry.metadata().map_or(0, |about| about.len());
                listing.files.push(File { name, taken_at, size, ..File::default() });
            }
            Some(_) => {}
            None => {
                let left = cluster.is_some_and(|cluster| is_remainder(dest, &name, cluster));
                listing.remains.extend(left.then_some(name));
            }
        }
    }
    listing.remains.sort();
    Ok(listing)
}

/// A part that nobody writes, or what is known about a file that never came to be.
fn is_remainder(dest: &Path, name: &str, cluster: MemberId) -> bool {
    let ours = |suffix: &str| {
        name.strip_suffix(suffix)
            .filter(|file| name::read(file).is_some_and(|(of, _)| of == cluster))
    };
    if ours(PART).is_some() {
        return abandoned(&dest.join(name)).is_some();
    }
    ours(ABOUT).is_some_and(|file| {
        !dest.join(file).exists() && !dest.join(format!("{file}{PART}")).exists()
    })
}

/// The file, locked, if no run holds it.
fn abandoned(path: &Path) -> Option<Flock<StdFile>> {
    let file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(path).ok()?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

/// Removes what interrupted runs left.
pub fn clean(dest: &Path, remains: &[String]) -> Result<()> {
    for name in remains {
        let path = dest.join(name);
        // Held until it is gone: no run may begin to write it in between.
        let _held = if name.ends_with(PART) {
            let Some(held) = abandoned(&path) else { continue };
            Some(held)
        } else {
            None
        };
        remove(&path)?;
    }
    sync_dir(dest)
}

/// Deletes one snapshot, and then what is known about it.
pub fn delete(dest: &Path, name: &str) -> Result<()> {
    if name::read(name).is_none() {
        bail!("delete {name}: not a name of ours");
    }
    remove(&dest.join(name))?;
    remove(&dest.join(format!("{name}{ABOUT}")))?;
    sync_dir(dest)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Reads a file to its end and judges it; none when there is no such file.
pub fn verify(path: &Path) -> Result<Option<File>> {
    let opened = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("open {}", path.display())),
    };
    let about = file.metadata().with_context(|| format!("look at {}", path.display()))?;
    if !about.is_file() {
        bail!("read {}: it is no regular file", path.display());
    }
    let (mut verifier, mut piece) = (Verifier::default(), vec![0; PIECE]);
    loop {
        let read = file.read(&mut piece).with_context(|| format!("read {}", path.display()))?;
        if read == 0 {
            break;
        }
        verifier.update(piece.get(..read).unwrap_or_default());
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let taken_at = name::read(&name).map(|(_, taken_at)| taken_at).unwrap_or_default();
    let found = match verifier.finish() {
        Ok(whole) => {
            let about = read_about(path).filter(|about| about.sha256 == whole.sha256);
            File {
                name,
                taken_at,
                validity: Validity::Valid,
                size: whole.size,
                sha256: whole.sha256,
                about,
            }
        }
        Err(why) => File {
            name,
            taken_at,
            validity: Validity::Invalid(why.to_string()),
            size: about.len(),
            ..File::default()
        },
    };
    Ok(Some(found))
}

/// What lies beside a file, if it can be read: nothing is decided by it.
pub fn read_about(path: &Path) -> Option<About> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ABOUT);
    serde_json::from_slice(&fs::read(beside).ok()?).ok()
}

/// What tells a file from another of the same name.
pub fn identity(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let about = fs::symlink_metadata(path).ok()?;
    Some((about.ino(), about.len(), about.mtime(), about.mtime_nsec()))
}

/// Bytes that files in the directory may take, or in the one it would be made in.
pub fn free(dest: &Path) -> Option<u64> {
    let there = dest.ancestors().find(|dir| dir.is_dir())?;
    let about = nix::sys::statvfs::statvfs(there).ok()?;
    Some(about.blocks_available() * about.fragment_size())
}

/// Makes the directory where it is missing. The mode of one that is there is its owner's business.
pub fn make(dest: &Path) -> Result<()> {
    if dest.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dest)
        .with_context(|| format!("make directory {}", dest.display()))?;
    dest.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(dir: &Path) -> Result<()> {
    StdFile::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("sync {}", dir.display()))
}

/// A snapshot in the making. Dropped before it is whole, it is removed.
pub struct Part {
    dest: PathBuf,
    name: String,
    writer: BufWriter<tokio::fs::File>,
    /// Says to other runs that this one is alive.
    _lock: Flock<StdFile>,
    finished: bool,
}

impl Part {
    /// Begins a file of mode 0600 that was not there before, never through a link.
    pub fn create(dest: &Path, name: &str) -> Result<Self> {
        let path = dest.join(format!("{name}{PART}"));
        let context = || format!("create {}", path.display());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(O_NOFOLLOW);
        let file = options.open(&path).with_context(context)?;
        let mut shared = tokio::fs::File::from_std(file.try_clone().with_context(context)?);
        // The disk is the bottleneck: more would only be memory.
        shared.set_max_buf_size(PIECE);
        let writer = BufWriter::with_capacity(PIECE, shared);
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, error)| error)
            .with_context(|| format!("lock {}", path.display()))?;
        // Another run may have taken it for abandoned before it was locked.
        if identity(&path).map(|(inode, ..)| inode) != lock.metadata().ok().map(|about| about.ino())
        {
            bail!("create {}: another run removed it", path.display());
        }
        Ok(Self {
            dest: dest.to_owned(),
            name: name.to_owned(),
            writer,
            _lock: lock,
            finished: false,
        })
    }

    /// Writes the next bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer
            .write_all(bytes)
            .await
            .with_context(|| format!("write {}", self.path().display()))
    }

    /// Gives the file its name: its bytes, and what is known about it, are on the disk before.
    pub async fn finish(mut self, about: &About) -> Result<()> {
        let path = self.path();
        let context = || format!("write {}", path.display());
        self.writer.flush().await.with_context(context)?;
        self.writer.get_ref().sync_all().await.with_context(context)?;
        let target = self.dest.join(&self.name);
        if fs::symlink_metadata(&target).is_ok() {
            bail!("write {}: it is there already", target.display());
        }
        self.write_about(about)?;
        fs::rename(&path, &target)
            .with_context(|| format!("rename {} to {}", path.display(), self.name))?;
        self.finished = true;
        sync_dir(&self.dest)
    }

    fn write_about(&self, about: &About) -> Result<()> {
        let path = self.dest.join(format!("{}{ABOUT}", self.name));
        let text = serde_json::to_string_pretty(about)
            .context("write what is known about the snapshot")?
            + "\n";
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .custom_flags(O_NOFOLLOW)
                .open(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().with_context(|| format!("write {}", path.display()))
    }

    fn path(&self) -> PathBuf {
        self.dest.join(format!("{}{PART}", self.name))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: what stays is cleaned by the next run.
            _ = fs::remove_file(self.dest.join(format!("{}{ABOUT}", self.name)));
            _ = fs::remove_file(self.path());
        }
    }
}
