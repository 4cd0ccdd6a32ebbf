//! The lock as this module sees it, and what can be done to it.
#![expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]

use ansible_module::{Returns, Until};
use kube_cluster::Holder;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The part of its duration for which a lock is not counted on.
const MARGIN_PART: u64 = 10;
/// Seconds of it at least.
const MARGIN_LEAST: u64 = 5;

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
    /// This host's own clock right before the reading, in seconds since 1970.
    pub read_at: i64,
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
    /// For how many seconds after the reading nobody else can take the lock by its expiry. Negative when that may have happened already.
    ///
    /// The margin is for what the reading cannot know: the clock of the host that counts on it and the servers' clocks are each off by up to a second,
    /// servers tell whole seconds, clocks run at different speeds, and a call that was made in time is still under way for a while.
    fn safe(&self) -> i64 {
        let margin = (self.duration / MARGIN_PART).max(MARGIN_LEAST);
        let seconds = |number| i64::try_from(number).unwrap_or(i64::MAX);
        seconds(self.duration).saturating_sub(seconds(self.age)).saturating_sub(seconds(margin))
    }

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
    /// Until when nobody else can have taken the lock by its expiry, by the clock of the host the task runs on; nothing when it is not this run's.
    ///
    /// What M(quorate.controlplane.pve_guest), M(quorate.controlplane.pve_disk_reimage) and M(quorate.controlplane.haproxy_pool) want as C(lock_until).
    pub holds_until: Option<String>,
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
    let own = lease.filter(|lease| lease.holder.as_ref() == Some(&observed.reader));
    let until = own.and_then(|own| Until::from_second(observed.read_at.saturating_add(own.safe())));
    View {
        holds_until: until.map(|until| until.to_string()),
        holder: lease.and_then(|lease| lease.holder.clone()),
        operation: open.map(|open| open.name.clone()),
        target: open.map(|open| open.target.clone()),
        acquired: open.map(|open| open.acquired.clone()),
        taken_over_from: open.and_then(|open| open.taken_over_from.clone()),
        record: open.map(|open| open.record.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T08:30:00Z.
    const READ_AT: i64 = 1_795_249_800;

    fn until(holder: &str, age: u64, duration: u64) -> Option<String> {
        let lease = Lease { holder: Some(holder.into()), age, duration, ..Lease::default() };
        let observed = Observed {
            reader: "a".into(),
            lease: Some(lease),
            read_at: READ_AT,
            ..Observed::default()
        };
        view(&observed).holds_until
    }

    #[test]
    fn nobody_is_told_to_count_on_the_last_tenth() {
        let cases = [
            (0, 900, "2026-11-21T08:43:30Z", "a tenth less"),
            (60, 900, "2026-11-21T08:42:30Z", "what has passed, too"),
            (0, 30, "2026-11-21T08:30:25Z", "five seconds at least"),
            (0, 3, "2026-11-21T08:29:58Z", "too short to be counted on at all"),
            (901, 900, "2026-11-21T08:28:29Z", "expired: over"),
            (u64::MAX, 900, "", "never renewed: nothing that could be written down"),
        ];
        for (age, duration, expected, why) in cases {
            assert_eq!(until("a", age, duration).unwrap_or_default(), expected, "{why}");
        }
    }

    #[test]
    fn only_the_own_lock_is_counted_on() {
        assert_eq!(until("b", 0, 900), None);
        assert_eq!(view(&Observed::default()).holds_until, None);
    }
}
