//! A snapshot in the making: what the receiving thread has decrypted, another hashes and writes, for each is about half of the work.

use std::fs::{self, File as StdFile, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use etcd_client::SnapshotResponse;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::O_NOFOLLOW;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::name::{ABOUT, PART};
use crate::state::About;
use crate::store::{identity, sync_dir};
use crate::trailer::{Verified, Verifier};

/// Messages of 32 KiB that are handed over together: waking the other thread costs more than one.
const BATCH: usize = 8;
/// Batches that may wait for the disk. More would only be memory.
const WAITING: usize = 2;

/// A file that has no name yet. Dropped before it is whole, it is removed.
pub struct Part {
    dest: PathBuf,
    name: String,
    batch: Vec<SnapshotResponse>,
    /// None once all is handed over.
    batches: Option<mpsc::Sender<Vec<SnapshotResponse>>>,
    writer: JoinHandle<io::Result<Verifier>>,
    /// Says to other runs that this one is alive.
    lock: Flock<StdFile>,
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
        let shared = file.try_clone().with_context(context)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, error)| error)
            .with_context(|| format!("lock {}", path.display()))?;
        // Another run may have taken it for abandoned before it was locked.
        if identity(&path).map(|(inode, ..)| inode) != lock.metadata().ok().map(|about| about.ino())
        {
            bail!("create {}: another run removed it", path.display());
        }
        let (batches, waiting) = mpsc::channel(WAITING);
        Ok(Self {
            dest: dest.to_owned(),
            name: name.to_owned(),
            batch: vec![],
            batches: Some(batches),
            writer: spawn_blocking(move || write_on(shared, waiting)),
            lock,
            finished: false,
        })
    }

    /// Takes the next message; waits for the hash and the disk only where they do not keep up.
    pub async fn write(&mut self, message: SnapshotResponse) -> Result<()> {
        self.batch.push(message);
        if self.batch.len() < BATCH { Ok(()) } else { self.hand_over().await }
    }

    async fn hand_over(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let Some(batches) = &self.batches else { return Ok(()) };
        if batches.send(batch).await.is_err() {
            self.written().await?;
            bail!("write {}: its thread ended early", self.path().display());
        }
        Ok(())
    }

    async fn written(&mut self) -> Result<Verifier> {
        self.batches = None;
        let written = (&mut self.writer).await.context("run on another thread")?;
        written.with_context(|| format!("write {}", self.path().display()))
    }

    /// Waits until all is written, and judges it.
    pub async fn whole(&mut self) -> Result<Verified> {
        self.hand_over().await?;
        let verifier = self.written().await?;
        verifier.finish().map_err(|why| anyhow::anyhow!("verify the stream: {why}"))
    }

    /// Gives the file its name: its bytes, and what is known about it, are on the disk before.
    pub async fn finish(mut self, about: &About) -> Result<()> {
        let path = self.path();
        let context = || format!("write {}", path.display());
        let file = self.lock.try_clone().with_context(context)?;
        let synced = spawn_blocking(move || file.sync_all()).await;
        synced.context("run on another thread")?.with_context(context)?;
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

/// Until nothing more comes, or nothing more can be written.
fn write_on(
    mut file: StdFile,
    mut batches: mpsc::Receiver<Vec<SnapshotResponse>>,
) -> io::Result<Verifier> {
    let mut verifier = Verifier::default();
    while let Some(batch) = batches.blocking_recv() {
        for message in batch {
            verifier.update(message.blob());
            file.write_all(message.blob())?;
        }
    }
    Ok(verifier)
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
