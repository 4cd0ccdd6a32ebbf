//! The one run of etcd with `--force-new-cluster`, which nobody can reach.

use crate::wal;
use anyhow::{Context, Result, bail};
use etcd_cluster::MemberId;
use host::Command;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Between two looks into the log.
const LOOK: Duration = Duration::from_millis(300);

/// What is run.
pub struct Once {
    /// The program.
    pub etcd: PathBuf,
    /// The member's name.
    pub name: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// A directory of ours, for its sockets.
    pub private: PathBuf,
    /// How long it may take.
    pub patience: Duration,
}

impl Once {
    /// Runs etcd until its log says that it is the only voter, and ends it.
    ///
    /// It listens on sockets in a directory that only root can enter: there is no client that could be served, and no peer that could be spoken to. That it is done
    /// is read from its log, which is what counts. Its end is a kill: what the log says is on the disk.
    ///
    /// # Errors
    /// When it ends by itself, or does not get there.
    pub async fn run(&self) -> Result<()> {
        host::file::make_dir(&self.private, 0o700)?;
        let run = self.command().output();
        let running = async {
            let output = run.await.context("run etcd with --force-new-cluster")?;
            bail!("run etcd with --force-new-cluster: it ended: {}", output.last_words())
        };
        tokio::select! {
            biased;
            ended = running => ended,
            done = self.done() => done,
        }
    }

    /// A `unix` URL is the name of a socket in the working directory; it must look like host and port all the same. `env` becomes etcd: there is no process in between that a kill would hit instead.
    fn command(&self) -> Command {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        Command::new("env")
            .arg(format!("--chdir={}", path(&self.private)))
            .args([path(&self.etcd), "--force-new-cluster".into(), "--name".into()])
            .args([self.name.clone(), "--data-dir".into(), path(&self.data_dir)])
            .args(["--listen-client-urls", "unix://localhost:1"])
            .args(["--advertise-client-urls", "http://localhost:1"])
            .args(["--listen-peer-urls", "unix://localhost:2"])
            .args(["--log-level", "warn"])
            .deadline(self.patience)
    }

    async fn done(&self) -> Result<()> {
        loop {
            tokio::time::sleep(LOOK).await;
            let dir = self.data_dir.join("member/wal");
            let log = tokio::task::spawn_blocking(move || wal::read(&dir)).await??;
            if log.is_some_and(|log| is_alone(&log.voters, log.member)) {
                return Ok(());
            }
        }
    }
}

fn is_alone(voters: &std::collections::BTreeSet<MemberId>, member: MemberId) -> bool {
    voters.len() == 1 && voters.contains(&member)
}
