//! Looking at the member on this host, without it.

use crate::{
    args::Wanted,
    state::Survey,
    wal::{self, Damage, Log},
};
use anyhow::Result;
use host::{file, systemd};
use std::path::{Path, PathBuf};

/// The name under which data is set aside. etcd starts on an empty `member` without looking at it.
pub const ASIDE: &str = "member.fenced";
/// Data that a restored snapshot took the place of, with the id of its cluster.
pub const REPLACED: &str = "member.before-";
/// What kubeadm's kubelet starts beside etcd, and what writes into it.
const USERS: [&str; 1] = ["kube-apiserver.yaml"];

/// Where things lie on this host.
#[derive(Clone, Debug)]
pub struct Places {
    /// The member's data.
    pub member: PathBuf,
    /// The same, set aside.
    pub aside: PathBuf,
    /// Where a snapshot is restored first, on the same file system.
    pub restoring: PathBuf,
    /// Manifests that the kubelet follows.
    pub manifests: PathBuf,
    /// Manifests that are set aside.
    pub parked: PathBuf,
    /// The manifest of etcd.
    pub manifest: String,
}

impl Places {
    /// From the options.
    pub fn new(wanted: &Wanted) -> Self {
        let manifest = wanted.manifest.file_name().unwrap_or_default().to_string_lossy();
        Self {
            member: wanted.data_dir.join("member"),
            aside: wanted.data_dir.join(ASIDE),
            restoring: wanted.data_dir.join("restore.part"),
            manifests: wanted.manifest.parent().unwrap_or(Path::new("/")).to_owned(),
            parked: wanted.backup_dir.join("manifests"),
            manifest: manifest.into_owned(),
        }
    }

    /// The data, wherever it is: in its place first.
    pub fn data(&self) -> Result<(PathBuf, bool)> {
        let aside =
            !file::exists(self.member.join("wal"))? && file::exists(self.aside.join("wal"))?;
        Ok(if aside { (self.aside.clone(), true) } else { (self.member.clone(), false) })
    }

    /// Clusters whose data a restored snapshot took the place of.
    pub fn replaced(&self) -> Result<Vec<String>> {
        let names = file::list(self.member.parent().unwrap_or(Path::new("/")))?;
        Ok(names.iter().filter_map(|name| name.strip_prefix(REPLACED)).map(str::to_owned).collect())
    }

    /// Those of our manifests that lie in a directory.
    pub fn ours(&self, dir: &Path) -> Result<Vec<String>> {
        let names = file::list(dir)?;
        let ours = |name: &String| *name == self.manifest || USERS.contains(&name.as_str());
        Ok(names.into_iter().filter(ours).collect())
    }
}

/// Fills in what the log tells.
pub fn of_log(survey: &mut Survey, log: Option<Log>) {
    let Some(log) = log else { return };
    survey.has_data = true;
    survey.member_id = log.member.to_string();
    survey.cluster_id = log.cluster.to_string();
    (survey.term, survey.commit) = (log.term, log.commit);
    (survey.last_term, survey.last_index) = (log.last_term, log.last_index);
    survey.voters = log.voters.iter().map(ToString::to_string).collect();
    survey.damage = match log.damage {
        Some(Damage::Corrupt(why)) => Some(why),
        _ => None,
    };
}

/// Reads the log; it is left alone while nothing in its directory has changed.
pub fn read_log(data: &Path) -> Result<Option<Log>> {
    wal::read(&data.join("wal"))
}

/// Whether somebody has the data open, by the lock that etcd holds on its database for as long as it runs, or works on it by its arguments.
pub fn in_use(data: &Path, data_dir: &Path) -> Result<bool> {
    Ok(file::is_locked(data.join("snap/db"))? || !processes(data_dir)?.is_empty())
}

/// A process of etcd.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// When it was started, which tells it from a later one of the same id.
    pub start: u64,
    /// It was started by a recovery.
    pub forced: bool,
}

/// Processes of etcd on this data directory, those in containers included: their arguments name the same path.
pub fn processes(data_dir: &Path) -> Result<Vec<Process>> {
    let dir = data_dir.to_string_lossy();
    let mut found = vec![];
    for name in file::list("/proc")? {
        let Ok(pid) = name.parse::<i32>() else { continue };
        // gone in between is gone
        let Ok(Some(line)) = file::read_text(Path::new("/proc").join(&name).join("cmdline")) else {
            continue;
        };
        let mut words = line.split('\0');
        let program = words.next().unwrap_or_default();
        if program.rsplit('/').next() != Some("etcd") {
            continue;
        }
        let words: Vec<&str> = words.collect();
        let here = words.iter().any(|word| {
            *word == dir || word.strip_prefix("--data-dir=").is_some_and(|path| path == dir)
        });
        let start = u32::try_from(pid).ok().map(host::identity::process_start).transpose()?;
        if let (true, Some(Some(start))) = (here, start) {
            found.push(Process { pid, start, forced: words.contains(&"--force-new-cluster") });
        }
    }
    Ok(found)
}

/// What systemd says of the unit: it is there, it is idle.
pub async fn unit(name: Option<&String>) -> Result<(bool, bool)> {
    let Some(name) = name else { return Ok((false, false)) };
    let Some(unit) = systemd::unit(name).await? else { return Ok((false, false)) };
    let idle = !unit.is_running() && unit.file_state != "enabled";
    Ok((true, idle))
}
