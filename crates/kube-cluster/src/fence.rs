//! The proof, right before a destructive step, that the run may still make it.

use crate::{Access, Cluster, Error, Holder, LockName, Operation, Written};
use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};
use tokio::time::Instant;

/// How long the proof is tried for: another task of the same run may write the record meanwhile, a load balancer may cut the connection, and etcd
/// may hold an election.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(250);

/// Where the lock of an operation lies, and who this run is. As options of a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fence {
    /// The kubeconfig; none means where the distributions put it.
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who this run is.
    pub holder: String,
}

impl Fence {
    /// The lock every operation of ours takes.
    pub fn new(kubeconfig: Option<PathBuf>, holder: impl Into<String>) -> Self {
        let LockName { namespace, name } = LockName::default();
        Self { kubeconfig, namespace, name, holder: holder.into() }
    }
}

/// The lock was this run's own at the moment it was renewed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The operation under way.
    pub operation: Option<Operation>,
}

/// The lock is not this run's own any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lost(pub String);

/// Why nothing destructive may be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unproven {
    /// Somebody else has the lock, or this run was paused for longer than it may count on it.
    Lost(Lost),
    /// It cannot be told.
    Unknown(Error),
}

impl Unproven {
    /// The refusal's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Lost(_) => "lock_lost",
            Self::Unknown(_) => "lock_unknown",
        }
    }
}

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Lost(Lost(why)) => f.write_str(why),
            Self::Unknown(error) => write!(
                f,
                "whether this run still holds the control plane's lock cannot be told: {error}; nothing was changed"
            ),
        }
    }
}

impl std::error::Error for Unproven {}

/// Proves that the lock is still this run's own, by renewing it under the version that was read. To be called right before each destructive step.
///
/// # Errors
/// [`Unproven::Lost`] (`lock_lost`) when the holder is another or this run was paused past its expiry, [`Unproven::Unknown`] (`lock_unknown`) when
/// no apiserver answers. Neither may be followed by the step.
pub async fn assert_held(fence: &Fence) -> Result<Held, Unproven> {
    let access = Access { kubeconfig: fence.kubeconfig.clone(), ..Access::default() };
    let cluster = Cluster::open(&access).await.map_err(Unproven::Unknown)?;
    let Fence { namespace, name, holder, .. } = fence;
    let name = LockName { namespace: namespace.clone(), name: name.clone() };
    cluster.assert_held(&name, &Holder::new(holder)).await
}

impl Cluster {
    /// [`assert_held`] on a connection that is open already.
    ///
    /// # Errors
    /// As there.
    pub async fn assert_held(&self, name: &LockName, holder: &Holder) -> Result<Held, Unproven> {
        let since = Instant::now();
        loop {
            let unproven = match self.prove(name, holder).await {
                Ok(Some(held)) => return Ok(held),
                Ok(None) => lost(name, "somebody else keeps writing it"),
                Err(Unproven::Unknown(error)) if error.may_pass() => Unproven::Unknown(error),
                Err(unproven) => return Err(unproven),
            };
            if since.elapsed() > PATIENCE {
                return Err(unproven);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// One attempt; none when somebody else wrote in between.
    async fn prove(&self, name: &LockName, holder: &Holder) -> Result<Option<Held>, Unproven> {
        let seen = self.lock(name).await.map_err(Unproven::Unknown)?;
        let lock = seen.held_by(holder).map_err(|why| lost(name, &why))?;
        let operation = lock.operation.clone();
        let renewed = self.renew_lock(name, &seen, &BTreeMap::new()).await;
        let renewed = renewed.map_err(Unproven::Unknown)?;
        Ok((renewed == Written::Done).then_some(Held { operation }))
    }
}

fn lost(name: &LockName, why: &str) -> Unproven {
    let out = "run the same command again: it observes, takes the lock and resumes";
    Unproven::Lost(Lost(format!(
        "this run no longer holds the lock {name}: {why}; nothing more was changed; {out}"
    )))
}
