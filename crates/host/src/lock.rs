//! One writer at a time on this host.

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Where the locks lie: gone after a boot, as every holder is.
pub const DIR: &str = "/run/quorate";

/// A lock of this host, held until it is dropped or the process ends in any way, `kill -9` included.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of this name under [`DIR`].
    ///
    /// # Errors
    /// Another process still holds it after `patience`; it is named.
    pub async fn take(name: &str, patience: Duration) -> Result<Self> {
        crate::file::make_dir(DIR, 0o700)?;
        Self::take_at(Path::new(DIR).join(format!("{name}.lock")), patience).await
    }

    /// Takes the lock that this file stands for. The file stays: to remove it would let two processes lock two files.
    pub async fn take_at(path: impl Into<PathBuf>, patience: Duration) -> Result<Self> {
        let (path, until) = (path.into(), Instant::now() + patience);
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let mut file = open.with_context(|| format!("open lock {}", path.display()))?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut held) => {
                    // For people only: who holds it is decided by the kernel.
                    let _ = held
                        .set_len(0)
                        .and_then(|()| held.rewind())
                        .and_then(|()| writeln!(held, "{}", holder()));
                    return Ok(Self { _file: held, path });
                }
                Err((mut other, nix::errno::Errno::EWOULDBLOCK)) if Instant::now() >= until => {
                    let mut words = String::new();
                    let _ = other.rewind().and_then(|()| other.read_to_string(&mut words));
                    bail!("take lock {}: held by {}", path.display(), words.trim());
                }
                Err((other, nix::errno::Errno::EWOULDBLOCK)) => file = other,
                Err((_, error)) => {
                    return Err(error).with_context(|| format!("take lock {}", path.display()));
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// The file that stands for it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn holder() -> String {
    let program = std::env::args().next().unwrap_or_default();
    format!("process {} ({program})", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_who_holds_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        runtime.block_on(async {
            let first = Lock::take_at(&path, Duration::ZERO).await.unwrap();
            let error = Lock::take_at(&path, Duration::ZERO).await.unwrap_err().to_string();
            assert!(error.contains(&format!("held by process {}", std::process::id())), "{error}");
            drop(first);
            assert!(Lock::take_at(&path, Duration::ZERO).await.is_ok());
        });
    }
}
