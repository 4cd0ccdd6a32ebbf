//! The lock as this module sees it, and what can be done to it.

use ansible_module::Returns;
use kube_cluster::Holder;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// One reading of the lock.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Observed {
    /// Who reads, so that a step can be projected.
    pub reader: String,
    /// The Lease; none when there is none.
    pub lease: Option<Lease>,
    /// The server's clock.
    pub date: String,
    /// For how many seconds the Lease has not changed, by this host's own clock, since this task first saw it.
    pub unchanged: u64,
    /// Whether the holder's process has certainly ended.
    pub holder_gone: bool,
    /// For how many seconds this task has been running.
    pub waited: u64,
}

/// The Lease.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Lease {
    /// The version that was read.
    pub version: String,
    /// Who holds it.
    pub holder: Option<String>,
    /// Seconds since it was last renewed, by the servers' clocks.
    pub age: u64,
    /// Seconds that it holds for.
    pub duration: u64,
    /// The operation under way.
    pub operation: Option<Operation>,
    /// The one before, for people.
    pub last_operation: Option<String>,
    /// Runs that the lock was taken from.
    pub ousted: Vec<String>,
}

/// The operation under way.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Operation {
    /// What is done.
    pub name: String,
    /// What it is done to.
    pub target: String,
    /// When it began.
    pub acquired: String,
    /// Whom it was last taken over from.
    pub taken_over_from: Option<String>,
    /// Facts.
    pub record: BTreeMap<String, String>,
}

impl Observed {
    /// Whether the lock is free for the taking: the run that held it has ended, or has not renewed it for as long as it holds.
    pub fn is_left_behind(&self, lease: &Lease) -> bool {
        lease.holder.is_none() || self.holder_gone || self.unchanged >= lease.duration.max(1)
    }
}

impl Lease {
    /// Whether its own holder may no longer count on it.
    pub fn is_expired(&self) -> bool {
        self.age > self.duration
    }
}

/// One change, or one wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Until the other run releases the lock, ends, or expires.
    AwaitExpiry {
        /// The other run.
        holder: String,
    },
    /// Until the other run, whose operation is another, has finished it.
    AwaitRelease {
        /// The other run.
        holder: String,
    },
    /// The lock becomes this run's; an operation of the same name and target is resumed.
    Acquire {
        /// What is to be done.
        operation: String,
        /// To what.
        target: String,
        /// Facts to begin with.
        record: BTreeMap<String, String>,
        /// Seconds that it holds for.
        duration: u64,
    },
    /// The run proves that it lives.
    Renew,
    /// Facts are added.
    Record {
        /// Those that are not there.
        facts: BTreeMap<String, String>,
    },
    /// The lock becomes nobody's, the record is closed.
    Release,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::AwaitExpiry { holder } => {
                write!(f, "wait for {} to release the lock or to expire", Holder::new(holder))
            }
            Self::AwaitRelease { holder } => {
                write!(f, "wait for {} to finish and release the lock", Holder::new(holder))
            }
            Self::Acquire { operation, target, record, .. } if record.is_empty() => {
                write!(f, "acquire the control plane's lock for {operation} of {target}")
            }
            Self::Acquire { operation, target, record, .. } => {
                write!(
                    f,
                    "acquire the control plane's lock for {operation} of {target}, with {}",
                    pairs(record)
                )
            }
            Self::Renew => f.write_str("renew the control plane's lock"),
            Self::Record { facts } => write!(f, "record {}", pairs(facts)),
            Self::Release => f.write_str("release the control plane's lock and close its record"),
        }
    }
}

fn pairs(facts: &BTreeMap<String, String>) -> String {
    facts.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(", ")
}

/// The state expected after a step, in the worst case.
pub fn project(observed: &Observed, step: &Step) -> Observed {
    let mut after = observed.clone();
    match step {
        Step::AwaitExpiry { .. } => {
            after.unchanged = observed.lease.as_ref().map_or(0, |lease| lease.duration.max(1));
        }
        Step::Acquire { operation, target, record, duration } => {
            let lease = after.lease.get_or_insert_default();
            let open = lease
                .operation
                .take()
                .filter(|open| open.name == *operation && open.target == *target);
            let resumed = open.is_some();
            let mut open = open.unwrap_or_else(|| Operation {
                name: operation.clone(),
                target: target.clone(),
                acquired: observed.date.clone(),
                ..Operation::default()
            });
            open.taken_over_from =
                lease.holder.take().filter(|holder| resumed && *holder != observed.reader);
            open.record.extend(record.clone());
            (lease.operation, lease.holder) = (Some(open), Some(observed.reader.clone()));
            (lease.age, lease.duration) = (0, *duration);
            (after.unchanged, after.holder_gone) = (0, false);
        }
        Step::Renew => after.lease.iter_mut().for_each(|lease| lease.age = 0),
        Step::Record { facts } => {
            if let Some(lease) = &mut after.lease {
                lease.age = 0;
                lease.operation.get_or_insert_default().record.extend(facts.clone());
            }
        }
        Step::AwaitRelease { .. } | Step::Release => after.lease.iter_mut().for_each(free),
    }
    after
}

fn free(lease: &mut Lease) {
    (lease.holder, lease.operation) = (None, None);
}

/// What is shown of the lock.
#[derive(Clone, PartialEq, Debug, Serialize, Returns)]
pub struct View {
    /// Who holds the lock; nothing when it is free. Other modules want it where they ask for the holder.
    pub holder: Option<String>,
    /// What is being done; nothing when nothing is.
    pub operation: Option<String>,
    /// To what.
    pub target: Option<String>,
    /// When the operation began. A run that resumes it keeps this.
    pub acquired: Option<String>,
    /// The run that the operation was last taken over from.
    pub taken_over_from: Option<String>,
    /// The facts of the operation.
    pub record: BTreeMap<String, String>,
}

/// What of an observation is shown.
pub fn view(observed: &Observed) -> View {
    let lease = observed.lease.as_ref();
    let open = lease.and_then(|lease| lease.operation.as_ref());
    View {
        holder: lease.and_then(|lease| lease.holder.clone()),
        operation: open.map(|open| open.name.clone()),
        target: open.map(|open| open.target.clone()),
        acquired: open.map(|open| open.acquired.clone()),
        taken_over_from: open.and_then(|open| open.taken_over_from.clone()),
        record: open.map(|open| open.record.clone()).unwrap_or_default(),
    }
}
