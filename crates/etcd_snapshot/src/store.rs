//! The directory of snapshots.
//!
//! A file has its name only when all of it is on the disk. Until then it is called `.part` and is locked by the run that writes it, so
//! that another run can tell a file in the making from what a killed run left.

use std::fs::{self, DirBuilder, File as StdFile, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, bail};
use etcd_cluster::MemberId;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::O_NOFOLLOW;

use crate::name::{self, ABOUT, PART};
use crate::state::{About, File, Validity};
use crate::trailer::Verifier;

/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// Pieces on their way between the thread that reads and the one that hashes.
const AHEAD: usize = 3;

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
    let mut verifier = Verifier::default();
    pieces(&mut file, |piece| verifier.update(piece))
        .with_context(|| format!("read {}", path.display()))?;
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

/// Reads a file to its end, on a thread that is a few pieces ahead: reading and hashing take about as long.
fn pieces(file: &mut StdFile, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let ((full, filled), (empty, emptied)) = (mpsc::channel(), mpsc::channel());
    for _ in 0..AHEAD {
        _ = empty.send(vec![0; PIECE]);
    }
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            while let Ok(mut piece) = emptied.recv() {
                piece.resize(PIECE, 0);
                let read = file.read(&mut piece)?;
                piece.truncate(read);
                if read == 0 || full.send(piece).is_err() {
                    break;
                }
            }
            Ok(())
        });
        for piece in filled {
            take(&piece);
            // there is no reader any more when the end was read
            _ = empty.send(piece);
        }
        reader.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread ended early")))
    })
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

pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    StdFile::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("sync {}", dir.display()))
}
