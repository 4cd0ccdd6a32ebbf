//! Files: whole reads, atomic writes, moves and removals that are on the disk when they return.

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

/// Who may do what with a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// The permission bits.
    pub mode: u32,
    /// User and group; none keeps those of this process.
    pub owner: Option<(u32, u32)>,
}

/// For root alone: files that hold secrets.
pub const PRIVATE: Access = Access { mode: 0o600, owner: None };
/// For everyone to read.
pub const PUBLIC: Access = Access { mode: 0o644, owner: None };

/// Reads a file whole; none when there is no such file.
pub fn read(path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
    let path = path.as_ref();
    absent(fs::read(path)).with_context(|| format!("read {}", path.display()))
}

/// Reads a file whole as text, with anything that is not UTF-8 replaced; none when there is no such file.
pub fn read_text(path: impl AsRef<Path>) -> Result<Option<String>> {
    Ok(read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Whether something lies at this path, a broken link included.
pub fn exists(path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    Ok(absent(fs::symlink_metadata(path))
        .with_context(|| format!("look at {}", path.display()))?
        .is_some())
}

/// Lists the names in a directory, sorted; empty when there is no such directory.
pub fn list(dir: impl AsRef<Path>) -> Result<Vec<String>> {
    let dir = dir.as_ref();
    let Some(entries) =
        absent(fs::read_dir(dir)).with_context(|| format!("list {}", dir.display()))?
    else {
        return Ok(vec![]);
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", dir.display()))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Writes a file so that a reader, or a crash at any time, sees the old content or the new one and never a part.
///
/// Returns whether anything changed: the same content with the same mode and owner is left alone. The content is written
/// beside the file under a name of our own that only root can read, synced, given its owner and mode, and renamed over it;
/// then the directory is synced.
///
/// # Errors
/// The directory is missing, the disk is full, or the path is something else than a regular file.
pub fn write(path: impl AsRef<Path>, content: &[u8], access: Access) -> Result<bool> {
    let path = path.as_ref();
    if is_same(path, content, access)? {
        return Ok(false);
    }
    let (dir, beside) = beside(path)?;
    let written = write_new(&beside, content, access).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("write {}", path.display()))?;
    sync_dir(&dir)?;
    Ok(true)
}

/// Makes a directory and those above it; returns whether anything changed.
pub fn make_dir(path: impl AsRef<Path>, mode: u32) -> Result<bool> {
    let path = path.as_ref();
    let missing = !exists(path)?;
    fs::create_dir_all(path).with_context(|| format!("make directory {}", path.display()))?;
    let seen =
        fs::metadata(path).with_context(|| format!("look at {}", path.display()))?.mode() & 0o7777;
    if seen != mode {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .with_context(|| format!("set the mode of {}", path.display()))?;
    }
    Ok(missing || seen != mode)
}

/// Removes a file; returns whether there was one.
pub fn remove(path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    let there = absent(fs::remove_file(path))
        .with_context(|| format!("remove {}", path.display()))?
        .is_some();
    if there {
        sync_dir(parent(path))?;
    }
    Ok(there)
}

/// Removes everything in a directory and keeps the directory, which may be a mount point; returns whether there was anything.
pub fn empty_dir(path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    let names = list(path)?;
    for name in &names {
        remove_all(path.join(name))?;
    }
    Ok(!names.is_empty())
}

/// Removes a file or a directory with all that is in it; returns whether there was one.
pub fn remove_all(path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    let Some(kind) = absent(fs::symlink_metadata(path))
        .with_context(|| format!("look at {}", path.display()))?
    else {
        return Ok(false);
    };
    let gone = if kind.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    gone.with_context(|| format!("remove {}", path.display()))?;
    sync_dir(parent(path))?;
    Ok(true)
}

/// Whether some process holds the file locked (flock), as etcd does with its database for as long as it runs; false when there is no such file.
pub fn is_locked(path: impl AsRef<Path>) -> Result<bool> {
    let path = path.as_ref();
    let Some(file) =
        absent(File::open(path)).with_context(|| format!("open {}", path.display()))?
    else {
        return Ok(false);
    };
    // Shared, and for a moment only: a holder of the exclusive lock excludes it, and one that is just starting waits for it.
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => Ok(false),
        Err((_, Errno::EWOULDBLOCK)) => Ok(true),
        Err((_, error)) => Err(error).with_context(|| format!("look who locks {}", path.display())),
    }
}

/// Renames a file or directory within its file system; returns whether there was one. Never overwrites a directory that holds something.
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<bool> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let there = absent(fs::rename(from, to))
        .with_context(|| format!("move {} to {}", from.display(), to.display()))?
        .is_some();
    if there {
        sync_dir(parent(from))?;
        sync_dir(parent(to))?;
    }
    Ok(there)
}

fn is_same(path: &Path, content: &[u8], access: Access) -> Result<bool> {
    let looked = absent(fs::symlink_metadata(path))
        .with_context(|| format!("look at {}", path.display()))?;
    let Some(seen) = looked else { return Ok(false) };
    if !seen.is_file() {
        bail!("write {}: it is no regular file", path.display());
    }
    let owner = access.owner.is_none_or(|owner| owner == (seen.uid(), seen.gid()));
    let alike = owner && seen.mode() & 0o7777 == access.mode && seen.len() == content.len() as u64;
    Ok(alike && read(path)?.as_deref() == Some(content))
}

fn write_new(path: &Path, content: &[u8], access: Access) -> std::io::Result<()> {
    // A remainder of a killed run that had our process id.
    absent(fs::remove_file(path))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    if let Some((user, group)) = access.owner {
        fchown(&file, Some(user), Some(group))?;
    }
    file.set_permissions(Permissions::from_mode(access.mode))?;
    file.sync_all()
}

/// The directory of a file, and the name it is written under first.
fn beside(path: &Path) -> Result<(PathBuf, PathBuf)> {
    let name = path
        .file_name()
        .with_context(|| format!("write {}: not the path of a file", path.display()))?;
    let dir = parent(path).to_owned();
    let beside = dir.join(format!(".{}.quorate-{}", name.to_string_lossy(), std::process::id()));
    Ok((dir, beside))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("sync {}", dir.display()))
}

