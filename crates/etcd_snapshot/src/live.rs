//! The doors to the cluster and to the disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ansible_module::Applied;
use anyhow::{Context, Result, bail};
use etcd_cluster::reading::{Reading, Status};
use etcd_cluster::{Access, Cluster, Connection, MemberId};
use tokio::time::timeout;

use crate::args::{Endpoints, Goal, Present, Wanted};
use crate::beside;
use crate::name;
use crate::part::Part;
use crate::plan;
use crate::state::{About, Checked, File, Observed, Step};
use crate::store;

/// A stream that says nothing for so long is dead.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a reading may spend on old files. Those left unread are neither counted nor deleted.
const VERIFYING: Duration = Duration::from_secs(45);

type Identity = (u64, u64, i64, i64);

/// One run.
pub struct Snapshots {
    goal: Goal,
    timeout: Duration,
    cluster: Option<Cluster>,
    /// Files that were read to their end, and that are still the same.
    known: HashMap<PathBuf, (Identity, File)>,
    /// The first reading has decided which old files are read and what was left over: a later one must not find more to delete.
    looked: bool,
    remains: Vec<String>,
    saved: bool,
}

impl Snapshots {
    /// Prepares; sends nothing.
    pub fn open(wanted: &Wanted) -> Result<Self> {
        let cluster = match &wanted.goal {
            Goal::Verified(_) | Goal::Listed(..) | Goal::Pruned(..) => None,
            Goal::Present(_) => Some(cluster(&wanted.cluster)?),
        };
        Ok(Self {
            goal: wanted.goal.clone(),
            timeout: wanted.timeout,
            cluster,
            known: HashMap::new(),
            looked: false,
            remains: vec![],
            saved: false,
        })
    }

    /// Reads the cluster and the directory.
    pub async fn observe(&mut self) -> Result<Observed> {
        match self.goal.clone() {
            Goal::Verified(path) => {
                let file = self.verified(&path).await?;
                Ok(Observed {
                    checked: Some(Checked::new(path.display().to_string(), file)),
                    ..Observed::default()
                })
            }
            Goal::Present(present) => self.present(&present).await,
            Goal::Listed(dest, verify) => self.offline(&dest, verify).await,
            Goal::Pruned(dest, _) => self.offline(&dest, true).await,
        }
    }

    /// A directory, whatever clusters its files are of.
    async fn offline(&mut self, dest: &Path, verify: bool) -> Result<Observed> {
        let at = dest.to_owned();
        let listing = blocking(move || store::list(&at, None)).await?;
        let since = Instant::now();
        let mut files = listing.files;
        files.sort_by(|a, b| b.name.cmp(&a.name));
        for file in &mut files {
            let path = dest.join(&file.name);
            if verify && !self.looked && since.elapsed() < VERIFYING {
                self.verified(&path).await?;
            }
            match self.remembered(&path) {
                Some(known) => *file = known,
                None => file.about = store::read_about(&path),
            }
        }
        self.looked = true;
        let (dest, exposed) = (dest.display().to_string(), listing.exposed);
        Ok(Observed { dest, files, exposed, ..Observed::default() })
    }

    async fn present(&mut self, present: &Present) -> Result<Observed> {
        let reading = self.read(false).await?;
        let (dest, id) = (present.dest.clone(), reading.cluster_id);
        let listing = blocking(move || store::list(&dest, Some(id))).await?;
        if !self.looked {
            self.remains.clone_from(&listing.remains);
        }
        let mut observed = Observed {
            dest: present.dest.display().to_string(),
            files: listing.files,
            remains: listing
                .remains
                .into_iter()
                .filter(|name| self.remains.contains(name))
                .collect(),
            free: store::free(&present.dest),
            exposed: listing.exposed,
            saved: self.saved,
            cluster: Some(reading),
            checked: None,
        };
        self.read_files(present, &mut observed).await?;
        // All keys of all members are walked for it: only where it will be needed.
        if present.compare_hashes && plan::newest(present, &observed).is_none() {
            observed.cluster = Some(self.read(true).await?);
        }
        Ok(observed)
    }

    async fn read(&mut self, hashes: bool) -> Result<Reading> {
        let cluster = self.cluster.as_mut().context("reach a cluster: none was asked for")?;
        cluster.read(hashes).await.context("read the cluster")
    }

    /// Reads the newest file that is whole; and all of them where old ones are to be deleted.
    async fn read_files(&mut self, present: &Present, observed: &mut Observed) -> Result<()> {
        let since = Instant::now();
        observed.files.sort_by(|a, b| b.name.cmp(&a.name));
        for file in &mut observed.files {
            let path = present.dest.join(&file.name);
            if !self.looked && since.elapsed() < VERIFYING {
                self.verified(&path).await?;
            }
            if let Some(known) = self.remembered(&path) {
                *file = known;
            }
            if present.keep.is_none() && file.is_valid() && file.taken_at <= present.until {
                break;
            }
        }
        self.looked = true;
        Ok(())
    }

    fn remembered(&self, path: &Path) -> Option<File> {
        let (identity, file) = self.known.get(path)?;
        (store::identity(path) == Some(*identity)).then(|| file.clone())
    }

