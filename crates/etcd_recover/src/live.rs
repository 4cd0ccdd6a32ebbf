//! The doors to this host.

use crate::{
    args::Wanted,
    once::Once,
    state::{Observed, Step, Survey, is_fenced},
    survey::{self, Places, Process},
    wal,
};
use ansible_module::Applied;
use anyhow::{Context, Result, ensure};
use etcd_cluster::{Access, Cluster};
use host::{Command, file, systemd};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// One run.
pub struct Live {
    wanted: Wanted,
    name: String,
    places: Places,
    /// Named after the first reading: later ones must not ask for another copy.
    backup: Option<PathBuf>,
    /// Bytes to copy, counted once.
    size: Option<u64>,
}

impl Live {
    /// Prepares; looks at nothing but the host's name.
    pub fn open(wanted: &Wanted) -> Result<Self> {
        let name = wanted.name.clone().map_or_else(host::identity::hostname, Ok)?;
        let places = Places::new(wanted);
        Ok(Self { wanted: wanted.clone(), name, places, backup: None, size: None })
    }

    /// Reads this host once.
    pub async fn observe(&mut self) -> Result<Observed> {
        let (data, aside) = self.places.data()?;
        let mut local = Survey { name: self.name.clone(), ..Survey::default() };
        let path = data.clone();
        let log = tokio::task::spawn_blocking(move || survey::read_log(&path)).await?;
        survey::of_log(&mut local, log.context("read the log")?);
        local.running = survey::in_use(&data, &self.wanted.data_dir)?;
        let processes = survey::processes(&self.wanted.data_dir)?;
        let manifests = self.places.ours(&self.places.manifests)?;
        let parked = self.places.ours(&self.places.parked)?;
        let (has_unit, unit_idle) = survey::unit(self.wanted.unit.as_ref()).await?;
        local.starts = manifests.contains(&self.places.manifest) || (has_unit && !unit_idle);
        local.fenced = is_fenced(&local, aside);
        let by_kubelet =
            [&manifests, &parked].iter().any(|all| all.contains(&self.places.manifest));
        let backup = self.backup(&local);
        let size = self.size(&data).await?;
        let others = self.wanted.surveys.iter().filter(|survey| survey.name != self.name);
        Ok(Observed {
            serves: local.running && self.serves(&local).await,
            others: others.cloned().collect(),
            aside,
            replaced: self.places.replaced()?,
            remainder: processes.iter().any(|process| process.forced),
            by_kubelet,
            parked,
            manifests,
            unit_idle,
            has_unit,
            backed_up: file::exists(&backup)?,
            size,
            free: free(&self.wanted.backup_dir),
            backup: backup.to_string_lossy().into_owned(),
            local,
        })
    }

    /// One copy of what is there, found again by a run that follows an interrupted one.
    fn backup(&mut self, local: &Survey) -> PathBuf {
        let name = format!("{}-{}", local.cluster_id, local.member_id);
        let dir = self.wanted.backup_dir.join(if local.has_data { &name } else { "no-data" });
        self.backup.get_or_insert(dir).clone()
    }

    async fn size(&mut self, data: &Path) -> Result<u64> {
        if let Some(size) = self.size {
            return Ok(size);
        }
        let mut du = Command::new("du").args(["--bytes", "--summarize", "--total", "--"]);
        for path in self.to_copy(data)? {
            du = du.arg(path.to_string_lossy());
        }
        let output = du.deadline(Duration::from_mins(1)).output().await?;
        let text = output.text();
        let total = text.lines().last().and_then(|line| line.split_whitespace().next());
        let size = total.and_then(|word| word.parse().ok()).unwrap_or_default();
        self.size = Some(size);
        Ok(size)
    }

    fn to_copy(&self, data: &Path) -> Result<Vec<PathBuf>> {
        let mut all = vec![];
        for path in std::iter::once(data).chain(self.wanted.pki.iter().map(PathBuf::as_path)) {
            if file::exists(path)? {
                all.push(path.to_owned());
            }
        }
        Ok(all)
    }

    /// Whether it answers a linearizable read, and after the recovery as the only voter.
    async fn serves(&self, local: &Survey) -> bool {
        let Ok(access) = Access::for_endpoints(&self.wanted.endpoints, &self.wanted.files) else {
            return false;
        };
        let mut cluster = Cluster::new(access, &self.wanted.endpoints);
        let members = Box::pin(cluster.members()).await;
        members.is_ok_and(|members| {
            let own = members.iter().any(|member| member.id.to_string() == local.member_id);
            own && (!local.is_alone()
                || members.iter().filter(|member| member.is_voter()).count() == 1)
        })
    }

    /// Takes one step.
    pub async fn apply(&mut self, step: &Step, observed: &Observed) -> Result<Applied> {
        let places = &self.places;
        match step {
            Step::EndRemainder => self.end_remainder()?,
            Step::Park(names) => move_all(names, &places.manifests, &places.parked)?,
            Step::Unpark(names) => move_all(names, &places.parked, &places.manifests)?,
            Step::StopUnit => {
                let unit = self.unit()?;
                systemd::disable(unit).await?;
                systemd::stop(unit).await?;
            }
            Step::StartUnit => {
                let unit = self.unit()?;
                systemd::enable(unit).await?;
                systemd::start(unit).await?;
            }
            Step::SetAside => {
                self.unused(&places.member)?;
                file::rename(&places.member, &places.aside).map(|_| ())?;
            }
            Step::TakeBack => {
                self.unused(&places.aside)?;
                // an etcd that was started on nothing may have made an empty one
                file::rename(&places.aside, &places.member).map(|_| ())?;
            }
            Step::Backup(to) => self.copy(Path::new(to)).await?,
            Step::KeepTail(index) => {
                self.unused(&places.member)?;
                let dir = places.member.join("wal");
                tokio::task::spawn_blocking(move || wal::keep_tail(&dir))
                    .await?
                    .with_context(|| format!("keep the log up to entry {index}"))?;
            }
            Step::Restore(_) => self.restore(observed).await?,
            Step::Force(_) => self.force(observed).await?,
            Step::AwaitStopped | Step::AwaitServing => {}
        }
        Ok(Applied::Sent)
    }