fn absent<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_private_and_done_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("join.yaml");
        assert!(write(&path, b"one", PRIVATE).unwrap());
        assert!(!write(&path, b"one", PRIVATE).unwrap(), "the same content is unchanged");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(write(&path, b"one", PUBLIC).unwrap(), "another mode is a change");
        assert!(write(&path, b"two", PUBLIC).unwrap());
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(list(dir.path()).unwrap(), ["join.yaml"], "nothing is left beside it");
    }

    #[test]
    fn a_directory_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(dir.path(), b"x", PRIVATE).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("write {}: it is no regular file", dir.path().display())
        );
    }

    #[test]
    fn what_is_absent_reads_as_none_and_is_removed_without_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no/such");
        assert!(
            read(&path).unwrap().is_none()
                && !exists(&path).unwrap()
                && list(&path).unwrap().is_empty()
        );
        assert!(
            !remove(&path).unwrap()
                && !empty_dir(&path).unwrap()
                && !rename(&path, dir.path().join("x")).unwrap()
        );
    }

    #[test]
    fn emptying_keeps_the_directory_and_does_not_follow_links() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("kept"), "").unwrap();
        fs::create_dir_all(dir.path().join("member/wal")).unwrap();
        std::os::unix::fs::symlink(other.path(), dir.path().join("link")).unwrap();
        assert!(empty_dir(dir.path()).unwrap());
        assert!(list(dir.path()).unwrap().is_empty() && other.path().join("kept").exists());
    }

    #[test]
    fn a_lock_is_seen_while_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        assert!(!is_locked(&path).unwrap());
        fs::write(&path, "").unwrap();
        assert!(!is_locked(&path).unwrap());
        let held = Flock::lock(File::open(&path).unwrap(), FlockArg::LockExclusive).unwrap();
        assert!(is_locked(&path).unwrap());
        drop(held);
        assert!(!is_locked(&path).unwrap());
    }

    #[test]
    fn a_directory_gets_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        assert!(make_dir(&path, 0o700).unwrap());
        assert!(!make_dir(&path, 0o700).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    }
}
