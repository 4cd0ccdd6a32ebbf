//! The doors to the cluster and to the processes of this host.

use crate::{
    args::{Goal, Wanted},
    state::{Lease, Observed, Operation, Step},
};
use ansible_module::Applied;
use anyhow::{Context, bail};
use kube_cluster::{Claim, Cluster, Holder, LockName, Seen, Witness, Written};
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant, SystemTime},
};

/// Speaks to the cluster for one run.
pub struct Lock {
    cluster: Cluster,
    name: LockName,
    holder: Holder,
    witnesses: Vec<Witness>,
    abandons: bool,
    opened: Instant,
    /// The newest reading, which the next write is made on.
    seen: Option<Seen>,
    /// The version that was read last, and when it was read first.
    since: Option<(String, Instant)>,
}

impl Lock {
    /// Connects to nothing yet.
    pub async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        let cluster =
            Cluster::open(&wanted.access).await.context("prepare to reach the cluster")?;
        let (name, holder) = (wanted.lock.clone(), wanted.holder.clone());
        let witnesses = [told(wanted), here()].into_iter().flatten().collect();
        let abandons = matches!(wanted.goal, Goal::Released { abandon: true, .. });
        Ok(Self {
            cluster,
            name,
            holder,
            witnesses,
            abandons,
            opened: Instant::now(),
            seen: None,
            since: None,
        })
    }

    /// Reads the lock.
    pub async fn observe(&mut self, _wanted: &Wanted) -> anyhow::Result<Observed> {
        // Before the reading: what was read is not older than this.
        let read_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seen = self.cluster.lock(&self.name).await;
        let seen = seen.with_context(|| format!("read the lock {}", self.name))?;
        let version =
            seen.lock.as_ref().map(|lock| lock.resource_version.clone()).unwrap_or_default();
        if self.since.as_ref().is_none_or(|(known, _)| *known != version) {
            self.since = Some((version, Instant::now()));
        }
        let unchanged = self.since.as_ref().map_or(0, |(_, since)| since.elapsed().as_secs());
        let gone =
            |holder: &Holder| self.witnesses.iter().any(|witness| witness.has_outlived(holder));
        let holder_gone = seen.holder().is_some_and(gone);
        let observed = Observed {
            reader: self.holder.as_str().to_owned(),
            lease: lease(&seen),
            date: seen.date.to_string(),
            read_at: read_at.as_secs().try_into().unwrap_or_default(),
            unchanged,
            holder_gone,
            waited: self.opened.elapsed().as_secs(),
        };
        self.seen = Some(seen);
        Ok(observed)
    }

    /// Writes, under the version that the decision was made on.
    pub async fn apply(&mut self, step: &Step, observed: &Observed) -> anyhow::Result<Applied> {
        let Some(seen) = &self.seen else {
            bail!("write the lock {}: it was never read", self.name)
        };
        let version = |lease: &Lease| lease.version.clone();
        if seen.lock.as_ref().map(|lock| lock.resource_version.clone())
            != observed.lease.as_ref().map(version)
        {
            return Ok(outrun());
        }
        let none = BTreeMap::new();
        let written = match step {
            Step::AwaitExpiry { .. } | Step::AwaitRelease { .. } => return Ok(Applied::Sent),
            Step::Acquire { operation, target, record, duration } => {
                let claim = Claim {
                    holder: self.holder.clone(),
                    operation: operation.clone(),
                    target: target.clone(),
                    duration: Duration::from_secs(*duration),
                };
                self.cluster.take_lock(&self.name, seen, &claim, record).await
            }
            Step::Renew => self.cluster.renew_lock(&self.name, seen, &none).await,
            Step::Record { facts } => self.cluster.renew_lock(&self.name, seen, facts).await,
            Step::Release => {
                let word = if self.abandons { "abandoned" } else { "released" };
                self.cluster.release_lock(&self.name, seen, &self.holder, word).await
            }
        };
        match written.with_context(|| format!("write the lock {}", self.name))? {
            Written::Done => Ok(Applied::Sent),
            Written::Outrun => Ok(outrun()),
        }
    }
}

fn outrun() -> Applied {
    Applied::Again(Duration::ZERO, "somebody else wrote the lock first".into())
}

fn lease(seen: &Seen) -> Option<Lease> {
    let lock = seen.lock.as_ref()?;
    let text = |holder: &Holder| holder.as_str().to_owned();
    let operation = lock.operation.as_ref().map(|open| Operation {
        name: open.name.clone(),
        target: open.target.clone(),
        acquired: open.acquired.clone(),
        taken_over_from: open.taken_over_from.as_ref().map(text),
        record: open.record.clone(),
    });
    Some(Lease {
        version: lock.resource_version.clone(),
        holder: lock.holder.as_ref().map(text),
        // A Lease that was never renewed is as old as can be.
        age: seen.age().map_or(u64::MAX, |age| age.as_secs()),
        duration: lock.duration.as_secs(),
        operation,
        last_operation: lock.last.clone(),
        ousted: lock.ousted.iter().map(text).collect(),
    })
}

/// What the controller told of itself; its name and boot are those of the holder it gave.
fn told(wanted: &Wanted) -> Option<Witness> {
    let (space, alive) = wanted.controller.clone()?;
    let own = wanted.holder.process()?;
    Some(Witness {
        host: own.host,
        boot_id: own.boot_id,
        space,
        alive: alive.into_iter().collect(),
    })
}

/// The processes of this host, for a task that runs on the controller itself.
fn here() -> Option<Witness> {
    let text = |path: &str| Some(fs::read_to_string(path).ok()?.trim().to_owned());
    let process = |entry: fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((host::identity::process_start(pid).ok()??, pid))
    };
    Some(Witness {
        host: text("/proc/sys/kernel/hostname")?,
        boot_id: host::identity::boot_id().ok()?,
        space: fs::read_link("/proc/self/ns/pid").ok()?.to_str()?.to_owned(),
        alive: fs::read_dir("/proc").ok()?.flatten().filter_map(process).collect(),
    })
}