    fn unit(&self) -> Result<&str> {
        self.wanted.unit.as_deref().context("find the unit of etcd: none was named")
    }

    fn unused(&self, data: &Path) -> Result<()> {
        let used = survey::in_use(data, &self.wanted.data_dir)?;
        ensure!(!used, "touch {}: a process has it open", data.display());
        Ok(())
    }

    /// Only what an earlier recovery started, by process id and start time.
    fn end_remainder(&self) -> Result<()> {
        for Process { pid, start, forced } in survey::processes(&self.wanted.data_dir)? {
            let same = u32::try_from(pid).ok().map(host::identity::process_start).transpose()?;
            if forced && same == Some(Some(start)) {
                kill(Pid::from_raw(pid), Signal::SIGKILL)
                    .with_context(|| format!("end process {pid}"))?;
            }
        }
        Ok(())
    }

    /// Copied beside, synced and renamed: a copy that has its name is whole.
    async fn copy(&self, to: &Path) -> Result<()> {
        let (data, _) = self.places.data()?;
        self.unused(&data)?;
        file::make_dir(&self.wanted.backup_dir, 0o700)?;
        let mut part = to.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        file::remove_all(&part)?;
        file::make_dir(&part, 0o700)?;
        for path in self.to_copy(&data)? {
            // below its own path, so that it is known where it came from
            let above = path.parent().and_then(|dir| dir.strip_prefix("/").ok());
            let into = part.join(above.unwrap_or(Path::new("")));
            file::make_dir(&into, 0o700)?;
            let copy = Command::new("cp")
                .args(["--archive", "--reflink=auto", "--sparse=auto", "--"])
                .arg(path.to_string_lossy())
                .arg(into.to_string_lossy());
            copy.deadline(self.wanted.timeout).run().await.context("copy the data")?;
        }
        let copied = part.clone();
        let synced = tokio::task::spawn_blocking(move || sync_tree(&copied)).await?;
        synced.context("write the copy to the disk")?;
        file::rename(&part, to).map(|_| ())
    }

    /// Made beside, and put in place by two renames: between them there is no data, and the next run restores again.
    async fn restore(&self, observed: &Observed) -> Result<()> {
        let (data, _) = self.places.data()?;
        self.unused(&data)?;
        let restore = self.wanted.restore.as_ref().context("find the snapshot: none was named")?;
        ensure!(observed.backed_up, "touch the data: it was not copied");
        let part = &self.places.restoring;
        file::remove_all(part)?;
        // who confirmed a cluster that has no data here finds it again by the name of the data it replaced
        let given = self.wanted.confirm.split(' ').next().unwrap_or_default();
        let id =
            Some(observed.local.cluster_id.as_str()).filter(|id| !id.is_empty()).unwrap_or(given);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let command = Command::new(text(&restore.etcdutl))
            .args(["snapshot".into(), "restore".into(), text(&restore.snapshot)])
            .args(["--data-dir".into(), text(part), "--name".into(), self.name.clone()])
            .args(["--initial-cluster".into(), format!("{}={}", self.name, restore.peer_url)])
            .args(["--initial-advertise-peer-urls", &restore.peer_url])
            .args(["--initial-cluster-token", &format!("quorate-{id}")])
            .args(["--bump-revision", &restore.bump.to_string(), "--mark-compacted"]);
        command.deadline(self.wanted.timeout).run().await.context("restore the snapshot")?;
        let copied = part.clone();
        tokio::task::spawn_blocking(move || sync_tree(&copied)).await??;
        let old = self.wanted.data_dir.join(format!("{}{id}", survey::REPLACED));
        if !file::rename(&data, &old)? {
            file::make_dir(&old, 0o700)?;
        }
        file::rename(part.join("member"), &self.places.member)?;
        file::remove_all(part).map(|_| ())
    }

    async fn force(&self, observed: &Observed) -> Result<()> {
        self.unused(&self.places.member)?;
        ensure!(observed.backed_up, "touch the data: it was not copied");
        let once = Once {
            etcd: self.wanted.etcd.clone(),
            name: self.name.clone(),
            data_dir: self.wanted.data_dir.clone(),
            private: self.wanted.backup_dir.join("run"),
            patience: self.wanted.timeout,
        };
        once.run().await
    }
}

fn move_all(names: &[String], from: &Path, to: &Path) -> Result<()> {
    if !file::exists(to)? {
        file::make_dir(to, 0o700)?;
    }
    for name in names {
        move_one(&from.join(name), &to.join(name))?;
    }
    Ok(())
}

/// Across file systems too, and never without one whole copy.
fn move_one(from: &Path, to: &Path) -> Result<()> {
    let Some(content) = file::read(from)? else { return Ok(()) };
    file::write(to, &content, file::PRIVATE)?;
    file::remove(from).map(|_| ())
}

/// Each file and directory by itself: what else is written on this host need not be waited for.
fn sync_tree(path: &Path) -> std::io::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_tree(&entry?.path())?;
        }
    }
    if kind.is_dir() || kind.is_file() { fs::File::open(path)?.sync_all() } else { Ok(()) }
}

fn free(dir: &Path) -> u64 {
    let there = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    nix::sys::statvfs::statvfs(there)
        .map_or(0, |about| about.blocks_available() * about.fragment_size())
}