    async fn verified(&mut self, path: &Path) -> Result<Option<File>> {
        if let Some(known) = self.remembered(path) {
            return Ok(Some(known));
        }
        let (identity, owned) = (store::identity(path), path.to_owned());
        let file = blocking(move || store::verify(&owned)).await?;
        if let (Some(identity), Some(file)) = (identity, &file) {
            self.known.insert(path.to_owned(), (identity, file.clone()));
        }
        Ok(file)
    }

    /// Sends one step.
    pub async fn apply(&mut self, step: &Step, observed: &Observed) -> Result<Applied> {
        match (step, self.goal.clone()) {
            (Step::Clean, Goal::Present(present)) => {
                store::clean(&present.dest, &observed.remains)?;
            }
            (Step::Delete(name), Goal::Present(Present { dest, .. }) | Goal::Pruned(dest, _)) => {
                self.delete(&dest, name)?;
            }
            (Step::Save(_), Goal::Present(present)) => {
                Box::pin(self.save(&present, observed)).await?;
            }
            _ => {}
        }
        Ok(Applied::Sent)
    }

    /// What was read to its end, and has not changed since.
    fn delete(&self, dest: &Path, name: &str) -> Result<()> {
        if !self.remembered(&dest.join(name)).is_some_and(|file| file.is_valid()) {
            bail!("delete {name}: it has changed since it was verified");
        }
        store::delete(dest, name)
    }

    async fn save(&mut self, present: &Present, observed: &Observed) -> Result<()> {
        let reading =
            observed.cluster.as_ref().context("choose a member: the cluster was not read")?;
        let id = plan::choose(present, reading)
            .map_err(|reason| anyhow::anyhow!("{}", ansible_module::Refusal::from(reason).text))?;
        let cluster = self.cluster.as_mut().context("reach a cluster: none was asked for")?;
        let member =
            cluster.to_member(reading, id).await.with_context(|| format!("reach member {id}"))?;
        let about = beside::about(reading, id);
        let streamed = timeout(self.timeout, stream(present, &member, about)).await;
        let streamed = streamed.unwrap_or_else(|_| {
            bail!("read the stream: not whole within {} s", self.timeout.as_secs())
        });
        let file = streamed
            .with_context(|| format!("save a snapshot of member {id} at {}", member.url()))?;
        let path = present.dest.join(&file.name);
        let identity =
            store::identity(&path).with_context(|| format!("look at {}", path.display()))?;
        self.known.insert(path, (identity, file));
        self.saved = true;
        Ok(())
    }
}

/// From one endpoint to a file that has its name.
async fn stream(present: &Present, member: &Connection, mut about: About) -> Result<File> {
    let (cluster, id) = (about.cluster_id, about.member_id);
    let before = same(member.status().await.context("ask it about itself")?, cluster, id)?;
    let taken_at = name::millis(SystemTime::now());
    let name = name::of(cluster, taken_at);
    store::make(&present.dest)?;
    let mut part = Part::create(&present.dest, &name)?;
    let mut remaining = None;
    let mut stream = member.snapshot().await.context("begin")?;
    loop {
        let next = timeout(SILENCE, stream.message()).await;
        let next = next.with_context(|| {
            format!("read the stream: nothing came for {} s", SILENCE.as_secs())
        })?;
        let Some(message) = next.context("read the stream")? else { break };
        remaining = Some(message.remaining_bytes());
        ansible_module::waiting(&left(message.remaining_bytes()));
        part.write(message).await?;
    }
    if let Some(left) = remaining.filter(|left| *left != 0) {
        bail!("read the stream: it ended {left} bytes early");
    }
    let whole = part.whole().await?;
    let after = same(member.status().await.context("ask it about itself")?, cluster, id)?;
    about.k3s_token_fingerprints = beside::k3s_tokens(member).await.context("look for k3s")?;
    (about.etcd_version, about.taken_at) = (before.version, name::show(taken_at));
    (about.revision, about.revision_at_most) = (before.revision, after.revision);
    (about.sha256, about.size) = (whole.sha256.clone(), whole.size);
    part.finish(&about).await?;
    Ok(File {
        name,
        taken_at,
        validity: crate::state::Validity::Valid,
        size: whole.size,
        sha256: whole.sha256,
        about: Some(about),
    })
}

/// In steps that make a line worth reading.
fn left(bytes: u64) -> String {
    format!("save a snapshot: about {} MiB are left", bytes.div_ceil(64 << 20) * 64)
}

/// An address may have been given to somebody else since it was read.
fn same(status: Status, cluster: MemberId, id: MemberId) -> Result<Status> {
    if (status.cluster_id, status.member_id) != (cluster, id) {
        bail!(
            "member {} of cluster {} answers there, expected {id} of {cluster}",
            status.member_id,
            status.cluster_id
        );
    }
    Ok(status)
}

fn cluster(endpoints: &Endpoints) -> Result<Cluster> {
    let access = Access::for_endpoints(&endpoints.urls, &endpoints.files)
        .context("find the certificates")?;
    Ok(Cluster::new(access, &endpoints.urls))
}

/// Reading gigabytes must not keep a signal waiting.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("run on another thread")?
}
